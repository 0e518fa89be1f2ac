// The rows of a small table's tree that a view still has. Where rows are updated again and again a
// scan would else look for each of the tree's rows among those that the deltas have removed.
#pragma once

#include <memory>
#include <vector>

#include "versioning/overlay.h"

namespace datahike::versioning {

struct PresentStored {
  uint32_t limit = 0;          // of the view
  size_t removals = 0;         // of the table's, those taken into account
  std::vector<uint64_t> rows;  // ascending
};

constexpr uint64_t kMostPresentStored = 1023;

// Of the tree and the first `limit` deltas of the overlay that the table is of; nullptr where the
// table is not small. TRUNCATEs and what has been erased are for the caller to look at. What a scan
// holds does not change while later deltas are applied.
// REQUIRES: the table is complete().
std::shared_ptr<PresentStored> present_stored(const Overlay& overlay, TableOverlay& table,
                                              uint32_t limit);

}  // namespace datahike::versioning
