#include "datalog_world.h"

using namespace datahike;
using namespace datahike::datalog;

namespace {

const char* const kPeople =
    "[[1 :name \"Ann\"] [1 :age 30] [1 :likes 2] [2 :name \"Bob\"] [2 :age 17] [2 :likes 3]"
    " [3 :name \"Cy\"] [3 :age 44] [3 :likes 1] [4 :name \"Di\"] [4 :nick \"D\"]]";

std::string q(const char* query, std::vector<const char*> inputs = {}) {
  return answer(kPeople, query, std::move(inputs));
}

}  // namespace

TEST(DatalogQuery, Shapes) {
  EXPECT_EQ(q("[:find ?n :where [_ :name ?n]]"), "[[\"Ann\"] [\"Bob\"] [\"Cy\"] [\"Di\"]]");
  EXPECT_EQ(q("[:find [?n ...] :where [_ :name ?n]]"), "[\"Ann\" \"Bob\" \"Cy\" \"Di\"]");
  EXPECT_EQ(q("[:find ?a . :where [?e :name \"Ann\"] [?e :age ?a]]"), "30");
  EXPECT_EQ(q("[:find [?n ?a] :where [2 :name ?n] [2 :age ?a]]"), "[\"Bob\" 17]");
  EXPECT_EQ(q("[:find ?a . :where [9 :age ?a]]"), "nil");
  EXPECT_EQ(q("[:find ?n ?a :keys name age :where [?e :name ?n] [?e :age ?a] [(< ?a 20)]]"),
            "[{:age 17, :name \"Bob\"}]");
  EXPECT_EQ(q("{:find [?n] :where [[_ :name ?n]] :order-by [?n :desc] :limit 2 :offset 1}"),
            "[[\"Cy\"] [\"Bob\"]]");
}

TEST(DatalogQuery, Joins) {
  EXPECT_EQ(q("[:find ?a ?b :where [?x :likes ?y] [?x :name ?a] [?y :name ?b]]"),
            "[[\"Ann\" \"Bob\"] [\"Bob\" \"Cy\"] [\"Cy\" \"Ann\"]]");
  EXPECT_EQ(q("[:find ?a :where [?a ?a ?a]]"), "[]");
  EXPECT_EQ(q("[:find ?e ?a :in $ ?v :where [?e ?a ?v]]", {"17"}), "[[2 :age]]");
}

TEST(DatalogQuery, Inputs) {
  EXPECT_EQ(q("[:find [?e ...] :in $ [?n ...] :where [?e :name ?n]]", {"[\"Ann\" \"Di\"]"}),
            "[1 4]");
  EXPECT_EQ(q("[:find ?e ?x :in $ [[?n ?x]] :where [?e :name ?n]]", {"[[\"Ann\" 7] [\"Zoe\" 8]]"}),
            "[[1 7]]");
  EXPECT_EQ(q("[:find ?e . :in $ [?n _] :where [?e :name ?n]]", {"[\"Cy\" 1]"}), "3");
  EXPECT_EQ(q("[:find ?n ?c :in $ $2 :where [?e :name ?n] [$2 ?e ?c]]", {"[[1 :red] [3 :blue]]"}),
            "[[\"Ann\" :red] [\"Cy\" :blue]]");
}

TEST(DatalogQuery, Negation) {
  EXPECT_EQ(q("[:find [?n ...] :where [?e :name ?n] (not [?e :age])]"), "[\"Di\"]");
  EXPECT_EQ(q("[:find [?n ...] :where [?e :name ?n] (not [?e :age ?a] [(> ?a 20)])]"),
            "[\"Bob\" \"Di\"]");
  EXPECT_EQ(q("[:find [?n ...] :where [?e :name ?n] (not-join [?e] [?e :likes ?o] [?o :age 44])]"),
            "[\"Ann\" \"Cy\" \"Di\"]");
}

