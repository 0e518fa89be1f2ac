// Garbage collection: what stays reads as before, what goes is gone, and the store verifies at
// every point at which a run may end.
#include "store/collector.h"

#include <gtest/gtest.h>

#include "fold_world.h"
#include "store/verify.h"

namespace datahike::store::test {
namespace {

constexpr uint64_t kAll = UINT64_MAX;

class Collecting : public testing::Test {
 protected:
  struct Branch {
    Commit head;
    bool exists = true;
  };

  // Folds some transactions of the branch.
  void fold(uint32_t branch, uint64_t count) {
    std::vector<Transaction> made;
    for (uint64_t i = 0; i < count; ++i) made.push_back(generator_.next(branch));
    std::vector<const Transaction*> entries;
    for (const Transaction& transaction : made) entries.push_back(&transaction);
    if (run_)
      for (const Transaction& transaction : made) run_->note(transaction.entry.delta);
    std::vector<Uuid> ids;
    branches_[branch].head = store_.fold(branches_[branch].head.id, next_tx_, entries, &ids);
    for (size_t i = 0; i < ids.size(); ++i) contents_[ids[i]] = made[i].after;
    next_tx_ += count;
  }

  void make_branch(uint32_t branch, const Uuid& at) {
    branches_[branch].head = load_known_commit(store_.env(), at);
    generator_.start(branch, contents_.at(at));
  }

  std::vector<Uuid> heads() {
    std::vector<Uuid> ids = tags_;
    for (const auto& [branch, state] : branches_)
      if (state.exists) ids.push_back(state.head.id);
    return ids;
  }

  void begin(GcOptions options) {
    options.next_tx = next_tx_;
    if (options.xmin == 0) options.xmin = kAll;
    store_.env().refresh();
    run_.emplace(store_.env(), options, heads());
    dry_ = options.dry_run;
    stage_ = 0;
  }

  // Goes on with the run; false when it is done.
  bool step() {
    Environment& env = store_.env();
    env.refresh();
    switch (stage_) {
      case 0:
        stage_ += run_->trace(env);
        return true;
      case 1:
        stage_ += run_->choose(env);
        return true;
      case 2:
        stage_ += run_->trace(env);
        return true;
      case 3:
        if (dry_ || !run_->has_candidates(kAll)) {
          ++stage_;
          return true;
        }
        run_->spare(heads());
        write([&](WriteBatch& batch) { run_->collect(env, batch, kAll); });
        return true;
      case 4:
        stage_ += run_->mark(env);
        return true;
      default:
        if (dry_) return !run_->sweep(env, nullptr);
        bool done = false;
        write([&](WriteBatch& batch) { done = run_->sweep(env, &batch); });
        return !done;
    }
  }

  GcResult run(const GcOptions& options) {
    begin(options);
    while (step()) {
    }
    const GcResult result = run_->result();
    run_.reset();
    store_.env().refresh();
    return result;
  }

  template <class F>
  void write(F f) {
    auto batch = store_.env().begin_write();
    f(*batch);
    batch->commit();
  }

  std::vector<std::string> damage() {
    std::vector<std::string> found;
    store_.env().refresh();
    verify(
        store_.env(), true,
        [&](const Finding& finding) {
          if (finding.corrupt) found.push_back(finding.detail);
        },
        [] {});
    return found;
  }

  // Every commit that is there has what it had, and its rows can be read. Returns how many there
  // are.
  size_t expect_contents() {
    EXPECT_EQ(damage(), std::vector<std::string>());
    size_t there = 0;
    for (const auto& [id, expected] : contents_) {
      if (!find_commit(store_.env(), id)) {
        EXPECT_TRUE(store_.env().tombstone(id));
        EXPECT_THROW(load_state(store_.env(), id), CollectedError);
        continue;
      }
      ++there;
      EXPECT_TRUE(read_contents(store_.env(), id) == expected) << format_uuid(id);
      for (const auto& [table, live] : expected.live)
        for (uint64_t rowid : live) expect_row(table, rowid);
    }
    return there;
  }

