// What PostgreSQL's planner and executor must do differently for datahike tables.
#include "am/horizon.h"
#include "am/pending.h"
#include "am/slot.h"
#include "pg/bridge.h"
#include "pg/hooks.h"
#include "pg/store.h"
#include "versioning/view.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "optimizer/pathnode.h"
#include "parser/parsetree.h"
}

namespace datahike::pg {

namespace {

ExecutorStart_hook_type previous_start = nullptr;
ExecutorRun_hook_type previous_run = nullptr;
ExecutorFinish_hook_type previous_finish = nullptr;
ExecutorEnd_hook_type previous_end = nullptr;
get_relation_info_hook_type previous_relation_info = nullptr;
int depth = 0;

// The view that each open query was started with: a cursor keeps it whatever is SET meanwhile.
std::unordered_map<QueryDesc*, versioning::SessionView> views;

bool is_datahike(Relation relation) {
  return relation->rd_tableam && relation->rd_tableam->slot_callbacks &&
         relation->rd_tableam->slot_callbacks(relation) == &am::slot_operations;
}

// PostgreSQL would prefetch blocks of a file that has none.
bool stop_prefetching(PlanState* state, void* context) {
  if (IsA(state, BitmapHeapScanState)) {
    auto* scan = reinterpret_cast<BitmapHeapScanState*>(state);
    Relation relation = scan->ss.ss_currentRelation;
    if (relation && is_datahike(relation)) scan->prefetch_maximum = 0;
  }
  // PostgreSQL 15 declares walkers without parameters.
  auto* walker = reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(stop_prefetching));
  return planstate_tree_walker(state, walker, context);
}

bool locks_or_writes_datahike(QueryDesc* query) {
  EState* estate = query->estate;
  PlannedStmt* plan = query->plannedstmt;
  ListCell* cell;
  foreach (cell, plan->resultRelations) {
    Relation relation = ExecGetRangeTableRelation(estate, lfirst_int(cell));
    if (relation && is_datahike(relation)) return true;
  }
  foreach (cell, plan->rowMarks) {
    auto* mark = static_cast<PlanRowMark*>(lfirst(cell));
    if (mark->isParent || !RowMarkRequiresRowShareLock(mark->markType)) continue;
    RangeTblEntry* entry = rt_fetch(mark->rti, plan->rtable);
    if (entry->rtekind != RTE_RELATION) continue;
    Relation relation = ExecGetRangeTableRelation(estate, mark->rti);
    if (relation && is_datahike(relation)) return true;
  }
  return false;
}

void start(QueryDesc* query, int flags) {
  if (depth == 0 && views.empty()) versioning::release_views(false);
  guard([=] { views[query] = versioning::current_settings(); });
  if (previous_start)
    previous_start(query, flags);
  else
    standard_ExecutorStart(query, flags);
  if (query->planstate) stop_prefetching(query->planstate, nullptr);
  bool explain_only = flags & EXEC_FLAG_EXPLAIN_ONLY;
  bool writes = query->plannedstmt->resultRelations != NIL || query->plannedstmt->rowMarks != NIL;
  if (!explain_only && writes && locks_or_writes_datahike(query))
    guard([=] {
      versioning::require_writable(views[query],
                                   query->operation == CMD_SELECT ? "lock rows" : "change rows");
    });
}

// Runs a part of a query with the view that the query was started with.
template <class Body>
void with_view_of(QueryDesc* query, Body&& body) {
  auto view = views.find(query);
  const versioning::SessionView* before =
      versioning::use_session_view(view == views.end() ? nullptr : &view->second);
  ++depth;
  PG_TRY();
  { body(); }
  PG_FINALLY();
  {
    --depth;
    versioning::use_session_view(before);
    if (depth == 0) release_store();
  }
  PG_END_TRY();
}

void run(QueryDesc* query, ScanDirection direction, uint64 count, bool execute_once) {
  // Parallel workers cannot see rows that only this session knows of.
  PlannedStmt* plan = query->plannedstmt;
  bool alone = plan->parallelModeNeeded && guard([] { return am::has_pending(); });
  if (alone) {
    plan = static_cast<PlannedStmt*>(
        MemoryContextAlloc(query->estate->es_query_cxt, sizeof(PlannedStmt)));
    *plan = *query->plannedstmt;
    plan->parallelModeNeeded = false;
    query->plannedstmt = plan;
  }
  with_view_of(query, [=] {
    if (previous_run)
      previous_run(query, direction, count, execute_once);
    else
      standard_ExecutorRun(query, direction, count, execute_once);
  });
}

// After-triggers run here.
void finish(QueryDesc* query) {
  with_view_of(query, [=] {
    if (previous_finish)
      previous_finish(query);
    else
      standard_ExecutorFinish(query);
  });
}

void end(QueryDesc* query) {
  views.erase(query);
  if (previous_end)
    previous_end(query);
  else
    standard_ExecutorEnd(query);
  if (depth == 0) release_store();
}

// BRIN indexes of datahike tables are names without content: see index_build.cpp.
void hide_brin_indexes(RelOptInfo* rel) {
  ListCell* cell;
  foreach (cell, rel->indexlist)
    if (static_cast<IndexOptInfo*>(lfirst(cell))->relam == BRIN_AM_OID)
      rel->indexlist = foreach_delete_current(rel->indexlist, cell);
}

void relation_info(PlannerInfo* root, Oid relid, bool inherited, RelOptInfo* rel) {
  if (previous_relation_info) previous_relation_info(root, relid, inherited, rel);
  Relation relation = RelationIdGetRelation(relid);
  if (!relation) return;
  if (is_datahike(relation)) {
    rel->rel_parallel_workers = 0;
    hide_brin_indexes(rel);
    bool usable =
        rel->indexlist == NIL || guard([=] { return am::indexes_are_complete(relation); });
    if (!usable) rel->indexlist = NIL;
  }
  RelationClose(relation);
}

}  // namespace

void forget_queries() {
  views.clear();
  depth = 0;
  versioning::use_session_view(nullptr);
}

void install_executor_hooks() {
  previous_start = ExecutorStart_hook;
  ExecutorStart_hook = start;
  previous_run = ExecutorRun_hook;
  ExecutorRun_hook = run;
  previous_finish = ExecutorFinish_hook;
  ExecutorFinish_hook = finish;
  previous_end = ExecutorEnd_hook;
  ExecutorEnd_hook = end;
  previous_relation_info = get_relation_info_hook;
  get_relation_info_hook = relation_info;
}

}  // namespace datahike::pg
