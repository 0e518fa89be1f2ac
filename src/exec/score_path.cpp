// Planning "Datahike Score": over the scan of a table for calls of the anomaly_* functions in its
// conditions, and, where it is the query's only table, in ORDER BY, GROUP BY, the select list and
// aggregates; over joins for those in the select list and in aggregates (score_upper_path.cpp).
#include "exec/score.h"
#include "pg/bridge.h"
#include "pg/vector_settings.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/tlist.h"
}

namespace datahike::exec {

namespace {

set_rel_pathlist_hook_type previous_pathlist = nullptr;

// PostgreSQL 15 declares walkers without parameters.
template <class F>
auto untyped(F* walker) {
  return reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(walker));
}

// Rows are read ahead, so features must not raise errors: columns, constants and casts of integers.
// `relid`: of the table that they are columns of; 0 = of any.
bool is_simple(Node* node, int relid, bool column) {
  while (node && IsA(node, RelabelType))
    node = reinterpret_cast<Node*>(reinterpret_cast<RelabelType*>(node)->arg);
  if (!node) return false;
  if (IsA(node, Const) || IsA(node, Param)) return true;
  if (!column) return false;
  if (IsA(node, Var)) {
    auto* var = reinterpret_cast<Var*>(node);
    return (relid == 0 || var->varno == relid) && var->varlevelsup == 0;
  }
  if (!IsA(node, FuncExpr)) return false;
  auto* function = reinterpret_cast<FuncExpr*>(node);
  const bool widens = function->funcid == F_FLOAT8_INT4 || function->funcid == F_FLOAT8_INT2 ||
                      function->funcid == F_FLOAT8_INT8 || function->funcid == F_FLOAT8_FLOAT4 ||
                      function->funcid == F_INT8_INT4 || function->funcid == F_INT4_INT2 ||
                      function->funcid == F_INT8_INT2;
  return widens && is_simple(static_cast<Node*>(linitial(function->args)), relid, true);
}

bool can_batch(Node* node, int relid) {
  if (!IsA(node, FuncExpr)) return false;
  auto* call = reinterpret_cast<FuncExpr*>(node);
  const std::optional<anomaly::KnownFunction> known = anomaly::known_function(call->funcid);
  if (!known || known->short_form || call->funcvariadic) return false;
  for (int i = 0; i < list_length(call->args); ++i) {
    auto* argument = static_cast<Node*>(list_nth(call->args, i));
    const bool feature = i >= known->first_feature;
    if (!is_simple(argument, relid, feature)) return false;
    if (feature && anomaly::conversion_of(exprType(argument)) == anomaly::Conversion::None)
      return false;
  }
  return contain_var_clause(node);
}

struct Found {
  int relid;
  List* calls;
};

// Not within window functions: their arguments are not computed where the table is scanned. What is
// below an outer join has been computed there: it is NULL where its columns may not be.
bool find_calls(Node* node, void* context) {
  if (!node || IsA(node, WindowFunc) || IsA(node, PlaceHolderVar)) return false;
  auto* found = static_cast<Found*>(context);
  if (can_batch(node, found->relid)) {
    found->calls = list_append_unique(found->calls, node);
    return false;
  }
  return expression_tree_walker(node, untyped(find_calls), context);
}

bool has_call(Node* node, void* calls) {
  if (!node) return false;
  if (list_member(static_cast<List*>(calls), node)) return true;
  return expression_tree_walker(node, untyped(has_call), calls);
}

// Scans whose conditions and columns are as make_plan() expects them.
bool is_plain_scan(const Path* path) {
  if (path->param_info) return false;
  switch (path->pathtype) {
    case T_SeqScan:
    case T_IndexScan:
    case T_BitmapHeapScan:
    case T_ValuesScan:
    case T_FunctionScan:
    case T_SubqueryScan:
    case T_CteScan:
    case T_ForeignScan:
      return true;
    default:
      return false;
  }
}

void add_columns(Plan* child, List* expressions) {
  ListCell* cell;
  foreach (cell, pull_var_clause(reinterpret_cast<Node*>(expressions), 0)) {
    auto* var = static_cast<Expr*>(lfirst(cell));
    if (tlist_member(var, child->targetlist)) continue;
    child->targetlist =
        lappend(child->targetlist,
                makeTargetEntry(static_cast<Expr*>(copyObjectImpl(var)),
                                static_cast<AttrNumber>(list_length(child->targetlist) + 1),
                                nullptr, false));
  }
}

Plan* make_plan(PlannerInfo*, RelOptInfo*, CustomPath* path, List* tlist, List*,
                List* custom_plans) {
  auto* calls = static_cast<List*>(linitial(path->custom_private));
  auto* child = static_cast<Plan*>(linitial(custom_plans));
  auto* plan = makeNode(CustomScan);
  // Conditions on scores are tested here, when those below have been.
  List* below = NIL;
  ListCell* cell;
  foreach (cell, child->qual) {
    auto* condition = static_cast<Node*>(lfirst(cell));
    List*& list = has_call(condition, calls) ? plan->scan.plan.qual : below;
    list = lappend(list, condition);
  }
  child->qual = below;
  add_columns(child, calls);
  add_columns(child, plan->scan.plan.qual);
  AttrNumber number = 1;
  foreach (cell, child->targetlist)
    plan->custom_scan_tlist = lappend(
        plan->custom_scan_tlist,
        makeTargetEntry(static_cast<Expr*>(copyObjectImpl(lfirst_node(TargetEntry, cell)->expr)),
                        number++, nullptr, false));
  foreach (cell, calls) {
    auto* call = lfirst_node(FuncExpr, cell);
    const anomaly::KnownFunction known = *anomaly::known_function(call->funcid);
    plan->custom_scan_tlist = lappend(
        plan->custom_scan_tlist,
        makeTargetEntry(static_cast<Expr*>(copyObjectImpl(call)), number++, nullptr, false));
    plan->custom_exprs =
        list_concat(plan->custom_exprs, static_cast<List*>(copyObjectImpl(call->args)));
    plan->custom_private =
        lappend(plan->custom_private,
                list_make4_int(static_cast<int>(known.measure), list_length(call->args),
                               known.names, known.first_feature));
  }
  plan->scan.plan.targetlist = tlist;
  plan->scan.scanrelid = 0;
  plan->flags = path->flags;
  plan->custom_plans = custom_plans;
  plan->methods = &score_scan_methods;
  return &plan->scan.plan;
}

const CustomPathMethods path_methods = {"Datahike Score", make_plan, nullptr};

}  // namespace

