// How the participants of a parallel scan share a table: what they agree on, and who reads what.
//
// Each participant has a view of its own, made from the same snapshot and branch. Two views of one
// snapshot have the same rows, but not the same shape: what is in the tree of one may be in the
// overlay of another. So the table is divided by rowid. The participants take stretches of rowids
// from one counter, and each finds out by itself where the next rows are.
#pragma once

#include "am/row_cursor.h"
#include "pg/pg.h"

namespace datahike::am {

// PostgreSQL's descriptor in shared memory, and what follows it.
struct ParallelScan {
  ParallelTableScanDescData base;
  int32_t branch;         // of the view
  bool pinned;            // whether it is a commit
  pg_atomic_uint64 next;  // rowids below are taken
};

struct RowidStretch {
  uint64_t first, last;  // both included
};
// Takes the next stretch in which there may be rows. first_occupied(rowid) names a rowid at or
// above its argument with no row in between, or nullopt. Lock-free: who was too late asks again.
template <class FirstOccupied>
std::optional<RowidStretch> take_stretch(ParallelScan& scan, FirstOccupied&& first_occupied) {
  constexpr uint64_t kStretchRows = 8192;
  uint64_t from = pg_atomic_read_u64(&scan.next);
  for (;;) {
    std::optional<uint64_t> occupied = first_occupied(from);
    if (!occupied) return std::nullopt;
    uint64_t first = *occupied / kStretchRows * kStretchRows;
    if (pg_atomic_compare_exchange_u64(&scan.next, &from, first + kStretchRows))
      return RowidStretch{first, first + kStretchRows - 1};
  }
}

// nullptr: the scan is not parallel.
inline ParallelScan* parallel_scan_of(TableScanDesc scan) {
  return reinterpret_cast<ParallelScan*>(scan->rs_parallel);
}

// Callbacks.
Size parallelscan_estimate(Relation relation);
Size parallelscan_initialize(Relation relation, ParallelTableScanDesc scan);
void parallelscan_reinitialize(Relation relation, ParallelTableScanDesc scan);

}  // namespace datahike::am
