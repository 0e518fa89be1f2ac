#include <gtest/gtest.h>

#include "fold_world.h"

namespace datahike::store::test {
namespace {

constexpr uint32_t kMain = 1, kSide = 2;

struct Made {
  Transaction transaction;
  Uuid id{};
  Uuid parent{};
};

// Random histories of two branches, folded in batches of many sizes. The side branch begins at a
// commit in the middle of a batch, which is no keyframe.
class FoldedHistory : public testing::TestWithParam<int> {
 protected:
  FoldedHistory() : generator_(static_cast<uint64_t>(GetParam())) {
    heads_[kMain] = store_.root().id;
    for (int i = 0; i < 3; ++i) fold_batch(kMain);
    const Made& fork = made_[made_.size() / 2];
    heads_[kSide] = fork.id;
    generator_.start(kSide, fork.transaction.after);
    for (int i = 0; i < 6; ++i) fold_batch(generator_.pick(2) ? kMain : kSide);
  }

  void fold_batch(uint32_t branch) {
    static constexpr size_t kSizes[] = {1, 3, 20, 60, kKeyframeInterval + 22};
    const size_t n = kSizes[generator_.pick(std::size(kSizes))];
    std::vector<Transaction> batch;
    for (size_t i = 0; i < n; ++i) batch.push_back(generator_.next(branch));
    std::vector<const Transaction*> entries;
    for (const Transaction& transaction : batch) entries.push_back(&transaction);
    std::vector<Uuid> ids;
    const Commit head = store_.fold(heads_[branch], next_tx_, entries, &ids);
    EXPECT_EQ(head.id, ids.back());
    for (size_t i = 0; i < n; ++i) {
      made_.push_back({std::move(batch[i]), ids[i], heads_[branch]});
      heads_[branch] = ids[i];
    }
    next_tx_ += n;
  }

  // The line of a branch, the root commit first.
  std::vector<Commit> line(uint32_t branch) {
    std::map<Uuid, Uuid> parents;
    for (const Made& made : made_) parents[made.id] = made.parent;
    std::vector<Commit> line;
    for (Uuid id = heads_[branch];; id = parents.at(id)) {
      line.push_back(load_known_commit(store_.env(), id));
      if (id == store_.root().id) break;
    }
    std::reverse(line.begin(), line.end());
    return line;
  }

