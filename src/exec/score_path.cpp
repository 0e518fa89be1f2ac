// Planning "Datahike Score": over the scan of a table for calls of the anomaly_* functions in its
// conditions; over whatever rows are projected or aggregated for those in ORDER BY, GROUP BY, the
// select list and aggregates (score_upper_path.cpp).
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

// A scan of ours above `child`; its columns are the child's, then the calls.
CustomScan* make_scan(CustomPath* path, Plan* child, List* calls, List* conditions) {
  auto* plan = makeNode(CustomScan);
  AttrNumber number = 1;
  ListCell* cell;
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
  plan->scan.plan.qual = conditions;
  plan->scan.scanrelid = 0;
  plan->flags = path->flags;
  plan->custom_plans = list_make1(child);
  plan->methods = &score_scan_methods;
  return plan;
}

// One that passes on all of its columns to another above it.
Plan* make_lower_scan(CustomPath* path, Plan* child, List* calls, List* conditions) {
  CustomScan* plan = make_scan(path, child, calls, conditions);
  plan->custom_relids = path->path.parent->relids;
  plan->scan.plan.targetlist = static_cast<List*>(copyObjectImpl(plan->custom_scan_tlist));
  plan->scan.plan.startup_cost = child->startup_cost;
  plan->scan.plan.total_cost = child->total_cost;
  plan->scan.plan.plan_rows = child->plan_rows;
  plan->scan.plan.plan_width = child->plan_width;
  return &plan->scan.plan;
}

// Conditions with scores are tested here, when those below have been, in their order: each with
// the scores that it needs, of the rows that have passed those before it.
Plan* make_plan(PlannerInfo*, RelOptInfo*, CustomPath* path, List* tlist, List*,
                List* custom_plans) {
  auto* missing = list_copy(static_cast<List*>(linitial(path->custom_private)));
  const bool tests = intVal(lsecond(path->custom_private)) != 0;
  auto* child = static_cast<Plan*>(linitial(custom_plans));
  add_columns(child, missing);
  List *calls = NIL, *conditions = NIL;  // of the topmost node
  if (tests) {
    List *below = NIL, *above = NIL;
    ListCell* cell;
    foreach (cell, child->qual) {
      auto* condition = static_cast<Node*>(lfirst(cell));
      List*& list = has_score(condition) ? above : below;
      list = lappend(list, condition);
    }
    add_columns(child, above);
    Plan* scan = child;
    foreach (cell, above) {
      auto* condition = static_cast<Node*>(lfirst(cell));
      List* needed = list_intersection(calls_in(condition, 0), missing);
      if (needed == NIL && calls == NIL) {
        below = lappend(below, condition);
        continue;
      }
      if (needed != NIL) {
        if (calls != NIL) child = make_lower_scan(path, child, calls, conditions);
        missing = list_difference(missing, needed);
        calls = needed;
        conditions = NIL;
      }
      conditions = lappend(conditions, condition);
    }
    scan->qual = below;
  }
  if (missing != NIL) {
    if (calls != NIL) child = make_lower_scan(path, child, calls, conditions);
    calls = missing;
    conditions = NIL;
  }
  CustomScan* plan = make_scan(path, child, calls, conditions);
  plan->scan.plan.targetlist = tlist;
  return &plan->scan.plan;
}

const CustomPathMethods path_methods = {"Datahike Score", make_plan, nullptr};

}  // namespace

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

bool is_score_path(const Path* path) {
  return IsA(path, CustomPath) &&
         reinterpret_cast<const CustomPath*>(path)->methods == &path_methods;
}

List* scores_of(const Path* path) {
  const auto* scores = reinterpret_cast<const CustomPath*>(path);
  return list_concat_unique(list_copy(static_cast<List*>(linitial(scores->custom_private))),
                            path->pathtarget->exprs);
}

Path* score_path(RelOptInfo* rel, Path* child, List* calls, bool conditions) {
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
  path->custom_private = list_make2(calls, makeInteger(conditions));
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
  const CmdType command = root->parse->commandType;
  const bool child = rel->reloptkind == RELOPT_OTHER_MEMBER_REL &&
                     (command == CMD_SELECT || command == CMD_INSERT);
  if (!may_read_ahead(root) || (rel->reloptkind != RELOPT_BASEREL && !child) || entry->inh ||
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
  List* calls = NIL;
  ListCell* cell;
  foreach (cell, rel->baserestrictinfo) {
    auto* condition = reinterpret_cast<Node*>(lfirst_node(RestrictInfo, cell)->clause);
    calls = list_concat_unique(calls, calls_in(condition, static_cast<int>(relid)));
  }
  if (calls == NIL) return;
  foreach (cell, rel->pathlist) {
    auto* path = static_cast<Path*>(lfirst(cell));
    if (is_plain_scan(path)) lfirst(cell) = score_path(rel, path, calls, true);
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
