#include "column/zone_map.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace datahike::column {
namespace {

ZoneMap integer_zone(std::span<const uint64_t> words, uint32_t nulls) {
  ZoneMap zone{.nulls = nulls, .ordered = true};
  int64_t min = std::numeric_limits<int64_t>::max();
  int64_t max = std::numeric_limits<int64_t>::min();
  // Two 64-bit sums of half words cannot overflow and are much faster than one of 128 bits.
  int64_t high = 0;
  uint64_t low = 0;
  for (uint64_t word : words) {
    const int64_t v = static_cast<int64_t>(word);
    min = std::min(min, v);
    max = std::max(max, v);
    high += v >> 32;
    low += static_cast<uint32_t>(word);
  }
  zone.min = min;
  zone.max = max;
  zone.sum = (static_cast<__int128>(high) << 32) + low;
  zone.sum -= static_cast<__int128>(nulls) * static_cast<int64_t>(words[0]);
  return zone;
}

template <class ToDouble>
ZoneMap float_zone(std::span<const uint64_t> words, uint32_t nulls, ToDouble to_double) {
  ZoneMap zone{.nulls = nulls};
  double min = std::numeric_limits<double>::infinity();
  double max = -min;
  for (uint64_t word : words) {
    const double v = to_double(word);
    if (std::isnan(v)) return zone;
    min = std::min(min, v);
    max = std::max(max, v);
  }
  zone.ordered = true;
  zone.min = std::bit_cast<int64_t>(min);
  zone.max = std::bit_cast<int64_t>(max);
  return zone;
}

}  // namespace

ZoneMap zone_of(Kind kind, std::span<const uint64_t> words, uint32_t nulls) {
  switch (kind) {
    case Kind::Float32:
      return float_zone(words, nulls, [](uint64_t word) {
        return static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(word)));
      });
    case Kind::Float64:
      return float_zone(words, nulls, [](uint64_t word) { return std::bit_cast<double>(word); });
    default:
      return integer_zone(words, nulls);
  }
}

}  // namespace datahike::column
