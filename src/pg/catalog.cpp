// Functions here may raise PostgreSQL errors and own nothing with a destructor while they may.
#include "pg/catalog.h"

#include "am/horizon.h"
#include "am/rowid_blocks.h"
#include "pg/bridge.h"
#include "pg/catalog_scan.h"
#include "pg/keep_history.h"
#include "pg/sequence.h"

extern "C" {
#include "utils/plancache.h"
}

namespace datahike::pg {

namespace {

ExtensionOids oids;            // all InvalidOid where the extension is not installed
bool members_current = false;  // none of the relations has come or gone since
bool oids_current = false;     // nor has REINDEX CONCURRENTLY replaced an index
uint64_t generation_of_oids = 1;
uint64_t invalidations = 0;

// A few names are enough for any session; overwritten in turn.
struct CachedBranch {
  char name[NAMEDATALEN * 4];
  int64_t id;
  bool valid;
};
CachedBranch cached_branches[8];
int next_cached_branch = 0;

// What lock_log_relations() locks, while all of it is in the relation cache.
struct LogRelations {
  static constexpr int kMost = 16;
  Oid relation[kMost];
  int count;  // of all of them, also if that is more than are listed
  bool current;
  uint64_t changes;  // of those, so far
  bool has(Oid relid) const {
    const Oid* end = relation + std::min(count, kMost);
    return std::find(relation, end, relid) != end;
  }
};
LogRelations log_relations;

uint64_t generation_of_branches = 1;

void forget_branches() {
  ++generation_of_branches;
  if (am::plans_depend_on_view()) ResetPlanCache();
  for (CachedBranch& b : cached_branches) b.valid = false;
}

bool is_installed() { return OidIsValid(oids.schema); }

// Where the extension is not installed, any new relation may be its first. The table `branch` is
// invalidated when branches change; it never goes without the others.
void relation_invalidated(Datum, Oid relid) {
  if (relid == InvalidOid || log_relations.has(relid)) {
    log_relations.current = false;
    ++log_relations.changes;
  }
  bool any = relid == InvalidOid || !is_installed();
  if (any || relid == oids.branch) forget_branches();
  if (any || relid == oids.tx_log || relid == oids.heads || relid == oids.relation ||
      relid == oids.index_omissions || relid == oids.prepared) {
    members_current = false;
    ++generation_of_oids;
  } else if (relid != oids.branch && relid != oids.table_history && relid != oids.reflog &&
             relid != oids.tag) {
    return;
  }
  oids_current = false;
  ++invalidations;
}

// Anyone who may create a schema can give relations these names: only the extension's members
// count.
Oid find_member(Oid extension, Oid schema, const char* name) {
  Oid relation = get_relname_relid(name, schema);
  if (!OidIsValid(relation)) return InvalidOid;
  return getExtensionOfObject(RelationRelationId, relation) == extension ? relation : InvalidOid;
}

Oid find_index_of(Oid relation, Oid schema, const char* name) {
  Oid index = get_relname_relid(name, schema);
  if (!OidIsValid(index) || !OidIsValid(relation)) return InvalidOid;
  return IndexGetRelation(index, true) == relation ? index : InvalidOid;
}

bool find_keys(ExtensionOids* e) {
  auto index = [=](Oid of, const char* name) { return find_index_of(of, e->schema, name); };
  e->tx_log_key = index(e->tx_log, "tx_log_key");
  e->heads_key = index(e->heads, "heads_key");
  e->branch_name_key = index(e->branch, "branch_name_key");
  e->branch_id_key = index(e->branch, "branch_id_key");
  e->relation_key = index(e->relation, "relation_key");
  e->table_history_key = index(e->table_history, "table_history_key");
  e->index_omissions_key = index(e->index_omissions, "index_omissions_key");
  e->reflog_key = index(e->reflog, "reflog_key");
  e->tag_key = index(e->tag, "tag_key");
  for (Oid key :
       {e->tx_log_key, e->heads_key, e->branch_name_key, e->branch_id_key, e->relation_key,
        e->table_history_key, e->index_omissions_key, e->reflog_key, e->tag_key})
    if (!OidIsValid(key)) return false;
  return true;
}

// False where anything of the extension is missing.
bool find_extension(ExtensionOids* e) {
  Oid schema = get_namespace_oid("datahike", true);
  if (!OidIsValid(schema)) return false;
  Oid extension = get_extension_oid("datahike", true);
  if (!OidIsValid(extension)) return false;
  auto member = [=](const char* name) { return find_member(extension, schema, name); };
  e->schema = schema;
  e->tx_log = member("tx_log");
  e->heads = member("heads");
  e->branch = member("branch");
  e->relation = member("relation");
  e->table_history = member("table_history");
  e->index_omissions = member("index_omissions");
  e->prepared = member("prepared");
  e->reflog = member("reflog");
  e->tag = member("tag");
  e->rowid_block = member("rowid_block");
  e->table_id = member("table_id");
  e->branch_id = member("branch_id");
  for (Oid oid : {e->prepared, e->rowid_block, e->table_id, e->branch_id})
    if (!OidIsValid(oid)) return false;
  return find_keys(e);
}

// Branches come and go often, so what their invalidation may mean is looked up without pg_depend.
void look_up_oids() {
  uint64_t before = invalidations;
  ExtensionOids found = oids;
  if (members_current && is_installed() && find_keys(&found)) {
    oids = found;
  } else {
    oids = found = {};
    members_current = true;
    if (find_extension(&found)) oids = found;
  }
  oids_current = invalidations == before;
}

struct FoundRow {
  bool found;
  int64_t value;
  ItemPointerData tid;
};

// The row of a small table whose indexed first column equals `key`; `value_column` is an int4 or
// int8. The index may be another one until the table is locked.
FoundRow find_row(Oid relation, Oid ExtensionOids::*index, RegProcedure equals, Datum key,
                  int key_column, int value_column, bool value_is_int4) {
  FoundRow result{};
  Relation rel = table_open(relation, AccessShareLock);
  ScanKeyData scan_key;
  ScanKeyInit(&scan_key, key_column, BTEqualStrategyNumber, equals, key);
  const CatalogScan scan = begin_catalog_scan(rel, extension().*index, 1, &scan_key);
  HeapTuple tuple = next_in_catalog(scan);
  if (HeapTupleIsValid(tuple)) {
    bool isnull;
    Datum value = heap_getattr(tuple, value_column, RelationGetDescr(rel), &isnull);
    result = {true, value_is_int4 ? DatumGetInt32(value) : DatumGetInt64(value), tuple->t_self};
  }
  end_catalog_scan(scan);
  table_close(rel, AccessShareLock);
  return result;
}

FoundRow find_relation_row(Oid relid) {
  return find_row(extension().relation, &ExtensionOids::relation_key, F_OIDEQ,
                  ObjectIdGetDatum(relid), 1, 2, false);
}

FoundRow find_branch_row(const char* name) {
  return find_row(extension().branch, &ExtensionOids::branch_name_key, F_TEXTEQ,
                  CStringGetTextDatum(name), 2, 1, true);
}

void delete_row(Oid relation, ItemPointerData tid) {
  Relation rel = table_open(relation, RowExclusiveLock);
  CatalogTupleDelete(rel, &tid);
  table_close(rel, RowExclusiveLock);
}

// Makes its change visible, for the same row may be changed again.
void change_relation_row(Oid relation, int column, Datum value) {
  Relation rel = table_open(extension().relation, RowExclusiveLock);
  Datum values[5] = {};
  bool nulls[5] = {}, replace[5] = {};
  values[column - 1] = value;
  replace[column - 1] = true;
  ScanKeyData key;
  ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relation));
  const CatalogScan scan = begin_catalog_scan(rel, extension().relation_key, 1, &key);
  HeapTuple old = next_in_catalog(scan);
  if (!HeapTupleIsValid(old)) elog(ERROR, "relation %u has no row in datahike.relation", relation);
  HeapTuple changed = heap_modify_tuple(old, RelationGetDescr(rel), values, nulls, replace);
  CatalogTupleUpdate(rel, &changed->t_self, changed);
  end_catalog_scan(scan);
  table_close(rel, RowExclusiveLock);
  CacheInvalidateRelcacheByRelid(relation);
  CommandCounterIncrement();
}

}  // namespace

