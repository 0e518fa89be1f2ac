// What the planner knows of a table holds for its rows as they are now. Of other views it does not:
//   - CHECK constraints and bounds of partitions may be newer than the rows: no scan is left out
//     because of them, nor do partitions follow one another in the order of their bounds. Bounds
//     with which a partition was created are as old as its rows.
//   - Keys may be newer, too, and with all versions of a row in view they are not unique. No index
//     counts as unique, and columns stay in GROUP BY though a key is in there as well.
// So plans do not outlive a change of the settings (settings.cpp).
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/hooks.h"
#include "versioning/view.h"

extern "C" {
#include "access/sysattr.h"
#include "catalog/partition.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
}

namespace datahike::pg {

namespace {

planner_hook_type previous_planner = nullptr;

[[noreturn]] void refuse_grouping() {
  ereport(ERROR,
          (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
           errmsg("GROUP BY cannot rely on a primary key while datahike.history is on"),
           errdetail("The versions of a row have the same key."),
           errhint("Name all columns that are selected in GROUP BY, outside of SQL functions.")));
}

// Whether a constraint that the query's grouping was accepted for is one of versioned rows.
bool is_key_of_versions(Oid constraint) {
  HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
  if (!HeapTupleIsValid(tuple)) return false;
  Oid relid = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple))->conrelid;
  ReleaseSysCache(tuple);
  return get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE ||
         guard([=] { return call([=] { return find_table_id(relid); }) != 0; });
}

void keep_columns(Query* query, bool history) {
  ListCell* cell;
  if (history)
    foreach (cell, query->constraintDeps)
      if (is_key_of_versions(lfirst_oid(cell))) refuse_grouping();
  if (query->groupClause == NIL || query->groupingSets != NIL) return;
  if (!history && list_length(query->groupClause) == 1) return;
  List* columns = NIL;
  foreach (cell, query->groupClause)
    columns = lappend_int(
        columns, static_cast<int>(static_cast<SortGroupClause*>(lfirst(cell))->tleSortGroupRef));
  query->groupingSets = list_make1(makeGroupingSet(GROUPING_SET_SIMPLE, columns, -1));
}

bool keep_all_columns(Node* node, void* history) {
  if (!node) return false;
  // PostgreSQL 15 declares walkers without parameters.
  auto* walker = reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(keep_all_columns));
  if (!IsA(node, Query)) return expression_tree_walker(node, walker, history);
  auto* query = reinterpret_cast<Query*>(node);
  keep_columns(query, *static_cast<bool*>(history));
  return query_tree_walker(query, walker, history, 0);
}

bool plans_history() {
  return guard([] { return versioning::current_settings().history; });
}

// A plan carries what it was made for as an item of what invalidates it, of a cache that does not
// exist: these are copied with the plan, and no other field of it is free.
constexpr int kNoCache = -7101;

void mark_plan(PlannedStmt* plan, PlannedFor what) {
  auto* item = makeNode(PlanInvalItem);
  item->cacheId = kNoCache;
  item->hashValue = static_cast<uint32>(what);
  plan->invalItems = lappend(plan->invalItems, item);
}

PlannedStmt* plan(Query* query, const char* text, int options, ParamListInfo params) {
  auto next = previous_planner ? previous_planner : standard_planner;
  bool read_only = guard([] { return versioning::current_settings().pinned_by != nullptr; });
  if (!read_only) return next(query, text, options, params);
  bool history = plans_history();
  if (plans_past()) keep_all_columns(reinterpret_cast<Node*>(query), &history);
  PlannedStmt* made = plan_without_constraints(next, query, text, options, params);
  mark_plan(made, history        ? PlannedFor::History
                  : plans_past() ? PlannedFor::Past
                                 : PlannedFor::Present);
  return made;
}

// Queries being planned without belief in constraints.
int distrusting = 0;

}  // namespace

PlannedFor planned_for(PlannedStmt* plan) {
  ListCell* cell;
  foreach (cell, plan->invalItems) {
    auto* item = lfirst_node(PlanInvalItem, cell);
    if (item->cacheId == kNoCache) return static_cast<PlannedFor>(item->hashValue);
  }
  return PlannedFor::Present;
}

bool plans_past() {
  return guard([] { return versioning::current_settings().pinned; });
}

void keep_grouping(Query* query) {
  bool history = false;
  keep_all_columns(reinterpret_cast<Node*>(query), &history);
}

PlannedStmt* plan_without_constraints(PlannedStmt* (*next)(Query*, const char*, int, ParamListInfo),
                                      Query* query, const char* text, int options,
                                      ParamListInfo params) {
  int exclusion = constraint_exclusion;
  PlannedStmt* result = nullptr;
  constraint_exclusion = CONSTRAINT_EXCLUSION_OFF;
  ++distrusting;
  PG_TRY();
  { result = next(query, text, options, params); }
  PG_FINALLY();
  {
    --distrusting;
    constraint_exclusion = exclusion;
  }
  PG_END_TRY();
  return result;
}

namespace {

// The transaction that made a table: nothing changes the entry of its first system column.
TransactionId created_by(Oid relation) {
  constexpr AttrNumber kColumn = SelfItemPointerAttributeNumber;
  HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(kColumn));
  if (!HeapTupleIsValid(tuple)) return InvalidTransactionId;
  TransactionId xid = HeapTupleHeaderGetRawXmin(tuple->t_data);
  ReleaseSysCache(tuple);
  return xid;
}

// Whether each partition was made as one, with the bounds that it has. What a default partition may
// hold changes with each other one.
bool bounds_are_as_old_as_partitions(Oid parent) {
  bool old = !OidIsValid(get_default_partition_oid(parent));
  Relation inherits = table_open(InheritsRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_inherits_inhparent, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(parent));
  SysScanDesc scan = systable_beginscan(inherits, InheritsParentIndexId, true, nullptr, 1, &key);
  for (HeapTuple tuple; old && HeapTupleIsValid(tuple = systable_getnext(scan));) {
    Oid partition = reinterpret_cast<Form_pg_inherits>(GETSTRUCT(tuple))->inhrelid;
    old = HeapTupleHeaderGetRawXmin(tuple->t_data) == created_by(partition);
  }
  systable_endscan(scan);
  table_close(inherits, AccessShareLock);
  return old;
}

}  // namespace

// Partitions are chosen, ordered and joined one by one by what is said of the partition key:
// nothing is of an expression that occurs nowhere.
void forget_bounds(Relation relation, RelOptInfo* rel) {
  if (distrusting == 0 || !rel->part_scheme) return;
  if (bounds_are_as_old_as_partitions(RelationGetRelid(relation))) return;
  for (int i = 0; i < rel->part_scheme->partnatts; ++i) {
    Oid type = rel->part_scheme->partopcintype[i];
    rel->partexprs[i] = list_make1(makeNullConst(type, -1, InvalidOid));
    rel->nullable_partexprs[i] = NIL;
  }
}

// Bodies of SQL functions become subqueries only after the hook above: what they group by has not
// become a grouping set, and may have lost columns.
void forget_uniqueness(PlannerInfo* root, Relation relation, RelOptInfo* rel) {
  ListCell* cell;
  foreach (cell, rel->indexlist) static_cast<IndexOptInfo*>(lfirst(cell))->unique = false;
  if (!plans_history()) return;
  Query* query = root->parse;
  if (query->groupClause != NIL && query->groupingSets == NIL &&
      OidIsValid(RelationGetPrimaryKeyIndex(relation)))
    refuse_grouping();
}

void install_planner_hook() {
  previous_planner = planner_hook;
  planner_hook = plan;
}

}  // namespace datahike::pg
