// Backups are stores with the same content; free pages become holes that nobody notices.
#include "store/backup.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "fold_world.h"
#include "store/free_pages.h"
#include "store/verify.h"

namespace datahike::store::test {
namespace {

// A process beside this one: LMDB's locks do not tell two handles of one process apart.
class OtherProcess {
 public:
  explicit OtherProcess(const std::function<void(OtherProcess&)>& body) {
    if (pipe(to_child_) != 0 || pipe(to_parent_) != 0) throw std::runtime_error("pipe");
    pid_ = fork();
    if (pid_ != 0) return;
    int status = 0;
    try {
      body(*this);
    } catch (const std::exception& error) {
      fprintf(stderr, "child: %s\n", error.what());
      status = 1;
    }
    _exit(status);
  }
  // To the other side, and from it.
  void tell() {
    if (write(pid_ == 0 ? to_parent_[1] : to_child_[1], "x", 1) != 1)
      throw std::runtime_error("write");
  }
  void wait() {
    char byte;
    if (read(pid_ == 0 ? to_child_[0] : to_parent_[0], &byte, 1) != 1)
      throw std::runtime_error("read");
  }
  int end() {
    int status = 0;
    waitpid(pid_, &status, 0);
    return status;
  }

 private:
  int to_child_[2], to_parent_[2];
  pid_t pid_;
};

class StoreBackup : public testing::Test {
 protected:
  StoreBackup() : copy_(store_.directory() + "/copy/here") {}

  void fold(uint64_t count) {
    std::vector<Transaction> made;
    for (uint64_t i = 0; i < count; ++i) made.push_back(generator_.next(1));
    std::vector<const Transaction*> entries;
    for (const Transaction& transaction : made) entries.push_back(&transaction);
    head_ = store_.fold(head_.id, next_tx_, entries);
    next_tx_ += count;
    contents_ = made.back().after;
  }

  void backup(const std::vector<PublishedRef>& refs = {}) {
    backup_store(store_.env(), copy_, kIdentity, refs, [&] {
      if (on_pause_) on_pause_();
    });
  }

  static std::unique_ptr<Environment> open(const std::string& directory) {
    Options options;
    options.map_size = size_t{512} << 20;
    options.max_readers = 16;
    options.identity = kIdentity;
    return Environment::open(directory, options);
  }

  static std::vector<std::string> damage(Environment& env) {
    std::vector<std::string> found;
    verify(
        env, true,
        [&](const Finding& finding) {
          if (finding.corrupt) found.push_back(finding.detail);
        },
        [] {});
    return found;
  }

