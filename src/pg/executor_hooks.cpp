// What PostgreSQL's planner and executor must do differently for datahike tables.
#include "am/brin.h"
#include "am/horizon.h"
#include "am/index_build.h"
#include "am/omitted_rows.h"
#include "am/pending.h"
#include "am/shared_changes.h"
#include "am/slot.h"
#include "exec/scan_filter.h"
#include "pg/bridge.h"
#include "pg/hooks.h"
#include "pg/store.h"
#include "versioning/shared_view.h"

extern "C" {
#include "access/parallel.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "parser/parsetree.h"
#include "utils/index_selfuncs.h"
#include "utils/plancache.h"
}

namespace datahike::pg {

namespace {

ExecutorStart_hook_type previous_start = nullptr;
ExecutorRun_hook_type previous_run = nullptr;
ExecutorFinish_hook_type previous_finish = nullptr;
ExecutorEnd_hook_type previous_end = nullptr;
get_relation_info_hook_type previous_relation_info = nullptr;
set_rel_pathlist_hook_type previous_pathlist = nullptr;
int depth = 0;

// The view that each open query was started with: a cursor keeps it whatever is SET meanwhile.
std::unordered_map<QueryDesc*, versioning::SessionView> views;

bool is_datahike(Relation relation) {
  return relation->rd_tableam && relation->rd_tableam->slot_callbacks &&
         relation->rd_tableam->slot_callbacks(relation) == &am::slot_operations;
}

bool is_datahike(Oid relid) {
  Relation relation = RelationIdGetRelation(relid);
  if (!relation) return false;
  bool result = is_datahike(relation);
  RelationClose(relation);
  return result;
}

// The index that a node of a plan scans, unless it has an entry for each row anyway; nullptr: none.
Relation index_in_part(PlanState* state) {
  Relation index = nullptr;
  if (IsA(state, IndexScanState))
    index = reinterpret_cast<IndexScanState*>(state)->iss_RelationDesc;
  else if (IsA(state, IndexOnlyScanState))
    index = reinterpret_cast<IndexOnlyScanState*>(state)->ioss_RelationDesc;
  else if (IsA(state, BitmapIndexScanState))
    index = reinterpret_cast<BitmapIndexScanState*>(state)->biss_RelationDesc;
  return index && am::may_lack_rows(index) ? index : nullptr;
}

// A walk over a plan that is to be carried out.
struct Walk {
  QueryDesc* query;
  Snapshot snapshot;  // of the nodes at hand: a node may read under one of its own
};

// Parts of a bitmap scan read under its snapshot. What else is below a node are plans of their own,
// such as subqueries in its conditions.
bool is_part_of_bitmap(PlanState* state) {
  return IsA(state, BitmapIndexScanState) || IsA(state, BitmapAndState) ||
         IsA(state, BitmapOrState);
}

void check_index(Relation index, const Walk& walk) {
  Relation relation = RelationIdGetRelation(index->rd_index->indrelid);
  if (!relation) return;
  if (is_datahike(relation)) {
    QueryDesc* query = walk.query;
    Snapshot snapshot = walk.snapshot;
    guard([=] {
      const versioning::SessionView* before = versioning::use_session_view(&views[query]);
      try {
        am::refuse_incomplete_index(relation, index, snapshot);
        versioning::use_session_view(before);
      } catch (...) {
        versioning::use_session_view(before);
        throw;
      }
    });
  }
  RelationClose(relation);
}

// PostgreSQL would prefetch blocks of a file that has none.
bool prepare_node(PlanState* state, void* context) {
  Walk walk = *static_cast<Walk*>(context);
  if (state->state != walk.query->estate)
    walk.snapshot = state->state->es_snapshot;
  else if (!is_part_of_bitmap(state))
    walk.snapshot = walk.query->snapshot;
  if (IsA(state, BitmapHeapScanState)) {
    auto* scan = reinterpret_cast<BitmapHeapScanState*>(state);
    Relation relation = scan->ss.ss_currentRelation;
    if (relation && is_datahike(relation)) scan->prefetch_maximum = 0;
  }
  if (IsA(state, SeqScanState)) exec::add_scan_filter(reinterpret_cast<SeqScanState*>(state));
  if (Relation index = index_in_part(state)) check_index(index, walk);
  // PostgreSQL 15 declares walkers without parameters.
  auto* walker = reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(prepare_node));
  return planstate_tree_walker(state, walker, &walk);
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

// A worker's own query reads what its leader reads. Queries of functions inside it go by the
// settings, as they do in the leader.
versioning::SessionView view_at_start() {
  if (IsParallelWorker() && depth == 0 && views.empty()) {
    if (std::optional<uint32_t> changes = versioning::shared_changes())
      am::take_shared_changes(*changes);
    if (std::optional<versioning::SessionView> shared = versioning::shared_view()) return *shared;
  }
  return versioning::current_settings();
}

// Whether the plan names a datahike table for which `test` holds.
template <class Test>
bool any_datahike(PlannedStmt* plan, Test&& test) {
  ListCell* cell;
  foreach (cell, plan->rtable) {
    auto* entry = static_cast<RangeTblEntry*>(lfirst(cell));
    if (entry->rtekind != RTE_RELATION) continue;
    Relation relation = RelationIdGetRelation(entry->relid);
    if (!relation) continue;
    bool found = is_datahike(relation) && test(relation);
    RelationClose(relation);
    if (found) return true;
  }
  return false;
}

// A plan for the present believes keys and constraints that the past need not keep to. Changing a
// setting makes all cached plans anew, but functions in SQL plan their statements before the first
// of them is run. Workers get a part of a plan, whose leader has been here.
void refuse_older_plan(PlannedStmt* plan, const versioning::SessionView& view) {
  PlannedFor needed = view.history  ? PlannedFor::History
                      : view.pinned ? PlannedFor::Past
                                    : PlannedFor::Present;
  if (planned_for(plan) >= needed || IsParallelWorker()) return;
  if (!any_datahike(plan, [](Relation) { return true; })) return;
  ResetPlanCache();
  ereport(
      ERROR,
      (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
       errmsg("this query was planned before the settings were changed that choose its version"),
       errhint("A function in SQL plans all its statements before it runs the first: change the "
               "settings before it is called, or write it in PL/pgSQL.")));
}

void start(QueryDesc* query, int flags) {
  if (depth == 0 && views.empty()) versioning::release_views(false);
  guard([=] {
    versioning::SessionView view = view_at_start();
    views[query] = view;
  });
  // Arguments of views are evaluated at the start, as part of this query, not of one around it.
  const versioning::SessionView* before = versioning::use_session_view(&views[query]);
  PG_TRY();
  {
    if (previous_start)
      previous_start(query, flags);
    else
      standard_ExecutorStart(query, flags);
  }
  PG_FINALLY();
  { versioning::use_session_view(before); }
  PG_END_TRY();
  bool explain_only = flags & EXEC_FLAG_EXPLAIN_ONLY;
  if (!explain_only) refuse_older_plan(query->plannedstmt, views[query]);
  Walk walk{query, query->snapshot};
  if (query->planstate) prepare_node(query->planstate, &walk);
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

bool reads_datahike(PlannedStmt* plan) {
  return any_datahike(plan, [](Relation) { return true; });
}

bool reads_computed_view(QueryDesc* query) {
  auto view = views.find(query);
  return view != views.end() && view->second.is_computed();
}

// What workers have to be told of the changes that only this session knows of. What a function of
// the user's reads is not known; a plan that calls none depends on relations alone.
struct OwnChanges {
  bool needed = false;
  dsm_segment* shared = nullptr;  // where needed; nullptr: they cannot be shared
};

OwnChanges own_changes(PlannedStmt* plan) {
  if (!guard([] { return am::has_pending(); })) return {};
  if (plan->invalItems != NIL) return {true, guard([] { return am::share_changes(nullptr); })};
  OwnChanges own;
  OwnChanges* out = &own;
  guard([=] {
    std::vector<uint64_t> tables;
    std::vector<uint64_t>* read = &tables;
    pg::call([=] {
      any_datahike(plan, [=](Relation relation) {
        guard([=] {
          const uint64_t table = am::relation_info(relation).table;
          if (am::has_pending_of(table)) read->push_back(table);
        });
        return false;
      });
    });
    std::sort(tables.begin(), tables.end());
    out->needed = !tables.empty();
    if (out->needed) out->shared = am::share_changes(&tables);
  });
  return own;
}

// For the workers that the query may launch. Ends with the GUC level that the caller has begun.
void share_view_of(QueryDesc* query, dsm_segment* changes) {
  char text[versioning::kMostSharedView] = "";
  char(*out)[versioning::kMostSharedView] = &text;
  bool reads = reads_datahike(query->plannedstmt);
  guard([=] {
    auto view = views.find(query);
    if (reads && view != views.end()) versioning::share_view(view->second, *out);
    if (changes) versioning::share_changes(dsm_segment_handle(changes), *out);
  });
  set_config_option(versioning::kSharedViewSetting, text, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                    true, 0, false);
}

void run(QueryDesc* query, ScanDirection direction, uint64 count, bool execute_once) {
  PlannedStmt* plan = query->plannedstmt;
  // What is not run to its end at once, such as most cursors, PostgreSQL runs without workers.
  bool launches = plan->parallelModeNeeded && count == 0 && !query->already_executed;
  bool alone = launches && reads_computed_view(query);
  OwnChanges own = launches && !alone ? own_changes(plan) : OwnChanges();
  if (alone || (own.needed && !own.shared)) {
    plan = static_cast<PlannedStmt*>(
        MemoryContextAlloc(query->estate->es_query_cxt, sizeof(PlannedStmt)));
    *plan = *query->plannedstmt;
    plan->parallelModeNeeded = false;
    query->plannedstmt = plan;
  }
  bool shares = own.shared || (plan->parallelModeNeeded && reads_datahike(plan));
  int level = shares ? NewGUCNestLevel() : 0;
  if (shares) share_view_of(query, own.shared);
  with_view_of(query, [=] {
    if (previous_run)
      previous_run(query, direction, count, execute_once);
    else
      standard_ExecutorRun(query, direction, count, execute_once);
  });
  if (shares) AtEOXact_GUC(true, level);
  if (own.shared) dsm_detach(own.shared);  // the workers have ended
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

// The TIDs of a table whose rows come in between those of others name more blocks than it has. Each
// is looked at where its range has no summary.
void cost_brin_scan(PlannerInfo* root, IndexPath* path, double loops, Cost* startup, Cost* total,
                    Selectivity* selectivity, double* correlation, double* pages) {
  brincostestimate(root, path, loops, startup, total, selectivity, correlation, pages);
  RelOptInfo* rel = path->indexinfo->rel;
  Relation relation = RelationIdGetRelation(planner_rt_fetch(rel->relid, root)->relid);
  double walked = guard([=] { return am::walked_blocks(relation); });
  RelationClose(relation);
  *total += cpu_tuple_cost * std::max(0.0, walked - rel->pages) * loops;
}

void cost_brin_scans(RelOptInfo* rel) {
  ListCell* cell;
  foreach (cell, rel->indexlist) {
    auto* index = static_cast<IndexOptInfo*>(lfirst(cell));
    if (index->relam == BRIN_AM_OID)
      index->amcostestimate = reinterpret_cast<void (*)()>(cost_brin_scan);
  }
}

// As am::may_lack_rows().
bool may_lack_rows(Relation relation, const IndexOptInfo* index) {
  if (index->indexprs != NIL || index->indpred != NIL) return true;
  for (int i = 0; i < index->ncolumns; ++i) {
    int number = index->indexkeys[i];
    if (number > 0 && TupleDescAttr(RelationGetDescr(relation), number - 1)->attlen < 0)
      return index->relam == BTREE_AM_OID;
  }
  return false;
}

// Those that lack rows of what is read now. Where that depends on the snapshot alone the plan is
// made again for another one.
void hide_incomplete_indexes(PlannerInfo* root, Relation relation, RelOptInfo* rel) {
  ListCell* cell;
  foreach (cell, rel->indexlist) {
    auto* index = static_cast<IndexOptInfo*>(lfirst(cell));
    if (!may_lack_rows(relation, index)) continue;
    Oid oid = index->indexoid;
    if (guard([=] { return am::serves_settings(relation, oid); })) continue;
    rel->indexlist = foreach_delete_current(rel->indexlist, cell);
    root->glob->transientPlan = true;
  }
}

// PostgreSQL plans CREATE INDEX by a query of nothing but the table.
void relation_info(PlannerInfo* root, Oid relid, bool inherited, RelOptInfo* rel) {
  if (previous_relation_info) previous_relation_info(root, relid, inherited, rel);
  bool ours = is_datahike(relid);
  if (!ours && get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE) return;
  Relation relation = RelationIdGetRelation(relid);
  if (plans_past()) forget_uniqueness(root, relation, rel);
  forget_bounds(relation, rel);
  if (!ours) {
    RelationClose(relation);
    return;
  }
  cost_brin_scans(rel);
  bool usable = rel->indexlist == NIL || guard([=] { return am::indexes_are_complete(relation); });
  if (!usable) rel->indexlist = NIL;
  hide_incomplete_indexes(root, relation, rel);
  bool builds_index = !root->parse->jointree;
  if (builds_index && !guard([=] { return am::builds_in_parallel(relation); }))
    rel->rel_parallel_workers = 0;
  RelationClose(relation);
}

bool sees_older_rows(Oid relid) {
  Relation relation = RelationIdGetRelation(relid);
  bool older = !guard([=] { return am::indexes_are_complete(relation); });
  RelationClose(relation);
  return older;
}

// A sample counts rows by where its view has them, which differs between leader and workers. Casts
// of rows from before a column changed its type may be users' functions, unsafe in workers.
void paths(PlannerInfo* root, RelOptInfo* rel, Index index, RangeTblEntry* entry) {
  if (previous_pathlist) previous_pathlist(root, rel, index, entry);
  if (!rel->consider_parallel || entry->rtekind != RTE_RELATION || entry->inh) return;
  if (!is_datahike(entry->relid)) return;
  if (!entry->tablesample && !sees_older_rows(entry->relid)) return;
  rel->consider_parallel = false;
  rel->partial_pathlist = NIL;
  ListCell* cell;
  foreach (cell, rel->pathlist) static_cast<Path*>(lfirst(cell))->parallel_safe = false;
}

}  // namespace

void forget_queries() {
  views.clear();
  depth = 0;
  versioning::use_session_view(nullptr);
}

bool any_open_query() { return !views.empty(); }

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
  previous_pathlist = set_rel_pathlist_hook;
  set_rel_pathlist_hook = paths;
}

}  // namespace datahike::pg
