#include "column/bit_packing.h"

#include <algorithm>

namespace datahike::column {

uint64_t unpack_near_end(ByteView packed, uint64_t bit, unsigned width) {
  const uint64_t at = bit / 8;
  const unsigned shift = bit % 8;
  const unsigned needed = (shift + width + 7) / 8;
  if (at + needed > packed.size()) throw CorruptError("bit-packed value lies outside its column");
  uint8_t padded[16] = {};
  std::copy_n(packed.data() + at, needed, padded);
  return load_shifted(padded, shift) & low_bits(width);
}

void unpack_run(ByteView packed, uint64_t first, unsigned width, uint64_t base,
                std::span<uint64_t> out) {
  constexpr unsigned kWidestInOneLoad = 57;  // 64 bits, less a shift of up to 7
  const uint64_t mask = low_bits(width);
  uint64_t bit = first * width;
  size_t i = 0;
  if (width <= kWidestInOneLoad) {
    for (; i < out.size() && bit / 8 + 8 <= packed.size(); ++i, bit += width)
      out[i] = base + (load64(packed.data() + bit / 8) >> bit % 8 & mask);
  }
  for (; i < out.size(); ++i) out[i] = base + unpack(packed, first + i, width);
}

}  // namespace datahike::column