bool extension_installed() {
  if (!oids_current) look_up_oids();
  return is_installed();
}

uint64_t extension_generation() { return generation_of_oids; }

const ExtensionOids& extension() {
  if (!extension_installed())
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("extension datahike is not installed in this database"),
                    errhint("Run CREATE EXTENSION datahike.")));
  return oids;
}

namespace {

// Opening builds the relation cache entries.
void lock_and_open(Oid relation) {
  LockRelationOid(relation, AccessShareLock);
  if (log_relations.count < LogRelations::kMost)
    log_relations.relation[log_relations.count] = relation;
  ++log_relations.count;
  RelationClose(relation_open(relation, NoLock));
}

void lock_and_open_toast(Oid heap) {
  Relation rel = table_open(heap, NoLock);
  Oid toast_oid = rel->rd_rel->reltoastrelid;
  table_close(rel, NoLock);
  if (!OidIsValid(toast_oid)) return;
  lock_and_open(toast_oid);
  Relation toast = table_open(toast_oid, NoLock);
  List* indexes = RelationGetIndexList(toast);
  table_close(toast, NoLock);
  ListCell* cell;
  foreach (cell, indexes) lock_and_open(lfirst_oid(cell));
  list_free(indexes);
}

}  // namespace

// A small transaction locks these with its first change: when nothing has become of them since the
// last one, the locks are all that it needs.
void lock_log_relations() {
  const ExtensionOids& e = extension();
  if (log_relations.current) {
    for (int i = 0; i < log_relations.count && log_relations.current; ++i)
      LockRelationOid(log_relations.relation[i], AccessShareLock);
    extension();  // `e` as it is under these locks, not to be looked up under an index page's
    if (log_relations.current) return;
  }
  const uint64_t before = log_relations.changes;
  log_relations.current = false;
  log_relations.count = 0;
  for (Oid heap : {e.tx_log, e.heads}) {
    lock_and_open(heap);
    lock_and_open_toast(heap);
  }
  extension();  // likewise
  for (Oid index : {e.tx_log_key, e.heads_key}) lock_and_open(index);
  log_relations.current =
      log_relations.changes == before && log_relations.count <= LogRelations::kMost;
}

