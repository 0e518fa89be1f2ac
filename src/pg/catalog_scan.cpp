#include "pg/catalog_scan.h"

extern "C" {
#include "access/tableam.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

namespace datahike::pg {

namespace {

// SIREAD locks are taken for what an MVCC snapshot is shown. So every version is asked for, and
// whether the snapshot sees it is asked afterwards.
Snapshot take_snapshot(Relation relation) {
  return RegisterSnapshot(GetCatalogSnapshot(RelationGetRelid(relation)));
}

bool sees(const CatalogScan& scan) {
  return table_tuple_satisfies_snapshot(scan.scan->heap_rel, scan.scan->slot, scan.snapshot);
}

}  // namespace

CatalogScan begin_catalog_scan(Relation relation, Oid index, int keys, ScanKey key) {
  const Snapshot snapshot = take_snapshot(relation);
  return {systable_beginscan(relation, index, OidIsValid(index), SnapshotAny, keys, key), snapshot};
}

CatalogScan begin_catalog_scan(Relation relation, Snapshot snapshot) {
  snapshot = RegisterSnapshot(snapshot);
  return {systable_beginscan(relation, InvalidOid, false, SnapshotAny, 0, nullptr), snapshot};
}

HeapTuple next_in_catalog(const CatalogScan& scan) {
  HeapTuple tuple;
  do tuple = systable_getnext(scan.scan);
  while (HeapTupleIsValid(tuple) && !sees(scan));
  return tuple;
}

void end_catalog_scan(const CatalogScan& scan) {
  systable_endscan(scan.scan);
  UnregisterSnapshot(scan.snapshot);
}

CatalogScan begin_ordered_catalog_scan(Relation relation, Relation index, int keys, ScanKey key) {
  const Snapshot snapshot = take_snapshot(relation);
  return {systable_beginscan_ordered(relation, index, SnapshotAny, keys, key), snapshot};
}

HeapTuple next_in_order(const CatalogScan& scan, ScanDirection direction) {
  HeapTuple tuple;
  do tuple = systable_getnext_ordered(scan.scan, direction);
  while (HeapTupleIsValid(tuple) && !sees(scan));
  return tuple;
}

void end_ordered_catalog_scan(const CatalogScan& scan) {
  systable_endscan_ordered(scan.scan);
  UnregisterSnapshot(scan.snapshot);
}

}  // namespace datahike::pg
