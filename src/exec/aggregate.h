// The custom scan "Datahike Aggregate": grouping and aggregates of one table, by the vector engine.
#pragma once

#include "exec/compile.h"
#include "column/vector/aggregation.h"
#include "column/vector/build_table.h"
#include "column/vector/parallel.h"

extern "C" {
#include "nodes/extensible.h"
#include "nodes/plannodes.h"
}

namespace datahike::exec {

// Of each group's rows, by `order`, those whose number is at most `most`. `directions`: of each,
// bit 0: descending, bit 1: NULLs first. `columns`: attribute numbers of what is returned.
struct FirstRowsPlan {
  int most;  // 0: aggregates are wanted
  List *order, *directions, *columns;
  int ranking;  // vector::Ranking
  bool sorted;  // returned in that order, of one group
};

// What a plan says (custom_private), in terms of the query's own expressions: the table that their
// Vars are of, conditions, keys, and aggregates. The plan's custom_scan_tlist has the keys and then
// the aggregates; its custom_exprs are the parameters in all of them.
struct AggregatePlan {
  Index table;
  List *filters, *keys, *aggregates;
  // A join with another relation, whose rows the plan's child returns.
  Index build;       // 0: none; else a relation of it, which may be several, joined
  int join_kind;     // vector::Join::Kind
  List* conditions;  // table's value = build side's column
  List* columns;     // build_code() (integers) of what the child returns, 0: none
  // ORDER BY a count LIMIT: how many groups are returned, 0: all; by which of the aggregates.
  int top;
  int top_by;
  bool descending;
  // The first rows of each group instead of aggregates.
  FirstRowsPlan first;
};
List* pack(const AggregatePlan& plan);
AggregatePlan unpack(const List* packed);
// All that bind_parameters() is to see.
List* expressions_of(const AggregatePlan& plan);
void set_expressions(AggregatePlan& plan, List* expressions);

// A join as the planner sees it (join_path.cpp).
struct JoinSides {
  RelOptInfo *probe, *build;
  vector::Join::Kind kind;
  List* conditions;
};
// False if it is none of a plain table with something that can be read first.
bool describe_join(PlannerInfo* root, RelOptInfo* join, JoinSides* sides);
bool is_plain_table(PlannerInfo* root, RelOptInfo* rel);
// A datahike table, or a foreign table of another store.
bool is_read_by_column(PlannerInfo* root, RelOptInfo* rel);
// build_code() of what a plan of the build side returns.
List* columns_of(const Plan* plan);

// Compiles all of it; false if some of it does not compile.
bool compile(Compiler& compiler, const AggregatePlan& plan);

// The result of an aggregate for a group. May raise a PostgreSQL error; owns nothing with a
// destructor. `type` is the result's.
Datum aggregate_result(const vector::Aggregation& groups, const Output& output, uint32_t group,
                       Oid type, bool* isnull);

// A sum of scaled integers as a numeric.
Datum sum_as_numeric(const vector::DecimalSum& sum, int scale);

// A scaled integer as a numeric, kNaNDecimal as NaN.
Datum decimal_numeric(int64_t value, int scale);

// A word as a value of a type that is held as an integer (but a numeric).
Datum word_as(int64_t word, Oid type);
// Of a percentile or a mode, likewise (percentiles.cpp).
Datum of_ordered_values(const vector::State& values, const Output& output, uint32_t group, Oid type,
                        bool* isnull);

// Of an aggregate whose form is Count or Distinct.
int64_t count_of(const vector::Aggregation& groups, const Output& output, uint32_t group);

struct TopGroup {
  int64_t count;
  uint32_t part, group;
};
// The first groups by a count, at most `most` of them, in their order; returns how many.
size_t top_groups(const vector::ParallelAggregation& all, const vector::Program& program,
                  const Output& output, bool descending, size_t most, TopGroup* out);

Node* create_aggregate_state(CustomScan* plan);  // aggregate_scan.cpp
extern const CustomScanMethods aggregate_scan_methods;
Node* create_first_rows_state(CustomScan* plan);  // first_rows_scan.cpp
extern const CustomScanMethods first_rows_scan_methods;

// What paths of both are made of (aggregate_path.cpp). The table, or a join, that `input` is; false
// if it is none that is scanned by column.
bool describe_input(PlannerInfo* root, RelOptInfo* input, JoinSides* sides);
bool take_filters(PlannerInfo* root, RelOptInfo* rel, List** filters);
// Whether the table is a datahike table and all of the plan compiles.
bool can_run(RangeTblEntry* entry, const AggregatePlan& plan);
Cost run_cost(RelOptInfo* input, const JoinSides& sides, const AggregatePlan& plan, double passes);
// PostgreSQL 15 declares walkers without parameters.
template <class F>
auto untyped(F* walker) {
  return reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(walker));
}
void add_first_rows_path(PlannerInfo* root, RelOptInfo* input, RelOptInfo* output);
void add_window_path(PlannerInfo* root, RelOptInfo* input, RelOptInfo* output);
extern const CustomScanMethods window_scan_methods;  // window_scan.cpp
// ORDER BY ... LIMIT n of a table (top_rows_path.cpp).
void add_top_rows_path(PlannerInfo* root, RelOptInfo* input, RelOptInfo* output);
// How many rows LIMIT and OFFSET let through at most; 0 where that is not known, or is too many.
int most_rows(const Query* query);
// What both are made of (first_rows_path.cpp). False if not all can be computed by column.
bool take_order(PlannerInfo* root, List* clauses, FirstRowsPlan* first);
// What rows are made of, as Vars; `number`: the window function among them, if there is one.
bool take_columns(PlannerInfo* root, const PathTarget* target, const Node* number,
                  AggregatePlan* plan, List** vars);
// `outputs`: the columns, and what stands for a row's number.
CustomPath* make_first_rows_path(RelOptInfo* parent, PathTarget* target, const AggregatePlan& plan,
                                 List* outputs, double rows, Cost startup);

}  // namespace datahike::exec
