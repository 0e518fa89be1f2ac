// Statistics of a column, by which a scan skips segments and answers aggregates.
#pragma once

#include <cstdint>
#include <span>

#include "column/kind.h"

namespace datahike::column {

// Statistics of one column. min/max/sum ignore NULLs; for floats min/max also ignore NaN and hold
// the bit pattern of a double. `ordered` is false for Fixed, Bytes, all-NULL columns, and floats
// that contain a NaN; then min, max and sum mean nothing. sum is for the integer kinds only.
struct ZoneMap {
  uint32_t nulls = 0;
  bool ordered = false;
  int64_t min = 0;
  int64_t max = 0;
  __int128 sum = 0;
};

// The zone map of a column of words, at most 2^31 of them, of which `nulls` are NULL.
// REQUIRES: at least one word is not NULL, and NULL rows repeat the first value that is not (as
// Values and the encodings keep it), so that words[0] is what a NULL row holds.
ZoneMap zone_of(Kind kind, std::span<const uint64_t> words, uint32_t nulls);

}  // namespace datahike::column
