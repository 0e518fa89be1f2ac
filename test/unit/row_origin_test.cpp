#include "store/row_origin.h"

#include <gtest/gtest.h>

#include "collect.h"
#include "fold_world.h"

namespace datahike::store::test {
namespace {

constexpr uint32_t kBranches = 3;

// Random transactions on branches that fork, are merged and are reset, and every commit as it was
// folded.
class Origins : public testing::TestWithParam<int> {
 protected:
  Origins() : generator_(static_cast<uint64_t>(GetParam())) {
    for (uint32_t branch = 1; branch <= kBranches; ++branch) heads_[branch] = store_.root().id;
    contents_[store_.root().id] = {};
    for (int i = 0; i < 40; ++i) fold(1 + static_cast<uint32_t>(generator_.pick(kBranches)));
    for (uint64_t tx = 1; tx < next_tx_; ++tx) {
      const Uuid id = tx == 1 ? store_.root().id : *store_.env().commit_by_tx(tx);
      commits_.emplace(id, load_known_commit(store_.env(), id));
    }
  }

  void fold(uint32_t branch) {
    if (generator_.pick(8) == 0) {  // begins anew where another branch is
      heads_[branch] = heads_[1 + static_cast<uint32_t>(generator_.pick(kBranches))];
      generator_.start(branch, contents_.at(heads_[branch]));
    }
    std::vector<Transaction> batch;
    for (uint64_t n = 1 + generator_.pick(6); n > 0; --n) {
      batch.push_back(generator_.next(branch));
      if (generator_.pick(5) == 0)
        batch.back().entry.extra_parents = {
            heads_[1 + static_cast<uint32_t>(generator_.pick(kBranches))]};
    }
    std::vector<const Transaction*> entries;
    for (const Transaction& transaction : batch) entries.push_back(&transaction);
    std::vector<Uuid> ids;
    store_.fold(heads_[branch], next_tx_, entries, &ids);
    for (size_t i = 0; i < ids.size(); ++i) contents_[ids[i]] = batch[i].after;
    next_tx_ += ids.size();
    heads_[branch] = ids.back();
  }

  std::map<uint64_t, const Commit*> ancestors(const Uuid& head) {
    std::map<uint64_t, const Commit*> found;
    std::vector<Uuid> left = {head};
    while (!left.empty()) {
      const Commit& commit = commits_.at(left.back());
      left.pop_back();
      if (!found.emplace(commit.tx, &commit).second) continue;
      left.insert(left.end(), commit.parents.begin(), commit.parents.end());
    }
    return found;
  }

  bool is_live(const Uuid& commit, uint64_t table, uint64_t rowid) {
    const auto& live = contents_.at(commit).live;
    const auto rows = live.find(table);
    return rows != live.end() && rows->second.contains(rowid);
  }

  // Whether the commit makes the row version go, by removing it or by emptying the table.
  bool takes_away(const Commit& commit, uint64_t table, uint64_t rowid) {
    for (const TableDelta& delta : commit.delta.tables) {
      if (delta.table != table) continue;
      for (const Removal& removal : delta.removed)
        if (removal.rowid == rowid) return true;
      return delta.cleared && is_live(commit.parents.front(), table, rowid);
    }
    return false;
  }

  static bool makes(const Commit& commit, uint64_t table, uint64_t rowid) {
    for (const TableDelta& delta : commit.delta.tables)
      if (delta.table == table)
        for (const tree::RowidRange& range : delta.added)
          if (rowid - range.first < range.count) return true;
    return false;
  }

  // The first commit on the line of `head` that has `maker` among its ancestors.
  uint64_t first_with(const Uuid& head, uint64_t maker) {
    Uuid at = head;
    for (uint64_t first = 0;;) {
      if (!ancestors(at).contains(maker)) return first;
      const Commit& commit = commits_.at(at);
      first = commit.tx;
      if (commit.parents.empty()) return first;
      at = commit.parents.front();
    }
  }

  uint64_t expected_removal(const Uuid& head, uint64_t table, uint64_t rowid, uint64_t maker) {
    uint64_t first = 0;
    for (const auto& [tx, commit] : ancestors(head))
      if (tx > maker && (first == 0 || tx < first) && takes_away(*commit, table, rowid)) first = tx;
    const uint64_t brought = first_with(head, maker);
    if (brought > maker && (first == 0 || brought < first)) first = brought;
    return first;
  }

