// Planning "Datahike Window": window functions over one datahike table, where all that they need
// compiles and fits into the memory. All else is left to PostgreSQL, whose own plan is the path's
// child as well, for where the rows turn out to be too many, or a value raises an error.
#include <cmath>

#include "exec/compile_types.h"
#include "exec/window.h"
#include "pg/vector_settings.h"

extern "C" {
#include "access/stratnum.h"
#include "catalog/pg_aggregate_d.h"
#include "catalog/pg_operator_d.h"
#include "executor/nodeHash.h"
#include "optimizer/cost.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planner.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/acl.h"
#include "utils/selfuncs.h"
}

namespace datahike::exec {

namespace {

struct Described {
  AggregatePlan plan;  // its keys: the sources
  WindowPlan window;
  List* clauses;    // of the windows
  List* inputs;     // what the rows below PostgreSQL's own nodes have
  List* outputs;    // what rows are made of: Vars, and then the functions
  List* functions;  // the functions alone
};

// extract() and the like are read as other types than they are of.
bool is_source(Node* node) {
  node = strip(node);
  if (!node || !IsA(node, FuncExpr)) return true;
  auto* call = reinterpret_cast<FuncExpr*>(node);
  const Oid type = call->funcresulttype;
  if (type == FLOAT8OID)
    return call->funcid == F_FLOAT8_INT2 || call->funcid == F_FLOAT8_INT4 ||
           call->funcid == F_FLOAT8_INT8 || call->funcid == F_FLOAT8_FLOAT4;
  return is_int_like(type);
}

// The source's number; -1 if it cannot be one.
int source_of(Described* d, Node* node) {
  constexpr int kMostSources = 32;
  int number = 0;
  ListCell* cell;
  foreach (cell, d->plan.keys) {
    if (equal(lfirst(cell), node)) return number;
    ++number;
  }
  if (number == kMostSources || !is_source(node)) return -1;
  d->plan.keys = lappend(d->plan.keys, node);
  return number;
}

// Text is ordered here by its bytes.
int order_strategy(const SortGroupClause* clause, Node* node) {
  if (const int strategy = sort_strategy(clause->sortop)) return strategy;
  const Oid type = exprType(node);
  if (type != TEXTOID || !lc_collate_is_c(exprCollation(node))) return 0;
  constexpr Oid kTextGreater = 666;  // pg_operator has no name for it
  if (clause->sortop == TextLessOperator) return BTLessStrategyNumber;
  return clause->sortop == kTextGreater ? BTGreaterStrategyNumber : 0;
}

bool take_terms(PlannerInfo* root, List* clauses, Described* d, WindowOfPlan* window) {
  ListCell* cell;
  foreach (cell, clauses) {
    auto* clause = lfirst_node(SortGroupClause, cell);
    Node* node = get_sortgroupclause_expr(clause, root->processed_tlist);
    const int strategy = order_strategy(clause, node);
    const int source = strategy == 0 ? -1 : source_of(d, node);
    if (source < 0) return false;
    const int descending = strategy == BTGreaterStrategyNumber;
    window->order = lappend_int(window->order, source);
    window->directions =
        lappend_int(window->directions, descending | (clause->nulls_first ? 2 : 0));
  }
  return true;
}

bool take_windows(PlannerInfo* root, Described* d) {
  ListCell* cell;
  foreach (cell, d->clauses) {
    auto* clause = lfirst_node(WindowClause, cell);
    WindowOfPlan window{NIL, NIL, list_length(clause->partitionClause)};
    if (!take_terms(root, clause->partitionClause, d, &window) ||
        !take_terms(root, clause->orderClause, d, &window))
      return false;
    d->window.windows = lappend(d->window.windows, pack(window));
  }
  return true;
}

// How many rows a bound is away: a constant, of as many as there can be.
bool take_rows(Node* offset, int* rows) {
  constexpr int64 kMost = 1 << 30;
  auto* value = reinterpret_cast<Const*>(offset);
  if (!value || !IsA(value, Const) || value->constisnull || value->consttype != INT8OID)
    return false;
  const int64 found = DatumGetInt64(value->constvalue);
  *rows = static_cast<int>(found);
  return found >= 0 && found <= kMost;
}

bool take_frame(const WindowClause* window, WindowFunction* f) {
  const int options = window->frameOptions;
  if (options & FRAMEOPTION_EXCLUSION) return false;
  const bool by_row = options & FRAMEOPTION_ROWS;
  f->begin = f->end = by_row ? WindowFunction::Row : WindowFunction::Peers;
  if (options & FRAMEOPTION_START_UNBOUNDED_PRECEDING) {
    f->begin = WindowFunction::Partition;
  } else if (!(options & FRAMEOPTION_START_CURRENT_ROW)) {
    if (!by_row || !take_rows(window->startOffset, &f->begin_rows)) return false;
    if (options & FRAMEOPTION_START_OFFSET_PRECEDING) f->begin_rows = -f->begin_rows;
  }
  if (options & FRAMEOPTION_END_UNBOUNDED_FOLLOWING) {
    f->end = WindowFunction::Partition;
  } else if (!(options & FRAMEOPTION_END_CURRENT_ROW)) {
    if (!by_row || !take_rows(window->endOffset, &f->end_rows)) return false;
    if (options & FRAMEOPTION_END_OFFSET_PRECEDING) f->end_rows = -f->end_rows;
  }
  return true;
}

// -1: none that is computed here.
int kind_of(Oid function) {
  switch (function) {
    case F_ROW_NUMBER:
      return WindowFunction::RowNumber;
    case F_RANK_:
      return WindowFunction::Rank;
    case F_DENSE_RANK_:
      return WindowFunction::DenseRank;
    case F_PERCENT_RANK_:
      return WindowFunction::PercentRank;
    case F_CUME_DIST_:
      return WindowFunction::CumulativeDistribution;
    case F_NTILE:
      return WindowFunction::Tile;
    case F_NTH_VALUE:
      return WindowFunction::NthValue;
    case F_LAG_ANYELEMENT:
    case F_LAG_ANYELEMENT_INT4:
    case F_LAG_ANYCOMPATIBLE_INT4_ANYCOMPATIBLE:
    case F_LEAD_ANYELEMENT:
    case F_LEAD_ANYELEMENT_INT4:
    case F_LEAD_ANYCOMPATIBLE_INT4_ANYCOMPATIBLE:
      return WindowFunction::Lag;
    case F_FIRST_VALUE:
      return WindowFunction::FirstValue;
    case F_LAST_VALUE:
      return WindowFunction::LastValue;
    case F_COUNT_:
      return WindowFunction::CountRows;
    case F_COUNT_ANY:
      return WindowFunction::Count;
    case F_SUM_INT2:
    case F_SUM_INT4:
      return WindowFunction::SumInteger;
    case F_SUM_INT8:
    case F_SUM_NUMERIC:
      return WindowFunction::SumNumeric;
    case F_AVG_INT2:
    case F_AVG_INT4:
    case F_AVG_INT8:
    case F_AVG_NUMERIC:
      return WindowFunction::AverageNumeric;
    case F_SUM_FLOAT8:
      return WindowFunction::SumReal;
    case F_SUM_FLOAT4:
      return WindowFunction::SumSingle;
    case F_AVG_FLOAT4:
    case F_AVG_FLOAT8:
      return WindowFunction::AverageReal;
    case F_MIN_INT2:
    case F_MIN_INT4:
    case F_MIN_INT8:
    case F_MIN_DATE:
    case F_MIN_TIMESTAMP:
    case F_MIN_TIMESTAMPTZ:
    case F_MIN_NUMERIC:
      return WindowFunction::MinWord;
    case F_MAX_INT2:
    case F_MAX_INT4:
    case F_MAX_INT8:
    case F_MAX_DATE:
    case F_MAX_TIMESTAMP:
    case F_MAX_TIMESTAMPTZ:
    case F_MAX_NUMERIC:
      return WindowFunction::MaxWord;
    case F_MIN_FLOAT4:
    case F_MIN_FLOAT8:
      return WindowFunction::MinReal;
    case F_MAX_FLOAT4:
    case F_MAX_FLOAT8:
      return WindowFunction::MaxReal;
    default:
      return -1;
  }
}

// How many places further, and what stands for a row that is not there: constants.
bool take_offset(const WindowFunc* call, WindowFunction* f) {
  const bool back = call->winfnoid == F_LAG_ANYELEMENT || call->winfnoid == F_LAG_ANYELEMENT_INT4 ||
                    call->winfnoid == F_LAG_ANYCOMPATIBLE_INT4_ANYCOMPATIBLE;
  int32 offset = 1;
  if (list_length(call->args) > 1) {
    auto* value = static_cast<Const*>(lsecond(call->args));
    if (!IsA(value, Const) || value->constisnull || value->consttype != INT4OID) return false;
    offset = DatumGetInt32(value->constvalue);
    if (offset == PG_INT32_MIN) return false;
  }
  f->offset = back ? -offset : offset;
  if (list_length(call->args) > 2) {
    f->other = static_cast<Const*>(lthird(call->args));
    if (!IsA(f->other, Const) || f->other->consttype != call->wintype) return false;
  }
  return true;
}

// A constant above 0; false for others.
bool take_count(Node* node, int* count) {
  auto* value = reinterpret_cast<Const*>(node);
  if (!IsA(node, Const) || value->constisnull || value->consttype != INT4OID) return false;
  *count = DatumGetInt32(value->constvalue);
  return *count > 0;
}

// The number of the aggregate that counts the rows that pass.
bool take_filter(Described* d, const WindowFunc* call, WindowFunction* f) {
  f->filter = -1;
  if (!call->aggfilter) return true;
  // Whoever may not count would be refused when it is executed.
  if (pg_proc_aclcheck(F_COUNT_, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK) return false;
  auto* count = makeNode(Aggref);
  count->aggfnoid = F_COUNT_;
  count->aggtype = INT8OID;
  count->aggtranstype = INT8OID;
  count->aggstar = true;
  count->aggkind = AGGKIND_NORMAL;
  count->aggsplit = AGGSPLIT_SIMPLE;
  count->aggfilter = call->aggfilter;
  f->filter = 0;
  ListCell* cell;
  foreach (cell, d->plan.aggregates) {
    if (equal(lfirst(cell), count)) return true;
    ++f->filter;
  }
  d->plan.aggregates = lappend(d->plan.aggregates, count);
  return true;
}

// The window's number among those that are computed; -1: none of them.
int window_of(const Described* d, const WindowFunc* call) {
  int number = 0;
  ListCell* cell;
  foreach (cell, d->clauses) {
    if (lfirst_node(WindowClause, cell)->winref == call->winref) return number;
    ++number;
  }
  return -1;
}

bool take_function(Described* d, const WindowFunc* call) {
  WindowFunction f{};
  f.kind = kind_of(call->winfnoid);
  f.window = window_of(d, call);
  f.type = call->wintype;
  f.source = -1;
  if (f.kind < 0 || f.window < 0 || !take_filter(d, call, &f) ||
      !take_frame(list_nth_node(WindowClause, d->clauses, f.window), &f))
    return false;
  if (f.kind == WindowFunction::Tile) {
    if (!take_count(static_cast<Node*>(linitial(call->args)), &f.offset)) return false;
  } else if (call->args != NIL) {
    auto* argument = static_cast<Node*>(linitial(call->args));
    f.source = source_of(d, argument);
    if (f.source < 0) return false;
    // What is returned is of the argument's own type.
    const bool returned = f.kind == WindowFunction::Lag || f.kind == WindowFunction::FirstValue ||
                          f.kind == WindowFunction::LastValue || f.kind == WindowFunction::NthValue;
    if (returned && exprType(argument) != f.type) return false;
    if (f.kind == WindowFunction::Lag && !take_offset(call, &f)) return false;
    if (f.kind == WindowFunction::NthValue) {
      if (!take_count(static_cast<Node*>(lsecond(call->args)), &f.offset)) return false;
      --f.offset;
    }
  }
  d->window.functions = lappend(d->window.functions, pack(f));
  return true;
}

// True where something is neither an input nor a function nor made of such.
bool collect_output(Node* node, void* context) {
  if (!node) return false;
  auto* d = static_cast<Described*>(context);
  if (IsA(node, WindowFunc)) {
    if (list_member(d->functions, node)) return false;
    if (!take_function(d, reinterpret_cast<WindowFunc*>(node))) return true;
    d->functions = lappend(d->functions, node);
    return false;
  }
  if (list_member(d->inputs, node)) {
    if (list_member(d->outputs, node)) return false;
    const int source = source_of(d, node);
    if (source < 0) return true;
    d->window.columns = lappend_int(d->window.columns, source);
    d->outputs = lappend(d->outputs, node);
    return false;
  }
  if (IsA(node, Var) || IsA(node, PlaceHolderVar)) return true;
  return expression_tree_walker(node, untyped(collect_output), context);
}

// Of the target: what it is made of. An expression that rows are sorted by is one input.
bool take_outputs(const PathTarget* target, Described* d) {
  auto* exprs = reinterpret_cast<Node*>(target->exprs);
  if (contain_volatile_functions(exprs) || collect_output(exprs, d)) return false;
  d->outputs = list_concat(d->outputs, list_copy(d->functions));
  return d->functions != NIL;
}

// Of memory for the rows, about.
double bytes_of(PlannerInfo* root, const Described& d, double rows) {
  constexpr double kOrder = 8.25, kNull = 0.125, kText = 40, kResult = 8, kNumeric = 40;
  double of_row = kOrder + list_length(d.plan.aggregates), texts = 0;
  ListCell* cell;
  foreach (cell, d.window.functions) {
    const WindowFunction f = unpack_function(static_cast<List*>(lfirst(cell)));
    if (f.window + 1 < list_length(d.clauses))
      of_row += kResult + kNull + (f.type == NUMERICOID ? kNumeric : 0);
  }
  foreach (cell, d.plan.keys) {
    auto* node = static_cast<Node*>(lfirst(cell));
    const Oid type = exprType(node);
    const int width = get_typlen(type);
    const bool text = width < 0 && type != NUMERICOID;
    of_row += kNull + (text                                                          ? 4
                       : width == 1 || width == 2 || (width == 4 && !is_float(type)) ? width
                                                                                     : 8);
    if (text)
      texts += (kText + get_typavgwidth(type, exprTypmod(node))) *
               estimate_num_groups(root, list_make1(node), rows, nullptr, nullptr);
  }
  return rows * of_row + texts;
}

// PostgreSQL's cheapest plan of the windows; nullptr: something else than rows is wanted of it.
WindowAggPath* plan_by_row(RelOptInfo* output) {
  WindowAggPath* best = nullptr;
  ListCell* cell;
  foreach (cell, output->pathlist) {
    auto* path = static_cast<WindowAggPath*>(lfirst(cell));
    if (IsA(path, WindowAggPath) && (!best || path->path.total_cost < best->path.total_cost))
      best = path;
  }
  return best;
}

// The windows of such a plan, in the order in which it computes them, and what it has below.
bool take_clauses(WindowAggPath* top, Described* d) {
  for (Path* path = &top->path;;) {
    if (IsA(path, WindowAggPath)) {
      auto* window = reinterpret_cast<WindowAggPath*>(path);
      if (window->qual != NIL || window->winclause->runCondition != NIL) return false;
      d->clauses = lcons(window->winclause, d->clauses);
      path = window->subpath;
    } else if (IsA(path, SortPath) || IsA(path, IncrementalSortPath)) {
      path = reinterpret_cast<SortPath*>(path)->subpath;
    } else {
      d->inputs = path->pathtarget->exprs;
      return true;
    }
  }
}

// The same, giving what this one gives.
Path* path_by_row(PlannerInfo* root, RelOptInfo* output, const WindowAggPath* path,
                  const Described& d) {
  PathTarget* target = create_empty_pathtarget();
  ListCell* cell;
  foreach (cell, d.outputs) add_column_to_pathtarget(target, static_cast<Expr*>(lfirst(cell)), 0);
  set_pathtarget_cost_width(root, target);
  List* functions = NIL;  // of this window
  foreach (cell, d.functions)
    if (lfirst_node(WindowFunc, cell)->winref == path->winclause->winref)
      functions = lappend(functions, lfirst(cell));
  return &create_windowagg_path(root, output, path->subpath, target, functions, path->winclause,
                                NIL, path->topwindow)
              ->path;
}

// Rows come in the order of the last window.
List* order_of(PlannerInfo* root, const Described& d) {
  auto* clause = static_cast<WindowClause*>(llast(d.clauses));
  return make_pathkeys_for_sortclauses(
      root, list_concat_copy(clause->partitionClause, clause->orderClause), root->processed_tlist);
}

Plan* make_plan(PlannerInfo*, RelOptInfo*, CustomPath* path, List* tlist, List*, List* children) {
  AggregatePlan described = unpack(static_cast<List*>(linitial(path->custom_private)));
  auto* plan = makeNode(CustomScan);
  plan->scan.plan.targetlist = tlist;
  plan->scan.scanrelid = described.table;
  plan->flags = path->flags;
  plan->custom_private = lappend(pack(described), lsecond(path->custom_private));
  plan->custom_plans = children;
  plan->custom_exprs = parameters_of(reinterpret_cast<Node*>(expressions_of(described)));
  plan->custom_scan_tlist = scan_tlist(static_cast<List*>(lthird(path->custom_private)));
  plan->methods = &window_scan_methods;
  return &plan->scan.plan;
}

const CustomPathMethods path_methods = {"Datahike Window", make_plan, nullptr};

// Of sorting the rows by digits for each window, and of returning them with the functions' results.
Cost window_cost(const Described& d, double rows) {
  constexpr double kPassCost = 0.1, kPasses = 3, kValueCost = 0.1;
  int terms = 0;
  ListCell* cell;
  foreach (cell, d.window.windows)
    terms += list_length(unpack_one_window(static_cast<List*>(lfirst(cell))).order);
  const double of_sort = rows * terms * kPasses * kPassCost;
  const double of_values = rows * list_length(d.plan.keys) * list_length(d.clauses) * kValueCost;
  return (of_sort + of_values) * cpu_operator_cost;
}

}  // namespace

void add_window_path(PlannerInfo* root, RelOptInfo* input, RelOptInfo* output) {
  Query* query = root->parse;
  if (!pg::setting_vectorized || query->hasAggs || query->groupClause != NIL ||
      query->groupingSets != NIL)
    return;
  JoinSides sides;
  if (input->reloptkind != RELOPT_BASEREL || !describe_input(root, input, &sides) ||
      sides.probe->tuples < pg::setting_vectorized_min_rows)
    return;
  WindowAggPath* standard = plan_by_row(output);
  Described d{};
  if (!standard || !take_clauses(standard, &d)) return;
  d.plan.table = sides.probe->relid;
  auto* target = const_cast<PathTarget*>(root->upper_targets[UPPERREL_WINDOW]);
  if (!take_filters(root, sides.probe, &d.plan.filters) || !take_windows(root, &d) ||
      !take_outputs(target, &d) || !can_run(planner_rt_fetch(d.plan.table, root), d.plan) ||
      bytes_of(root, d, input->rows) > static_cast<double>(get_hash_memory_limit()))
    return;
  Path* by_row = path_by_row(root, output, standard, d);
  auto* path = makeNode(CustomPath);
  path->path.pathtype = T_CustomScan;
  path->path.parent = output;
  path->path.pathtarget = target;
  path->path.pathkeys = order_of(root, d);
  path->path.rows = input->rows;
  path->path.startup_cost = run_cost(input, sides, d.plan, 1) + window_cost(d, input->rows);
  path->path.total_cost = path->path.startup_cost + target->cost.startup +
                          input->rows * (cpu_tuple_cost + target->cost.per_tuple +
                                         list_length(d.functions) * cpu_operator_cost);
  path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
  path->custom_paths = list_make1(by_row);
  path->custom_private = list_make3(pack(d.plan), pack(d.window), d.outputs);
  path->methods = &path_methods;
  add_path(output, &path->path);
}

}  // namespace datahike::exec
