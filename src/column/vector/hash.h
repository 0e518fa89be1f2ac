// Hashing of keys.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace datahike::vector {

inline uint64_t mix(uint64_t x) {
  x *= 0x9e3779b97f4a7c15;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93;
  return x ^ x >> 32;
}

// Doubles that are equal to PostgreSQL have one word: -0 and 0, and all NaNs.
inline uint64_t normalised(uint64_t word) {
  const double v = std::bit_cast<double>(word);
  if (v == 0) return 0;
  if (std::isnan(v)) return std::bit_cast<uint64_t>(std::numeric_limits<double>::quiet_NaN());
  return word;
}

// What is hashed of a key that is a word.
inline uint64_t hashed_word(bool is_float, uint64_t word, bool null) {
  if (null) return 0;
  return is_float ? normalised(word) : word;
}

// Which of so many parts a hash is in.
inline unsigned part_of(uint64_t hash, unsigned parts) {
  return static_cast<unsigned>((hash >> 32) * parts >> 32);
}

}  // namespace datahike::vector
