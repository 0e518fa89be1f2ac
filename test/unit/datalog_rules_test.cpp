#include <random>

#include "datalog_world.h"

using namespace datahike;
using namespace datahike::datalog;

namespace {

using Edges = std::set<std::pair<int, int>>;

std::string datoms_of(const Edges& edges) {
  std::string text = "[";
  for (auto [a, b] : edges) text += "[" + std::to_string(a) + " :to " + std::to_string(b) + "]";
  return text + "]";
}

Edges chain(int length) {
  Edges edges;
  for (int i = 1; i < length; ++i) edges.emplace(i, i + 1);
  return edges;
}

Edges closure(const Edges& edges) {
  Edges all = edges;
  for (size_t before = 0; before != all.size();) {
    before = all.size();
    Edges more;
    for (auto [a, b] : all)
      for (auto [c, d] : edges)
        if (b == c) more.emplace(a, d);
    all.insert(more.begin(), more.end());
  }
  return all;
}

std::string written(const Edges& pairs) {
  std::string text = "[";
  for (auto [a, b] : pairs)
    text += (text.size() > 1 ? " [" : "[") + std::to_string(a) + " " + std::to_string(b) + "]";
  return text + "]";
}

// The transitive closure in every shape of recursion.
const std::pair<const char*, const char*> kClosures[] = {
    {"right", "[[(r ?a ?b) [?a :to ?b]] [(r ?a ?b) [?a :to ?c] (r ?c ?b)]]"},
    {"left", "[[(r ?a ?b) [?a :to ?b]] [(r ?a ?b) (r ?a ?c) [?c :to ?b]]]"},
    {"nonlinear", "[[(r ?a ?b) [?a :to ?b]] [(r ?a ?b) (r ?a ?c) (r ?c ?b)]]"},
    {"mutual",
     "[[(r ?a ?b) [?a :to ?b]] [(r ?a ?b) [?a :to ?c] (s ?c ?b)]"
     " [(s ?x ?y) [?x :to ?y]] [(s ?x ?y) [?x :to ?z] (r ?z ?y)]]"},
    {"swapped",
     "[[(r ?a ?b) [?a :to ?b]] [(r ?a ?b) [?a :to ?c] (s ?b ?c)] [(s ?y ?x) (r ?x ?y)]]"},
    {"or", "[[(r ?a ?b) (or [?a :to ?b] (or-join [?a ?b] (and [?a :to ?c] (r ?c ?b))))]]"},
    {"both ends",
     "[[(r ?a ?b) [?a :to ?b]] [(r ?a ?b) [?a :to ?c] [?d :to ?b] (r0 ?c ?d)]"
     " [(r0 ?a ?b) [?a :to ?b]] [(r0 ?a ?b) [?a _ _] [(identity ?a) ?b]] [(r0 ?a ?b) [_ _ ?a] "
     "[(identity ?a) ?b]]"
     " [(r0 ?a ?b) [?a :to ?c] (r0 ?c ?b)]]"},
};

}  // namespace

TEST(DatalogRules, ClosuresOfRandomGraphs) {
  std::mt19937 random(5);
  for (int round = 0; round < 40; ++round) {
    Edges edges;
    int nodes = 2 + static_cast<int>(random() % 7);
    for (uint32_t i = random() % 12; i > 0; --i)
      edges.emplace(1 + random() % nodes, 1 + random() % nodes);
    std::string datoms = datoms_of(edges);
    Edges all = closure(edges);
    for (auto [name, rules] : kClosures) {
      SCOPED_TRACE(std::string(name) + " " + datoms);
      ASSERT_EQ(answer(datoms, "[:find ?a ?b :in $ % :where (r ?a ?b)]", {rules}), written(all));
      Edges from_one, to_one, loops;
      std::string both = "nil";
      for (auto [a, b] : all) {
        if (a == 1) from_one.emplace(b, 0);
        if (b == 1) to_one.emplace(a, 0);
        if (a == b) loops.emplace(a, 0);
        if (a == 1 && b == 2) both = "0";
      }
      ASSERT_EQ(answer(datoms, "[:find ?b ?z :in $ % :where (r 1 ?b) [(ground 0) ?z]]", {rules}),
                written(from_one));
      ASSERT_EQ(answer(datoms, "[:find ?a ?z :in $ % :where (r ?a 1) [(ground 0) ?z]]", {rules}),
                written(to_one));
      ASSERT_EQ(answer(datoms, "[:find ?a ?z :in $ % :where (r ?a ?a) [(ground 0) ?z]]", {rules}),
                written(loops));
      ASSERT_EQ(answer(datoms, "[:find ?z . :in $ % :where (r 1 2) [(ground 0) ?z]]", {rules}),
                both);
    }
  }
}

