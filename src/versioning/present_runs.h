// The runs of a table's unfolded rows that a view still has some row of. Of a small table whose
// rows are updated again and again a scan would else step over every version that is not folded.
#pragma once

#include <memory>
#include <vector>

#include "versioning/overlay.h"

namespace datahike::versioning {

// What a scan needs of it lies together: the overlay's entries are all over its memory.
struct PresentRun {
  uint64_t first = 0, rows = 0;
  const AddedRuns::Entry* run = nullptr;
  store::SegmentReader segment;  // of its rows in the log, once a scan has opened it
  bool is_open = false;
  bool is_whole = false;  // no delta of the view has removed a row of it; else that is not known
};

struct PresentRuns {
  uint32_t limit = 0;            // of the view
  uint32_t clear = 0;            // the last TRUNCATE of it
  size_t removals = 0;           // of the table's, those taken into account
  std::vector<PresentRun> runs;  // ascending; rows of those that are not whole may be removed
  // The first run that ends behind `rowid`.
  size_t first_with(uint64_t rowid) const;
  // The first run that begins behind `rowid`.
  size_t first_behind(uint64_t rowid) const;
};

// Of the first `limit` deltas of the overlay that the table is of. What a scan holds does not
// change while later deltas are applied.
// REQUIRES: the table is complete().
std::shared_ptr<PresentRuns> present_runs(TableOverlay& table, uint32_t limit);

}  // namespace datahike::versioning
