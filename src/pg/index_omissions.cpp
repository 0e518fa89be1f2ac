#include "pg/index_omissions.h"

#include "pg/catalog.h"

namespace datahike::pg {

namespace {

constexpr int kIndexColumn = 1, kRowsColumn = 2;

// The row of an index, or an invalid tuple. The scan stays open for the caller to end.
HeapTuple find_row(Relation relation, Oid index, SysScanDesc* scan) {
  ScanKeyData key;
  ScanKeyInit(&key, kIndexColumn, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(index));
  *scan = systable_beginscan(relation, extension().index_omissions_key, true, nullptr, 1, &key);
  return systable_getnext(*scan);
}

}  // namespace

bytea* find_omissions(Oid index) {
  Relation relation = table_open(extension().index_omissions, AccessShareLock);
  SysScanDesc scan;
  HeapTuple tuple = find_row(relation, index, &scan);
  bytea* rows = nullptr;
  if (HeapTupleIsValid(tuple)) {
    bool isnull;
    Datum value = heap_getattr(tuple, kRowsColumn, RelationGetDescr(relation), &isnull);
    rows = reinterpret_cast<bytea*>(PG_DETOAST_DATUM_COPY(value));
  }
  systable_endscan(scan);
  table_close(relation, AccessShareLock);
  return rows;
}

void set_omissions(Oid index, const bytea* rows) {
  Relation relation = table_open(extension().index_omissions, RowExclusiveLock);
  SysScanDesc scan;
  HeapTuple old = find_row(relation, index, &scan);
  bool changes = rows || HeapTupleIsValid(old);
  if (HeapTupleIsValid(old)) CatalogTupleDelete(relation, &old->t_self);
  systable_endscan(scan);
  if (rows) {
    Datum values[2] = {ObjectIdGetDatum(index), PointerGetDatum(rows)};
    bool nulls[2] = {};
    HeapTuple tuple = heap_form_tuple(RelationGetDescr(relation), values, nulls);
    CatalogTupleInsert(relation, tuple);
    heap_freetuple(tuple);
  }
  table_close(relation, RowExclusiveLock);
  if (!changes) return;
  bool is_there = SearchSysCacheExists1(RELOID, ObjectIdGetDatum(index));
  if (is_there) CacheInvalidateRelcacheByRelid(index);
  CommandCounterIncrement();
}

}  // namespace datahike::pg