  void expect_row(uint64_t table, uint64_t rowid) {
    const auto segment = store_.env().segment(table, rowid);
    ASSERT_TRUE(segment) << "row " << rowid << " of table " << table;
    const auto row = static_cast<uint32_t>(rowid - segment->first_rowid());
    const Row& expected = generator_.rows().at(table).at(rowid);
    EXPECT_EQ(segment->entity(row), expected.entity);
    EXPECT_EQ(segment->xid(row), expected.xid);
    EXPECT_EQ(static_cast<int64_t>(segment->bits(segment->find(1), row)), expected.number);
  }

  // The commit on the line of a branch with this number, counted back from its head.
  Uuid back(uint32_t branch, uint64_t n) {
    return *nth_parent(store_.env(), branches_[branch].head.id, n);
  }
  int64_t time_of(const Uuid& id) { return load_known_commit(store_.env(), id).time; }

  TestStore store_;
  Generator generator_{1};
  std::map<uint32_t, Branch> branches_ = {{1, {store_.root()}}};
  std::map<Uuid, Contents> contents_;
  std::vector<Uuid> tags_;
  uint64_t next_tx_ = 2;
  std::optional<Collector> run_;
  int stage_ = 0;
  bool dry_ = false;
};

TEST_F(Collecting, WithoutADateTakesWhatDeletedBranchesAloneHeld) {
  for (int i = 0; i < 10; ++i) fold(1, 10);
  make_branch(2, back(1, 35));
  for (int i = 0; i < 6; ++i) {
    fold(2, 10);
    fold(1, 10);
  }
  EXPECT_EQ(run({}).commits, 0u);
  const size_t before = expect_contents();
  const Statistics statistics = store_.env().statistics();
  branches_[2].exists = false;
  const GcResult result = run({});
  EXPECT_EQ(result.commits, 60u);
  EXPECT_GT(result.nodes, 0u);
  EXPECT_GT(result.rows, 0u);
  EXPECT_GT(result.bytes, 0u);
  EXPECT_EQ(result.kept, 161u);
  EXPECT_EQ(expect_contents(), before - 60);
  const Statistics after = store_.env().statistics();
  EXPECT_LT(after.nodes, statistics.nodes);
  EXPECT_LT(after.segments, statistics.segments);
  EXPECT_LT(after.lineage, statistics.lineage);
  const GcResult again = run({});
  EXPECT_EQ(again.commits + again.nodes + again.rows + again.bytes, 0u);
  fold(1, 5);
  EXPECT_EQ(expect_contents(), before - 55);
}

TEST_F(Collecting, TakesOlderCommitsButForksTagsAndTheLastBeforeTheDate) {
  for (int i = 0; i < 20; ++i) fold(1, 10);
  const Uuid fork = back(1, 150), tag = back(1, 173);
  make_branch(2, fork);
  fold(2, 30);
  tags_ = {tag};
  const Uuid last = back(1, 50);
  GcOptions options;
  options.older_than = time_of(back(1, 49));
  const GcResult result = run(options);
  // 149 commits between the first one and the last before the date; of them fork and tag stay.
  EXPECT_EQ(result.commits, 147u);
  EXPECT_TRUE(find_commit(store_.env(), fork));
  EXPECT_TRUE(find_commit(store_.env(), tag));
  EXPECT_TRUE(find_commit(store_.env(), last));
  EXPECT_FALSE(find_commit(store_.env(), back(1, 51)));
  expect_contents();
  std::vector<uint64_t> logged;
  walk_log(store_.env(), branches_[1].head.id, [&](const Commit& commit) {
    logged.push_back(commit.tx);
    return true;
  });
  EXPECT_EQ(logged.back(), 1u) << "the first commit is reached over what has gone";
  EXPECT_EQ(logged.size(), 51u + 3u);
  fold(1, 10);
  fold(2, 10);
  expect_contents();
}

TEST_F(Collecting, LeavesYoungCommitsAlone) {
  fold(1, 20);
  make_branch(2, back(1, 5));
  fold(2, 20);
  const int64_t middle = time_of(back(2, 10));
  branches_[2].exists = false;
  GcOptions options;
  options.newest = middle;
  EXPECT_EQ(run(options).commits, 10u);
  expect_contents();
}

TEST_F(Collecting, LeavesWhatRunningTransactionsMayFollow) {
  fold(1, 40);
  GcOptions options;
  options.older_than = INT64_MAX;
  options.xmin = 1;
  const GcResult result = run(options);
  EXPECT_GT(result.commits, 0u);
  EXPECT_EQ(result.rows, 0u);
  expect_contents();
  EXPECT_GT(run({}).rows, 0u);
  expect_contents();
}

TEST_F(Collecting, ADryRunOnlyCounts) {
  fold(1, 30);
  make_branch(2, back(1, 7));
  fold(2, 30);
  branches_[2].exists = false;
  GcOptions options;
  options.dry_run = true;
  const GcResult expected = run(options);
  const size_t before = expect_contents();
  EXPECT_EQ(before, 60u);
  const GcResult result = run({});
  EXPECT_EQ(expected.commits, result.commits);
  EXPECT_EQ(expected.nodes, result.nodes);
  EXPECT_EQ(expected.rows, result.rows);
  EXPECT_EQ(expected.kept, result.kept);
}

TEST_F(Collecting, ACommitThatBecameARootMeanwhileIsSpared) {
  fold(1, 30);
  make_branch(2, back(1, 7));
  fold(2, 30);
  branches_[2].exists = false;
  begin({});
  while (stage_ < 3) step();
  make_branch(3, back(2, 12));
  while (step()) {
  }
  run_.reset();
  EXPECT_TRUE(find_commit(store_.env(), branches_[3].head.id));
  fold(3, 10);
  expect_contents();
}

// Folds in the middle of runs, runs that are given up anywhere, branches that come and go.
TEST_F(Collecting, RandomHistoriesStayWhole) {
  std::mt19937_64 random(5);
  fold(1, 3);
  for (int round = 0; round < 40; ++round) {
    const uint32_t branch = 1 + static_cast<uint32_t>(random() % 3);
    if (!branches_.count(branch) || !branches_[branch].exists) {
      const uint64_t length = load_known_commit(store_.env(), branches_[1].head.id).tx;
      std::optional<Uuid> at;
      if (length > 2) at = nth_parent(store_.env(), branches_[1].head.id, random() % 20);
      if (at && contents_.count(*at) && find_commit(store_.env(), *at)) {
        branches_[branch].exists = true;
        make_branch(branch, *at);
      }
    }
    for (auto& [b, state] : branches_)
      if (state.exists) fold(b, 1 + random() % 15);
    if (branch != 1 && random() % 3 == 0) branches_[branch].exists = false;
    GcOptions options;
    if (random() % 2) options.older_than = time_of(back(1, std::min<uint64_t>(random() % 40, 5)));
    begin(options);
    const bool give_up = random() % 3 == 0;
    uint64_t left = random() % 12;
    while ((!give_up || left-- > 0) && step())
      if (random() % 2) fold(1, 1 + random() % 3);
    run_.reset();
    ASSERT_EQ(damage(), std::vector<std::string>()) << "round " << round;
  }
  branches_[2].exists = branches_[3].exists = false;
  run({});
  expect_contents();
}

TEST_F(Collecting, KeepsAStoreUnderConstantUpdatesFromGrowing) {
  uint64_t segments = 0, nodes = 0, commits = 0, lineage = 0;
  for (int round = 0; round < 60; ++round) {
    for (int i = 0; i < 5; ++i) fold(1, 4);
    GcOptions options;
    options.older_than = time_of(back(1, 10));
    run(options);
    const Statistics now = store_.env().statistics();
    if (round == 20) {
      segments = now.segments;
      nodes = now.nodes;
      commits = now.commits;
      lineage = now.lineage;
    }
  }
  // The rows themselves become more, as the generator inserts more than it deletes.
  const Statistics end = store_.env().statistics();
  EXPECT_LE(end.commits, commits + 2);
  EXPECT_LT(end.nodes, nodes * 2);
  EXPECT_LT(end.lineage, lineage * 2);
  EXPECT_LT(end.segments, segments * 5);
  expect_contents();
}

}  // namespace
}  // namespace datahike::store::test
