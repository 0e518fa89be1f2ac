#include "store/ancestry.h"

#include <gtest/gtest.h>

#include "fold_world.h"

namespace datahike::store::test {
namespace {

// A random graph of commits, folded in batches of many sizes, and who its ancestors are according
// to the plainest of walks.
class Graph {
 public:
  explicit Graph(uint64_t seed) : random_(seed) {
    heads_.push_back(store_.root().id);
    ancestors_[store_.root().id] = {store_.root().id};
    tx_[store_.root().id] = 1;
  }

  uint64_t pick(uint64_t n) { return random_() % n; }
  Environment& env() { return store_.env(); }
  const std::vector<Uuid>& commits() const { return commits_; }
  const std::vector<Uuid>& heads() const { return heads_; }

  void branch_from(const Uuid& commit) { heads_.push_back(commit); }
  void reset(size_t branch, const Uuid& commit) { heads_[branch] = commit; }

  // `further[i]`: the other parents of the i-th commit.
  void commit(size_t branch, const std::vector<std::vector<Uuid>>& further) {
    std::vector<Transaction> batch(further.size());
    std::vector<const Transaction*> entries;
    for (size_t i = 0; i < further.size(); ++i) {
      batch[i].branch = static_cast<uint32_t>(branch);
      batch[i].entry.xid = next_tx_ + i;
      batch[i].entry.extra_parents = further[i];
      entries.push_back(&batch[i]);
    }
    std::vector<Uuid> ids;
    store_.fold(heads_[branch], next_tx_, entries, &ids);
    for (size_t i = 0; i < ids.size(); ++i) {
      std::set<Uuid>& of = ancestors_[ids[i]];
      of = ancestors_.at(heads_[branch]);
      for (const Uuid& parent : further[i]) of.merge(std::set<Uuid>(ancestors_.at(parent)));
      of.insert(ids[i]);
      tx_[ids[i]] = next_tx_++;
      commits_.push_back(ids[i]);
      heads_[branch] = ids[i];
    }
  }

  void grow() {
    const size_t branch = pick(heads_.size());
    if (pick(8) == 0) return branch_from(commits_.empty() ? heads_[0] : any());
    if (pick(15) == 0 && !commits_.empty()) return reset(branch, any());
    static constexpr size_t kSizes[] = {1, 1, 2, 5, 30};
    std::vector<std::vector<Uuid>> further(kSizes[pick(std::size(kSizes))]);
    for (auto& parents : further)
      while (!commits_.empty() && pick(4) == 0)
        parents.push_back(pick(3) ? heads_[pick(heads_.size())] : any());
    commit(branch, further);
  }

  const Uuid& any() { return commits_[pick(commits_.size())]; }

  bool is_ancestor(const Uuid& a, const Uuid& of) { return ancestors_.at(of).contains(a); }
  std::optional<Uuid> common_ancestor(const Uuid& a, const Uuid& b) {
    std::optional<Uuid> best;
    for (const Uuid& id : ancestors_.at(a))
      if (ancestors_.at(b).contains(id) && (!best || tx_.at(id) > tx_.at(*best))) best = id;
    return best;
  }
  std::vector<Uuid> merge_bases(const Uuid& a, const Uuid& b) {
    std::vector<Uuid> common, best;
    for (const Uuid& id : ancestors_.at(a))
      if (ancestors_.at(b).contains(id)) common.push_back(id);
    for (const Uuid& id : common)
      if (std::none_of(common.begin(), common.end(),
                       [&](const Uuid& x) { return x != id && is_ancestor(id, x); }))
        best.push_back(id);
    std::sort(best.begin(), best.end(),
              [this](const Uuid& x, const Uuid& y) { return tx_.at(x) > tx_.at(y); });
    return best;
  }

