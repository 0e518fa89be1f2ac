#include "am/truncation.h"

#include "pg/bridge.h"

extern "C" {
#include "fmgr.h"
#include "utils/inval.h"
}

namespace datahike::am {

namespace {

bool within_truncate = false;
// Tables whose list of indexes is to be empty, with a reference of its own to each.
std::vector<Relation> kept;

needs_fmgr_hook_type previous_needs = nullptr;
fmgr_hook_type previous_fmgr = nullptr;

void hide(Relation table) {
  list_free(table->rd_indexlist);
  table->rd_indexlist = NIL;
  table->rd_indexvalid = true;
}

// The relcache has found something out anew, the list of indexes not yet.
void hide_again(Datum, Oid relation) {
  for (Relation table : kept)
    if (!OidIsValid(relation) || RelationGetRelid(table) == relation) hide(table);
}

void show_all() {
  for (Relation table : kept) {
    table->rd_indexvalid = false;
    RelationClose(table);
  }
  kept.clear();
}

// The relcache itself calls the access method's handler.
bool may_look_at_tables(Oid function) {
  for (Relation table : kept)
    if (table->rd_amhandler == function) return false;
  return true;
}

bool needs_hook(Oid function) {
  return (!kept.empty() && may_look_at_tables(function)) ||
         (previous_needs && previous_needs(function));
}

void before_function(FmgrHookEventType event, FmgrInfo* function, Datum* state) {
  if (event == FHET_START && may_look_at_tables(function->fn_oid)) show_all();
  if (previous_fmgr && (!previous_needs || previous_needs(function->fn_oid)))
    previous_fmgr(event, function, state);
}

// reindex_relation() makes indexes valid that are not.
bool all_are_whole(Relation table) {
  bool whole = true;
  List* indexes = RelationGetIndexList(table);
  ListCell* cell;
  foreach (cell, indexes) {
    HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for index %u", lfirst_oid(cell));
    auto* form = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
    whole &= form->indisvalid && form->indisready && form->indislive && !form->indcheckxmin;
    ReleaseSysCache(tuple);
  }
  list_free(indexes);
  return whole;
}

// PostgreSQL takes the file of a table that a command has emptied for the subtransaction's own, and
// would empty files of indexes that are not: entries would be gone after ROLLBACK, too.
void require_own_indexes(Relation table) {
  const SubTransactionId sub = GetCurrentSubTransactionId();
  List* indexes = RelationGetIndexList(table);
  ListCell* cell;
  foreach (cell, indexes) {
    Relation index = index_open(lfirst_oid(cell), AccessExclusiveLock);
    if (index->rd_createSubid != sub && index->rd_newRelfilenodeSubid != sub)
      ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                      errmsg("index \"%s\" cannot be emptied in place: its file is not the "
                             "transaction's own",
                             RelationGetRelationName(index)),
                      errhint("TRUNCATE the table by an SQL command.")));
    index_close(index, NoLock);
  }
  list_free(indexes);
}

void keep(Relation table) {
  pg::guard([] { kept.reserve(kept.size() + 1); });
  RelationIncrementReferenceCount(table);
  kept.push_back(table);
}

}  // namespace

bool enter_truncate(bool is_truncate) {
  const bool before = within_truncate;
  within_truncate = is_truncate;
  return before;
}

void leave_truncate(bool before) {
  show_all();
  within_truncate = before;
}

// References go with the transaction's resources.
void leave_truncate_after_error(bool before) {
  for (Relation table : kept) table->rd_indexvalid = false;
  kept.clear();
  within_truncate = before;
}

// PostgreSQL changes the table's row in pg_class next, which has the relcache look at it anew.
void keep_indexes_with_new_file(Relation table) {
  if (within_truncate && all_are_whole(table)) keep(table);
}

void keep_indexes_in_place(Relation table) {
  if (!within_truncate) return require_own_indexes(table);
  keep(table);
  hide(table);
}

bool is_built_by_dummies(Relation index, const IndexInfo* info) {
  if (info->ii_Predicate == NIL && RelationGetIndexPredicate(index) != NIL) return true;
  if (info->ii_Expressions == NIL) return false;
  ListCell* cell;
  foreach (cell, info->ii_Expressions)
    if (!IsA(lfirst(cell), Const) || !lfirst_node(Const, cell)->constisnull) return false;
  return !equal(info->ii_Expressions, RelationGetIndexExpressions(index));
}

void install_truncation_hooks() {
  CacheRegisterRelcacheCallback(hide_again, static_cast<Datum>(0));
  previous_needs = needs_fmgr_hook;
  needs_fmgr_hook = needs_hook;
  previous_fmgr = fmgr_hook;
  fmgr_hook = before_function;
}

}  // namespace datahike::am
