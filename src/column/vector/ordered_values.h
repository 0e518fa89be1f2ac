// All values of each group, for percentiles and modes.
#pragma once

#include <bit>

#include "column/vector/hash.h"
#include "column/vector/states.h"

namespace datahike::vector {

inline constexpr uint64_t kSignBit = uint64_t{1} << 63;

// A value as a word that is, unsigned, ordered as PostgreSQL orders the values: NaN above all
// others. -0 comes before 0, to which it is equal.
inline uint64_t ordered_word(uint64_t word, bool real) {
  if (!real) return word ^ kSignBit;
  if (std::isnan(std::bit_cast<double>(word))) word = normalised(word);
  return word ^ (word & kSignBit ? ~uint64_t{0} : kSignBit);
}
inline uint64_t word_of_ordered(uint64_t ordered, bool real) {
  if (!real) return ordered ^ kSignBit;
  return ordered ^ (ordered & kSignBit ? kSignBit : ~uint64_t{0});
}

std::unique_ptr<State> make_ordered_values(const Program& program, int argument);

}  // namespace datahike::vector
