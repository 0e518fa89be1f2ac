// "Datahike Query": datahike.q in FROM without a tuplestore between the answer and the executor.
//
// The call is as a function scan's: evaluated when its first row is wanted, again only where its
// parameters change, with the privileges and the usage that PostgreSQL checks and counts.
#include "datalog/sql/answer_scan.h"

#include "datalog/sql/answer.h"
#include "exec/execute_privilege.h"
#include "pg/bridge.h"
#include "pg/catalog.h"

extern "C" {
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "commands/explain.h"
#include "nodes/extensible.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "pgstat.h"
#include "utils/ruleutils.h"
}

namespace datahike::query {

namespace {

set_rel_pathlist_hook_type previous_pathlist = nullptr;

// An answer, which its memory context destroys.
struct Held {
  Answer answer;
  std::optional<AnswerRows> rows;
};

struct AnswerScan {
  CustomScanState state;
  FuncExpr* call;
  List* arguments;       // ExprStates
  MemoryContext memory;  // of the call and its answer
  MemoryContext batch;
  Held* held;             // nullptr: not evaluated yet
  Bitmapset* parameters;  // that the call depends on
  bool has_subplan;       // in the call: any parameter may matter
  int64 row;              // the current one: -1 before the first, their number behind the last
};
AnswerScan* as_scan(CustomScanState* state) { return reinterpret_cast<AnswerScan*>(state); }

bool collect_parameters(Node* node, void* scan) {
  if (!node) return false;
  auto* s = static_cast<AnswerScan*>(scan);
  if (IsA(node, Param) && castNode(Param, node)->paramkind == PARAM_EXEC)
    s->parameters = bms_add_member(s->parameters, castNode(Param, node)->paramid);
  s->has_subplan |= IsA(node, SubPlan) || IsA(node, AlternativeSubPlan);
  // PostgreSQL 15 declares walkers without parameters.
  return expression_tree_walker(
      node, reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(collect_parameters)), scan);
}

void destroy(void* held) { delete static_cast<Held*>(held); }

void begin(CustomScanState* node, EState* estate, int) {
  AnswerScan* scan = as_scan(node);
  auto* plan = castNode(CustomScan, node->ss.ps.plan);
  scan->call = castNode(FuncExpr, linitial(plan->custom_exprs));
  exec::require_execute(reinterpret_cast<Node*>(scan->call));
  scan->arguments = ExecInitExprList(scan->call->args, &node->ss.ps);
  collect_parameters(reinterpret_cast<Node*>(scan->call), scan);
  scan->memory =
      AllocSetContextCreate(estate->es_query_cxt, "datalog query", ALLOCSET_DEFAULT_SIZES);
  scan->batch = AllocSetContextCreate(estate->es_query_cxt, "datalog rows", ALLOCSET_DEFAULT_SIZES);
  scan->row = -1;
}

void evaluate_arguments(AnswerScan* scan, FunctionCallInfo fcinfo) {
  ExprContext* context = scan->state.ss.ps.ps_ExprContext;
  int i = 0;
  ListCell* cell;
  foreach (cell, scan->arguments) {
    NullableDatum& argument = fcinfo->args[i++];
    argument.value = ExecEvalExpr(static_cast<ExprState*>(lfirst(cell)), context, &argument.isnull);
  }
}

void evaluate(AnswerScan* scan) {
  MemoryContext before = MemoryContextSwitchTo(scan->memory);
  auto* function = static_cast<FmgrInfo*>(palloc0(sizeof(FmgrInfo)));
  fmgr_info(scan->call->funcid, function);
  fmgr_info_set_expr(reinterpret_cast<Node*>(scan->call), function);
  const auto count = static_cast<short>(list_length(scan->arguments));
  auto* fcinfo = static_cast<FunctionCallInfo>(palloc0(SizeForFunctionCallInfo(count)));
  InitFunctionCallInfoData(*fcinfo, function, count, scan->call->inputcollid, nullptr, nullptr);
  evaluate_arguments(scan, fcinfo);
  auto* callback = static_cast<MemoryContextCallback*>(palloc0(sizeof(MemoryContextCallback)));
  PgStat_FunctionCallUsage usage;
  pgstat_init_function_usage(fcinfo, &usage);
  TupleDesc desc = scan->state.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
  Held* held = pg::guard([=] {
    auto made = std::make_unique<Held>();
    made->answer = answer_of(fcinfo);
    made->rows.emplace(made->answer, desc);
    return made.release();
  });
  callback->func = destroy;
  callback->arg = held;
  MemoryContextRegisterResetCallback(scan->memory, callback);
  pgstat_end_function_usage(&usage, true);
  scan->held = held;
  MemoryContextSwitchTo(before);
}

// The next row in the executor's direction into the scan's slot; false: there is none.
bool move(AnswerScan* scan) {
  if (!scan->held) evaluate(scan);
  AnswerRows& rows = *scan->held->rows;
  const auto count = static_cast<int64>(rows.rows());
  const bool forward = ScanDirectionIsForward(scan->state.ss.ps.state->es_direction);
  scan->row = forward ? Min(scan->row + 1, count) : Max(scan->row - 1, -1);
  TupleTableSlot* slot = scan->state.ss.ss_ScanTupleSlot;
  ExecClearTuple(slot);
  if (scan->row < 0 || scan->row == count) return false;
  const auto row = static_cast<size_t>(scan->row);
  if (row < rows.first() || row >= rows.first() + rows.count()) {
    CHECK_FOR_INTERRUPTS();
    AnswerRows* r = &rows;
    MemoryContext batch = scan->batch;
    pg::guard([=] { r->read(row / r->at_once() * r->at_once(), batch); });
  }
  const int columns = slot->tts_tupleDescriptor->natts;
  for (int c = 0; c < columns; ++c) {
    slot->tts_values[c] = rows.value(row, static_cast<size_t>(c));
    slot->tts_isnull[c] = rows.is_null(row, static_cast<size_t>(c));
  }
  ExecStoreVirtualTuple(slot);
  return true;
}

TupleTableSlot* next(CustomScanState* node) {
  AnswerScan* scan = as_scan(node);
  ProjectionInfo* projection = node->ss.ps.ps_ProjInfo;
  ExprState* qual = node->ss.ps.qual;
  ExprContext* context = node->ss.ps.ps_ExprContext;
  for (;;) {
    ResetExprContext(context);
    if (!move(scan))
      return projection ? ExecClearTuple(projection->pi_state.resultslot)
                        : node->ss.ss_ScanTupleSlot;
    context->ecxt_scantuple = node->ss.ss_ScanTupleSlot;
    if (!qual || ExecQual(qual, context))
      return projection ? ExecProject(projection) : node->ss.ss_ScanTupleSlot;
    InstrCountFiltered1(node, 1);
  }
}

void forget(AnswerScan* scan) {
  ExecClearTuple(scan->state.ss.ss_ScanTupleSlot);
  scan->held = nullptr;
  MemoryContextReset(scan->memory);
  MemoryContextReset(scan->batch);
}

void end(CustomScanState* node) { forget(as_scan(node)); }

void rescan(CustomScanState* node) {
  AnswerScan* scan = as_scan(node);
  if (node->ss.ps.chgParam &&
      (scan->has_subplan || bms_overlap(node->ss.ps.chgParam, scan->parameters)))
    forget(scan);
  scan->row = -1;
}

void explain(CustomScanState* node, List* ancestors, ExplainState* out) {
  const Held* held = as_scan(node)->held;
  if (out->analyze && held && held->answer.result.file)
    ExplainPropertyInteger("Temporary File", "kB",
                           static_cast<int64>(held->answer.result.file->file_bytes() / 1024), out);
  if (!out->verbose) return;
  List* context = set_deparse_context_plan(out->deparse_cxt, node->ss.ps.plan, ancestors);
  auto* call = reinterpret_cast<Node*>(as_scan(node)->call);
  ExplainPropertyText("Function Call", deparse_expression(call, context, true, false), out);
}

const CustomExecMethods exec_methods = {"Datahike Query", begin,   next,    end,     rescan,
                                        nullptr,          nullptr, nullptr, nullptr, nullptr,
                                        nullptr,          nullptr, explain};

Node* create_state(CustomScan*) {
  auto* scan = static_cast<AnswerScan*>(palloc0(sizeof(AnswerScan)));
  NodeSetTag(scan, T_CustomScanState);
  scan->state.methods = &exec_methods;
  return reinterpret_cast<Node*>(scan);
}

const CustomScanMethods scan_methods = {"Datahike Query", create_state};

Plan* make_plan(PlannerInfo*, RelOptInfo* rel, CustomPath* path, List* tlist, List* clauses,
                List*) {
  auto* plan = makeNode(CustomScan);
  auto* function = castNode(RangeTblFunction, linitial(path->custom_private));
  plan->scan.plan.targetlist = tlist;
  plan->scan.plan.qual = extract_actual_clauses(clauses, false);
  plan->custom_exprs = list_make1(copyObjectImpl(function->funcexpr));
  AttrNumber number = 0;
  ListCell *name, *type, *typmod, *collation;
  forfour(name, function->funccolnames, type, function->funccoltypes, typmod,
          function->funccoltypmods, collation, function->funccolcollations) {
    Var* column = makeVar(static_cast<int>(rel->relid), ++number, lfirst_oid(type),
                          lfirst_int(typmod), lfirst_oid(collation), 0);
    plan->custom_scan_tlist = lappend(
        plan->custom_scan_tlist,
        makeTargetEntry(reinterpret_cast<Expr*>(column), number, strVal(lfirst(name)), false));
  }
  plan->flags = path->flags;
  plan->methods = &scan_methods;
  return &plan->scan.plan;
}

const CustomPathMethods path_methods = {"Datahike Query", make_plan, nullptr};

// datahike.q itself, as the extension made it: nothing that PostgreSQL would do around the call.
bool is_plain_q(Oid function) {
  if (function < FirstNormalObjectId) return false;
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple)) return false;
  auto* form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  bool plain = form->prolang == ClanguageId && form->proretset && !form->prosecdef &&
               !form->proisstrict && std::strcmp(NameStr(form->proname), "q") == 0 &&
               heap_attisnull(tuple, Anum_pg_proc_proconfig, nullptr) &&
               form->pronamespace == get_namespace_oid("datahike", true);
  if (plain) {
    bool isnull;
    Datum source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
    plain = !isnull && std::strcmp(TextDatumGetCString(source), "datahike_q") == 0;
  }
  ReleaseSysCache(tuple);
  return plain && !FmgrHookIsNeeded(function);
}

