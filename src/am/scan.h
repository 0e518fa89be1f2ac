// What a scan of a datahike table keeps, behind PostgreSQL's scan descriptor.
#pragma once

#include "am/row_cursor.h"

namespace datahike::am {

struct Sample;

struct ScanState {
  std::unique_ptr<RowCursor> cursor;
  bool has_stretch = false;           // parallel: the cursor is limited to a stretch it has taken
  std::vector<uint64_t> bitmap_rows;  // of the bitmap page at hand
  size_t bitmap_next = 0;
  uint64_t bitmap_looked_from = 0;  // from here on no visible row of others is
  uint64_t bitmap_occupied = 0;     // below this
  std::unique_ptr<Sample> sample;   // ANALYZE and TABLESAMPLE
  uint32_t rows_left_of_block = 0;  // for the counters of blocks
  BlockNumber next_block = 0;       // TABLESAMPLE BERNOULLI takes every block
  Oid rewrite = InvalidOid;         // the transient relation that ALTER TABLE fills from the scan
  std::shared_ptr<void> attached;   // what whoever scans by columns has made of it
  ScanState();
  ~ScanState();
};

struct Scan {
  TableScanDescData base;
  ScanState* state;
  ResourceOwner owner;  // when it is released, the state goes
};
inline Scan* as_scan(TableScanDesc scan) { return reinterpret_cast<Scan*>(scan); }
// The scan's view: of its snapshot, or the newest the statement can see where it has none
// (ANALYZE).
TableView view_of_scan(TableScanDesc scan, const RelationInfo& info);

// A scan by columns (batch_cursor.h) begins: its view, once predicate locks are taken.
TableView begin_batch_scan(TableScanDesc scan, const RelationInfo& info);
// It has read that many rows.
void count_batch_rows(TableScanDesc scan, uint64_t rows);
// Steps over so many of the rows that a sequential scan has still to give; returns how many there
// were. Raises PostgreSQL errors.
uint64_t skip_rows(TableScanDesc scan, uint64_t rows);
// Lives as long as the scan, and goes with it after an error.
void attach_to_scan(TableScanDesc scan, std::shared_ptr<void> object);

}  // namespace datahike::am
