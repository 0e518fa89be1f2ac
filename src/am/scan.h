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
  std::unique_ptr<Sample> sample;   // ANALYZE and TABLESAMPLE
  uint32_t rows_left_of_block = 0;  // for the counters of blocks
  BlockNumber next_block = 0;       // TABLESAMPLE BERNOULLI takes every block
  Oid rewrite = InvalidOid;         // the transient relation that ALTER TABLE fills from the scan
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

}  // namespace datahike::am
