// Unsigned integers of 0..64 bits each, one after the other without gaps.
//
//   packed(n, width) := bit[n * width] padding to a whole byte
//
// Value i is the bits i * width .. i * width + width - 1, counted from the lowest bit of the first
// byte. There are no blocks, so that any value is reached with one unaligned load.
#pragma once

#include <span>

#include "column/bytes.h"

namespace datahike::column {

constexpr uint64_t packed_bytes(uint64_t n, unsigned width) { return (n * width + 7) / 8; }

constexpr uint64_t low_bits(unsigned width) {
  return width >= 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1;
}

inline uint64_t load64(const uint8_t* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// Appends packed(n, width) of value_at(0) .. value_at(n - 1), each below 2^width.
template <class ValueAt>
void pack(uint64_t n, unsigned width, ValueAt value_at, Bytes& out) {
  const size_t at = out.size();
  out.resize(at + packed_bytes(n, width));
  if (width == 0) return;
  uint8_t* p = out.data() + at;
  uint64_t pending = 0;
  unsigned filled = 0;  // bits in pending, always below 64
  for (uint64_t i = 0; i < n; ++i) {
    const uint64_t v = value_at(i);
    pending |= v << filled;
    filled += width;
    if (filled < 64) continue;
    std::memcpy(p, &pending, sizeof pending);
    p += sizeof pending;
    filled -= 64;
    pending = filled == 0 ? 0 : v >> (width - filled);
  }
  std::memcpy(p, &pending, (filled + 7) / 8);
}

// The unmasked bits from bit `shift` (0..7) of p[0] on, 64 of them. Reads p[0] .. p[8].
// No branch on whether the ninth byte is needed: at random positions it would be mispredicted.
inline uint64_t load_shifted(const uint8_t* p, unsigned shift) {
  const uint64_t ninth = p[8];
  return load64(p) >> shift | ninth << 1 << (63 - shift);  // two steps: a shift by 64 is undefined
}

// unpack() where fewer than nine bytes are left to load.
uint64_t unpack_near_end(ByteView packed, uint64_t bit, unsigned width);

// Value `index`. CorruptError if it lies outside `packed`, which may go on after the packed values.
// REQUIRES: width <= 64.
inline uint64_t unpack(ByteView packed, uint64_t index, unsigned width) {
  const uint64_t bit = index * width;
  if (bit / 8 + 9 > packed.size()) [[unlikely]]
    return unpack_near_end(packed, bit, width);
  return load_shifted(packed.data() + bit / 8, bit % 8) & low_bits(width);
}

// Adds `base` to each of the values first, first + 1, ... while `out` has room.
void unpack_run(ByteView packed, uint64_t first, unsigned width, uint64_t base,
                std::span<uint64_t> out);

// Sets the bits from `to_at` on of `to` that are set among the `count` bits from `at` on of `from`.
void copy_bits(const uint64_t* from, uint64_t at, uint64_t count, uint64_t* to, uint64_t to_at);

}  // namespace datahike::column
