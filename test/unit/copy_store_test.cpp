#include "store/copy_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "store/create_store.h"
#include "temp_store.h"

namespace datahike::store {
namespace {

using test::TempStore;

constexpr Identity kTemplate{42, 7}, kCopy{42, 8};

Bytes text(std::string_view s) { return Bytes(s.begin(), s.end()); }

// A store with nodes enough for several chunks, and the id of the first.
uint64_t fill(TempStore& temp) {
  auto env = temp.writer();
  auto batch = env->begin_write();
  uint64_t first = 0;
  for (int i = 0; i < 600; ++i) {
    uint64_t id = batch->put_node(Bytes(4000, static_cast<uint8_t>(i)));
    if (i == 0) first = id;
  }
  batch->put_meta("what", text("template"));
  batch->commit();
  return first;
}

Options options_of(const Identity& identity, bool read_only) {
  Options options;
  options.read_only = read_only;
  options.map_size = 64 << 20;
  options.max_readers = 16;
  options.identity = identity;
  return options;
}

TEST(CopyStore, HoldsTheSameAndBelongsToTheOtherDatabase) {
  TempStore temp;
  uint64_t first = fill(temp);
  std::string to = temp.directory() + ".copy/8";
  auto open_meanwhile = temp.reader();
  open_meanwhile->node(first);
  int asked = 0;
  copy_store(temp.directory(), kTemplate, to, kCopy, [&] { ++asked; });
  EXPECT_GT(asked, 1);
  EXPECT_THROW(Environment::open(to, options_of(kTemplate, true)), FormatError);
  auto copy = Environment::open(to, options_of(kCopy, true));
  for (uint64_t i = 0; i < 600; ++i) EXPECT_EQ(copy->node(first + i)[100], static_cast<uint8_t>(i));
  EXPECT_EQ(copy->meta("what"), text("template"));
  EXPECT_EQ(open_meanwhile->node(first)[0], 0);
}

TEST(CopyStore, CopyAndTemplateGoTheirOwnWays) {
  TempStore temp;
  fill(temp);
  std::string to = temp.directory() + ".copy/8";
  copy_store(temp.directory(), kTemplate, to, kCopy, [] {});
  {
    auto copy = Environment::open(to, options_of(kCopy, false));
    auto batch = copy->begin_write();
    batch->put_meta("what", text("copy"));
    for (int i = 0; i < 3000; ++i) batch->put_node(Bytes(3000, 1));
    batch->commit();
    EXPECT_EQ(copy->meta("what"), text("copy"));
  }
  EXPECT_EQ(temp.reader()->meta("what"), text("template"));
}

TEST(CopyStore, RefusesAStoreOfAnotherDatabase) {
  TempStore temp;
  fill(temp);
  std::string to = temp.directory() + ".copy/8";
  EXPECT_THROW(copy_store(temp.directory(), kCopy, to, kCopy, [] {}), FormatError);
  EXPECT_FALSE(store_exists(to));
}

TEST(CopyStore, LeavesNoDataFileWhenInterrupted) {
  TempStore temp;
  fill(temp);
  std::string to = temp.directory() + ".copy/8";
  int asked = 0;
  auto interrupt = [&] {
    if (++asked == 2) throw IoError("interrupted");
  };
  EXPECT_THROW(copy_store(temp.directory(), kTemplate, to, kCopy, interrupt), IoError);
  EXPECT_FALSE(store_exists(to));
  copy_store(temp.directory(), kTemplate, to, kCopy, [] {});
  EXPECT_TRUE(store_exists(to));
}

}  // namespace
}  // namespace datahike::store