  static constexpr Identity kIdentity{.system_id = 42, .database = 5};
  TestStore store_;
  Generator generator_{1};
  Commit head_ = store_.root();
  Contents contents_;
  uint64_t next_tx_ = 2;
  std::string copy_;
  std::function<void()> on_pause_;
};

TEST_F(StoreBackup, HasWhatTheStoreHas) {
  for (int i = 0; i < 10; ++i) fold(10);
  backup({{'b', "db", head_.id}});
  auto copy = open(copy_);
  ASSERT_TRUE(copy);
  EXPECT_EQ(damage(*copy), std::vector<std::string>());
  EXPECT_TRUE(read_contents(*copy, head_.id) == contents_);
  expect_rows(*copy, generator_.rows());
  const Statistics a = store_.env().statistics(), b = copy->statistics();
  EXPECT_EQ(a.commits, b.commits);
  EXPECT_EQ(a.nodes, b.nodes);
  EXPECT_EQ(a.lineage, b.lineage);
  EXPECT_LE(b.used_bytes, a.used_bytes);
  const std::vector<PublishedRef> refs = read_published_refs(*copy);
  ASSERT_EQ(refs.size(), 1u);
  EXPECT_EQ(refs[0], (PublishedRef{'b', "db", head_.id}));
}

TEST_F(StoreBackup, NamesCanBePublishedInTheStoreItself) {
  fold(10);
  Environment& env = store_.env();
  const std::vector<PublishedRef> before = {{'b', "db", store_.root().id}};
  const std::vector<PublishedRef> refs = {{'b', "db", head_.id}, {'b', "side", store_.root().id}};
  for (const auto& published : {before, refs}) {
    EXPECT_FALSE(are_published(env, published));
    std::unique_ptr<WriteBatch> batch = env.begin_write();
    publish_refs(*batch, published);
    batch->commit();
    batch.reset();
    env.refresh();
    EXPECT_TRUE(are_published(env, published));
    EXPECT_EQ(read_published_refs(env), published);
  }
  EXPECT_FALSE(are_published(env, before));
  EXPECT_EQ(damage(env), std::vector<std::string>());
}

TEST_F(StoreBackup, IsOfOneStateWhileTheStoreIsWritten) {
  for (int i = 0; i < 10; ++i) fold(10);
  const Uuid head = head_.id;
  const Contents contents = contents_;
  OtherProcess other([&](OtherProcess& parent) {
    auto reader = open(store_.directory());
    reader->refresh();
    parent.tell();
    int pauses = 0;
    backup_store(*reader, copy_, kIdentity, {}, [&] {
      if (++pauses == 100) parent.wait();
    });
  });
  other.wait();
  for (int i = 0; i < 20; ++i) fold(5);
  other.tell();
  EXPECT_EQ(other.end(), 0);
  auto copy = open(copy_);
  EXPECT_EQ(damage(*copy), std::vector<std::string>());
  EXPECT_TRUE(read_contents(*copy, head) == contents);
  EXPECT_FALSE(copy->commit_by_tx(102));
}

TEST_F(StoreBackup, IsNotThereBeforeItIsComplete) {
  fold(10);
  int pauses = 0;
  on_pause_ = [&] {
    if (++pauses == 20) throw std::runtime_error("enough");
  };
  EXPECT_THROW(backup(), std::runtime_error);
  EXPECT_FALSE(std::filesystem::exists(copy_ + "/data.mdb"));
  EXPECT_FALSE(open(copy_));
}

TEST_F(StoreBackup, OverwritesNothing) {
  fold(10);
  backup();
  EXPECT_THROW(backup(), IoError);
  EXPECT_EQ(damage(*open(copy_)), std::vector<std::string>());
}

TEST_F(StoreBackup, FreePagesBecomeHolesThatNobodyNotices) {
  for (int i = 0; i < 10; ++i) fold(20);
  const Bytes large(4 << 20, 7);
  const auto put = [&](ByteView value) {
    auto batch = store_.env().begin_write();
    batch->put_meta("large", value);
    batch->commit();
    store_.env().refresh();
  };
  put(large);
  const uint64_t before = store_.env().statistics().file_bytes;
  put({});
  for (int i = 0; i < 4; ++i) fold(1);
  FreePages progress;
  int steps = 1;
  while (punch_free_pages(store_.env(), progress)) ++steps;
  EXPECT_GE(progress.bytes, large.size());
  EXPECT_LT(store_.env().statistics().file_bytes + (3 << 20), before);
  EXPECT_EQ(damage(store_.env()), std::vector<std::string>());
  for (int i = 0; i < 10; ++i) fold(20);
  put(large);
  EXPECT_EQ(damage(store_.env()), std::vector<std::string>());
  expect_rows(store_.env(), generator_.rows());
  store_.close();
  store_.open();
  EXPECT_EQ(damage(store_.env()), std::vector<std::string>());
}

TEST_F(StoreBackup, PagesThatAReaderNeedsAreNotFree) {
  for (int i = 0; i < 5; ++i) fold(10);
  const Uuid head = head_.id;
  const Contents contents = contents_;
  OtherProcess other([&](OtherProcess& parent) {
    auto reader = open(store_.directory());
    reader->refresh();
    parent.tell();
    parent.wait();
    if (read_contents(*reader, head) != contents || !damage(*reader).empty())
      throw std::runtime_error("the reader lost what it read");
  });
  other.wait();
  for (int i = 0; i < 40; ++i) fold(3);
  FreePages progress;
  while (punch_free_pages(store_.env(), progress)) {
  }
  other.tell();
  EXPECT_EQ(other.end(), 0);
}

}  // namespace
}  // namespace datahike::store::test
