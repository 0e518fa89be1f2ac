// The rows of a small table's tree that a view still has. Where rows are updated again and again a
// scan would else look for each of the tree's rows among those that the deltas have removed.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "versioning/overlay.h"

namespace datahike::versioning {

// Copies of small segments of the store, each for as long as there is the overlay: to look one up
// takes longer than to read a row of it, and what points into the map is good for a statement.
class SegmentCopies {
 public:
  // The copy that has the row; nullptr: none has.
  const store::SegmentReader* find(uint64_t rowid) const;
  // Copies a segment, which has been verified, if it is small and there is room.
  void add(const store::SegmentReader& segment);

 private:
  struct Copy {
    Bytes bytes;
    store::SegmentReader segment;
  };
  std::map<uint64_t, Copy> copies_;  // by first rowid; none goes, for rows of it may be in use
  size_t bytes_ = 0;
};

struct PresentStored {
  uint32_t limit = 0;          // of the view
  size_t removals = 0;         // of the table's, those taken into account
  std::vector<uint64_t> rows;  // ascending
  std::shared_ptr<SegmentCopies> copies = std::make_shared<SegmentCopies>();  // the table's
};

constexpr uint64_t kMostPresentStored = 1023;

// Of the tree and the first `limit` deltas of the overlay that the table is of; nullptr where the
// table is not small. TRUNCATEs and what has been erased are for the caller to look at. What a scan
// holds does not change while later deltas are applied.
// REQUIRES: the table is complete().
std::shared_ptr<PresentStored> present_stored(const Overlay& overlay, TableOverlay& table,
                                              uint32_t limit);

}  // namespace datahike::versioning
