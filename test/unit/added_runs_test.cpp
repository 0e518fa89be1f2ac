#include "versioning/added_runs.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace datahike::versioning {
namespace {

using Random = std::mt19937_64;
using Expected = std::map<uint64_t, AddedRun>;

class AddedRunsTest : public ::testing::Test {
 protected:
  void put(uint64_t first, uint64_t rows) {
    AddedRun run;
    run.rows = rows;
    run.sequence = ++sequence_;
    EXPECT_EQ(runs_.put(first, run), expected_.count(first) == 0);
    expected_[first] = run;
  }

  void expect_at(AddedRuns::iterator at, Expected::iterator expected) {
    ASSERT_EQ(at == runs_.end(), expected == expected_.end());
    if (expected == expected_.end()) return;
    ASSERT_EQ(at->first, expected->first);
    ASSERT_EQ(at->second.sequence, expected->second.sequence);
    ASSERT_EQ(at->second.rows, expected->second.rows);
  }

  Expected::iterator holder_of(uint64_t rowid) {
    auto at = expected_.upper_bound(rowid);
    if (at == expected_.begin()) return expected_.end();
    --at;
    return rowid - at->first < at->second.rows ? at : expected_.end();
  }

  void expect_found(uint64_t rowid) {
    SCOPED_TRACE(rowid);
    expect_at(runs_.lower_bound(rowid), expected_.lower_bound(rowid));
    expect_at(runs_.upper_bound(rowid), expected_.upper_bound(rowid));
    expect_at(runs_.find(rowid), holder_of(rowid));
  }

  void expect_same() {
    ASSERT_EQ(runs_.size(), expected_.size());
    ASSERT_EQ(runs_.empty(), expected_.empty());
    auto at = runs_.begin();
    for (auto e = expected_.begin(); e != expected_.end(); ++e, ++at)
      ASSERT_NO_FATAL_FAILURE(expect_at(at, e));
    ASSERT_TRUE(at == runs_.end());
    for (auto e = expected_.end(); e != expected_.begin();)
      ASSERT_NO_FATAL_FAILURE(expect_at(--at, --e));
    for (const auto& [first, run] : expected_)
      for (uint64_t rowid : {first - 1, first, first + run.rows - 1, first + run.rows})
        ASSERT_NO_FATAL_FAILURE(expect_found(rowid));
  }

  std::pmr::monotonic_buffer_resource memory_;
  AddedRuns runs_{&memory_};
  Expected expected_;
  uint32_t sequence_ = 0;
};

TEST_F(AddedRunsTest, NothingIsFoundInAnEmptyOne) {
  for (uint64_t rowid : {uint64_t{0}, uint64_t{64}, UINT64_MAX}) expect_found(rowid);
  expect_same();
}

TEST_F(AddedRunsTest, OfOneRowEachInTheChunksOfSessions) {
  Random random(1);
  uint64_t next[8], free = 65536;
  for (uint64_t& n : next) n = free, free += 64;
  for (int i = 0; i < 3000; ++i) {
    uint64_t& n = next[random() % 8];
    if (random() % 10 == 0) ++n;  // rolled back
    if (n % 64 == 0) n = free, free += 64;
    put(n++, 1);
    if (n % 64 == 0) n = free, free += 64;
    if (i % 200 == 0) {
      ASSERT_NO_FATAL_FAILURE(expect_same());
    }
  }
  expect_same();
  for (uint64_t rowid = 65000; rowid < free + 100; ++rowid) expect_found(rowid);
}

TEST_F(AddedRunsTest, OfAnyLengthInAnyOrder) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    std::vector<std::pair<uint64_t, uint64_t>> all;
    uint64_t at = random() % 200;
    for (int i = 0; i < 1000; ++i) {
      const uint64_t rows = random() % 3 ? 1 + random() % 3 : 1 + random() % 200;
      all.emplace_back(at, rows);
      at += rows;
      if (random() % 4 == 0) at += random() % (random() % 2 ? 5 : 5000);
    }
    // Some come again, as long as before.
    for (int i = 0; i < 20; ++i) all.push_back(all[random() % all.size()]);
    std::shuffle(all.begin(), all.end(), random);
    std::pmr::monotonic_buffer_resource memory;
    std::destroy_at(&runs_);
    std::construct_at(&runs_, &memory);
    expected_.clear();
    for (const auto& [first, rows] : all) {
      put(first, rows);
      if (random() % 200 == 0) {
        ASSERT_NO_FATAL_FAILURE(expect_same());
      }
    }
    ASSERT_NO_FATAL_FAILURE(expect_same());
    for (int i = 0; i < 1000; ++i) ASSERT_NO_FATAL_FAILURE(expect_found(random() % (at + 100)));
    // `runs_` must not outlive this memory.
    std::destroy_at(&runs_);
    std::construct_at(&runs_, &memory_);
    expected_.clear();
  }
}

TEST_F(AddedRunsTest, AtTheEndsOfTheRange) {
  put(UINT64_MAX, 1);
  put(0, 1);
  put(UINT64_MAX - 64, 64);
  put(63, 1);
  put(64, 64);
  expect_same();
}

TEST_F(AddedRunsTest, AnIteratorGoesOnWhateverIsAddedMeanwhile) {
  Random random(3);
  for (int i = 0; i < 500; ++i) put(random() % 20000, 1);
  auto forwards = runs_.begin();
  auto backwards = runs_.end();
  uint64_t first = forwards->first, last = UINT64_MAX;
  for (int i = 0; i < 400; ++i) {
    put(random() % 20000, 1);
    auto next = expected_.upper_bound(first);
    ASSERT_NO_FATAL_FAILURE(expect_at(++forwards, next));
    if (next == expected_.end()) break;
    first = next->first;
    auto previous = std::prev(expected_.lower_bound(last));
    ASSERT_NO_FATAL_FAILURE(expect_at(--backwards, previous));
    last = previous->first;
    ASSERT_EQ(backwards->first, last);
  }
}

TEST_F(AddedRunsTest, OneThatTakesAPlaceIsFoundThereAndTheOtherIsKept) {
  put(100, 5);
  auto at = runs_.find(102);
  put(100, 3);
  expect_same();
  EXPECT_EQ(at->second.rows, 5u);
  EXPECT_EQ(runs_.find(102)->second.rows, 3u);
  EXPECT_EQ(runs_.in_order().size(), 2u);
  EXPECT_TRUE(++at == runs_.end());
}

TEST_F(AddedRunsTest, AreInTheOrderInWhichTheyWereAdded) {
  for (uint64_t first : {500, 3, 70, 64}) put(first, 1);
  std::vector<uint64_t> order;
  for (const auto& [first, run] : runs_.in_order()) order.push_back(first);
  EXPECT_EQ(order, (std::vector<uint64_t>{500, 3, 70, 64}));
}

}  // namespace
}  // namespace datahike::versioning
