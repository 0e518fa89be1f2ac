#include <gtest/gtest.h>

#include <map>
#include <random>

#include "store/environment.h"
#include "temp_store.h"

namespace datahike::store {
namespace {

using test::TempStore;

// A segment of one integer column that holds rowid * factor.
Bytes make_segment(uint64_t first_rowid, uint32_t rows, uint64_t factor = 3) {
  SegmentBuilder builder({{1, Kind::Int64, 0, 20, -1}});
  for (uint32_t i = 0; i < rows; ++i) {
    builder.begin_row(0, 5);
    builder.add_bits((first_rowid + i) * factor);
  }
  return builder.finish(first_rowid);
}

// table -> first rowid -> rows
using Oracle = std::map<uint64_t, std::map<uint64_t, uint32_t>>;

Oracle random_segments(std::mt19937_64& random) {
  Oracle oracle;
  for (uint64_t table : {1, 2, 5}) {
    uint64_t rowid = 1 + random() % 100;
    for (int i = 0; i < 100; ++i) {
      uint32_t rows = static_cast<uint32_t>(1 + random() % 20);
      oracle[table][rowid] = rows;
      rowid += rows + (random() % 2 ? random() % 30 : 0);
    }
  }
  return oracle;
}

class SegmentMap : public testing::Test {
 protected:
  void SetUp() override {
    std::mt19937_64 random(1);
    oracle_ = random_segments(random);
    env_ = store_.writer();
    auto batch = env_->begin_write();
    for (auto& [table, segments] : oracle_) {
      for (auto [first, rows] : segments) batch->put_segment(table, make_segment(first, rows));
    }
    batch->commit();
  }
  static void expect_segment(const std::optional<SegmentReader>& found, uint64_t first) {
    ASSERT_EQ(found.has_value(), first != 0);
    if (found) {
      ASSERT_EQ(found->first_rowid(), first);
    }
  }
  TempStore store_;
  Oracle oracle_;
  std::unique_ptr<Environment> env_;
};

TEST_F(SegmentMap, LookUpsAgreeWithTheOracle) {
  for (uint64_t table = 0; table <= 6; ++table) {
    const auto& segments = oracle_[table];
    for (uint64_t rowid = 0; rowid < 4000; ++rowid) {
      uint64_t before = 0, containing = 0, after = 0;
      for (auto [first, rows] : segments) {
        if (first <= rowid) before = first;
        if (first <= rowid && rowid < first + rows) containing = first;
        if (!after && first + rows > rowid) after = first;
      }
      expect_segment(env_->segment(table, rowid), containing);
      expect_segment(env_->segment_at_or_before(table, rowid), before);
      expect_segment(env_->segment_at_or_after(table, rowid), after);
    }
  }
}

TEST_F(SegmentMap, LookUpsWorkAfterARefresh) {
  uint64_t first = oracle_[2].begin()->first;
  expect_segment(env_->segment(2, first), first);
  env_->refresh();
  expect_segment(env_->segment(2, first), first);
  env_->release();
  expect_segment(env_->segment(2, first), first);
}

TEST_F(SegmentMap, ABatchSeesAndReplacesItsOwnSegments) {
  auto batch = env_->begin_write();
  batch->put_segment(9, make_segment(10, 5));
  EXPECT_EQ(batch->segment(9, 12)->bits(0, 2), 36u);
  batch->put_segment(9, make_segment(10, 6, 4));
  EXPECT_EQ(batch->segment(9, 15)->bits(0, 5), 60u);
  batch->put_segment(9, make_segment(16, 1));
  batch->erase_segment(9, 10);
  EXPECT_FALSE(batch->segment(9, 15));
  batch->commit();
  EXPECT_FALSE(env_->segment(9, 15));
  EXPECT_TRUE(env_->segment(9, 16));
}

TEST_F(SegmentMap, ADamagedSegmentIsNamed) {
  Bytes damaged = make_segment(1000, 50);
  damaged[damaged.size() - 3] ^= 1;
  auto batch = env_->begin_write();
  batch->put_segment(8, damaged);
  batch->commit();
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      env_->segment(8, 1010);
      ADD_FAILURE() << "damage went unnoticed";
    } catch (const CorruptError& e) {
      EXPECT_NE(std::string(e.what()).find("table 8 at rowid 1000"), std::string::npos) << e.what();
    }
  }
}

TEST_F(SegmentMap, ASegmentWrittenAnewIsVerifiedAnew) {
  EXPECT_TRUE(env_->segment(1, oracle_[1].begin()->first));
  uint64_t first = oracle_[1].begin()->first;
  Bytes damaged = make_segment(first, oracle_[1].begin()->second);
  damaged[damaged.size() - 1] ^= 1;
  auto batch = env_->begin_write();
  batch->put_segment(1, damaged);
  batch->commit();
  env_->refresh();
  EXPECT_THROW(env_->segment(1, first), CorruptError);
}

}  // namespace
}  // namespace datahike::store