// The call that a function in FROM is; nullptr: it is another one.
RangeTblFunction* call_of_q(RangeTblEntry* entry) {
  if (entry->rtekind != RTE_FUNCTION || entry->funcordinality || list_length(entry->functions) != 1)
    return nullptr;
  auto* function = linitial_node(RangeTblFunction, entry->functions);
  if (!IsA(function->funcexpr, FuncExpr) || function->funccolnames == NIL) return nullptr;
  const auto* call = castNode(FuncExpr, function->funcexpr);
  return is_plain_q(call->funcid) ? function : nullptr;
}

// A row as a whole is no column of the scan.
bool needs_whole_row(RelOptInfo* rel) {
  Bitmapset* columns = nullptr;
  pull_varattnos(reinterpret_cast<Node*>(rel->reltarget->exprs), rel->relid, &columns);
  pull_varattnos(reinterpret_cast<Node*>(extract_actual_clauses(rel->baserestrictinfo, false)),
                 rel->relid, &columns);
  pull_varattnos(reinterpret_cast<Node*>(extract_actual_clauses(rel->joininfo, false)), rel->relid,
                 &columns);
  return bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, columns);
}

void paths(PlannerInfo* root, RelOptInfo* rel, Index index, RangeTblEntry* entry) {
  if (previous_pathlist) previous_pathlist(root, rel, index, entry);
  // Rows that are looked at again for a lock come from the row marks of PostgreSQL's own scan.
  if (root->rowMarks != NIL || IS_DUMMY_REL(rel) || list_length(rel->pathlist) != 1) return;
  RangeTblFunction* function = call_of_q(entry);
  if (!function || needs_whole_row(rel)) return;
  auto* scan = static_cast<Path*>(linitial(rel->pathlist));
  if (scan->pathtype != T_FunctionScan) return;
  auto* path = makeNode(CustomPath);
  path->path = *scan;
  path->path.type = T_CustomPath;
  path->path.pathtype = T_CustomScan;
  path->path.parallel_aware = path->path.parallel_safe = false;
  path->flags = CUSTOMPATH_SUPPORT_BACKWARD_SCAN | CUSTOMPATH_SUPPORT_PROJECTION;
  path->custom_private = list_make1(function);
  path->methods = &path_methods;
  rel->pathlist = list_make1(path);
}

}  // namespace

void install_answer_scan() {
  RegisterCustomScanMethods(&scan_methods);
  previous_pathlist = set_rel_pathlist_hook;
  set_rel_pathlist_hook = paths;
}

}  // namespace datahike::query