bool is_score_path(const Path* path) {
  return IsA(path, CustomPath) &&
         reinterpret_cast<const CustomPath*>(path)->methods == &path_methods;
}

List* calls_in(Node* node, int relid) {
  Found found{relid, NIL};
  find_calls(node, &found);
  return found.calls;
}

namespace {

bool find_aggregated(Node* node, void* context) {
  if (!node || IsA(node, PlaceHolderVar)) return false;
  if (IsA(node, Aggref)) return find_calls(node, context);
  return expression_tree_walker(node, untyped(find_aggregated), context);
}

}  // namespace

List* aggregated_calls_in(Node* node, int relid) {
  Found found{relid, NIL};
  find_aggregated(node, &found);
  return found.calls;
}

namespace {

// The calls that are computed below grouping, if there is any.
List* calls_of_select_list(PlannerInfo* root, int relid) {
  const Query* query = root->parse;
  auto* list = reinterpret_cast<Node*>(root->processed_tlist);
  if (!query->hasAggs && !query->groupClause && !query->groupingSets) return calls_in(list, relid);
  List* calls = list_concat_unique(aggregated_calls_in(list, relid),
                                   aggregated_calls_in(query->havingQual, relid));
  ListCell* cell;
  foreach (cell, root->processed_tlist) {
    auto* entry = lfirst_node(TargetEntry, cell);
    if (entry->ressortgroupref == 0 ||
        !get_sortgroupref_clause_noerr(entry->ressortgroupref, query->groupClause))
      continue;
    calls = list_concat_unique(calls, calls_in(reinterpret_cast<Node*>(entry->expr), relid));
  }
  return calls;
}

}  // namespace

Path* score_path(RelOptInfo* rel, Path* child, List* calls) {
  auto* path = makeNode(CustomPath);
  path->path.pathtype = T_CustomScan;
  path->path.parent = rel;
  path->path.pathtarget = child->pathtarget;
  path->path.rows = child->rows;
  path->path.startup_cost = child->startup_cost;
  path->path.total_cost = child->total_cost;
  path->path.pathkeys = child->pathkeys;
  path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
  path->custom_paths = list_make1(child);
  path->custom_private = list_make1(calls);
  path->methods = &path_methods;
  return &path->path;
}

bool may_read_ahead(PlannerInfo* root) {
  Query* query = root->parse;
  // What a statement changes itself its scans do not see, whenever they read.
  const CmdType command = query->commandType;
  const bool scans = command == CMD_SELECT || command == CMD_INSERT || command == CMD_UPDATE ||
                     command == CMD_DELETE;
  if (!pg::setting_vectorized || !scans || query->rowMarks != NIL || root->rowMarks != NIL)
    return false;
  // A score outside of the aggregates is of the columns of its grouping set, where the others are
  // NULL.
  if (query->groupingSets != NIL) return false;
  // A plan that is there or not by one condition for all rows passes on nothing but its own
  // columns.
  if (root->hasPseudoConstantQuals) return false;
  // Rows behind a limit are not to be read.
  return (!query->limitCount && !query->limitOffset) || query->sortClause != NIL;
}

namespace {

bool is_candidate(PlannerInfo* root, RelOptInfo* rel, RangeTblEntry* entry) {
  if (!may_read_ahead(root) || rel->reloptkind != RELOPT_BASEREL || entry->inh ||
      IS_DUMMY_REL(rel) || !bms_is_empty(rel->lateral_relids) || rel->rows < kFewRowsToScore)
    return false;
  ListCell* cell;
  foreach (cell, rel->baserestrictinfo)
    if (lfirst_node(RestrictInfo, cell)->security_level > 0) return false;
  return true;
}

void paths(PlannerInfo* root, RelOptInfo* rel, Index relid, RangeTblEntry* entry) {
  if (previous_pathlist) previous_pathlist(root, rel, relid, entry);
  if (!is_candidate(root, rel, entry)) return;
  Found found{static_cast<int>(relid), NIL};
  // A join's select list is computed above it.
  if (bms_membership(root->all_baserels) == BMS_SINGLETON)
    found.calls = calls_of_select_list(root, found.relid);
  ListCell* cell;
  foreach (cell, rel->baserestrictinfo)
    find_calls(reinterpret_cast<Node*>(lfirst_node(RestrictInfo, cell)->clause), &found);
  if (found.calls == NIL) return;
  foreach (cell, rel->pathlist) {
    auto* path = static_cast<Path*>(lfirst(cell));
    if (is_plain_scan(path)) lfirst(cell) = score_path(rel, path, found.calls);
  }
}

}  // namespace

void install_score_paths() {
  RegisterCustomScanMethods(&score_scan_methods);
  previous_pathlist = set_rel_pathlist_hook;
  set_rel_pathlist_hook = paths;
  install_upper_score_paths();
}

}  // namespace datahike::exec