  void check(const Uuid& head) {
    RowOrigins origins(store_.env(), head);
    const auto all = ancestors(head);
    for (const auto& [table, rows] : generator_.rows())
      for (const auto& [rowid, row] : rows) {
        if (rowid % 7 != generator_.pick(7)) continue;
        uint64_t maker = 0;
        for (const auto& [tx, commit] : all)
          if (makes(*commit, table, rowid) && is_live(commit->id, table, rowid)) maker = tx;
        const Origin* added = origins.added(table, rowid, row.xid);
        ASSERT_EQ(added ? added->tx : 0, maker) << "row " << rowid;
        if (!added || is_live(head, table, rowid)) continue;
        const Origin* removed = origins.removed(table, rowid, *added);
        ASSERT_EQ(removed ? removed->tx : 0, expected_removal(head, table, rowid, maker))
            << "row " << rowid << " made by " << maker;
      }
  }

  bool is_kept(uint64_t tx) { return store_.env().commit_by_tx(tx).has_value(); }

  // Who made the row, where that is kept; who removed it, or else an ancestor that does not have
  // it.
  void check_what_is_kept(const Uuid& head) {
    RowOrigins origins(store_.env(), head);
    const auto all = ancestors(head);
    for (const auto& [table, rows] : generator_.rows())
      for (const auto& [rowid, row] : rows) {
        uint64_t maker = 0;
        for (const auto& [tx, commit] : all)
          if (makes(*commit, table, rowid) && is_live(commit->id, table, rowid)) maker = tx;
        if (maker == 0 || !is_kept(maker) || !store_.env().segment(table, rowid)) continue;
        const Origin* added = origins.added(table, rowid, row.xid);
        ASSERT_TRUE(added && added->tx == maker) << "row " << rowid;
        if (is_live(head, table, rowid)) continue;
        const Origin* removed = origins.removed(table, rowid, *added);
        const uint64_t expected = expected_removal(head, table, rowid, maker);
        ASSERT_TRUE(removed) << "row " << rowid << " made by " << maker;
        if (is_kept(expected)) {
          ASSERT_EQ(removed->tx, expected) << "row " << rowid << " made by " << maker;
          continue;
        }
        ++after_a_gap_;
        ASSERT_TRUE(is_kept(removed->tx) && all.contains(removed->tx));
        ASSERT_GT(removed->tx, expected);
        ASSERT_FALSE(is_live(removed->commit, table, rowid));
        for (const auto& [tx, commit] : all)  // none that is kept took it away before
          ASSERT_FALSE(tx > expected && tx < removed->tx && is_kept(tx) &&
                       takes_away(*commit, table, rowid))
              << "row " << rowid << " at " << tx;
      }
  }

  TestStore store_;
  Generator generator_;
  std::map<uint32_t, Uuid> heads_;
  std::map<Uuid, Contents> contents_;
  std::map<Uuid, Commit> commits_;
  uint64_t next_tx_ = 2;
  int after_a_gap_ = 0;
};

TEST_P(Origins, EveryRowVersionHasItsCommits) {
  for (const auto& [branch, head] : heads_) check(head);
}

TEST_P(Origins, OldCommitsKnowNothingOfLaterOnes) {
  for (int i = 0; i < 5; ++i) check(*store_.env().commit_by_tx(2 + generator_.pick(next_tx_ - 2)));
}

TEST_P(Origins, WhereTheRemovalHasBeenCollectedTheNextCommitIsNamed) {
  GcOptions options;
  options.next_tx = next_tx_;
  options.xmin = UINT64_MAX;
  const auto any = [&] { return *store_.env().commit_by_tx(2 + generator_.pick(next_tx_ - 2)); };
  options.older_than = commits_.at(any()).time;
  std::vector<Uuid> roots = {any(), any(), any()};
  for (const auto& [branch, head] : heads_) roots.push_back(head);
  collect(store_.env(), options, roots);
  for (const auto& [branch, head] : heads_) check_what_is_kept(head);
  EXPECT_GT(after_a_gap_, 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Origins, testing::Range(0, 8));

}  // namespace
}  // namespace datahike::store::test
