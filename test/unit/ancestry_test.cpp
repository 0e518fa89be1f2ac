#include "store/ancestry.h"

#include <gtest/gtest.h>

#include "commit_graph.h"
#include "store/descent.h"

namespace datahike::store::test {
namespace {

class RandomGraph : public testing::TestWithParam<int> {};

TEST_P(RandomGraph, AnswersAreThoseOfThePlainestWalk) {
  Graph graph(static_cast<uint64_t>(GetParam()));
  while (graph.commits().size() < 70) graph.grow();
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

TEST_P(RandomGraph, ADescentGoesByTheFirstParentThatDescends) {
  Graph graph(static_cast<uint64_t>(GetParam()));
  while (graph.commits().size() < 60) graph.grow();
  for (const Uuid& from : graph.commits())
    for (const Uuid& to : graph.commits()) {
      std::vector<Step> steps, expected;
      const bool descends =
          visit_descent(graph.env(), from, to, [&](const Step& step) { steps.push_back(step); });
      ASSERT_EQ(descends, graph.is_ancestor(from, to));
      for (Uuid at = to; descends && at != from; at = expected.back().parent)
        for (const Uuid& parent : load_known_commit(graph.env(), at).parents)
          if (graph.is_ancestor(from, parent)) {
            expected.push_back({parent, at});
            break;
          }
      ASSERT_EQ(steps, expected) << format_uuid(from) << " to " << format_uuid(to);
    }
}

TEST_P(RandomGraph, ADescentFromNowhereIsTheLine) {
  Graph graph(static_cast<uint64_t>(GetParam()));
  while (graph.commits().size() < 60) graph.grow();
  for (const Uuid& to : graph.commits()) {
    std::vector<Step> steps;
    ASSERT_TRUE(visit_descent(graph.env(), std::nullopt, to,
                              [&](const Step& step) { steps.push_back(step); }));
    Uuid at = to;
    for (const Step& step : steps) {
      ASSERT_EQ(step, (Step{first_parent(load_known_commit(graph.env(), at)), at}));
      at = step.parent;
    }
    ASSERT_TRUE(load_known_commit(graph.env(), at).parents.empty());
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraph, testing::Range(0, 12));

TEST(Ancestry, AKeyframesMergesCount) {
  Graph graph(1);
  graph.commit(0, {{}});
  graph.branch_from(graph.heads()[0]);
  graph.commit(1, {{}});
  const Uuid side = graph.heads()[1];
  std::vector<std::vector<Uuid>> further(2 * kKeyframeInterval + 44);  // two keyframes within it
  further[100] = {side};
  graph.commit(0, further);
  Ancestry ancestry(graph.env());
  for (size_t i = 0; i < further.size(); ++i)
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