 private:
  std::mt19937_64 random_;
  TestStore store_;
  std::vector<Uuid> commits_;
  std::vector<Uuid> heads_;  // by branch
  std::map<Uuid, std::set<Uuid>> ancestors_;
  std::map<Uuid, uint64_t> tx_;
  uint64_t next_tx_ = 2;
};

class RandomGraph : public testing::TestWithParam<int> {};

TEST_P(RandomGraph, AnswersAreThoseOfThePlainestWalk) {
  Graph graph(static_cast<uint64_t>(GetParam()));
  while (graph.commits().size() < 120) graph.grow();
  Ancestry ancestry(graph.env());
  for (const Uuid& a : graph.commits())
    for (const Uuid& b : graph.commits()) {
      ASSERT_EQ(ancestry.is_ancestor(a, b), graph.is_ancestor(a, b))
          << format_uuid(a) << " of " << format_uuid(b);
      ASSERT_EQ(ancestry.common_ancestor(a, b), graph.common_ancestor(a, b))
          << format_uuid(a) << " and " << format_uuid(b);
      ASSERT_EQ(ancestry.merge_bases(a, b), graph.merge_bases(a, b))
          << format_uuid(a) << " and " << format_uuid(b);
    }
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraph, testing::Range(0, 12));

TEST(Ancestry, AKeyframesMergesCount) {
  Graph graph(1);
  graph.commit(0, {{}});
  graph.branch_from(graph.heads()[0]);
  graph.commit(1, {{}});
  const Uuid side = graph.heads()[1];
  std::vector<std::vector<Uuid>> further(300);  // two keyframes within the batch
  further[100] = {side};
  graph.commit(0, further);
  Ancestry ancestry(graph.env());
  for (size_t i = 0; i < 300; ++i)
    EXPECT_EQ(ancestry.is_ancestor(side, graph.commits()[2 + i]), i >= 100) << i;
}

TEST(Ancestry, AParentCountsOnce) {
  Graph graph(1);
  graph.commit(0, {{}});
  const Uuid first = graph.heads()[0];
  graph.branch_from(first);
  graph.commit(1, {{}});
  const Uuid side = graph.heads()[1];
  graph.commit(0, {{side, side, first}});
  EXPECT_EQ(load_known_commit(graph.env(), graph.heads()[0]).parents,
            (std::vector<Uuid>{first, side}));
}

// Criss-cross: each side has merged the other's first commit, so neither of the two descends from
// the other, and both are bases.
TEST(Ancestry, OfSeveralBasesTheNewestIsTaken) {
  Graph graph(1);
  graph.commit(0, {{}});
  graph.branch_from(graph.heads()[0]);
  graph.commit(0, {{}});
  graph.commit(1, {{}});
  const Uuid a = graph.heads()[0], b = graph.heads()[1];
  graph.commit(0, {{b}});
  graph.commit(1, {{a}});
  Ancestry ancestry(graph.env());
  EXPECT_EQ(ancestry.common_ancestor(graph.heads()[0], graph.heads()[1]), b);
}

TEST(Ancestry, RootCommitsOfTwoInstallationsHaveNothingInCommon) {
  TestStore store;
  const Commit other = root_commit(77);
  auto batch = store.env().begin_write();
  batch->put_commit(store.root().id, 1, encode_commit(store.root()));
  batch->put_commit(other.id, 1, encode_commit(other));
  batch->commit();
  Ancestry ancestry(store.env());
  EXPECT_EQ(ancestry.common_ancestor(store.root().id, other.id), std::nullopt);
  EXPECT_FALSE(ancestry.is_ancestor(store.root().id, other.id));
  EXPECT_TRUE(ancestry.is_ancestor(other.id, other.id));
}

TEST(Ancestry, AMissingCommitIsNamed) {
  TestStore store;
  Ancestry ancestry(store.env());
  EXPECT_THROW(ancestry.is_ancestor(Uuid{1}, Uuid{2}), CorruptError);
}

}  // namespace
}  // namespace datahike::store::test