  TestStore store_;
  Generator generator_;
  std::map<uint32_t, Uuid> heads_;
  std::vector<Made> made_;
  uint64_t next_tx_ = 2;
};

TEST_P(FoldedHistory, EveryCommitHasItsContents) {
  for (const Made& made : made_)
    ASSERT_TRUE(read_contents(store_.env(), made.id) == made.transaction.after)
        << format_uuid(made.id);
}

TEST_P(FoldedHistory, EveryRowVersionIsStoredOnceAsWritten) {
  expect_rows(store_.env(), generator_.rows());
}

TEST_P(FoldedHistory, EveryCommitSaysWhoWhenAndAfterWhat) {
  uint64_t tx = 1;
  for (const Made& made : made_) {
    const Commit commit = load_known_commit(store_.env(), made.id);
    const LogEntry& entry = made.transaction.entry;
    const Commit parent = load_known_commit(store_.env(), made.parent);
    EXPECT_EQ(commit.tx, ++tx);
    EXPECT_EQ(commit.time, std::max(entry.time, parent.time + 1));
    EXPECT_EQ(commit.parents, std::vector<Uuid>{made.parent});
    EXPECT_EQ(commit.xid, entry.xid);
    EXPECT_EQ(commit.author, entry.author);
    EXPECT_EQ(commit.message, entry.message);
    EXPECT_EQ(commit.branch, made.transaction.branch);
  }
}

TEST_P(FoldedHistory, LineageLeadsToTheSuccessorOnEachBranch) {
  for (const Made& made : made_)
    for (const TableDelta& table : made.transaction.entry.delta.tables)
      for (const Removal& removal : table.removed) {
        const auto lineage =
            store_.env().lineage(table.table, removal.rowid, made.transaction.branch);
        ASSERT_TRUE(lineage);
        EXPECT_EQ(lineage->successor, removal.successor);
        EXPECT_EQ(lineage->xid, made.transaction.entry.xid);
      }
}

TEST_P(FoldedHistory, KeyframesAreNeverFarApart) {
  for (uint32_t branch : {kMain, kSide}) {
    size_t since = 0;
    for (const Commit& commit : line(branch)) {
      since = commit.keyframe ? 0 : since + 1;
      EXPECT_LT(since, kKeyframeInterval);
    }
    EXPECT_EQ(since, 0u) << "the head is a keyframe";
  }
}

TEST_P(FoldedHistory, AsOfFindsTheLastCommitNotLater) {
  for (uint32_t branch : {kMain, kSide}) {
    const std::vector<Commit> commits = line(branch);
    for (size_t h = 0; h < commits.size(); h += 1 + commits.size() / 4) {
      const Uuid& head = commits[h].id;
      EXPECT_EQ(commit_as_of_tx(store_.env(), head, 0), std::nullopt);
      EXPECT_EQ(commit_as_of_time(store_.env(), head, commits[0].time - 1), std::nullopt);
      for (size_t i = 0; i <= h; i += 1 + generator_.pick(4)) {
        EXPECT_EQ(commit_as_of_tx(store_.env(), head, commits[i].tx), commits[i].id);
        EXPECT_EQ(commit_as_of_time(store_.env(), head, commits[i].time), commits[i].id);
        if (i == 0) continue;
        EXPECT_EQ(commit_as_of_tx(store_.env(), head, commits[i].tx - 1), commits[i - 1].id);
        EXPECT_EQ(commit_as_of_time(store_.env(), head, commits[i].time - 1), commits[i - 1].id);
      }
      EXPECT_EQ(commit_as_of_tx(store_.env(), head, UINT64_MAX), head);
      EXPECT_EQ(commit_as_of_time(store_.env(), head, INT64_MAX), head);
    }
  }
}

TEST_P(FoldedHistory, NthParentCountsBackToTheRoot) {
  for (uint32_t branch : {kMain, kSide}) {
    const std::vector<Commit> commits = line(branch);
    for (size_t h : {commits.size() - 1, commits.size() / 2}) {
      for (size_t n = 0; n <= h; ++n)
        EXPECT_EQ(nth_parent(store_.env(), commits[h].id, n), commits[h - n].id);
      EXPECT_EQ(nth_parent(store_.env(), commits[h].id, h + 1), std::nullopt);
    }
  }
}

TEST_P(FoldedHistory, LogListsTheLineNewestFirst) {
  std::vector<Commit> expected = line(kSide);
  std::reverse(expected.begin(), expected.end());
  size_t at = 0;
  walk_log(store_.env(), heads_[kSide], [&](const Commit& commit) {
    EXPECT_EQ(commit.id, expected.at(at++).id);
    return true;
  });
  EXPECT_EQ(at, expected.size());
}

INSTANTIATE_TEST_SUITE_P(Seeds, FoldedHistory, testing::Values(1, 2, 3));

// Ids of all commits and the final tree, of the same transactions folded in batches of a size.
std::pair<std::vector<Uuid>, tree::Hash> fold_in_batches(const std::vector<Transaction>& all,
                                                         size_t size) {
  TestStore store;
  Commit head = store.root();
  std::vector<Uuid> ids;
  for (size_t at = 0; at < all.size(); at += size) {
    std::vector<const Transaction*> entries;
    for (size_t i = at; i < std::min(at + size, all.size()); ++i) entries.push_back(&all[i]);
    head = store.fold(head.id, head.tx + 1, entries, &ids);
  }
  return {ids, head.root.hash};
}

TEST(Fold, BatchingChangesNeitherIdsNorTheFinalTree) {
  Generator generator(5);
  std::vector<Transaction> all;
  for (int i = 0; i < 300; ++i) all.push_back(generator.next(kMain));
  const auto once = fold_in_batches(all, all.size());
  EXPECT_EQ(fold_in_batches(all, 1), once);
  EXPECT_EQ(fold_in_batches(all, 37), once);
}

// More lineage than is gathered before it is put, and more changes than wait for a keyframe.
TEST(Fold, ManyChangesMakeAKeyframe) {
  constexpr uint64_t kFirst = 65536, kTable = 1000;
  constexpr uint32_t kRows = 50000, kRemoved = 40000;
  std::vector<Transaction> all(6);
  for (size_t i = 0; i < all.size(); ++i) {
    all[i].branch = kMain;
    all[i].entry.xid = 1000 + i;
    all[i].entry.time = static_cast<int64_t>(i);
    all[i].entry.delta.tables.resize(1);
    all[i].entry.delta.tables[0].table = kTable;
  }
  std::map<uint64_t, Row> rows;
  for (uint64_t rowid = kFirst; rowid < kFirst + 3 * kRows; ++rowid)
    rows[rowid] = {.entity = rowid, .xid = 1000, .number = 1, .text = std::nullopt};
  TableDelta& written = all[0].entry.delta.tables[0];
  written.added = {{kFirst, 3 * kRows}};
  for (uint32_t part = 0; part < 3; ++part) {
    const uint64_t first = kFirst + part * kRows;
    all[0].parts.push_back(build_segment(rows, first, kRows));
    written.segments.push_back({first, kRows, part, 0, all[0].parts.back().size()});
  }
  uint64_t next = kFirst + 3 * kRows;  // downwards: in another order than that of the keys
  const auto remove = [&](size_t i, uint32_t count) {
    next -= count;
    for (uint32_t n = 0; n < count; ++n)
      all[i].entry.delta.tables[0].removed.push_back({next + n, 0});
  };
  for (size_t i : {1, 2, 3}) remove(i, kRemoved);
  for (size_t i : {4, 5}) remove(i, 1);
  std::vector<const Transaction*> entries;
  for (const Transaction& transaction : all) entries.push_back(&transaction);
  TestStore store;
  std::vector<Uuid> ids;
  store.fold(store.root().id, 2, entries, &ids);

  std::vector<bool> keyframes;
  for (const Uuid& id : ids) keyframes.push_back(load_known_commit(store.env(), id).keyframe);
  EXPECT_EQ(keyframes, (std::vector<bool>{false, false, true, false, false, true}));
  const size_t left[] = {3 * kRows,
                         3 * kRows - kRemoved,
                         3 * kRows - 2 * kRemoved,
                         3 * kRows - 3 * kRemoved,
                         3 * kRows - 3 * kRemoved - 1,
                         3 * kRows - 3 * kRemoved - 2};
  for (size_t i = 0; i < ids.size(); ++i)
    EXPECT_EQ(read_contents(store.env(), ids[i]).live.at(kTable).size(), left[i]) << i;
  for (const Transaction& transaction : all)
    for (const Removal& removal : transaction.entry.delta.tables[0].removed) {
      const auto lineage = store.env().lineage(kTable, removal.rowid, kMain);
      ASSERT_TRUE(lineage) << removal.rowid;
      EXPECT_EQ(lineage->xid, transaction.entry.xid);
    }
}

TEST(Fold, NothingAddedReturnsTheHead) {
  TestStore store;
  const Commit head = store.fold(store.root().id, 2, {});
  EXPECT_EQ(head.id, store.root().id);
  EXPECT_TRUE(load_commit(store.env(), head.id)) << "the root commit is stored all the same";
  EXPECT_TRUE(head.root.empty());
}

TEST(Fold, UnknownHeadIsRefused) {
  TestStore store;
  Commit head = root_commit(3);
  head.parents.push_back(store.root().id);
  head.tx = 2;
  seal(head);
  auto batch = store.env().begin_write();
  EXPECT_THROW(Folder(*batch, kMain, head, {}, 3), CorruptError);
}

}  // namespace
}  // namespace datahike::store::test
