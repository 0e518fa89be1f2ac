// Planning ORDER BY ... LIMIT n of a datahike table as "Datahike First Rows" of one group: the
// engine finds the first n rows by the columns that they are ordered by, and only these are read
// whole.
#include <algorithm>

#include "column/vector/first_rows.h"
#include "exec/aggregate.h"
#include "pg/vector_settings.h"

extern "C" {
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
}

namespace datahike::exec {

// (What the planner keeps as limit_tuples is of queries without groups.)
int most_rows(const Query* query) {
  constexpr int64 kMost = 1000;
  int64 rows = 0;
  for (Node* node : {query->limitCount, query->limitOffset}) {
    if (!node && node == query->limitOffset) continue;
    if (!node || !IsA(node, Const) || reinterpret_cast<Const*>(node)->constisnull) return 0;
    int64 value = DatumGetInt64(reinterpret_cast<Const*>(node)->constvalue);
    if (value < 0 || value > kMost) return 0;
    rows += value;
  }
  return rows > kMost ? 0 : static_cast<int>(rows);
}

void add_top_rows_path(PlannerInfo* root, RelOptInfo* input, RelOptInfo* output) {
  Query* query = root->parse;
  const int most = query->limitOption == LIMIT_OPTION_COUNT ? most_rows(query) : 0;
  if (!pg::setting_vectorized || most == 0 || query->hasAggs || query->groupClause != NIL ||
      query->groupingSets != NIL || query->hasWindowFuncs || query->distinctClause != NIL ||
      query->setOperations || query->havingQual || root->sort_pathkeys == NIL)
    return;
  JoinSides sides;
  if (input->reloptkind != RELOPT_BASEREL || !describe_input(root, input, &sides) ||
      sides.probe->tuples < pg::setting_vectorized_min_rows)
    return;
  AggregatePlan plan{};
  plan.table = sides.probe->relid;
  plan.first.most = most;
  plan.first.ranking = static_cast<int>(vector::Ranking::RowNumber);
  plan.first.sorted = true;
  PathTarget* target = root->upper_targets[UPPERREL_ORDERED];
  List* outputs = NIL;
  if (!take_filters(root, sides.probe, &plan.filters) ||
      !take_order(root, query->sortClause, &plan.first) ||
      !take_columns(root, target, nullptr, &plan, &outputs) ||
      !can_run(planner_rt_fetch(plan.table, root), plan))
    return;
  // In the place of a row's number.
  Const* number = makeConst(INT8OID, -1, InvalidOid, 8, Int64GetDatum(0), false, true);
  const double rows = clamp_row_est(std::min(input->rows, static_cast<double>(most)));
  const Cost startup =
      run_cost(input, sides, plan, 1) + rows * (list_length(outputs) + 1) * cpu_operator_cost;
  CustomPath* path =
      make_first_rows_path(output, target, plan, lappend(outputs, number), rows, startup);
  path->path.pathkeys = root->sort_pathkeys;
  add_path(output, &path->path);
}

}  // namespace datahike::exec
