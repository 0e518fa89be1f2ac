// What the planner knows of a table holds for its rows as they are now. Two things of it do not
// hold for other views:
//   - CHECK constraints may be newer than the rows: no scan is left out because of them.
//   - With all versions of a row in view its keys are not unique. Indexes do not count as unique,
//     and columns stay in GROUP BY though a key is in there as well.
// So plans do not outlive a change of the settings (settings.cpp).
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/hooks.h"
#include "versioning/view.h"

extern "C" {
#include "catalog/pg_constraint.h"
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

// PostgreSQL drops columns from GROUP BY that a primary key among them determines, but not from
// grouping sets. One grouping set of all columns groups as they do.
void keep_grouping(Query* query) {
  ListCell* cell;
  foreach (cell, query->constraintDeps)
    if (is_key_of_versions(lfirst_oid(cell))) refuse_grouping();
  if (query->groupClause == NIL || query->groupingSets != NIL) return;
  List* columns = NIL;
  foreach (cell, query->groupClause)
    columns = lappend_int(
        columns, static_cast<int>(static_cast<SortGroupClause*>(lfirst(cell))->tleSortGroupRef));
  query->groupingSets = list_make1(makeGroupingSet(GROUPING_SET_SIMPLE, columns, -1));
}

bool keep_all_grouping(Node* node, void* context) {
  if (!node) return false;
  // PostgreSQL 15 declares walkers without parameters.
  auto* walker = reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(keep_all_grouping));
  if (!IsA(node, Query)) return expression_tree_walker(node, walker, context);
  auto* query = reinterpret_cast<Query*>(node);
  keep_grouping(query);
  return query_tree_walker(query, walker, context, 0);
}

PlannedStmt* plan(Query* query, const char* text, int options, ParamListInfo params) {
  auto next = previous_planner ? previous_planner : standard_planner;
  bool read_only = guard([] { return versioning::current_settings().pinned_by != nullptr; });
  if (!read_only) return next(query, text, options, params);
  if (plans_history()) keep_all_grouping(reinterpret_cast<Node*>(query), nullptr);
  int exclusion = constraint_exclusion;
  PlannedStmt* result = nullptr;
  constraint_exclusion = CONSTRAINT_EXCLUSION_OFF;
  PG_TRY();
  { result = next(query, text, options, params); }
  PG_FINALLY();
  { constraint_exclusion = exclusion; }
  PG_END_TRY();
  return result;
}

}  // namespace

bool plans_history() {
  return guard([] { return versioning::current_settings().history; });
}

// Bodies of SQL functions become subqueries only after the hook above: what they group by has not
// become a grouping set, and may have lost columns.
void forget_uniqueness(PlannerInfo* root, Relation relation, RelOptInfo* rel) {
  ListCell* cell;
  foreach (cell, rel->indexlist) static_cast<IndexOptInfo*>(lfirst(cell))->unique = false;
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
