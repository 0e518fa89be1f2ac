// A segment of one row, written without collecting the row in columns: what a transaction that
// changes a row of a table writes while its COMMIT waits. There is nothing to choose for it.
#pragma once

#include <span>

#include "store/segment.h"

namespace datahike::store {

struct LoneValue {
  bool null = false;
  uint64_t bits = 0;  // kinds Int8..Float64
  ByteView bytes;     // the others
};

// Appends to `out` the bytes that SegmentBuilder makes of the row, and no other. entity 0 means
// "the row's own rowid".
// REQUIRES: one value for each of `columns`, as SegmentBuilder wants them, none of them compressed,
// and less than kSegmentTargetBytes of them; std::logic_error otherwise.
void encode_lone_row(std::span<const ColumnSpec> columns, std::span<const LoneValue> values,
                     uint64_t rowid, uint64_t entity, uint64_t xid, Bytes& out);

}  // namespace datahike::store
