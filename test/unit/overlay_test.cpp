// What an overlay says of its tables is what a set of rows says that the deltas are applied to,
// whenever a table is asked for first.
#include "versioning/overlay.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "versioning/present_runs.h"

namespace datahike::versioning {

namespace {

using Random = std::mt19937_64;
using Rows = std::set<uint64_t>;

constexpr uint64_t kTables = 5;

// Its state after each delta.
struct TableModel {
  std::vector<Rows> live{{}};
  std::map<uint64_t, uint32_t> added;                         // at which sequence
  std::map<uint64_t, std::pair<uint32_t, uint64_t>> removed;  // sequence and successor
  std::vector<uint32_t> touched{0};
};

class OverlayTest : public ::testing::TestWithParam<uint64_t> {
 protected:
  bool one_in(uint64_t n) { return random_() % n == 0; }

  uint64_t any_of(const Rows& rows) {
    return *std::next(rows.begin(), static_cast<ptrdiff_t>(random_() % rows.size()));
  }

  // Rowids of this session's chunk, or of a large one.
  uint64_t take(uint64_t count) {
    if (count > 8) {
      const uint64_t first = free_ = (free_ + 4095) / 4096 * 4096;
      free_ += count;
      return first;
    }
    uint64_t& next = next_[random_() % 8];
    if (next % 64 == 0 || next % 64 + count > 64) {
      next = free_ = (free_ + 63) / 64 * 64;
      free_ += 64;
    }
    next += count;
    return next - count;
  }

  store::TableDelta change(uint64_t id) {
    store::TableDelta delta;
    delta.table = id;
    Rows live = tables_[id].live.back();
    delta.cleared = one_in(60);
    if (delta.cleared) live.clear();
    std::map<uint64_t, uint64_t> added;
    for (uint64_t n = random_() % 3; n > 0; --n) {
      const uint64_t count = one_in(10) ? 1 + random_() % 300 : 1 + random_() % 3;
      added[take(count)] = count;
    }
    uint64_t offset = 0;
    for (const auto& [first, count] : added) {
      delta.added.push_back({first, count});
      delta.segments.push_back({first, static_cast<uint32_t>(count), 0, offset, 10});
      offset += 10;
      for (uint64_t i = 0; i < count; ++i) live.insert(first + i);
    }
    Rows removed;
    const uint64_t most = one_in(20) ? 200 : 3;
    for (uint64_t n = random_() % most; n > 0 && !live.empty(); --n) {
      const uint64_t row = any_of(live);
      live.erase(row);
      removed.insert(row);
    }
    for (uint64_t row : removed) delta.removed.push_back({row, one_in(2) ? 0 : row + 7});
    return delta;
  }

  void note(const store::TableDelta& delta) {
    TableModel& t = tables_[delta.table];
    Rows& live = t.live.back();
    if (delta.cleared) live.clear();
    for (const auto& [first, count] : delta.added)
      for (uint64_t i = 0; i < count; ++i) {
        live.insert(first + i);
        t.added[first + i] = size_;
      }
    for (const store::Removal& r : delta.removed) {
      live.erase(r.rowid);
      t.removed[r.rowid] = {size_, r.successor};
    }
    t.touched.back() = size_;
  }

  void apply_one() {
    ++size_;
    for (auto& [id, t] : tables_) {
      t.live.push_back(t.live.back());
      t.touched.push_back(t.touched.back());
    }
    store::Delta delta;
    for (uint64_t id = 1; id <= kTables; ++id)
      if (one_in(2)) delta.tables.push_back(change(id));
    for (const store::TableDelta& table : delta.tables) note(table);
    const bool of_commit = one_in(10);
    if (of_commit) {  // its rows are in the store
      for (store::TableDelta& table : delta.tables) table.segments.clear();
      overlay_->apply(delta);
      return;
    }
    Bytes content;
    store::encode_delta(delta, store::WithPlaces::Yes, content);
    const size_t delta_bytes = content.size();
    content.resize(delta_bytes + 30, static_cast<uint8_t>(size_));
    overlay_->apply(1000 + size_, 0, delta, 0, content, delta_bytes);
  }

  void expect_rows(TableOverlay& table, const TableModel& t, uint32_t limit) {
    SCOPED_TRACE(limit);
    const Rows& live = t.live[limit];
    ASSERT_EQ(Overlay::count_rows(table, limit), live.size());
    ASSERT_EQ(Overlay::last_touch(table, limit), t.touched[limit]);
    for (const auto& [row, sequence] : t.added)
      ASSERT_EQ(overlay_->is_live(table, row, limit), live.count(row) > 0) << row;
    Rows present;
    uint64_t before = 0;
    const std::shared_ptr<PresentRuns> found = present_runs(table, limit);
    for (const PresentRun& run : found->runs) {
      ASSERT_GE(run.run->first, before);
      before = run.run->first + run.run->second.rows;
      for (uint64_t row = run.run->first; row < before; ++row)
        if (overlay_->is_live(table, row, limit)) present.insert(row);
    }
    ASSERT_EQ(present, live);
  }

