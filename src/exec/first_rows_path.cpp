// Planning "Datahike First Rows": the rows of a datahike table whose row_number(), rank() or
// dense_rank() in a window is at most a constant, without sorting all rows. PostgreSQL's planner
// has such conditions of an outer query as run conditions of the window, which it need not test
// again.
#include <algorithm>
#include <cmath>
#include <optional>

#include "column/vector/first_rows.h"
#include "exec/aggregate.h"
#include "exec/compile_types.h"
#include "pg/vector_settings.h"

extern "C" {
#include "access/stratnum.h"
#include "executor/nodeHash.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planner.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/selfuncs.h"
}

namespace datahike::exec {

namespace {

constexpr int64 kMostRows = 1000;  // of a group

// The ranking that a window function is; nullopt for others.
std::optional<vector::Ranking> ranking_of(const WindowFunc* function) {
  switch (function->winfnoid) {
    case F_ROW_NUMBER:
      return vector::Ranking::RowNumber;
    case F_RANK_:
      return vector::Ranking::Rank;
    case F_DENSE_RANK_:
      return vector::Ranking::DenseRank;
    default:
      return std::nullopt;
  }
}

WindowFunc* number_in(Node* node) {
  if (!IsA(node, WindowFunc)) return nullptr;
  auto* function = reinterpret_cast<WindowFunc*>(node);
  return ranking_of(function) && !function->aggfilter ? function : nullptr;
}

// row_number() < constant, and the like: the greatest number that it lets through; -1 for others.
int64 most_of(Node* condition, WindowFunc** function) {
  if (!IsA(condition, OpExpr)) return -1;
  auto* op = reinterpret_cast<OpExpr*>(condition);
  if (list_length(op->args) != 2) return -1;
  auto* left = static_cast<Node*>(linitial(op->args));
  auto* right = static_cast<Node*>(lsecond(op->args));
  int strategy = comparison_strategy(op->opno);
  bool below = strategy == BTLessStrategyNumber || strategy == BTLessEqualStrategyNumber;
  bool open = strategy == BTLessStrategyNumber || strategy == BTGreaterStrategyNumber;
  if (!below) {
    if (strategy != BTGreaterStrategyNumber && strategy != BTGreaterEqualStrategyNumber) return -1;
    std::swap(left, right);
  }
  auto* number = number_in(left);
  if (!number || !IsA(right, Const) || (*function && !equal(*function, number))) return -1;
  *function = number;
  auto* value = reinterpret_cast<Const*>(right);
  if (value->constisnull || !is_integer(value->consttype)) return -1;
  int64 most = static_cast<int64>(word_of(value->constvalue, value->consttype));
  return most < 1 || most > kMostRows ? -1 : most - open;
}

// False where the window's first rows are not known, or too many.
bool describe_window(PlannerInfo* root, WindowClause* window, AggregatePlan* plan,
                     WindowFunc** function) {
  int64 most = kMostRows + 1;
  ListCell* cell;
  foreach (cell, window->runCondition) {
    int64 of_this = most_of(static_cast<Node*>(lfirst(cell)), function);
    if (of_this < 1) return false;
    most = std::min(most, of_this);
  }
  if (most > kMostRows) return false;
  plan->first.most = static_cast<int>(most);
  foreach (cell, window->partitionClause)
    plan->keys = lappend(plan->keys, get_sortgroupclause_expr(lfirst_node(SortGroupClause, cell),
                                                              root->processed_tlist));
  plan->first.ranking = static_cast<int>(*ranking_of(*function));
  // All rows are equal then.
  if (plan->first.ranking != static_cast<int>(vector::Ranking::RowNumber) &&
      window->orderClause == NIL)
    return false;
  return take_order(root, window->orderClause, &plan->first);
}

Plan* make_plan(PlannerInfo*, RelOptInfo*, CustomPath* path, List* tlist, List*, List*) {
  AggregatePlan described = unpack(static_cast<List*>(linitial(path->custom_private)));
  auto* plan = makeNode(CustomScan);
  plan->scan.plan.targetlist = tlist;
  plan->scan.scanrelid = described.table;
  plan->flags = path->flags;
  plan->custom_private = pack(described);
  plan->custom_exprs = parameters_of(reinterpret_cast<Node*>(expressions_of(described)));
  plan->custom_scan_tlist = scan_tlist(static_cast<List*>(lsecond(path->custom_private)));
  plan->methods = &first_rows_scan_methods;
  return &plan->scan.plan;
}

const CustomPathMethods path_methods = {"Datahike First Rows", make_plan, nullptr};

// Of memory for a group, about.
double group_bytes(const AggregatePlan& plan, double peers) {
  constexpr double kKeyBytes = 24, kTextBytes = 64, kWord = 8, kPeersBytes = 48;
  double of_row = kWord * (2 + list_length(plan.first.order));
  if (plan.first.ranking != static_cast<int>(vector::Ranking::RowNumber))
    of_row += kPeersBytes + kWord * peers;
  double bytes = 12 + plan.first.most * of_row;
  ListCell* cell;
  foreach (cell, plan.keys)
    bytes += get_typbyval(exprType(static_cast<Node*>(lfirst(cell)))) ? kKeyBytes : kTextBytes;
  return bytes;
}

// Rows that are equal by keys and order, about.
double peers_of(PlannerInfo* root, RelOptInfo* input, const AggregatePlan& plan) {
  if (plan.first.ranking == static_cast<int>(vector::Ranking::RowNumber)) return 1;
  List* all = list_concat_copy(plan.keys, plan.first.order);
  return std::max(1.0, input->rows / estimate_num_groups(root, all, input->rows, nullptr, nullptr));
}

}  // namespace

bool take_order(PlannerInfo* root, List* clauses, FirstRowsPlan* first) {
  ListCell* cell;
  foreach (cell, clauses) {
    auto* clause = lfirst_node(SortGroupClause, cell);
    const int strategy = sort_strategy(clause->sortop);
    if (strategy == 0) return false;
    const int descending = strategy == BTGreaterStrategyNumber;
    first->order = lappend(first->order, get_sortgroupclause_expr(clause, root->processed_tlist));
    first->directions = lappend_int(first->directions, descending | (clause->nulls_first ? 2 : 0));
  }
  return true;
}

// False if that is not only columns and the rows' number.
bool take_columns(PlannerInfo* root, const PathTarget* target, const Node* number,
                  AggregatePlan* plan, List** vars) {
  auto* exprs = reinterpret_cast<Node*>(target->exprs);
  if (contain_volatile_functions(exprs)) return false;
  ListCell* cell;
  foreach (cell, pull_var_clause(exprs, PVC_INCLUDE_WINDOWFUNCS | PVC_INCLUDE_PLACEHOLDERS)) {
    auto* part = static_cast<Node*>(lfirst(cell));
    if (number && equal(part, number)) continue;
    if (!IsA(part, Var)) return false;
    auto* var = reinterpret_cast<Var*>(part);
    if (var->varno != static_cast<int>(plan->table) || var->varattno <= 0) return false;
    if (list_member_int(plan->first.columns, var->varattno)) continue;
    plan->first.columns = lappend_int(plan->first.columns, var->varattno);
    *vars = lappend(*vars, var);
  }
  return planner_rt_fetch(plan->table, root)->rtekind == RTE_RELATION;
}

CustomPath* make_first_rows_path(RelOptInfo* parent, PathTarget* target, const AggregatePlan& plan,
                                 List* outputs, double rows, Cost startup) {
  auto* path = makeNode(CustomPath);
  path->path.pathtype = T_CustomScan;
  path->path.parent = parent;
  path->path.pathtarget = target;
  path->path.rows = rows;
  path->path.startup_cost = startup;
  path->path.total_cost =
      startup + target->cost.startup + rows * (cpu_tuple_cost + target->cost.per_tuple);
  path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
  path->custom_private = list_make2(pack(plan), outputs);
  path->methods = &path_methods;
  return path;
}

void add_first_rows_path(PlannerInfo* root, RelOptInfo* input, RelOptInfo* output) {
  constexpr double kMostPasses = 8;
  Query* query = root->parse;
  if (!pg::setting_vectorized || query->hasAggs || query->groupClause != NIL ||
      query->groupingSets != NIL || list_length(query->windowClause) != 1)
    return;
  JoinSides sides;
  if (input->reloptkind != RELOPT_BASEREL || !describe_input(root, input, &sides) ||
      sides.probe->tuples < pg::setting_vectorized_min_rows)
    return;
  AggregatePlan plan{};
  plan.table = sides.probe->relid;
  auto* window = linitial_node(WindowClause, query->windowClause);
  const PathTarget* target = root->upper_targets[UPPERREL_WINDOW];
  WindowFunc* function = nullptr;
  List* outputs = NIL;
  if (!take_filters(root, sides.probe, &plan.filters) ||
      !describe_window(root, window, &plan, &function) ||
      !take_columns(root, target, reinterpret_cast<Node*>(function), &plan, &outputs) ||
      !can_run(planner_rt_fetch(plan.table, root), plan))
    return;
  const double groups =
      plan.keys == NIL ? 1 : estimate_num_groups(root, plan.keys, input->rows, nullptr, nullptr);
  const double peers = peers_of(root, input, plan);
  const double passes =
      std::ceil(groups * group_bytes(plan, peers) / static_cast<double>(get_hash_memory_limit()));
  if (passes > (plan.keys == NIL ? 1 : kMostPasses)) return;
  const double rows = clamp_row_est(std::min(input->rows, groups * plan.first.most * peers));
  const Cost startup = run_cost(input, sides, plan, std::max(passes, 1.0)) +
                       rows * (list_length(outputs) + 1) * cpu_operator_cost;
  CustomPath* path = make_first_rows_path(output, const_cast<PathTarget*>(target), plan,
                                          lappend(outputs, function), rows, startup);
  add_path(output, &path->path);
}

}  // namespace datahike::exec
