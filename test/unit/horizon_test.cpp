#include "store/horizon.h"

#include <gtest/gtest.h>

#include "fold_world.h"
#include "store/version_tree.h"

namespace datahike::store::test {
namespace {

constexpr uint32_t kMain = 1, kSide = 2;

// Random histories of two branches. The side branch begins at a commit that is no keyframe.
class CollectedHistory : public testing::TestWithParam<int> {
 protected:
  CollectedHistory() : generator_(static_cast<uint64_t>(GetParam())) {
    heads_[kMain] = store_.root().id;
    for (int i = 0; i < 4; ++i) fold_batch(kMain);
    const size_t fork = made_.size() - 2;
    heads_[kSide] = ids_[fork];
    generator_.start(kSide, made_[fork].after);
    for (int i = 0; i < 5; ++i) fold_batch(generator_.pick(2) ? kMain : kSide);
  }

  void fold_batch(uint32_t branch) {
    static constexpr size_t kSizes[] = {3, 20, 60};
    const size_t n = kSizes[generator_.pick(std::size(kSizes))], first = made_.size();
    for (size_t i = 0; i < n; ++i) made_.push_back(generator_.next(branch));
    std::vector<const Transaction*> entries;
    for (size_t i = first; i < made_.size(); ++i) entries.push_back(&made_[i]);
    heads_[branch] = store_.fold(heads_[branch], first + 2, entries, &ids_).id;
  }

  // Transactions of the world have ascending xids, in the order of their tx numbers.
  uint64_t tx_of(size_t made) const { return made + 2; }

  Horizon horizon_at(uint64_t tx, uint64_t table) {
    Horizon horizon;
    horizon.mark = {tx, 0, made_[tx - 2].entry.xid + 1, made_[tx - 2].entry.xid + 1};
    auto batch = store_.env().begin_write();
    for (const auto& [branch, head] : heads_) {
      const Uuid id = *commit_as_of_tx(store_.env(), head, tx);
      const CommitState state = load_state(store_.env(), id);
      horizon.kept.push_back({load_known_commit(store_.env(), id).tx,
                              advance_live_set(*batch, state.root, state.deltas, table)});
    }
    batch->commit();
    store_.env().refresh();
    return horizon;
  }

  // Rows of the table in commits that can still be read.
  std::set<uint64_t> readable(const Horizon& horizon, uint64_t table) {
    std::set<uint64_t> rows;
    for (size_t i = 0; i < made_.size(); ++i) {
      bool counts = tx_of(i) >= horizon.mark.last_tx;
      for (const KeptVersion& kept : horizon.kept) counts |= kept.tx == tx_of(i);
      const auto live = made_[i].after.live.find(table);
      if (counts && live != made_[i].after.live.end())
        rows.insert(live->second.begin(), live->second.end());
    }
    return rows;
  }