TEST(DatalogQuery, Disjunction) {
  EXPECT_EQ(q("[:find [?e ...] :where (or [?e :age 30] [?e :nick \"D\"])]"), "[1 4]");
  EXPECT_EQ(q("[:find [?e ...] :where [?e :name] (or-join [?e] (and [?e :likes ?o] [?o :age 17]) "
              "[?e :nick])]"),
            "[1 4]");
}

TEST(DatalogQuery, Functions) {
  EXPECT_EQ(q("[:find ?n ?b :where [?e :name ?n] [?e :age ?a] [(+ ?a 10) ?b] [(<= 40 ?b)]]"),
            "[[\"Ann\" 40] [\"Cy\" 54]]");
  EXPECT_EQ(q("[:find ?n ?a :where [?e :name ?n] [(get-else $ ?e :age -1) ?a] [(< ?a 20)]]"),
            "[[\"Bob\" 17] [\"Di\" -1]]");
  EXPECT_EQ(q("[:find ?v . :where [?e :name \"Di\"] [(get-some $ ?e :age :nick) [?a ?v]]]"),
            "\"D\"");
  EXPECT_EQ(q("[:find [?n ...] :where [?e :name ?n] [(missing? $ ?e :age)]]"), "[\"Di\"]");
  EXPECT_EQ(q("[:find [?x ...] :where [(ground [3 1 2]) [?x ...]] [(odd? ?x)]]"), "[1 3]");
  EXPECT_EQ(q("[:find ?a ?b :where [(tuple 1 \"x\") ?t] [(untuple ?t) [?a ?b]]]"), "[[1 \"x\"]]");
  EXPECT_EQ(q("[:find ?m . :where [(q [:find (max ?a) . :where [_ :age ?a]] $) ?m]]"), "44");
}

TEST(DatalogQuery, Aggregates) {
  EXPECT_EQ(q("[:find (count ?e) . :where [?e :name]]"), "4");
  EXPECT_EQ(q("[:find (sum ?a) (avg ?a) (median ?a) (min ?a) (max ?a) :where [_ :age ?a]]"),
            "[[91 30.333333333333332 30.0 17 44]]");
  EXPECT_EQ(q("[:find (min 2 ?a) (max 2 ?a) :where [_ :age ?a]]"), "[[[17 30] [30 44]]]");
  EXPECT_EQ(q("[:find ?o (count ?e) :where [?e :age ?a] [(odd? ?a) ?o]]"), "[[false 2] [true 1]]");
  EXPECT_EQ(q("[:find (sum ?x) :with ?e :where [?e :age] [(ground 2) ?x]]"), "[[6]]");
  EXPECT_EQ(q("[:find (sum ?x) :where [?e :age] [(ground 2) ?x]]"), "[[2]]");
  EXPECT_EQ(q("[:find (count ?e) . :where [?e :none]]"), "nil");
  EXPECT_EQ(
      q("[:find (variance ?x) (stddev ?x) (distinct ?x) (count-distinct ?x) :in $ [?x ...] :where]",
        {"[2 4 4 6]"}),
      "[[2.6666666666666665 1.632993161855452 #{2 4 6} 3]]");
}

TEST(DatalogQuery, Errors) {
  EXPECT_EQ(q("[:find ?x :where [?e :name ?n]]"),
            "42P10 variable ?x of the query is bound by nothing");
  EXPECT_EQ(q("[:find ?n :where [?e :name ?n] [(< ?x 3)]]"),
            "42P10 variables of [(< ?x 3)] are bound by no other clause");
  EXPECT_EQ(q("[:find ?n :where [?e :name ?n] [(nope ?n)]]"),
            "42883 there is no function nope that queries may call");
  EXPECT_EQ(q("[:find ?n :where [?e :name ?n] [(< ?n 3)]]").substr(0, 5), "42804");
  EXPECT_EQ(q("[:where [?e :name ?n]]"), "42601 a query has no :find: [:where [?e :name ?n]]");
  EXPECT_EQ(q("[:find ?n :in $ ?n :where [?e :name ?n]]"),
            "42601 the query has 2 inputs in :in, and is given 1");
  EXPECT_EQ(q("[:find ?n :where [?e :name ?n] (not [?x :age])]").substr(0, 5), "42P10");
  EXPECT_EQ(q("[:find (nope ?n) :where [?e :name ?n]]").substr(0, 5), "42883");
  EXPECT_EQ(q("[:find ?b :where [_ :age ?a] [(/ ?a 0) ?b]]"), "22012 division by zero");
}