void lock_versioning_relations() {
  lock_log_relations();
  const ExtensionOids& e = extension();
  for (Oid heap : {e.branch, e.tag, e.reflog})
    table_close(table_open(heap, AccessShareLock), NoLock);
  extension();
  for (Oid index : {e.branch_name_key, e.branch_id_key, e.tag_key, e.reflog_key})
    index_close(index_open(index, AccessShareLock), NoLock);
}

StoredTable find_table(Oid relation) {
  const ExtensionOids& e = extension();
  StoredTable result{};
  Relation rel = table_open(e.relation, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relation));
  const CatalogScan scan = begin_catalog_scan(rel, extension().relation_key, 1, &key);
  HeapTuple tuple = next_in_catalog(scan);
  if (HeapTupleIsValid(tuple)) {
    bool isnull;
    TupleDesc desc = RelationGetDescr(rel);
    result.id = static_cast<uint64_t>(DatumGetInt64(heap_getattr(tuple, 2, desc, &isnull)));
    result.horizon = static_cast<uint64_t>(DatumGetInt64(heap_getattr(tuple, 3, desc, &isnull)));
    Datum defaults = heap_getattr(tuple, 4, desc, &isnull);
    if (!isnull) result.added_defaults = reinterpret_cast<bytea*>(PG_DETOAST_DATUM_COPY(defaults));
    result.first_rowid =
        static_cast<uint64_t>(DatumGetInt64(heap_getattr(tuple, 5, desc, &isnull)));
  }
  end_catalog_scan(scan);
  table_close(rel, AccessShareLock);
  return result;
}

void set_horizon(Oid relation, uint64_t horizon) {
  change_relation_row(relation, 3, Int64GetDatum(static_cast<int64_t>(horizon)));
}

void set_added_defaults(Oid relation, const bytea* added_defaults) {
  change_relation_row(relation, 4, PointerGetDatum(added_defaults));
}

uint64_t find_table_id(Oid relation) {
  return static_cast<uint64_t>(find_relation_row(relation).value);
}

StoredTable make_table(Oid relation) {
  const ExtensionOids& e = extension();
  int64_t id = draw(e.table_id);
  uint64_t first = am::begin_first_block(static_cast<uint64_t>(id));
  Relation rel = table_open(e.relation, RowExclusiveLock);
  Datum values[5] = {ObjectIdGetDatum(relation), Int64GetDatum(id), Int64GetDatum(0), 0,
                     Int64GetDatum(static_cast<int64_t>(first))};
  bool nulls[5] = {false, false, false, true, false};
  HeapTuple tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
  CatalogTupleInsert(rel, tuple);
  heap_freetuple(tuple);
  table_close(rel, RowExclusiveLock);
  return {static_cast<uint64_t>(id), 0, nullptr, first};
}

