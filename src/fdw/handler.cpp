// The callbacks of the foreign data wrapper "datahike".
#include "fdw/fact_scan.h"
#include "fdw/import.h"
#include "fdw/modify.h"
#include "fdw/paths.h"
#include "fdw/pushed.h"
#include "fdw/scan.h"
#include "pg/bridge.h"

extern "C" {
#include "access/sysattr.h"
#include "commands/explain.h"
#include "foreign/fdwapi.h"
#include "common/pg_prng.h"
#include "foreign/foreign.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/cost.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/sampling.h"

PG_FUNCTION_INFO_V1(datahike_fdw_handler);
PGDLLEXPORT Datum datahike_fdw_handler(PG_FUNCTION_ARGS);
}

namespace datahike::fdw {

namespace {

constexpr double kRowsPerPage = 50;

void estimate_size(PlannerInfo* root, RelOptInfo* rel, Oid foreign_table) {
  if (is_fact_table(foreign_table)) {
    if (rel->tuples < 0) rel->tuples = 1000;  // never analyzed
    rel->pages = static_cast<BlockNumber>(std::min(rel->tuples / kRowsPerPage + 1, 4e9));
    set_baserel_size_estimates(root, rel);
    return;
  }
  RangeTblEntry* entry = planner_rt_fetch(rel->relid, root);
  Oid user = OidIsValid(entry->checkAsUser) ? entry->checkAsUser : GetUserId();
  rel->tuples = ActiveSnapshotSet() ? count_rows(foreign_table, GetActiveSnapshot(), user) : 1000;
  rel->pages = static_cast<BlockNumber>(std::min(rel->tuples / kRowsPerPage + 1, 4e9));
  set_baserel_size_estimates(root, rel);
}

// The columns that the scan has to bring: what is not asked for is not decoded.
List* used_columns(RelOptInfo* rel, List* clauses, Oid foreign_table) {
  Bitmapset* used = nullptr;
  pull_varattnos(reinterpret_cast<Node*>(rel->reltarget->exprs), rel->relid, &used);
  pull_varattnos(reinterpret_cast<Node*>(extract_actual_clauses(clauses, false)), rel->relid,
                 &used);
  Relation relation = table_open(foreign_table, NoLock);
  List* columns = NIL;
  if (bms_is_member(-FirstLowInvalidHeapAttributeNumber, used)) {
    columns = all_columns(relation);  // the whole row
  } else {
    TupleDesc desc = RelationGetDescr(relation);
    for (int i = 1; i <= desc->natts; ++i)
      if (bms_is_member(i - FirstLowInvalidHeapAttributeNumber, used) &&
          !TupleDescAttr(desc, i - 1)->attisdropped)
        columns = lappend_int(columns, i);
  }
  table_close(relation, NoLock);
  return columns;
}

ForeignScan* make_plan(PlannerInfo*, RelOptInfo* rel, Oid foreign_table, ForeignPath*, List* tlist,
                       List* clauses, Plan* outer) {
  List* columns = used_columns(rel, clauses, foreign_table);
  List *conditions, *values = NIL;
  if (is_fact_table(foreign_table)) {
    conditions = fact_conditions(rel->baserestrictinfo, rel->relid, foreign_table);
  } else {
    List* pushed = pushed_conditions(clauses, rel->relid);
    values = values_to_compute(pushed);
    conditions = without_values(pushed);
  }
  return make_foreignscan(tlist, extract_actual_clauses(clauses, false), rel->relid, values,
                          list_make2(columns, conditions), NIL, NIL, outer);
}

// What a foreign table's rows come from: one of the two.
struct Source {
  Scan* rows;
  FactScan* facts;
};

Source open_source(const ScanRequest& request) {
  if (!is_fact_table(RelationGetRelid(request.foreign))) return {open_scan(request), nullptr};
  return {nullptr, open_fact_scan({request.foreign, request.user, request.columns,
                                   request.conditions, request.memory})};
}

bool next_of(const Source& source, TupleTableSlot* slot) {
  return source.rows ? next_row(source.rows, slot) : next_fact_row(source.facts, slot);
}

struct ScanState {
  Source source;
  List* values;          // ExprStates: what conditions compare with
  MemoryContext memory;  // of the values
  bool knows_conditions;
};
ScanState* state_of(ForeignScanState* node) { return static_cast<ScanState*>(node->fdw_state); }

Oid user_of(ForeignScanState* node) {
  auto* plan = castNode(ForeignScan, node->ss.ps.plan);
  RangeTblEntry* entry = exec_rt_fetch(plan->scan.scanrelid, node->ss.ps.state);
  return OidIsValid(entry->checkAsUser) ? entry->checkAsUser : GetUserId();
}

void begin(ForeignScanState* node, int flags) {
  if (flags & EXEC_FLAG_EXPLAIN_ONLY) return;
  EState* estate = node->ss.ps.state;
  auto* plan = castNode(ForeignScan, node->ss.ps.plan);
  auto* state =
      static_cast<ScanState*>(MemoryContextAllocZero(estate->es_query_cxt, sizeof(ScanState)));
  List* conditions = lsecond_node(List, plan->fdw_private);
  const bool facts = is_fact_table(RelationGetRelid(node->ss.ss_currentRelation));
  state->values = ExecInitExprList(plan->fdw_exprs, &node->ss.ps);
  state->memory =
      AllocSetContextCreate(estate->es_query_cxt, "datahike conditions", ALLOCSET_SMALL_SIZES);
  state->knows_conditions = facts;
  state->source = open_source({node->ss.ss_currentRelation, estate->es_snapshot, user_of(node),
                               linitial_node(List, plan->fdw_private), facts ? conditions : NIL,
                               estate->es_query_cxt});
  node->fdw_state = state;
}

// As they are with the parameters of now: not before the first row is asked for, as other parts of
// the plan may have to run for them.
void compute_conditions(ForeignScanState* node) {
  ScanState* state = state_of(node);
  auto* plan = castNode(ForeignScan, node->ss.ps.plan);
  MemoryContextReset(state->memory);
  MemoryContext old = MemoryContextSwitchTo(state->memory);
  List* values = NIL;
  ListCell *cell, *expression;
  forboth(cell, state->values, expression, plan->fdw_exprs) {
    auto* node_of = static_cast<Node*>(lfirst(expression));
    bool isnull;
    int16 length;
    bool by_value;
    const Datum value = ExecEvalExprSwitchContext(static_cast<ExprState*>(lfirst(cell)),
                                                  node->ss.ps.ps_ExprContext, &isnull);
    get_typlenbyval(exprType(node_of), &length, &by_value);
    values = lappend(
        values, makeConst(exprType(node_of), exprTypmod(node_of), exprCollation(node_of), length,
                          isnull ? 0 : datumCopy(value, by_value, length), isnull, by_value));
  }
  set_conditions(state->source.rows, with_values(lsecond_node(List, plan->fdw_private), values));
  MemoryContextSwitchTo(old);
  state->knows_conditions = true;
}

void close_source(const Source& source) {
  if (source.rows) close_scan(source.rows);
  if (source.facts) close_fact_scan(source.facts);
}

TupleTableSlot* iterate(ForeignScanState* node) {
  TupleTableSlot* slot = node->ss.ss_ScanTupleSlot;
  ScanState* state = state_of(node);
  if (!state->knows_conditions) compute_conditions(node);
  next_of(state->source, slot);
  return slot;
}

void rescan(ForeignScanState* node) {
  ScanState* state = state_of(node);
  if (state->source.facts) return rewind_fact_scan(state->source.facts);
  rewind_scan(state->source.rows);
  if (state->values != NIL) state->knows_conditions = false;
}

void end(ForeignScanState* node) {
  if (ScanState* state = state_of(node)) close_source(state->source);
}

// "column = value" of each condition that is looked up.
void explain_conditions(Oid foreign_table, List* conditions, ExplainState* out) {
  List* texts = NIL;
  ListCell* cell;
  foreach (cell, conditions) {
    auto* condition = static_cast<List*>(lfirst(cell));
    auto* value = lsecond_node(Const, condition);
    Oid output;
    bool varlena;
    getTypeOutputInfo(value->consttype, &output, &varlena);
    texts = lappend(
        texts, psprintf("%s = %s",
                        get_attname(foreign_table,
                                    static_cast<AttrNumber>(intVal(linitial(condition))), false),
                        quote_literal_cstr(OidOutputFunctionCall(output, value->constvalue))));
  }
  if (texts != NIL) ExplainPropertyList("Lookup", texts, out);
}

void explain(ForeignScanState* node, ExplainState* out) {
  auto* plan = castNode(ForeignScan, node->ss.ps.plan);
  Oid foreign_table = RelationGetRelid(node->ss.ss_currentRelation);
  ExplainPropertyText("View",
                      describe_view(server_options(GetForeignTable(foreign_table)->serverid)), out);
  const FactTable facts = fact_table(foreign_table);
  if (facts.index) ExplainPropertyText("Index of Facts", facts.index, out);
  if (facts.space) ExplainPropertyText("Namespace", facts.space, out);
  if (facts.index || facts.space)
    explain_conditions(foreign_table, lsecond_node(List, plan->fdw_private), out);
  else
    ExplainPropertyText("Relation", quoted(table_name(foreign_table)), out);
  List* names = NIL;
  ListCell* cell;
  if (!facts.index && !facts.space) {
    foreach (cell, lsecond_node(List, plan->fdw_private))
      names = lappend(
          names,
          get_attname(foreign_table,
                      static_cast<AttrNumber>(intVal(linitial(lfirst_node(List, cell)))), false));
    if (names != NIL) ExplainPropertyList("Tested Columns", names, out);
    names = NIL;
  }
  foreach (cell, linitial_node(List, plan->fdw_private))
    names = lappend(names,
                    get_attname(foreign_table, static_cast<AttrNumber>(lfirst_int(cell)), false));
  if (out->verbose) ExplainPropertyList("Columns", names, out);
}

HeapTuple copy_of(TupleTableSlot* slot, MemoryContext memory) {
  MemoryContext old = MemoryContextSwitchTo(memory);
  HeapTuple copy = ExecCopySlotHeapTuple(slot);
  MemoryContextSwitchTo(old);
  return copy;
}

// Where rows are known by their number: those that the sample is made of, in their order.
int take_numbered(const Source& source, double live, TupleTableSlot* slot, HeapTuple* rows,
                  int wanted, MemoryContext memory) {
  BlockSamplerData numbers;
  BlockSampler_Init(&numbers, static_cast<BlockNumber>(live), wanted,
                    pg_prng_uint32(&pg_global_prng_state));
  int taken = 0;
  for (uint64_t at = 0; BlockSampler_HasMore(&numbers); ++at) {
    const BlockNumber number = BlockSampler_Next(&numbers);
    skip_rows(source.rows, number - at);
    at = number;
    if (!next_of(source, slot)) break;
    rows[taken++] = copy_of(slot, memory);
  }
  return taken;
}

int take_unnumbered(const Source& source, double* live, TupleTableSlot* slot, HeapTuple* rows,
                    int wanted, MemoryContext memory) {
  ReservoirStateData sampling;
  reservoir_init_selection_state(&sampling, wanted);
  double seen = 0, skip = -1;
  int taken = 0;
  for (; next_of(source, slot); ++seen) {
    int place = taken;
    if (taken < wanted) {
      ++taken;
    } else {
      if (skip < 0) skip = reservoir_get_next_S(&sampling, seen, wanted);
      if (skip-- > 0) continue;
      skip = -1;
      place = static_cast<int>(wanted * sampler_random_fract(&sampling.randstate));
      heap_freetuple(rows[place]);
    }
    rows[place] = copy_of(slot, memory);
  }
  *live = seen;
  return taken;
}

// A sample of all rows, each as likely as any other.
int acquire_sample(Relation relation, int, HeapTuple* rows, int wanted, double* live,
                   double* dead) {
  bool pushed = !ActiveSnapshotSet();
  if (pushed) PushActiveSnapshot(GetTransactionSnapshot());
  MemoryContext rows_memory = CurrentMemoryContext;
  MemoryContext memory =
      AllocSetContextCreate(CurrentMemoryContext, "datahike sample", ALLOCSET_DEFAULT_SIZES);
  const Source source =
      open_source({relation, GetActiveSnapshot(), GetUserId(), all_columns(relation), NIL, memory});
  TupleTableSlot* slot =
      MakeSingleTupleTableSlot(RelationGetDescr(relation), table_slot_callbacks(relation));
  *live = source.rows ? count_rows_of(source.rows) : -1;
  const bool numbered = *live >= 0 && *live < MaxBlockNumber;
  const int taken = numbered ? take_numbered(source, *live, slot, rows, wanted, rows_memory)
                             : take_unnumbered(source, live, slot, rows, wanted, rows_memory);
  ExecDropSingleTupleTableSlot(slot);
  close_source(source);
  MemoryContextDelete(memory);
  if (pushed) PopActiveSnapshot();
  *dead = 0;
  return taken;
}

bool analyze(Relation relation, AcquireSampleRowsFunc* function, BlockNumber* pages) {
  *function = acquire_sample;
  bool pushed = !ActiveSnapshotSet();
  if (pushed) PushActiveSnapshot(GetTransactionSnapshot());
  double rows = is_fact_table(RelationGetRelid(relation))
                    ? 1000
                    : count_rows(RelationGetRelid(relation), GetActiveSnapshot(), GetUserId());
  if (pushed) PopActiveSnapshot();
  *pages = static_cast<BlockNumber>(std::min(rows / kRowsPerPage + 1, 4e9));
  return true;
}

// Rows of a foreign table cannot be locked: nobody who changes them would know.
RowMarkType row_mark(RangeTblEntry*, LockClauseStrength strength) {
  if (strength != LCS_NONE)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("rows of datahike's foreign tables cannot be locked"),
                    errhint("SET datahike.branch and lock the table's own rows.")));
  return ROW_MARK_COPY;
}

}  // namespace

}  // namespace datahike::fdw

Datum datahike_fdw_handler(PG_FUNCTION_ARGS) {
  using namespace datahike::fdw;
  FdwRoutine* routine = makeNode(FdwRoutine);
  routine->GetForeignRelSize = estimate_size;
  routine->GetForeignPaths = add_paths;
  routine->GetForeignPlan = make_plan;
  routine->BeginForeignScan = begin;
  routine->IterateForeignScan = iterate;
  routine->ReScanForeignScan = rescan;
  routine->EndForeignScan = end;
  routine->ExplainForeignScan = explain;
  routine->AnalyzeForeignTable = analyze;
  routine->ImportForeignSchema = import_schema;
  routine->GetForeignRowMarkType = row_mark;
  add_modify_callbacks(routine);
  PG_RETURN_POINTER(routine);
}
