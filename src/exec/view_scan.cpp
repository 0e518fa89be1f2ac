// The custom scan "Datahike View": an ordinary scan of a table under a view that the statement
// names. It adds nothing to what the scan below it does but the snapshot, which names the view
// (versioning/named_view.h). Subqueries and functions in the scan's expressions keep the
// statement's own snapshot.
#include "am/horizon.h"
#include "exec/view_call.h"
#include "fdw/options.h"
#include "pg/bridge.h"
#include "versioning/named_view.h"

extern "C" {
#include "commands/explain.h"
#include "nodes/extensible.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "utils/rls.h"
#include "utils/ruleutils.h"
}

namespace datahike::exec {

namespace {

set_rel_pathlist_hook_type previous_pathlist = nullptr;

// What calls mean in a statement, by its outermost EState: all scans of one call read the same view
// (there is one for each partition), and an EvalPlanQual recheck reads what the statement read.
struct Resolved {
  int number;  // of the call
  NamedKind kind;
  std::optional<versioning::SessionView> view;  // nullopt: the session's
  std::shared_ptr<const void> held;             // what the view needs, where that is its own
};
std::unordered_map<EState*, std::deque<Resolved>> statements;

void forget_statement(void* estate) { statements.erase(static_cast<EState*>(estate)); }
void forget_snapshot(void* snapshot) {
  versioning::forget_named_view(static_cast<SnapshotData*>(snapshot));
}

void call_at_end(EState* estate, void (*function)(void*), void* argument) {
  auto* callback = static_cast<MemoryContextCallback*>(
      MemoryContextAlloc(estate->es_query_cxt, sizeof(MemoryContextCallback)));
  callback->func = function;
  callback->arg = argument;
  MemoryContextRegisterResetCallback(estate->es_query_cxt, callback);
}

// Nothing in it has a destructor: it is PostgreSQL's memory.
struct ViewScan {
  CustomScanState state;
  PlanState* child;
  EState* child_estate;  // the statement's, but for the snapshot
  SnapshotData snapshot;
};
ViewScan* as_view_scan(CustomScanState* state) { return reinterpret_cast<ViewScan*>(state); }

// custom_private of the plan, see set_view_call().
int number_of(CustomScan* plan) { return intVal(linitial(plan->custom_private)); }
Oid function_of(CustomScan* plan) {
  return static_cast<Oid>(intVal(lsecond(plan->custom_private)));
}
Oid relation_of(CustomScan* plan) { return static_cast<Oid>(intVal(lthird(plan->custom_private))); }
NamedKind kind_of(CustomScan* plan) {
  return static_cast<NamedKind>(intVal(lfourth(plan->custom_private)));
}

EState* statement_of(EState* estate) {
  while (estate->es_epq_active) estate = estate->es_epq_active->parentestate;
  return estate;
}

char* evaluate(CustomScanState* node, void* expression) {
  auto* state = ExecInitExpr(static_cast<Expr*>(expression), &node->ss.ps);
  bool isnull;
  Datum value = ExecEvalExprSwitchContext(state, node->ss.ps.ps_ExprContext, &isnull);
  return isnull ? nullptr : argument_text(value, exprType(static_cast<Node*>(expression)));
}

const versioning::SessionView* view_in(const Resolved& r) { return r.view ? &*r.view : nullptr; }

// nullptr: the session's own.
const versioning::SessionView* view_of(CustomScanState* node) {
  auto* plan = castNode(CustomScan, node->ss.ps.plan);
  int number = number_of(plan);
  NamedKind kind = kind_of(plan);
  EState* statement = statement_of(node->ss.ps.state);
  auto known = statements.find(statement);
  if (known == statements.end()) {
    call_at_end(statement, forget_statement, statement);
  } else {
    for (const Resolved& r : known->second)
      if (r.number == number && r.kind == kind) return view_in(r);
  }
  char* first = evaluate(node, linitial(plan->custom_exprs));
  char* second = evaluate(node, lsecond(plan->custom_exprs));
  Snapshot snapshot = statement->es_snapshot;
  return pg::guard([=] {
    auto view = view_of_call(kind, first, second, snapshot);
    std::deque<Resolved>& resolved = statements[statement];
    resolved.push_back({number, kind, view, versioning::hold_named_view(kind, view)});
    return view_in(resolved.back());
  });
}

// What calling the function and reading the table would check, and what may have changed since the
// plan was made.
void check_rights(CustomScanState* node) {
  auto* plan = castNode(CustomScan, node->ss.ps.plan);
  if (Oid function = function_of(plan); OidIsValid(function)) {
    AclResult result = pg_proc_aclcheck(function, GetUserId(), ACL_EXECUTE);
    if (result != ACLCHECK_OK) aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
  }
  int relation = bms_next_member(plan->custom_relids, -1);
  RangeTblEntry* entry = exec_rt_fetch(static_cast<Index>(relation), node->ss.ps.state);
  check_enable_rls(relation_of(plan), entry->checkAsUser, false);
}

Node* create_state(CustomScan* plan);

void begin(CustomScanState* node, EState* estate, int flags) {
  ViewScan* scan = as_view_scan(node);
  auto* plan = castNode(CustomScan, node->ss.ps.plan);
  Snapshot snapshot = estate->es_snapshot;
  if (!(flags & EXEC_FLAG_EXPLAIN_ONLY)) {
    check_rights(node);
    if (const versioning::SessionView* view = view_of(node)) {
      scan->snapshot = *snapshot;
      call_at_end(estate, forget_snapshot, &scan->snapshot);
      pg::guard([=] { versioning::name_view(&scan->snapshot, view); });
      snapshot = &scan->snapshot;
    }
  }
  // Bitmap scans take the snapshot here, others when they are first run.
  Snapshot own = std::exchange(estate->es_snapshot, snapshot);
  scan->child = ExecInitNode(static_cast<Plan*>(linitial(plan->custom_plans)), estate, flags);
  estate->es_snapshot = own;
  scan->child_estate = makeNode(EState);
  *scan->child_estate = *estate;
  scan->child_estate->es_snapshot = snapshot;
  scan->child->state = scan->child_estate;
  node->custom_ps = list_make1(scan->child);
  // What the child returns is passed on in its own slots.
  ScanState* ss = &node->ss;
  ss->ps.scanops = ExecGetResultSlotOps(scan->child, &ss->ps.scanopsfixed);
  ss->ps.scanopsset = true;
  ExecAssignScanProjectionInfoWithVarno(ss, INDEX_VAR);
}

TupleTableSlot* next(CustomScanState* node) {
  ViewScan* scan = as_view_scan(node);
  scan->child_estate->es_direction = node->ss.ps.state->es_direction;
  TupleTableSlot* slot = ExecProcNode(scan->child);
  if (TupIsNull(slot) || !node->ss.ps.ps_ProjInfo) return slot;
  ExprContext* context = node->ss.ps.ps_ExprContext;
  ResetExprContext(context);
  context->ecxt_scantuple = slot;
  return ExecProject(node->ss.ps.ps_ProjInfo);
}

void end(CustomScanState* node) { ExecEndNode(as_view_scan(node)->child); }

void rescan(CustomScanState* node) {
  PlanState* child = as_view_scan(node)->child;
  if (node->ss.ps.chgParam) UpdateChangedParamSet(child, node->ss.ps.chgParam);
  if (!child->chgParam) ExecReScan(child);
}

void explain_expression(CustomScanState* node, List* ancestors, ExplainState* out,
                        const char* label, Node* expression) {
  if (IsA(expression, Const) && reinterpret_cast<Const*>(expression)->constisnull) return;
  List* context = set_deparse_context_plan(out->deparse_cxt, node->ss.ps.plan, ancestors);
  ExplainPropertyText(label, deparse_expression(expression, context, false, false), out);
}

void explain_server(CustomScan* plan, ExplainState* out) {
  auto* first = castNode(Const, linitial(plan->custom_exprs));
  const auto server =
      static_cast<Oid>(std::strtoul(TextDatumGetCString(first->constvalue), nullptr, 10));
  ExplainPropertyText("View", fdw::describe_view(fdw::server_options(server)), out);
}

void explain(CustomScanState* node, List* ancestors, ExplainState* out) {
  auto* plan = castNode(CustomScan, node->ss.ps.plan);
  NamedKind kind = kind_of(plan);
  if (kind == NamedKind::Server) return explain_server(plan, out);
  bool difference = kind == NamedKind::Difference || kind == NamedKind::Step;
  explain_expression(node, ancestors, out, "Revision",
                     static_cast<Node*>(linitial(plan->custom_exprs)));
  explain_expression(node, ancestors, out, difference ? "Without" : "As Of",
                     static_cast<Node*>(lsecond(plan->custom_exprs)));
}

const CustomScanMethods scan_methods = {"Datahike View", create_state};
const CustomExecMethods exec_methods = {"Datahike View", begin,   next,    end,     rescan,
                                        nullptr,         nullptr, nullptr, nullptr, nullptr,
                                        nullptr,         nullptr, explain};

Node* create_state(CustomScan*) {
  auto* scan = static_cast<ViewScan*>(palloc0(sizeof(ViewScan)));
  NodeSetTag(scan, T_CustomScanState);
  scan->state.methods = &exec_methods;
  return reinterpret_cast<Node*>(scan);
}

Plan* make_plan(PlannerInfo*, RelOptInfo*, CustomPath* path, List* tlist, List*, List* children) {
  auto* child = static_cast<Plan*>(linitial(children));
  // A gate for constant conditions goes above this node, too.
  if (IsA(child, Result) && child->lefttree) child = child->lefttree;
  if (tlist) child->targetlist = tlist;
  auto* plan = makeNode(CustomScan);
  plan->scan.plan.targetlist = static_cast<List*>(copyObjectImpl(child->targetlist));
  plan->custom_scan_tlist = static_cast<List*>(copyObjectImpl(child->targetlist));
  plan->custom_plans = list_make1(child);
  plan->custom_exprs = static_cast<List*>(linitial(path->custom_private));
  plan->custom_private = static_cast<List*>(lsecond(path->custom_private));
  plan->flags = CUSTOMPATH_SUPPORT_PROJECTION;
  if (ExecSupportsBackwardScan(child)) plan->flags |= CUSTOMPATH_SUPPORT_BACKWARD_SCAN;
  plan->methods = &scan_methods;
  return &plan->scan.plan;
}

const CustomPathMethods path_methods = {"Datahike View", make_plan, nullptr};

Path* wrap(RelOptInfo* rel, Path* child, List* call) {
  auto* path = makeNode(CustomPath);
  path->path.pathtype = T_CustomScan;
  path->path.parent = rel;
  path->path.pathtarget = child->pathtarget;
  path->path.param_info = child->param_info;
  path->path.rows = child->rows;
  path->path.startup_cost = child->startup_cost;
  path->path.total_cost = child->total_cost + cpu_operator_cost * child->rows;
  path->path.pathkeys = child->pathkeys;
  path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
  path->custom_paths = list_make1(child);
  path->custom_private = call;
  path->methods = &path_methods;
  return &path->path;
}

void paths(PlannerInfo* root, RelOptInfo* rel, Index index, RangeTblEntry* entry) {
  if (previous_pathlist) previous_pathlist(root, rel, index, entry);
  if (!is_view_call(entry) || entry->inh || IS_DUMMY_REL(rel)) return;
  require_datahike(entry->relid);
  ViewCall call = view_call_of(entry);
  List* expressions = list_make2(eval_const_expressions(root, call.first),
                                 eval_const_expressions(root, call.second));
  List* known = list_make4(makeInteger(call.number), makeInteger(static_cast<int>(call.function)),
                           makeInteger(static_cast<int>(call.relation)),
                           makeInteger(static_cast<int>(call.kind)));
  List* wrapped = NIL;
  ListCell* cell;
  foreach (cell, rel->pathlist) {
    auto* path = static_cast<Path*>(lfirst(cell));
    if (!IsA(path, Path) && !IsA(path, IndexPath) && !IsA(path, BitmapHeapPath) &&
        !IsA(path, TidPath) && !IsA(path, TidRangePath))
      continue;  // another extension's
    wrapped = lappend(wrapped, wrap(rel, path, list_make2(expressions, known)));
  }
  rel->pathlist = wrapped;
  rel->partial_pathlist = NIL;
  rel->consider_parallel = false;
}

}  // namespace

void install_view_paths() {
  RegisterCustomScanMethods(&scan_methods);
  previous_pathlist = set_rel_pathlist_hook;
  set_rel_pathlist_hook = paths;
}

}  // namespace datahike::exec
