// Copies rows of segments into new segments: what is joined, what is left of a segment that has
// lost rows, and rows that come where others are already.
#pragma once

#include <functional>
#include <optional>

#include "store/segment.h"

namespace datahike::store {

// Rowids that no row has between two rows of one segment: so many at most, where it has so many
// rows up to there. Reading goes over holes as it goes over rows; a segment of its own for what is
// behind them costs more than some dozens of them.
inline constexpr uint64_t most_holes(uint64_t rows) { return 64 + 4 * rows; }

class SegmentCopier {
 public:
  using Sink = std::function<void(Bytes segment)>;
  explicit SegmentCopier(Sink sink) : sink_(std::move(sink)) {}
  // Rows first_row, first_row + 1, ... of the segment, holes left out. REQUIRES: in the order of
  // rowids. A segment ends where it is full, where the columns change, and before too many holes.
  void add(const SegmentReader& from, uint32_t first_row, uint32_t rows);
  void add(const SegmentReader& from) { add(from, 0, from.rows()); }
  void finish();  // the last segment

 private:
  void prepare(uint64_t rowid, uint64_t entity);

  Sink sink_;
  std::optional<SegmentBuilder> builder_;
  uint64_t first_ = 0, next_ = 0;  // rowids of what the builder has
  uint64_t rows_ = 0;              // of these, no holes
  bool has_holes_ = false, has_like_hole_ = false;
};

}  // namespace datahike::store
