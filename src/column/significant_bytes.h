// How few bytes give a word back by sign extension.
#pragma once

#include <bit>
#include <cstdint>

namespace datahike::column {

constexpr unsigned significant_bytes(uint64_t word) {
  if (word == 0) return 0;
  const uint64_t magnitude = word ^ static_cast<uint64_t>(static_cast<int64_t>(word) >> 63);
  return static_cast<unsigned>(std::bit_width(magnitude) + 1 + 7) / 8;
}

}  // namespace datahike::column
