// Whatever is collected of a graph, commits that are left descend from one another as before.
#include <gtest/gtest.h>

#include "collect.h"
#include "commit_graph.h"
#include "store/ancestry.h"

namespace datahike::store::test {
namespace {

class CollectedGraph : public testing::TestWithParam<int> {
 protected:
  CollectedGraph() : graph_(static_cast<uint64_t>(GetParam())) {
    while (graph_.commits().size() < 60) graph_.grow();
  }

  int64_t time_of(const Uuid& commit) { return load_known_commit(graph_.env(), commit).time; }

  // What branches and tags name: some heads, and now and then another commit.
  std::vector<Uuid> roots() {
    std::vector<Uuid> named = {graph_.heads()[0]};
    for (const Uuid& head : graph_.heads())
      if (graph_.pick(2)) named.push_back(head);
    if (graph_.pick(2)) named.push_back(graph_.any());
    return named;
  }

  void expect_same_answers() {
    std::vector<Uuid> kept;
    for (const Uuid& id : graph_.commits())
      if (find_commit(graph_.env(), id)) kept.push_back(id);
    Ancestry ancestry(graph_.env());
    for (const Uuid& a : kept)
      for (const Uuid& b : kept) {
        ASSERT_EQ(ancestry.is_ancestor(a, b), graph_.is_ancestor(a, b))
            << format_uuid(a) << " of " << format_uuid(b);
        ASSERT_EQ(ancestry.common_ancestor(a, b), graph_.common_ancestor(a, b))
            << format_uuid(a) << " and " << format_uuid(b);
        const std::vector<Uuid> bases = graph_.merge_bases(a, b);
        ASSERT_EQ(ancestry.merge_bases(a, b), bases) << format_uuid(a) << " and " << format_uuid(b);
        for (const Uuid& base : bases)
          ASSERT_TRUE(find_commit(graph_.env(), base)) << format_uuid(base) << " has gone";
        const auto first = ancestry.first_with(graph_.tx_of(a), a, b);
        ASSERT_EQ(first ? std::optional(first->id) : std::nullopt, graph_.first_with(a, b))
            << format_uuid(a) << " in " << format_uuid(b);
      }
  }

  Graph graph_;
};

TEST_P(CollectedGraph, AnswersStayWhatTheyWere) {
  GcOptions options;
  options.next_tx = graph_.next_tx();
  options.xmin = UINT64_MAX;
  for (int round = 0; round < 3; ++round) {
    options.older_than.reset();
    options.newest = INT64_MAX;
    const auto kept = [&] {
      for (;;)
        if (const Uuid id = graph_.any(); find_commit(graph_.env(), id)) return id;
    };
    if (graph_.pick(2)) options.older_than = time_of(kept());
    if (graph_.pick(2)) options.newest = time_of(kept());
    std::vector<Uuid> named = roots();
    std::erase_if(named, [&](const Uuid& id) { return !find_commit(graph_.env(), id); });
    collect(graph_.env(), options, named, graph_.pick(2) ? graph_.tx_of(kept()) : UINT64_MAX);
    expect_same_answers();
    if (HasFatalFailure()) return;
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, CollectedGraph, testing::Range(0, 10));

}  // namespace
}  // namespace datahike::store::test
