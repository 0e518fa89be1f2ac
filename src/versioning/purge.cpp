// datahike.purge(): erases row versions from every branch and all of history. The order, which is
// what a kill at any point relies on: locks, a fold, the search; then the worker makes the records
// durable, from when on nobody sees the rows; then come index entries, statistics, and the
// segments.
#include "am/pending.h"
#include "am/purge.h"
#include "am/slot.h"
#include "pg/bridge.h"
#include "pg/redaction.h"
#include "pg/store.h"
#include "versioning/purge.h"
#include "versioning/redacted.h"
#include "versioning/view.h"

extern "C" {
#include "catalog/pg_inherits.h"
#include "commands/dbcommands.h"
#include "commands/tablecmds.h"
#include "utils/rls.h"
}

using namespace datahike;
using namespace datahike::versioning;

void datahike::versioning::require_purge_right(Oid table) {
  if (pg_class_ownercheck(table, GetUserId())) return;
  // Who owns the database may erase what he may read.
  if (pg_database_ownercheck(MyDatabaseId, GetUserId()) &&
      pg_class_aclcheck(table, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
    return;
  aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(table)),
                 get_rel_name(table));
}

namespace {

// Plain PostgreSQL code: owns no C++ object.

void refuse_row_security(Oid table) {
  if (check_enable_rls(table, InvalidOid, true) != RLS_ENABLED) return;
  ereport(ERROR,
          (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
           errmsg("cannot purge table \"%s\", whose row-level security applies to the caller",
                  get_rel_name(table)),
           errhint("Purge as a role that bypasses the table's policies.")));
}

bool is_datahike(Relation relation) {
  return relation->rd_tableam && relation->rd_tableam->slot_callbacks &&
         relation->rd_tableam->slot_callbacks(relation) == &am::slot_operations;
}

void refuse_own_changes(Relation relation) {
  if (!pg::guard([=] { return am::has_pending_of(am::relation_info(relation).table); })) return;
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("cannot purge table \"%s\", which this transaction has changed",
                         RelationGetRelationName(relation)),
                  errhint("COMMIT first.")));
}

// What the call is about, locked.
struct Tables {
  List* relations;  // those that have rows, opened
  List* others;     // partitioned ones, and those they inherit from: they have statistics
};

List* parents_of(Oid table) {
  List* parents = NIL;
  Relation inherits = table_open(InheritsRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(table));
  SysScanDesc scan =
      systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, nullptr, 1, &key);
  HeapTuple tuple;
  while (HeapTupleIsValid(tuple = systable_getnext(scan)))
    parents = lappend_oid(parents, reinterpret_cast<Form_pg_inherits>(GETSTRUCT(tuple))->inhparent);
  systable_endscan(scan);
  table_close(inherits, AccessShareLock);
  return parents;
}

// Parents that are not in the list yet and theirs, locked as ANALYZE does.
List* append_ancestors(List* tables) {
  for (int i = 0; i < list_length(tables); ++i) {
    ListCell* cell;
    List* parents = parents_of(list_nth_oid(tables, i));
    foreach (cell, parents) {
      if (list_member_oid(tables, lfirst_oid(cell))) continue;
      LockRelationOid(lfirst_oid(cell), ShareUpdateExclusiveLock);
      tables = lappend_oid(tables, lfirst_oid(cell));
    }
  }
  return tables;
}

Tables open_tables(Oid table) {
  Tables tables{};
  if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(table))) require_purge_right(table);
  append_ancestors(list_make1_oid(table));  // before what inherits from them, as others do
  LockRelationOid(table, AccessExclusiveLock);
  if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(table)))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation %u does not exist", table)));
  List* all = find_all_inheritors(table, AccessExclusiveLock, nullptr);
  ListCell* cell;
  foreach (cell, all) {
    require_purge_right(lfirst_oid(cell));
    refuse_row_security(lfirst_oid(cell));
    const char kind = get_rel_relkind(lfirst_oid(cell));
    if (kind == RELKIND_PARTITIONED_TABLE) {
      tables.others = lappend_oid(tables.others, lfirst_oid(cell));
      continue;
    }
    Relation relation = kind == RELKIND_RELATION || kind == RELKIND_MATVIEW
                            ? table_open(lfirst_oid(cell), NoLock)
                            : nullptr;
    if (!relation || !is_datahike(relation))
      ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                      errmsg("\"%s\" is not a datahike table", get_rel_name(lfirst_oid(cell)))));
    CheckTableNotInUse(relation, "purge");
    refuse_own_changes(relation);
    tables.relations = lappend(tables.relations, relation);
  }
  List* with_ancestors = append_ancestors(list_copy(all));
  tables.others = list_concat(tables.others, list_copy_tail(with_ancestors, list_length(all)));
  return tables;
}

void forget_statistics(Oid table) {
  Relation relation = table_open(table, NoLock);
  am::remove_statistics(relation);
  table_close(relation, NoLock);
}

