#include "versioning/removed_rows.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace datahike::versioning {
namespace {

class RemovedRowsTest : public ::testing::Test {
 protected:
  std::pmr::monotonic_buffer_resource memory_;
  RemovedRows rows_{&memory_};
};

TEST_F(RemovedRowsTest, NothingIsFoundInAnEmptyOne) {
  EXPECT_TRUE(rows_.empty());
  EXPECT_EQ(rows_.find(0), nullptr);
  EXPECT_EQ(rows_.find(UINT64_MAX), nullptr);
}

TEST_F(RemovedRowsTest, FindsWhatAMapFinds) {
  std::mt19937_64 random(7);
  std::map<uint64_t, RemovedRow> expected;
  // Neighbours, multiples of large powers of two, and any.
  for (uint32_t i = 1; i <= 20000; ++i) {
    const uint64_t any = random();
    const uint64_t rowid = i % 3 == 0 ? i : i % 3 == 1 ? any << 40 : any;
    const RemovedRow removal{i, any, i + 1};
    EXPECT_EQ(rows_.put(rowid, removal), expected.count(rowid) == 0);
    expected[rowid] = removal;
    if (i % 1000 != 0) continue;
    ASSERT_EQ(rows_.size(), expected.size());
    for (const auto& [at, known] : expected) {
      const RemovedRow* found = rows_.find(at);
      ASSERT_NE(found, nullptr);
      EXPECT_EQ(found->sequence, known.sequence);
      EXPECT_EQ(found->successor, known.successor);
      EXPECT_EQ(found->xid, known.xid);
      EXPECT_EQ(rows_.find(at + 1) != nullptr, expected.count(at + 1) > 0);
    }
  }
}

TEST_F(RemovedRowsTest, AreInTheOrderInWhichTheyWereRemovedFirst) {
  for (uint64_t rowid : {5, 900, 3, 5, 70}) rows_.put(rowid, {1, rowid, 1});
  std::vector<uint64_t> order;
  for (const auto& [rowid, removal] : rows_) order.push_back(rowid);
  EXPECT_EQ(order, (std::vector<uint64_t>{5, 900, 3, 70}));
  EXPECT_EQ(rows_[1].first, 900u);
}

}  // namespace
}  // namespace datahike::versioning
