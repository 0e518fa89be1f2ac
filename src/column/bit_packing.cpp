#include "column/bit_packing.h"

#include <algorithm>

#include "column/kernels.h"

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
  size_t i = 0;
  if (width <= kWidestInOneLoad && packed.size() >= 8) {
    // Values that begin in the last bytes cannot be loaded at once.
    const uint64_t loadable = width == 0 ? first + out.size() : (packed.size() - 7) * 8 / width;
    if (loadable > first) i = std::min<uint64_t>(out.size(), loadable - first);
    kernels().unpack(packed.data(), first, width, base, i, out.data());
  }
  for (; i < out.size(); ++i) out[i] = base + unpack(packed, first + i, width);
}

void copy_bits(const uint64_t* from, uint64_t at, uint64_t count, uint64_t* to, uint64_t to_at) {
  while (count > 0) {
    if (to_at % 64 == 0 && count >= 64) {  // whole words
      const uint64_t words = count / 64;
      const unsigned shift = at % 64;
      const uint64_t* source = from + at / 64;
      uint64_t* target = to + to_at / 64;
      for (uint64_t i = 0; i < words; ++i)
        target[i] |= shift == 0 ? source[i] : source[i] >> shift | source[i + 1] << (64 - shift);
      at += words * 64;
      to_at += words * 64;
      count -= words * 64;
      continue;
    }
    const auto take = static_cast<unsigned>(std::min<uint64_t>(count, 64 - to_at % 64));
    uint64_t bits = from[at / 64] >> at % 64;
    if (at % 64 + take > 64) bits |= from[at / 64 + 1] << (64 - at % 64);
    to[to_at / 64] |= (bits & low_bits(take)) << to_at % 64;
    at += take;
    to_at += take;
    count -= take;
  }
}

}  // namespace datahike::column