TEST(DatalogQuery, WhatOnlyNegationNamesIsNotBound) {
  EXPECT_EQ(q("[:find ?x ?y :in $ $d :where [$d ?x _] (not [$d ?y ?x])]", {"[[1 2]]"}),
            "42P10 variable ?y of the query is bound by nothing");
  EXPECT_EQ(q("[:find ?x ?y :in $ $d ?y :where [$d ?x _] (not [$d ?y ?x])]", {"[[1 2]]", "1"}),
            "[[1 1]]");
  const char* rule = "[[(r ?x ?y) [?x :age] (not [?y :nick ?x])]]";
  EXPECT_EQ(q("[:find ?x ?y :in $ % :where (r ?x ?y)]", {rule}).substr(0, 5), "42P10");
  EXPECT_EQ(q("[:find ?x ?y :in $ % :where [?y :nick] (r ?x ?y)]", {rule}), "[[1 4] [2 4] [3 4]]");
  EXPECT_EQ(q("[:find ?x ?y :where (or-join [?x ?y] (and [?x :age] (not [?y :nick ?x]))"
              " [?x :likes ?y])]")
                .substr(0, 5),
            "42P10");
  EXPECT_EQ(q("[:find ?x ?y :where [?y :nick] (or-join [?x ?y] (and [?x :age]"
              " (not [?y :nick ?x])) [?x :likes ?y])]"),
            "[[1 4] [2 4] [3 4]]");
}

TEST(DatalogQuery, ASourceIsACollection) {
  for (const char* no : {"5", "nil", "\"text\"", "{}"})
    EXPECT_EQ(q("[:find ?x :in $ $d :where [$d ?x]]", {no}).substr(0, 5), "42804") << no;
}

TEST(DatalogQuery, MemoryIsBounded) {
  std::string tuples = "[";
  for (int i = 0; i < 3000; ++i)
    tuples += "[" + std::to_string(i) + " :x " + std::to_string(i) + "]";
  EXPECT_EQ(answer(tuples + "]", "[:find ?a ?b ?c :where [?a :x] [?b :x] [?c :x]]", {}, 4 << 20)
                .substr(0, 5),
            "53200");
}

TEST(DatalogQuery, Pull) {
  EXPECT_EQ(q("[:find (pull ?e [:name {:likes [:name]}]) . :where [?e :age 30]]"),
            "{:likes {:name \"Bob\"}, :name \"Ann\"}");
  EXPECT_EQ(q("[:find (pull ?e [*]) . :where [?e :age 30]]"),
            "{:age 30, :likes {:db/id 2}, :name \"Ann\", :db/id 1}");
  EXPECT_EQ(q("[:find (pull ?e [:db/id {:_likes [:name]}]) . :where [?e :age 30]]"),
            "{:_likes [{:name \"Cy\"}], :db/id 1}");
  EXPECT_EQ(q("[:find (pull ?e [(:age :default 0) [:name :as :n]]) . :where [?e :nick]]"),
            "{:age 0, :n \"Di\"}");
  EXPECT_EQ(q("[:find (pull ?e [:name {:likes ...}]) . :where [?e :age 30]]"),
            "{:likes {:likes {:likes {:db/id 1}, :name \"Cy\"}, :name \"Bob\"}, :name \"Ann\"}");
  EXPECT_EQ(q("[:find (pull ?e [:name {:likes 1}]) . :where [?e :age 30]]"),
            "{:likes {:name \"Bob\"}, :name \"Ann\"}");
}
