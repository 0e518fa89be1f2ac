// What zone maps say once the removed rows have been left out (evaluator_zones.cpp), remembered by
// the process: who asks a branch again does not read the removed rows again.
#pragma once

#include <array>
#include <optional>

#include "column/vector/evaluator.h"

namespace datahike::vector {

// A column of a segment, of which certain rows count: by a hash of 128 bits over which.
struct ZoneKey {
  uint64_t checksum = 0, first_rowid = 0;
  uint64_t live[2] = {};
  int16_t column = 0;
  int decimal = -1;
  bool operator==(const ZoneKey&) const = default;
};
// Of which rows count. REQUIRES: not all of the piece's rows do.
std::array<uint64_t, 2> live_hash(const Piece& piece);

// Any thread may call these.
std::optional<ZoneOfRows> remembered_zone(const ZoneKey& key);
void remember_zone(const ZoneKey& key, const ZoneOfRows& zone);

}  // namespace datahike::vector
