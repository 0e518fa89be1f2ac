#include "tree/rowid_set.h"

#include <gtest/gtest.h>

namespace datahike::tree {
namespace {

RowidSet sample() {
  RowidSet set;
  for (uint64_t rowid : {uint64_t{3}, uint64_t{65535}, uint64_t{65536}, uint64_t{1} << 40})
    set.add(rowid);
  for (uint64_t rowid = 200000; rowid < 300000; rowid += 2) set.add(rowid);
  return set;
}

TEST(RowidSet, DecodesToWhatWasEncoded) {
  RowidSet set = sample(), read = decode_rowid_set(encode_rowid_set(set));
  ASSERT_EQ(read.containers().size(), set.containers().size());
  for (const auto& [high, container] : set.containers())
    EXPECT_EQ(read.containers().at(high).words, container.words);
  EXPECT_TRUE(read.contains(250000));
  EXPECT_FALSE(read.contains(250001));
  EXPECT_TRUE(decode_rowid_set({}).empty());
}

TEST(RowidSet, AskedForARangeMeetsItsMembersOnly) {
  RowidSet set = sample();
  std::vector<uint64_t> met;
  auto note = [&](uint64_t rowid) {
    met.push_back(rowid);
    return false;
  };
  EXPECT_FALSE(set.any_of(4, 200002, note));
  EXPECT_EQ(met, (std::vector<uint64_t>{65535, 65536, 200000, 200002}));
  EXPECT_TRUE(set.any_of(65536, 65536, [](uint64_t) { return true; }));
  EXPECT_FALSE(set.any_of(300000, uint64_t{1} << 39, [](uint64_t) { return true; }));
}

TEST(RowidSet, RefusesDamagedBytes) {
  Bytes bytes = encode_rowid_set(sample());
  EXPECT_THROW(decode_rowid_set(ByteView(bytes).first(bytes.size() - 1)), CorruptError);
  Bytes twice = bytes;
  twice.insert(twice.end(), bytes.begin(), bytes.end());
  EXPECT_THROW(decode_rowid_set(twice), CorruptError);
}

}  // namespace
}  // namespace datahike::tree
