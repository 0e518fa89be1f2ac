#include "pg/index_omissions.h"

#include "pg/catalog.h"
#include "pg/catalog_scan.h"

namespace datahike::pg {

namespace {

constexpr int kIndexColumn = 1, kRowsColumn = 2;

// The row of an index, or an invalid tuple. The scan stays open for the caller to end.
HeapTuple find_row(Relation relation, Oid index, CatalogScan* scan) {
  ScanKeyData key;
  ScanKeyInit(&key, kIndexColumn, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(index));
  *scan = begin_catalog_scan(relation, extension().index_omissions_key, 1, &key);
  return next_in_catalog(*scan);
}

}  // namespace

bytea* find_omissions(Oid index) {
  Relation relation = table_open(extension().index_omissions, AccessShareLock);
  CatalogScan scan;
  HeapTuple tuple = find_row(relation, index, &scan);
  bytea* rows = nullptr;
  if (HeapTupleIsValid(tuple)) {
    bool isnull;
    Datum value = heap_getattr(tuple, kRowsColumn, RelationGetDescr(relation), &isnull);
    rows = reinterpret_cast<bytea*>(PG_DETOAST_DATUM_COPY(value));
  }
  end_catalog_scan(scan);
  table_close(relation, AccessShareLock);
  return rows;
}

void set_omissions(Oid index, const bytea* rows) {
  Relation relation = table_open(extension().index_omissions, RowExclusiveLock);
  CatalogScan scan;
  HeapTuple old = find_row(relation, index, &scan);
  bool changes = rows || HeapTupleIsValid(old);
  if (HeapTupleIsValid(old)) CatalogTupleDelete(relation, &old->t_self);
  end_catalog_scan(scan);
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