  void expect_table(uint64_t id) {
    SCOPED_TRACE(id);
    TableOverlay& table = overlay_->table(id);
    const TableModel& t = tables_[id];
    for (const auto& [row, sequence] : t.added) {
      auto run = Overlay::find_added(table, row);
      ASSERT_NE(run, table.added.end());
      ASSERT_EQ(run->second.sequence, sequence);
      if (run->second.transaction && run->second.transaction->xid) {
        const LogTransaction& of = *run->second.transaction;
        ASSERT_EQ(of.xid, 1000 + sequence);
        ASSERT_EQ(of.rows.size(), 30u);
        ASSERT_EQ(of.rows.front(), static_cast<uint8_t>(sequence));
      }
    }
    ASSERT_EQ(table.removed.size(), t.removed.size());
    for (const auto& [row, removal] : t.removed) {
      const RemovedRow* found = Overlay::find_removed(table, row);
      ASSERT_NE(found, nullptr);
      ASSERT_EQ(found->sequence, removal.first);
      ASSERT_EQ(found->successor, removal.second);
    }
    ASSERT_NO_FATAL_FAILURE(expect_rows(table, t, size_));
    for (int i = 0; i < 3; ++i)
      ASSERT_NO_FATAL_FAILURE(
          expect_rows(table, t, static_cast<uint32_t>(random_() % (size_ + 1))));
  }

  void start() {
    overlay_ = std::make_shared<Overlay>(nullptr, tree::NodeRef{});
    size_ = 0;
    tables_.clear();
    for (uint64_t id = 1; id <= kTables; ++id) tables_[id];
  }

  Random random_{GetParam()};
  std::shared_ptr<Overlay> overlay_;
  std::map<uint64_t, TableModel> tables_;
  uint32_t size_ = 0;
  uint64_t next_[8] = {}, free_ = 65536;
};

TEST_P(OverlayTest, TablesAreAsTheDeltasMakeThem) {
  start();
  for (int i = 0; i < 200; ++i) {
    apply_one();
    // Some tables are looked at early, and again and again, others late.
    const uint64_t id = 1 + random_() % kTables;
    if (one_in(5 * id * id)) {
      ASSERT_NO_FATAL_FAILURE(expect_table(id));
    }
  }
  for (uint64_t id = 1; id <= kTables; ++id) ASSERT_NO_FATAL_FAILURE(expect_table(id));
}

// What a view of fewer deltas has found does not change under later ones.
TEST_P(OverlayTest, AnOlderViewStays) {
  start();
  for (int i = 0; i < 30; ++i) apply_one();
  const uint64_t id = 1 + random_() % kTables;
  TableOverlay& table = overlay_->table(id);
  const uint32_t limit = size_;
  for (int i = 0; i < 100; ++i) {
    apply_one();
    ASSERT_EQ(&overlay_->table(id), &table);
    if (i % 10 == 0) {
      ASSERT_NO_FATAL_FAILURE(expect_rows(table, tables_[id], limit));
    }
    if (i % 7 == 0) {
      ASSERT_NO_FATAL_FAILURE(expect_rows(table, tables_[id], size_));
    }
  }
}

TEST_P(OverlayTest, EachTableIsVisitedThatADeltaTouches) {
  start();
  for (int i = 0; i < 50; ++i) apply_one();
  std::set<uint64_t> visited;
  overlay_->each_table([&](uint64_t id, const TableOverlay& table) {
    visited.insert(id);
    EXPECT_EQ(Overlay::count_rows(table, size_), tables_[id].live.back().size());
  });
  EXPECT_EQ(visited, (std::set<uint64_t>{1, 2, 3, 4, 5}));
  for (int i = 0; i < 50; ++i) apply_one();
  for (uint64_t id = 1; id <= kTables; ++id) ASSERT_NO_FATAL_FAILURE(expect_table(id));
}

// Deltas are not read again without end for tables that are asked for one after another.
TEST_P(OverlayTest, ManyTablesAskedForOneAfterAnother) {
  start();
  for (int i = 0; i < 100; ++i) apply_one();
  for (uint64_t id = 1000; id < 1100; ++id) {
    EXPECT_EQ(Overlay::count_rows(overlay_->table(id), size_), 0u);
    if (id % 10 == 0) apply_one();
  }
  for (uint64_t id = 1; id <= kTables; ++id) ASSERT_NO_FATAL_FAILURE(expect_table(id));
}

// Nor is a large one for each of its tables: all are entered, by whoever asks for the next.
TEST(LargeDeltaTest, ItsTablesAreAskedForOneAfterAnother) {
  constexpr uint64_t kParts = 200, kRows = 1000;
  for (const bool by_commit : {false, true}) {
    Overlay overlay(nullptr, tree::NodeRef{});
    store::Delta delta;
    for (uint64_t id = 1; id <= kParts; ++id) {
      store::TableDelta part;
      part.table = id;
      part.added.push_back({id << 32, kRows});
      part.segments.push_back({id << 32, kRows, 0, 0, 1});
      for (uint64_t i = 0; i < kRows; ++i) part.removed.push_back({i * 1000 + id, i});
      delta.tables.push_back(std::move(part));
    }
    Bytes content;
    store::encode_delta(delta, store::WithPlaces::Yes, content);
    overlay.apply(7, 0, delta, 0, content, content.size());
    EXPECT_EQ(Overlay::count_rows(overlay.table(1), 1), 0u);
    store::Delta commit;
    commit.tables.resize(1);
    commit.tables.front().table = kParts;
    commit.tables.front().added.push_back({kParts << 33, 3});
    if (by_commit) overlay.apply(commit);
    for (uint64_t id = kParts; id > 0; --id) {
      TableOverlay& part = overlay.table(id);
      ASSERT_EQ(part.removed.size(), kRows) << id;
      ASSERT_EQ(part.added.size(), by_commit && id == kParts ? 2u : 1u) << id;
      ASSERT_EQ(Overlay::last_touch(part, 2), by_commit && id == kParts ? 2u : 1u) << id;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, OverlayTest, ::testing::Range<uint64_t>(1, 13));

}  // namespace
}  // namespace datahike::versioning