  TestStore store_;
  Generator generator_;
  std::map<uint32_t, Uuid> heads_;
  std::vector<Transaction> made_;
  std::vector<Uuid> ids_;
};

TEST_P(CollectedHistory, DeadIsWhatWasThereAndIsInNoReadableCommit) {
  size_t dead = 0;
  for (int i = 0; i < 8; ++i) {
    const uint64_t tx = 2 + generator_.pick(made_.size());
    for (const auto& [table, rows] : generator_.rows()) {
      DeadVersions versions(table, horizon_at(tx, table));
      const std::set<uint64_t> needed = readable(versions.horizon(), table);
      for (const auto& [rowid, row] : rows) {
        const bool expected = row.xid < versions.horizon().mark.xmin && !needed.contains(rowid);
        const auto verdict = versions.judge(store_.env(), rowid);
        ASSERT_EQ(verdict == DeadVersions::Verdict::Dead, expected) << table << " " << rowid;
        ASSERT_EQ(versions.is_dead(store_.env(), rowid), expected);
        ASSERT_EQ(versions.is_dead(store_.env(), rowid), expected) << "asked again";
        dead += expected;
      }
    }
  }
  EXPECT_GT(dead, 0u);
}

TEST_P(CollectedHistory, DeadStaysDeadWhenTheHorizonMoves) {
  const uint64_t table = generator_.rows().begin()->first;
  const uint64_t early = 2 + generator_.pick(made_.size()),
                 late = early + generator_.pick(made_.size() + 2 - early);
  DeadVersions before(table, horizon_at(early, table)), after(table, horizon_at(late, table));
  for (const auto& [rowid, row] : generator_.rows().at(table)) {
    if (before.is_dead(store_.env(), rowid)) {
      ASSERT_TRUE(after.is_dead(store_.env(), rowid)) << rowid;
    }
  }
}

TEST_P(CollectedHistory, RowsThatTheStoreDoesNotHaveAreNotStored) {
  const uint64_t table = generator_.rows().begin()->first;
  DeadVersions versions(table, horizon_at(made_.size() + 1, table));
  EXPECT_EQ(versions.judge(store_.env(), uint64_t{1} << 40), DeadVersions::Verdict::NotStored);
  EXPECT_FALSE(versions.is_dead(store_.env(), uint64_t{1} << 40));
}

TEST_P(CollectedHistory, HorizonsAreReadAsTheyWereWritten) {
  const uint64_t table = generator_.rows().begin()->first;
  const Horizon horizon = horizon_at(made_.size() / 2, table);
  EXPECT_FALSE(read_horizon(store_.env(), table));
  auto batch = store_.env().begin_write();
  put_horizon(*batch, table, horizon);
  batch->commit();
  store_.env().refresh();
  const std::optional<Horizon> read = read_horizon(store_.env(), table);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->mark, horizon.mark);
  ASSERT_EQ(read->kept.size(), horizon.kept.size());
  for (size_t i = 0; i < read->kept.size(); ++i) {
    EXPECT_EQ(read->kept[i].tx, horizon.kept[i].tx);
    EXPECT_EQ(read->kept[i].live.id, horizon.kept[i].live.id);
    EXPECT_EQ(read->kept[i].live.hash, horizon.kept[i].live.hash);
  }
  EXPECT_FALSE(read_horizon(store_.env(), table + 100));
}

INSTANTIATE_TEST_SUITE_P(Seeds, CollectedHistory, testing::Range(0, 6));

TEST(FoldMarks, ThinOutWithAgeButReachBack) {
  std::vector<FoldMark> marks;
  const int64_t kSecond = 1'000'000, kDay = 86'400 * kSecond;
  // Ten folds a second for ten minutes, then one a minute for thirty days.
  int64_t now = 0;
  uint64_t tx = 1;
  for (; now < 600 * kSecond; now += kSecond / 10) add_fold_mark(marks, {++tx, now, tx, tx});
  for (; now < 30 * kDay; now += 60 * kSecond) add_fold_mark(marks, {++tx, now, tx, tx});
  EXPECT_LT(marks.size(), 500u);
  EXPECT_EQ(marks.back().last_tx, tx);
  for (size_t i = 1; i < marks.size(); ++i) EXPECT_LT(marks[i - 1].last_tx, marks[i].last_tx);
  // For any time back there is a mark not much older.
  for (int64_t back : {2 * 60 * kSecond, 3600 * kSecond, kDay, 7 * kDay, 20 * kDay}) {
    const int64_t until = now - back;
    int64_t best = INT64_MIN / 2;
    for (const FoldMark& mark : marks)
      if (mark.time <= until) best = mark.time;
    EXPECT_GT(best, until - back / 4 - 120 * kSecond) << back;
  }
}

TEST(FoldMarks, AQuickSeriesKeepsItsLast) {
  std::vector<FoldMark> marks;
  for (uint64_t i = 0; i < 10'000; ++i)
    add_fold_mark(marks, {i, static_cast<int64_t>(i * 100), i, i});
  EXPECT_EQ(marks.back().last_tx, 9'999u);
  EXPECT_LT(marks.size(), 120u);
  ASSERT_GT(marks.size(), 3u);
  // However quick, the one before the last lies close behind it.
  EXPECT_GT(marks[marks.size() - 2].last_tx, 9'500u);
}

TEST(FoldMarks, OfAFoldThatNeverCommittedGo) {
  TestStore store;
  for (uint64_t tx : {5, 9, 12}) {
    auto batch = store.env().begin_write();
    put_fold_mark(*batch, {tx, static_cast<int64_t>(tx) * 1'000'000, tx, tx}, tx);
    batch->commit();
  }
  auto batch = store.env().begin_write();
  put_fold_mark(*batch, {10, 20'000'000, 10, 10}, 8);
  batch->commit();
  store.env().refresh();
  const std::vector<FoldMark> marks = read_fold_marks(store.env());
  ASSERT_EQ(marks.size(), 2u);
  EXPECT_EQ(marks[0].last_tx, 5u);
  EXPECT_EQ(marks[1].last_tx, 10u);
}

}  // namespace
}  // namespace datahike::store::test