TEST(DatalogRules, LongChains) {
  std::string datoms = datoms_of(chain(10000));
  for (auto [name, rules] : kClosures) {
    if (std::string_view(name) == "nonlinear" || std::string_view(name) == "swapped" ||
        std::string_view(name) == "both ends")
      continue;
    EXPECT_EQ(answer(datoms, "[:find (count ?b) . :in $ % :where (r 1 ?b)]", {rules}), "9999")
        << name;
    EXPECT_EQ(answer(datoms, "[:find (count ?b) . :in $ % :where (r ?b 10000)]", {rules}), "9999")
        << name;
  }
}

TEST(DatalogRules, Negation) {
  const char* rules =
      "[[(r ?a ?b) [?a :to ?b]] [(r ?a ?b) [?a :to ?c] (r ?c ?b)]"
      " [(node ?a) (or [?a :to] [_ :to ?a])]"
      " [(apart ?a ?b) (node ?a) (node ?b) (not (r ?a ?b))]]";
  EXPECT_EQ(answer("[[1 :to 2] [2 :to 3]]", "[:find ?a ?b :in $ % :where (apart ?a ?b)]", {rules}),
            "[[1 1] [2 1] [2 2] [3 1] [3 2] [3 3]]");
  EXPECT_EQ(answer("[[1 :to 2]]", "[:find ?a :in $ % :where (p ?a)]",
                   {"[[(p ?a) [?a :to] (not (s ?a))] [(s ?a) [?a :to] (p ?a)]]"}),
            "42P19 rule p depends on its own negation");
}

TEST(DatalogRules, NestingIsBounded) {
  EXPECT_EQ(answer("[[1 :to 2]]", "[:find ?x :in $ $s % :where (r ?x)]",
                   {"[[1]]", "[[(r ?x) ($s or (r ?x) (r ?x))]]"})
                .substr(0, 5),
            "54001");
  for (bool negated : {false, true}) {
    auto chain = [&](int length) {
      std::string rules = "[";
      for (int i = 0; i < length; ++i) {
        std::string call = "(r" + std::to_string(i + 1) + " ?x)";
        rules += "[(r" + std::to_string(i) + " ?x) [?x :to] " +
                 (negated ? "(not " + call + ")" : call) + "]";
      }
      rules += "[(r" + std::to_string(length) + " ?x) [?x :to]]]";
      return answer("[[1 :to 2]]", "[:find ?x :in $ % :where (r0 ?x)]", {rules.c_str()});
    };
    EXPECT_EQ(chain(100), "[[1]]") << negated;
    EXPECT_EQ(chain(2000).substr(0, 5), "54001") << negated;
  }
}

TEST(DatalogRules, ACallMayNameAnotherSource) {
  EXPECT_EQ(answer("[[1 :p 1] [2 :p 2]]", "[:find ?x :in $ $s % :where (a ?x)]",
                   {"[[2 :p 0] [3 :p 0]]", "[[(a ?x) [?x :p] ($s b ?x)] [(b ?x) [?x :p]]]"}),
            "[[2]]");
}

TEST(DatalogRules, BoundArguments) {
  EXPECT_EQ(answer("[[1 :age 5] [2 :age 20]]", "[:find ?e :in $ % :where [?e :age ?a] (adult ?a)]",
                   {"[[(adult ?a) [(<= 18 ?a)]]]"}),
            "[[2]]");
  EXPECT_EQ(answer("[[1 :age 5]]", "[:find ?e :in $ % :where (p ?e)]", {"[[(p [?e]) [?e :age]]]"})
                .substr(0, 5),
            "42P10");
  EXPECT_EQ(answer("[[1 :age 5]]", "[:find ?e :in $ % :where [?e :age] (p ?e 5)]",
                   {"[[(p [?e] ?x) [?e :age ?x]]]"}),
            "[[1]]");
  EXPECT_EQ(answer("[]", "[:find ?e :in $ % :where (q ?e)]", {"[]"}), "42883 there is no rule q");
  EXPECT_EQ(
      answer("[]", "[:find ?e :in $ % :where (p ?e 1)]", {"[[(p ?e) [?e :age]]]"}).substr(0, 5),
      "42601");
}
