// What values the keys of groups may have, by the zone maps of the columns that they are made of.
#pragma once

#include <cstdint>
#include <span>

#include "column/vector/piece.h"
#include "column/vector/program.h"

namespace datahike::vector {

// The least and greatest value; none where low > high. All are low plus a multiple of `step`.
struct KeyRange {
  int64_t low = INT64_MAX, high = INT64_MIN;
  uint64_t step = 1;
};

// Of an integer expression in the rows of these pieces; none where nothing is known.
KeyRange range_of(const Program& program, int expression, std::span<const Piece> pieces);

}  // namespace datahike::vector
