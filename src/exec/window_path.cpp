// Planning "Datahike Window": window functions of one window over one datahike table, where all
// that they need compiles and fits into the memory. All else is left to PostgreSQL, whose own plan
// is the path's child as well, for where the rows turn out to be too many.
#include <cmath>

#include "exec/compile_types.h"
#include "exec/window.h"
#include "pg/vector_settings.h"

extern "C" {
#include "access/stratnum.h"
#include "catalog/pg_operator_d.h"
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

struct Described {
  AggregatePlan plan;  // its keys: the sources
  WindowPlan window;
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

bool take_terms(PlannerInfo* root, List* clauses, Described* d) {
  ListCell* cell;
  foreach (cell, clauses) {
    auto* clause = lfirst_node(SortGroupClause, cell);
    Node* node = get_sortgroupclause_expr(clause, root->processed_tlist);
    const int strategy = order_strategy(clause, node);
    const int source = strategy == 0 ? -1 : source_of(d, node);
    if (source < 0) return false;
    const int descending = strategy == BTGreaterStrategyNumber;
    d->window.order = lappend_int(d->window.order, source);
    d->window.directions =
        lappend_int(d->window.directions, descending | (clause->nulls_first ? 2 : 0));
  }
  return true;
}

bool take_frame(const WindowClause* window, int* frame) {
  const int options = window->frameOptions;
  if (!(options & FRAMEOPTION_START_UNBOUNDED_PRECEDING) || (options & FRAMEOPTION_EXCLUSION))
    return false;
  if (options & FRAMEOPTION_END_UNBOUNDED_FOLLOWING) {
    *frame = WindowFunction::Partition;
  } else if (options & FRAMEOPTION_END_CURRENT_ROW) {
    *frame = options & FRAMEOPTION_ROWS ? WindowFunction::Row : WindowFunction::Peers;
  } else {
    return false;
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

bool divides_by_constant(const OpExpr* op) {
  switch (op->opfuncid) {
    case F_INT2DIV:
    case F_INT4DIV:
    case F_INT8DIV:
    case F_INT84DIV:
    case F_INT2MOD:
    case F_INT4MOD:
    case F_INT8MOD:
      break;
    default:
      return false;
  }
  auto* by = static_cast<Const*>(lsecond(op->args));
  if (!IsA(by, Const) || by->constisnull) return false;
  return by->consttype == INT2OID   ? DatumGetInt16(by->constvalue) > 0
         : by->consttype == INT4OID ? DatumGetInt32(by->constvalue) > 0
                                    : DatumGetInt64(by->constvalue) > 0;
}

// Whether computing it may raise an error, as reading columns and comparing cannot, nor arithmetic
// of numerics, which have room for all results.
bool may_fail(Node* node, void*) {
  if (!node) return false;
  if (IsA(node, OpExpr)) {
    auto* op = reinterpret_cast<OpExpr*>(node);
    const bool safe = op->opresulttype == BOOLOID || op->opresulttype == NUMERICOID;
    if (!safe && !divides_by_constant(op)) return true;
  } else if (IsA(node, FuncExpr)) {
    const Oid function = reinterpret_cast<FuncExpr*>(node)->funcid;
    if (function != F_FLOAT8_INT2 && function != F_FLOAT8_INT4 && function != F_FLOAT8_INT8 &&
        function != F_FLOAT8_FLOAT4 && function != F_LENGTH_TEXT)
      return true;
  }
  return expression_tree_walker(node, untyped(may_fail), nullptr);
}

bool take_function(Described* d, const WindowFunc* call, int frame) {
  WindowFunction f{};
  f.kind = kind_of(call->winfnoid);
  f.frame = frame;
  f.type = call->wintype;
  f.source = -1;
  if (f.kind < 0 || call->aggfilter) return false;
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
    // It is computed for those rows alone that one returns, unless all are sorted by it.
    if (returned && !list_member_int(d->window.order, f.source) && may_fail(argument, nullptr))
      return false;
    if (f.kind == WindowFunction::Lag && !take_offset(call, &f)) return false;
    if (f.kind == WindowFunction::NthValue) {
      if (!take_count(static_cast<Node*>(lsecond(call->args)), &f.offset)) return false;
      --f.offset;
    }
  }
  d->window.functions = lappend(d->window.functions, pack(f));
  return true;
}

// Whether the query, or one that it is part of, may end before it has all rows.
bool may_end_early(const PlannerInfo* root) {
  for (; root; root = root->parent_root)
    if (root->tuple_fraction > 0 || root->parse->limitCount) return true;
  return false;
}

// Where not all rows are wanted, PostgreSQL computes for those that are: what rows are sorted by
// for all, but arguments of functions only as far as a row's frame goes.
bool computes_ahead(const Described& d) {
  if (may_fail(reinterpret_cast<Node*>(d.plan.filters), nullptr)) return true;
  int number = 0;
  ListCell* cell;
  foreach (cell, d.plan.keys)
    if (!list_member_int(d.window.order, number++) &&
        may_fail(static_cast<Node*>(lfirst(cell)), nullptr))
      return true;
  return false;
}

// What walks through a target.
struct Outputs {
  Described* described;
  List* inputs;  // what the rows below PostgreSQL's own node have
  int frame;
};

// True where something is neither an input nor a function nor made of such.
bool collect_output(Node* node, void* context) {
  if (!node) return false;
  const auto* outputs = static_cast<const Outputs*>(context);
  Described* d = outputs->described;
  if (IsA(node, WindowFunc)) {
    if (list_member(d->functions, node)) return false;
    if (!take_function(d, reinterpret_cast<WindowFunc*>(node), outputs->frame)) return true;
    d->functions = lappend(d->functions, node);
    return false;
  }
  if (list_member(outputs->inputs, node)) {
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
bool take_outputs(const PathTarget* target, List* inputs, int frame, Described* d) {
  auto* exprs = reinterpret_cast<Node*>(target->exprs);
  Outputs outputs{d, inputs, frame};
  if (contain_volatile_functions(exprs) || collect_output(exprs, &outputs)) return false;
  d->outputs = list_concat(d->outputs, list_copy(d->functions));
  return d->functions != NIL;
}

// Of memory for the rows, about.
double bytes_of(PlannerInfo* root, const AggregatePlan& plan, double rows) {
  constexpr double kOrder = 8.25, kNull = 0.125, kText = 40;
  double of_row = kOrder, texts = 0;
  ListCell* cell;
  foreach (cell, plan.keys) {
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

// PostgreSQL's cheapest plan of the window; nullptr: something else than rows is wanted of it.
WindowAggPath* plan_by_row(RelOptInfo* output) {
  WindowAggPath* best = nullptr;
  ListCell* cell;
  foreach (cell, output->pathlist) {
    auto* path = static_cast<WindowAggPath*>(lfirst(cell));
    if (IsA(path, WindowAggPath) && (!best || path->path.total_cost < best->path.total_cost))
      best = path;
  }
  return best && best->qual == NIL && best->winclause->runCondition == NIL ? best : nullptr;
}

// The same, giving what this one gives.
Path* path_by_row(PlannerInfo* root, RelOptInfo* output, const WindowAggPath* path,
                  const Described& d) {
  PathTarget* target = create_empty_pathtarget();
  ListCell* cell;
  foreach (cell, d.outputs) add_column_to_pathtarget(target, static_cast<Expr*>(lfirst(cell)), 0);
  set_pathtarget_cost_width(root, target);
  return &create_windowagg_path(root, output, path->subpath, target, d.functions, path->winclause,
                                NIL, path->topwindow)
              ->path;
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

// Of sorting the rows by digits, and of returning them with the functions' results.
Cost window_cost(const Described& d, double rows) {
  constexpr double kPassCost = 0.1, kPasses = 3, kValueCost = 0.1;
  const double of_sort = rows * list_length(d.window.order) * kPasses * kPassCost;
  const double of_values = rows * list_length(d.plan.keys) * kValueCost;
  return (of_sort + of_values) * cpu_operator_cost;
}

}  // namespace

List* pack(const WindowPlan& plan) {
  return list_make5(plan.order, plan.directions, makeInteger(plan.partition), plan.columns,
                    plan.functions);
}

WindowPlan unpack_window(const List* custom_private) {
  auto* packed = static_cast<List*>(llast(custom_private));
  return {static_cast<List*>(linitial(packed)), static_cast<List*>(lsecond(packed)),
          intVal(lthird(packed)), static_cast<List*>(lfourth(packed)),
          static_cast<List*>(list_nth(packed, 4))};
}

List* pack(const WindowFunction& f) {
  List* packed = list_make5(makeInteger(f.kind), makeInteger(f.frame), makeInteger(f.source),
                            makeInteger(f.offset), makeInteger(static_cast<int>(f.type)));
  return f.other ? lappend(packed, f.other) : packed;
}

WindowFunction unpack_function(const List* packed) {
  return {intVal(linitial(packed)),
          intVal(lsecond(packed)),
          intVal(lthird(packed)),
          intVal(lfourth(packed)),
          static_cast<Oid>(intVal(list_nth(packed, 4))),
          list_length(packed) > 5 ? static_cast<Const*>(list_nth(packed, 5)) : nullptr};
}

void add_window_path(PlannerInfo* root, RelOptInfo* input, RelOptInfo* output) {
  Query* query = root->parse;
  if (!pg::setting_vectorized || query->hasAggs || query->groupClause != NIL ||
      query->groupingSets != NIL || list_length(query->windowClause) != 1)
    return;
  JoinSides sides;
  if (input->reloptkind != RELOPT_BASEREL || !describe_input(root, input, &sides) ||
      sides.probe->tuples < pg::setting_vectorized_min_rows)
    return;
  const WindowAggPath* standard = plan_by_row(output);
  if (!standard) return;
  Described d{};
  d.plan.table = sides.probe->relid;
  auto* clause = linitial_node(WindowClause, query->windowClause);
  auto* target = const_cast<PathTarget*>(root->upper_targets[UPPERREL_WINDOW]);
  int frame = WindowFunction::Peers;
  d.window.partition = list_length(clause->partitionClause);
  if (!take_filters(root, sides.probe, &d.plan.filters) || !take_frame(clause, &frame) ||
      !take_terms(root, clause->partitionClause, &d) ||
      !take_terms(root, clause->orderClause, &d) ||
      !take_outputs(target, standard->subpath->pathtarget->exprs, frame, &d) ||
      (may_end_early(root) && computes_ahead(d)) ||
      !can_run(planner_rt_fetch(d.plan.table, root), d.plan) ||
      bytes_of(root, d.plan, input->rows) > static_cast<double>(get_hash_memory_limit()))
    return;
  Path* by_row = path_by_row(root, output, standard, d);
  auto* path = makeNode(CustomPath);
  path->path.pathtype = T_CustomScan;
  path->path.parent = output;
  path->path.pathtarget = target;
  path->path.pathkeys = by_row->pathkeys;
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
