// The rows that a query reads, in pieces: a segment and which of its rows count.
#pragma once

#include <memory>
#include <vector>

#include "store/segment.h"

namespace datahike::vector {

struct Piece {
  store::SegmentReader segment;
  std::shared_ptr<const Bytes> storage;  // what `segment` reads, unless someone else keeps that
  std::vector<uint64_t> live;            // a bit for each row of the segment; empty: all of them
  uint32_t live_rows = 0;
  uint32_t number = 0;  // of the pieces that a query reads, from 0
  bool whole() const { return live_rows == segment.rows(); }
};

}  // namespace datahike::vector