void forget_table_id(Oid relation) {
  FoundRow row = find_relation_row(relation);
  if (!row.found) return;
  delete_row(extension().relation, row.tid);
  forget_keep_of_table(static_cast<uint64_t>(row.value));
  am::forget_block(static_cast<uint64_t>(row.value));
}

Oid find_relation(uint64_t table) {
  Relation rel = table_open(extension().relation, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, 2, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(static_cast<int64_t>(table)));
  const CatalogScan scan = begin_catalog_scan(rel, InvalidOid, 1, &key);
  HeapTuple tuple = next_in_catalog(scan);
  Oid result = InvalidOid;
  if (HeapTupleIsValid(tuple)) {
    bool isnull;
    result = DatumGetObjectId(heap_getattr(tuple, 1, RelationGetDescr(rel), &isnull));
  }
  end_catalog_scan(scan);
  table_close(rel, AccessShareLock);
  return result;
}

int64_t find_branch(const char* name) {
  extension();
  for (CachedBranch& b : cached_branches)
    if (b.valid && std::strcmp(b.name, name) == 0) return b.id;
  FoundRow row = find_branch_row(name);
  if (!row.found) return -1;
  if (std::strlen(name) < sizeof cached_branches[0].name) {
    CachedBranch& b = cached_branches[next_cached_branch++ % lengthof(cached_branches)];
    strlcpy(b.name, name, sizeof b.name);
    b.id = row.value;
    b.valid = true;
  }
  return row.value;
}

uint64_t branches_generation() { return generation_of_branches; }

int64_t count_branches() {
  int64_t count = 0;
  Relation rel = table_open(extension().branch, AccessShareLock);
  const CatalogScan scan = begin_catalog_scan(rel, InvalidOid, 0, nullptr);
  while (HeapTupleIsValid(next_in_catalog(scan))) ++count;
  end_catalog_scan(scan);
  table_close(rel, AccessShareLock);
  return count;
}

int32_t insert_branch(const char* name) {
  const ExtensionOids& e = extension();
  int32_t id = static_cast<int32_t>(draw(e.branch_id));
  Relation rel = table_open(e.branch, RowExclusiveLock);
  Datum values[6] = {Int32GetDatum(id),
                     CStringGetTextDatum(name),
                     TimestampTzGetDatum(GetCurrentTimestamp()),
                     ObjectIdGetDatum(GetUserId()),
                     BoolGetDatum(false),
                     0};
  bool nulls[6] = {false, false, false, false, false, true};
  HeapTuple tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
  CatalogTupleInsert(rel, tuple);
  heap_freetuple(tuple);
  CacheInvalidateRelcacheByRelid(e.branch);
  table_close(rel, RowExclusiveLock);
  CommandCounterIncrement();
  return id;
}

void delete_branch_row(const char* name) {
  FoundRow row = find_branch_row(name);
  if (!row.found) return;
  delete_row(extension().branch, row.tid);
  CacheInvalidateRelcacheByRelid(extension().branch);
  CommandCounterIncrement();
}

void lock_branch_for_write(int32_t branch) {
  LockDatabaseObject(extension().branch, static_cast<Oid>(branch), 0, RowExclusiveLock);
}

bool try_lock_branch_for_write(int32_t branch) {
  LOCKTAG tag;
  SET_LOCKTAG_OBJECT(tag, MyDatabaseId, extension().branch, static_cast<Oid>(branch), 0);
  return LockAcquire(&tag, RowExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

void lock_branch_for_merge(int32_t branch) {
  LockDatabaseObject(extension().branch, static_cast<Oid>(branch), 0, ShareUpdateExclusiveLock);
}

void lock_branch_exclusively(int32_t branch) {
  LockDatabaseObject(extension().branch, static_cast<Oid>(branch), 0, AccessExclusiveLock);
}

bool try_lock_branch_exclusively(int32_t branch) {
  LOCKTAG tag;
  SET_LOCKTAG_OBJECT(tag, MyDatabaseId, extension().branch, static_cast<Oid>(branch), 0);
  return LockAcquire(&tag, AccessExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

void register_catalog_callbacks() {
  CacheRegisterRelcacheCallback(relation_invalidated, static_cast<Datum>(0));
}

}  // namespace datahike::pg
