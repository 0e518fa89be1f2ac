// What several processes, and processes that die, see of one store.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "store/environment.h"
#include "temp_store.h"

namespace datahike::store {
namespace {

using test::TempStore;

// Runs f in a child; its exit status is what f returns, 99 when it throws.
pid_t start(const std::function<int()>& f) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  int status = 99;
  try {
    status = f();
  } catch (const std::exception& e) {
    fprintf(stderr, "child: %s\n", e.what());
  }
  _exit(status);
}

// The exit status, or minus the signal that ended the child.
int finish(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// One byte each way between parent and child.
class Baton {
 public:
  Baton() {
    if (pipe(fds_) != 0) throw std::runtime_error("pipe");
  }
  ~Baton() {
    close(fds_[0]);
    close(fds_[1]);
  }
  void pass() {
    if (write(fds_[1], "x", 1) != 1) throw std::runtime_error("write");
  }
  void await() {
    char c;
    if (read(fds_[0], &c, 1) != 1) throw std::runtime_error("read");
  }

 private:
  int fds_[2];
};

// Both halves always have the same number.
void put_pair(Environment& env, uint64_t n) {
  auto batch = env.begin_write();
  Bytes value(8);
  put_big_endian(value.data(), n);
  batch->put_meta("left", value);
  batch->put_node(Bytes(5000, static_cast<uint8_t>(n)));
  batch->put_meta("right", value);
  batch->commit();
}

uint64_t get_half(Environment& env, const char* name) {
  return get_big_endian(env.meta(name).value().data());
}

TEST(Processes, AReaderKeepsItsSnapshotWhileAnotherProcessWrites) {
  TempStore store;
  Baton reading, written;
  put_pair(*store.writer(), 1);
  pid_t child = start([&] {
    auto env = store.reader();
    uint64_t left = get_half(*env, "left");
    reading.pass();
    written.await();
    bool kept = left == 1 && get_half(*env, "right") == 1;
    env->refresh();
    return kept && get_half(*env, "left") == 100 && get_half(*env, "right") == 100 ? 0 : 1;
  });
  reading.await();
  {
    auto env = store.writer();
    for (uint64_t n = 2; n <= 100; ++n) put_pair(*env, n);
  }
  written.pass();
  EXPECT_EQ(finish(child), 0);
}

TEST(Processes, EverySnapshotIsConsistent) {
  TempStore store;
  put_pair(*store.writer(), 0);
  pid_t child = start([&] {
    auto env = store.reader();
    for (uint64_t n = 0; n < 300;) {
      env->refresh();
      n = get_half(*env, "left");
      if (get_half(*env, "right") != n) return 1;
    }
    return 0;
  });
  {
    auto env = store.writer();
    for (uint64_t n = 1; n <= 300; ++n) put_pair(*env, n);
  }
  EXPECT_EQ(finish(child), 0);
}

TEST(Processes, AWriterKilledInsideABatchLeavesTheOldStateAndBlocksNobody) {
  for (int signal : {SIGKILL, 0}) {
    TempStore store;
    put_pair(*store.writer(), 1);
    pid_t child = start([&] {
      auto env = store.writer();
      auto batch = env->begin_write();
      batch->put_meta("left", Bytes(8));
      for (int i = 0; i < 1000; ++i) batch->put_node(Bytes(5000));
      if (signal) kill(getpid(), signal);
      _exit(0);
      return 0;
    });
    EXPECT_EQ(finish(child), -signal);
    auto env = store.writer();
    EXPECT_EQ(get_half(*env, "left"), 1u);
    EXPECT_EQ(get_half(*env, "right"), 1u);
    env->release();
    put_pair(*env, 2);
    EXPECT_EQ(get_half(*env, "right"), 2u);
  }
}

TEST(Processes, AWriterKilledAnywhereLeavesACommittedState) {
  TempStore store;
  put_pair(*store.writer(), 0);
  for (int round = 0; round < 20; ++round) {
    Baton running;
    pid_t child = start([&] {
      auto env = store.writer();
      running.pass();
      for (uint64_t n = 1; n < 500; ++n) put_pair(*env, n);
      return 0;
    });
    running.await();
    usleep(static_cast<useconds_t>(500 * round));
    kill(child, SIGKILL);
    finish(child);
    auto env = store.writer();
    ASSERT_EQ(get_half(*env, "left"), get_half(*env, "right"));
  }
}

TEST(Processes, ADeadReadersSlotIsCleared) {
  TempStore store;
  auto env = store.writer();
  for (int i = 0; i < 40; ++i) {  // there are 16 slots
    pid_t child = start([&] {
      auto reader = store.reader();
      reader->meta("x");
      kill(getpid(), SIGKILL);
      return 0;
    });
    ASSERT_EQ(finish(child), -SIGKILL);
  }
}

TEST(Processes, AReaderFollowsAMapThatAnotherProcessEnlarged) {
  TempStore store;
  store.map_size = 1 << 20;
  put_pair(*store.writer(), 1);
  Baton reading, written;
  pid_t child = start([&] {
    auto env = store.reader();
    get_half(*env, "left");
    reading.pass();
    written.await();
    env->refresh();
    return env->node(300).size() == 10'000 && get_half(*env, "left") == 1 ? 0 : 1;
  });
  reading.await();
  {
    Options larger = store.options(false);
    larger.map_size = 16 << 20;
    auto env = Environment::open(store.directory(), larger);
    auto batch = env->begin_write();
    for (int i = 0; i < 400; ++i) batch->put_node(Bytes(10'000));
    batch->commit();
  }
  written.pass();
  EXPECT_EQ(finish(child), 0);
}

TEST(Processes, ADiskThatTakesNoMoreIsAnErrorAndNothingIsLost) {
  TempStore store;
  put_pair(*store.writer(), 1);
  pid_t child = start([&] {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{12 << 20, 12 << 20};
    setrlimit(RLIMIT_FSIZE, &limit);
    auto env = store.writer();
    put_pair(*env, 2);
    try {
      auto batch = env->begin_write();
      for (int i = 0; i < 2000; ++i) batch->put_node(Bytes(10'000));
      batch->commit();
      return 1;
    } catch (const FullError&) {
    }
    put_pair(*env, 3);
    return 0;
  });
  EXPECT_EQ(finish(child), 0);
  auto env = store.reader();
  EXPECT_EQ(get_half(*env, "left"), 3u);
  EXPECT_EQ(get_half(*env, "right"), 3u);
}

// Everything there is, read as a reader would.
void read_all(Environment& env) {
  get_half(env, "left");
  get_half(env, "right");
  for (uint64_t id = 1; id <= 40; ++id) env.node(id);
  env.commits_with_prefix({}, false, 1000);
  env.segment_at_or_after(1, 1);
  env.statistics();
}

TEST(StoreDamage, ZeroedPagesAreErrorsNeverCrashes) {
  TempStore store;
  {
    auto env = store.writer();
    for (uint64_t n = 0; n < 40; ++n) put_pair(*env, n);
    auto batch = env->begin_write();
    for (uint16_t i = 0; i < 900; ++i) {
      Uuid id{static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
      batch->put_commit(id, i, Bytes(50));
    }
    batch->commit();
  }
  uintmax_t pages = std::filesystem::file_size(store.data_file()) / 4096;
  size_t errors = 0;
  for (uintmax_t page = 2; page < std::min<uintmax_t>(pages, 150); ++page) {
    std::fstream file(store.data_file(), std::ios::in | std::ios::out | std::ios::binary);
    std::string old(4096, 0), zeros(4096, 0);
    file.seekg(static_cast<std::streamoff>(page * 4096)).read(old.data(), 4096);
    file.seekp(static_cast<std::streamoff>(page * 4096)).write(zeros.data(), 4096).flush();
    pid_t child = start([&] {
      try {
        auto env = store.reader();
        if (!env) return 2;
        read_all(*env);
        auto writer = store.options(false);
        env.reset();
        env = Environment::open(store.directory(), writer);
        env->begin_write()->put_meta("left", Bytes(8));
      } catch (const CorruptError&) {
        return 1;
      }
      return 0;
    });
    int status = finish(child);
    EXPECT_TRUE(status == 0 || status == 1) << "page " << page << ": " << status;
    errors += status == 1;
    file.seekp(static_cast<std::streamoff>(page * 4096)).write(old.data(), 4096).flush();
  }
  EXPECT_GT(errors, 0u);
}

}  // namespace
}  // namespace datahike::store