void close_tables(List* relations) {
  ListCell* cell;
  foreach (cell, relations) table_close(static_cast<Relation>(lfirst(cell)), NoLock);
}

char* qualified_name(Relation relation) {
  return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
                                    RelationGetRelationName(relation));
}

struct Counts {
  uint64_t rows, versions;
};

// To here.

store::Uuid random_id() {
  store::Uuid id{};
  uint8_t* bytes = id.data();
  const size_t size = id.size();
  if (!pg::call([=] { return pg_strong_random(bytes, size); }))
    throw pg::SqlError(ERRCODE_INTERNAL_ERROR, "could not generate random numbers");
  return id;
}

store::Redaction describe(Relation relation, const store::Uuid& request, int64_t now,
                          am::Versions& versions) {
  store::Redaction redaction;
  redaction.request = request;
  redaction.time = now;
  redaction.who = pg::call([] { return GetUserNameFromId(GetUserId(), false); });
  redaction.table_name = pg::call([=] { return qualified_name(relation); });
  redaction.table = pg::call([=] { return am::relation_info(relation).table; });
  redaction.entities = versions.entities;
  redaction.rows = std::move(versions.rows);
  return redaction;
}

// What is to be erased; empty where nothing is found.
std::vector<store::Redaction> find_redactions(List* relations, const char* name,
                                              const char* predicate, Counts& counts) {
  std::map<Oid, am::Versions> found;
  ListCell* cell;
  foreach (cell, relations) {
    auto* relation = static_cast<Relation>(lfirst(cell));
    am::Versions& versions = found[RelationGetRelid(relation)];
    versions = am::find_versions(relation, name, predicate);
    counts.rows += versions.entities;
    counts.versions += versions.count;
  }
  std::vector<store::Redaction> redactions;
  if (counts.versions == 0) return redactions;
  am::check_references(found);
  const store::Uuid request = random_id();
  const int64_t now = GetCurrentTimestamp();
  foreach (cell, relations) {
    auto* relation = static_cast<Relation>(lfirst(cell));
    am::Versions& versions = found[RelationGetRelid(relation)];
    if (versions.count > 0) redactions.push_back(describe(relation, request, now, versions));
  }
  store::Environment& env = pg::open_store();
  env.refresh();
  store::find_redacted_commits(env, redactions, [] { pg::call([] { CHECK_FOR_INTERRUPTS(); }); });
  return redactions;
}

Counts purge(Oid table, const char* predicate) {
  const Tables tables = pg::call([=] { return open_tables(table); });
  List *relations = tables.relations, *others = tables.others;
  const char* name = pg::call([=] { return get_rel_name(table); });
  pg::call([] { pg::lock_redactions(); });
  wait_for_fold();
  refresh_redacted_rows();
  Counts counts{};
  begin_using_views();
  const std::vector<store::Redaction> redactions =
      find_redactions(relations, name, predicate, counts);
  end_using_views();
  pg::call([=] {
    ListCell* cell;
    foreach (cell, relations) refuse_own_changes(static_cast<Relation>(lfirst(cell)));
  });
  // Nothing found, but an earlier call may have been cut short: it is finished then.
  const bool unfinished = store::first_unerased(pg::open_store()).has_value();
  uint64_t ticket = 0;
  if (!redactions.empty() || unfinished) ticket = pg::request_redactions(redactions);
  refresh_redacted_rows();
  ListCell* cell;
  foreach (cell, relations) {
    auto* relation = static_cast<Relation>(lfirst(cell));
    const am::RelationInfo* info = pg::call([=] { return &am::relation_info(relation); });
    if (known_redacted_rows) am::remove_redacted_entries(relation, *info);
  }
  pg::call([=] {
    ListCell* at;
    foreach (at, relations) am::remove_statistics(static_cast<Relation>(lfirst(at)));
    foreach (at, others) forget_statistics(lfirst_oid(at));
    CommandCounterIncrement();  // for another call in the statement
    close_tables(relations);
  });
  if (ticket > 0) {
    pg::wait_until_erased(ticket);
    wait_for_fold();  // by a worker that remembers nothing
  }
  return counts;
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(datahike_purge);
PGDLLEXPORT Datum datahike_purge(PG_FUNCTION_ARGS);
}

Datum datahike_purge(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                    errmsg("purge() needs a table and a predicate")));
  TupleDesc desc;
  if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE)
    ereport(ERROR, (errmsg("purge() must return a row")));
  PreventCommandIfReadOnly("purge()");
  PreventCommandDuringRecovery("purge()");
  // What it erases stays erased, whatever becomes of the transaction.
  PreventInTransactionBlock(true, "purge()");
  Oid table = PG_GETARG_OID(0);
  char* predicate = text_to_cstring(PG_GETARG_TEXT_PP(1));
  Counts counts{};
  Counts* out = &counts;
  pg::guard([=] { *out = purge(table, predicate); });
  Datum values[2] = {Int64GetDatum(static_cast<int64>(counts.rows)),
                     Int64GetDatum(static_cast<int64>(counts.versions))};
  bool nulls[2] = {};
  return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
