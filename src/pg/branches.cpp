#include "pg/branches.h"

#include "pg/catalog.h"
#include "pg/catalog_scan.h"

namespace datahike::pg {

namespace {

enum Column { kId = 1, kName, kCreatedAt, kOwner, kProtected, kMergers };
constexpr int kColumns = 6;

BranchRow to_row(HeapTuple tuple, TupleDesc desc) {
  Datum v[kColumns];
  bool n[kColumns];
  heap_deform_tuple(tuple, desc, v, n);
  return {DatumGetInt32(v[kId - 1]), DatumGetObjectId(v[kOwner - 1]),
          DatumGetBool(v[kProtected - 1]),
          n[kMergers - 1] ? nullptr : DatumGetArrayTypePCopy(v[kMergers - 1])};
}

bool find(ScanKeyData* key, Oid index, BranchRow* row) {
  Relation rel = table_open(extension().branch, AccessShareLock);
  const CatalogScan scan = begin_catalog_scan(rel, index, 1, key);
  HeapTuple tuple = next_in_catalog(scan);
  bool found = HeapTupleIsValid(tuple);
  if (found) *row = to_row(tuple, RelationGetDescr(rel));
  end_catalog_scan(scan);
  table_close(rel, AccessShareLock);
  return found;
}

void name_key(ScanKeyData* key, const char* name) {
  ScanKeyInit(key, kName, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(name));
}

struct Change {
  Datum values[kColumns];
  bool nulls[kColumns], replace[kColumns];
  void set(Column column, Datum value, bool null = false) {
    values[column - 1] = value;
    nulls[column - 1] = null;
    replace[column - 1] = true;
  }
};

void change(const char* name, Change* change) {
  Relation rel = table_open(extension().branch, RowExclusiveLock);
  ScanKeyData key;
  name_key(&key, name);
  const CatalogScan scan = begin_catalog_scan(rel, extension().branch_name_key, 1, &key);
  HeapTuple old = next_in_catalog(scan);
  if (!HeapTupleIsValid(old))
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("branch \"%s\" does not exist", name)));
  HeapTuple changed =
      heap_modify_tuple(old, RelationGetDescr(rel), change->values, change->nulls, change->replace);
  CatalogTupleUpdate(rel, &changed->t_self, changed);
  end_catalog_scan(scan);
  table_close(rel, NoLock);
  CacheInvalidateRelcacheByRelid(extension().branch);
  CommandCounterIncrement();
}

}  // namespace

bool find_branch_row(const char* name, BranchRow* row) {
  ScanKeyData key;
  name_key(&key, name);
  return find(&key, extension().branch_name_key, row);
}

bool find_branch_row(int32_t id, BranchRow* row) {
  ScanKeyData key;
  ScanKeyInit(&key, kId, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(id));
  return find(&key, extension().branch_id_key, row);
}

bool may_own(const BranchRow& row, Oid role) {
  return has_privs_of_role(role, row.owner) || pg_database_ownercheck(MyDatabaseId, role);
}

// Protection binds superusers, whom PostgreSQL counts as members of every role, unless they are
// made members.
static bool is_member(Oid role, Oid of) {
  return superuser_arg(role) ? is_member_of_role_nosuper(role, of) : has_privs_of_role(role, of);
}

bool may_merge(const BranchRow& row, Oid role) {
  if (!row.mergers) return false;
  auto* roles = reinterpret_cast<Oid*>(ARR_DATA_PTR(row.mergers));
  int count = ArrayGetNItems(ARR_NDIM(row.mergers), ARR_DIMS(row.mergers));
  for (int i = 0; i < count; ++i)
    if (is_member(role, roles[i])) return true;
  return false;
}

void lock_branch_row(int32_t id) {
  LockDatabaseObject(extension().branch, static_cast<Oid>(id), 0, ShareUpdateExclusiveLock);
}

void rename_branch_row(const char* name, const char* new_name) {
  Change c{};
  c.set(kName, CStringGetTextDatum(new_name));
  change(name, &c);
}

void set_branch_owner(const char* name, Oid owner) {
  Change c{};
  c.set(kOwner, ObjectIdGetDatum(owner));
  change(name, &c);
}

void set_branch_protection(const char* name, bool is_protected, ArrayType* mergers) {
  Change c{};
  c.set(kProtected, BoolGetDatum(is_protected));
  c.set(kMergers, PointerGetDatum(mergers), mergers == nullptr);
  change(name, &c);
}

}  // namespace datahike::pg
