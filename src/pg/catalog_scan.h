// Scans of the extension's own tables, which are to it what PostgreSQL's catalogs are to that: as
// of now, whatever the transaction's snapshot, and without SIREAD locks. PostgreSQL takes none on
// its own catalogs either; on these two serializable transactions that know nothing of each other
// would meet in the pages of an index, and one of them end with 40001.
#pragma once

#include "pg/pg.h"

extern "C" {
#include "access/genam.h"
}

namespace datahike::pg {

// Owns nothing with a destructor: an error may leave it to the transaction's abort.
struct CatalogScan {
  SysScanDesc scan;
  Snapshot snapshot;
};

// As systable_beginscan(): through the index where one is given, whose columns the keys name then.
CatalogScan begin_catalog_scan(Relation relation, Oid index, int keys, ScanKey key);
// All rows that a snapshot sees.
CatalogScan begin_catalog_scan(Relation relation, Snapshot snapshot);
// nullptr at the end. It is good until the next one.
HeapTuple next_in_catalog(const CatalogScan& scan);
void end_catalog_scan(const CatalogScan& scan);

// Likewise, in the order of the index.
CatalogScan begin_ordered_catalog_scan(Relation relation, Relation index, int keys, ScanKey key);
HeapTuple next_in_order(const CatalogScan& scan, ScanDirection direction);
void end_ordered_catalog_scan(const CatalogScan& scan);

}  // namespace datahike::pg
