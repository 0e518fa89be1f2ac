// The rows of a segment while they are collected, column by column. SegmentBuilder adds them one by
// one; who has many adds to the columns, and may read what is in them before it is encoded.
#pragma once

#include "column/values.h"
#include "store/segment.h"

namespace datahike::store {

struct SegmentColumns {
  // REQUIRES: as SegmentBuilder.
  explicit SegmentColumns(std::vector<ColumnSpec> columns);

  std::vector<ColumnSpec> specs;
  std::vector<column::Values> values;  // one for each of specs, each with a value for each row
  std::vector<uint64_t> entities;      // 0: the row's own rowid
  std::vector<bool> holes;             // up to the last one
  column::Values xids{Kind::Int64};
  size_t raw_bytes = 0;  // as SegmentBuilder::raw_bytes()

  uint32_t rows() const { return static_cast<uint32_t>(entities.size()); }
  bool is_hole(size_t row) const { return row < holes.size() && holes[row]; }

  // The rows as the segment of rowids first_rowid, first_rowid + 1, ... They stay. Several threads
  // may read and encode at a time. REQUIRES and throws as SegmentBuilder::finish().
  Bytes encode(uint64_t first_rowid) const;
  void clear();  // keeps memory for as many rows
};

}  // namespace datahike::store
