#include "versioning/present_runs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace datahike::versioning {

namespace {

constexpr uint64_t kTable = 7;

// An overlay over nothing, and the rows that are live after each of its deltas.
class PresentRunsTest : public ::testing::Test {
 protected:
  std::shared_ptr<Overlay> overlay_ = std::make_shared<Overlay>(nullptr, tree::NodeRef{});
  std::vector<std::set<uint64_t>> live_{{}};
  uint64_t next_ = 65536;

  TableOverlay& table() { return overlay_->table(kTable); }
  uint32_t last() const { return overlay_->size(); }

  // A delta that adds runs of so many rows each, behind what came before or into the gaps.
  void apply(const std::vector<uint32_t>& runs, const std::vector<uint64_t>& removed,
             bool cleared = false) {
    store::TableDelta delta;
    delta.table = kTable;
    delta.cleared = cleared;
    std::set<uint64_t> rows = cleared ? std::set<uint64_t>() : live_.back();
    for (uint32_t count : runs) {
      delta.added.push_back({next_, count});
      delta.segments.push_back({next_, count, 0, 0, 0});
      for (uint32_t i = 0; i < count; ++i) rows.insert(next_ + i);
      next_ += count + 1;
    }
    for (uint64_t rowid : removed) {
      delta.removed.push_back({rowid, 0});
      rows.erase(rowid);
    }
    std::sort(delta.removed.begin(), delta.removed.end(),
              [](const auto& a, const auto& b) { return a.rowid < b.rowid; });
    store::Delta all;
    all.tables.push_back(std::move(delta));
    overlay_->apply(last() + 100, 1, all, 0, {}, 0);
    live_.push_back(std::move(rows));
  }

  // What a scan makes of the runs.
  std::set<uint64_t> rows_of(const PresentRuns& present) {
    std::set<uint64_t> rows;
    uint64_t behind = 0;
    for (const PresentRun& p : present.runs) {
      EXPECT_GE(p.first, behind);
      EXPECT_EQ(p.first, p.run->first);
      EXPECT_EQ(p.rows, p.run->second.rows);
      behind = p.first + p.rows;
      for (uint64_t rowid = p.first; rowid < behind; ++rowid) {
        const RemovedRow* removed = Overlay::find_removed(table(), rowid);
        if (p.is_whole || !removed || removed->sequence > present.limit) rows.insert(rowid);
      }
    }
    return rows;
  }
};

TEST_F(PresentRunsTest, HaveTheLiveRowsOfEveryViewInWhateverOrderTheyAreLookedAt) {
  std::mt19937 random(11);
  std::vector<std::shared_ptr<PresentRuns>> held;  // by scans under way
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint32_t> runs;
    for (uint32_t i = random() % 3; i > 0; --i)
      runs.push_back(random() % 50 == 0 ? 90 : 1 + random() % 6 / 4 * 2);
    // Sessions write into chunks of their own: rows come behind each other, and between.
    next_ = 65536 + (random() % 8 << 24) + static_cast<uint64_t>(round) * 300;
    std::set<uint64_t> removed;
    const std::set<uint64_t>& live = live_.back();
    for (uint32_t i = random() % 5; i > 0 && !live.empty(); --i)
      removed.insert(*std::next(live.begin(), random() % live.size()));
    const bool clear = random() % 150 == 0;
    apply(runs, clear ? std::vector<uint64_t>() : std::vector(removed.begin(), removed.end()),
          clear);
    if (random() % 3 == 0) continue;
    const uint32_t limit = random() % 4 == 0 ? random() % (last() + 1) : last();
    auto present = present_runs(table(), limit);
    EXPECT_EQ(present->limit, limit);
    ASSERT_EQ(rows_of(*present), live_[limit]) << "view of " << limit << " of " << last();
    if (held.size() < 20) held.push_back(present);
    if (random() % 10 == 0) held.erase(held.begin());
    if (round % 50 != 0) continue;
    for (const auto& scan : held) ASSERT_EQ(rows_of(*scan), live_[scan->limit]);
  }
}

TEST_F(PresentRunsTest, ARunWithoutRowsLeftIsNotStepped) {
  apply({1, 3, 1}, {});
  const uint64_t first = 65536, middle = first + 2;
  EXPECT_EQ(present_runs(table(), last())->runs.size(), 3u);
  apply({}, {first});
  EXPECT_EQ(present_runs(table(), last())->runs.size(), 2u);
  apply({}, {middle, middle + 2});
  auto present = present_runs(table(), last());
  EXPECT_EQ(present->runs.size(), 2u);
  EXPECT_FALSE(present->runs[0].is_whole);
  EXPECT_TRUE(present->runs[1].is_whole);
  apply({}, {middle + 1});
  EXPECT_EQ(present_runs(table(), last())->runs.size(), 1u);
  EXPECT_EQ(present->runs.size(), 2u) << "a scan goes on with what it has";
}

TEST_F(PresentRunsTest, RowsRemovedTwiceAreLookedFor) {
  apply({1, 1}, {});
  EXPECT_TRUE(present_runs(table(), last())->runs[0].is_whole);
  apply({}, {65536});
  apply({}, {65536});
  auto present = present_runs(table(), last());
  EXPECT_EQ(rows_of(*present), live_.back());
  for (const PresentRun& p : present->runs) EXPECT_FALSE(p.is_whole);
}

// As when a merge takes over a row that was added here before.
TEST_F(PresentRunsTest, ARunInThePlaceOfAnotherIsFoundOnce) {
  apply({1, 1}, {});
  present_runs(table(), last());
  for (int i = 0; i < 2; ++i) {
    next_ = 65536;
    apply({1}, {});
    EXPECT_EQ(present_runs(table(), last())->runs.size(), 2u);
  }
  EXPECT_EQ(rows_of(*present_runs(table(), last())), live_.back());
}

TEST_F(PresentRunsTest, ARunInThePlaceOfAnotherIsFoundOnceAfterAnOlderView) {
  apply({1, 1}, {});
  next_ = 65536 + 100;
  apply({1}, {});
  next_ = 65536 + 100;
  apply({1}, {});
  EXPECT_EQ(rows_of(*present_runs(table(), 1)), live_[1]);
  EXPECT_EQ(present_runs(table(), last())->runs.size(), 3u);
  EXPECT_EQ(rows_of(*present_runs(table(), last())), live_.back());
}

}  // namespace
}  // namespace datahike::versioning
