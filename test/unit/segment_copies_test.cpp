#include <gtest/gtest.h>

#include "store/segment.h"
#include "versioning/present_stored.h"

namespace datahike::versioning {
namespace {

Bytes segment(uint64_t first, uint32_t rows, uint32_t holes = 0, size_t value = 4) {
  store::SegmentBuilder builder({{.number = 1, .kind = store::Kind::Bytes, .type = 25}});
  for (uint32_t i = 0; i < rows; ++i) {
    if (i == 1) builder.add_holes(holes);
    builder.begin_row(0, 5);
    Bytes bytes(value);
    for (size_t at = 0; at < value; ++at) bytes[at] = static_cast<uint8_t>(at * at * 7 + i * 31);
    builder.add_bytes(bytes);
  }
  return builder.finish(first);
}

TEST(SegmentCopiesTest, HaveTheRowsOfWhatWasCopiedAlone) {
  SegmentCopies copies;
  EXPECT_EQ(copies.find(100), nullptr);
  {
    const Bytes bytes = segment(100, 3, 2);  // 100, 103, 104
    copies.add(store::SegmentReader(bytes));
  }
  for (uint64_t rowid : {100, 103, 104}) {
    const store::SegmentReader* copy = copies.find(rowid);
    ASSERT_NE(copy, nullptr) << rowid;
    EXPECT_NO_THROW(copy->verify());
    EXPECT_EQ(copy->first_rowid(), 100u);
  }
  for (uint64_t rowid :
       {uint64_t{0}, uint64_t{99}, uint64_t{101}, uint64_t{102}, uint64_t{105}, UINT64_MAX})
    EXPECT_EQ(copies.find(rowid), nullptr) << rowid;
}

TEST(SegmentCopiesTest, WhatIsThereStaysWhereItIs) {
  SegmentCopies copies;
  const Bytes one = segment(100, 1), joined = segment(100, 4), before = segment(90, 30);
  copies.add(store::SegmentReader(one));
  const store::SegmentReader* copy = copies.find(100);
  const uint8_t* bytes = copy->raw().data();
  copies.add(store::SegmentReader(joined));
  copies.add(store::SegmentReader(before));
  EXPECT_EQ(copies.find(100), copy);
  EXPECT_EQ(copy->raw().data(), bytes);
  EXPECT_EQ(copies.find(103), nullptr);
  EXPECT_EQ(copies.find(95)->first_rowid(), 90u);
}

TEST(SegmentCopiesTest, LargeOnesAreNotCopiedNorTooMany) {
  SegmentCopies copies;
  const Bytes large = segment(1, 1, 0, 5000);
  copies.add(store::SegmentReader(large));
  EXPECT_EQ(copies.find(1), nullptr);
  uint64_t copied = 0;
  for (uint64_t rowid = 10; rowid < 110; ++rowid) {
    const Bytes bytes = segment(rowid, 1, 0, 2000);
    copies.add(store::SegmentReader(bytes));
    copied += copies.find(rowid) != nullptr;
  }
  EXPECT_GT(copied, 20u);
  EXPECT_LT(copied, 40u);
}

}  // namespace
}  // namespace datahike::versioning
