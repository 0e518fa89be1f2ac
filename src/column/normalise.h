// Words as they are held, whatever was read.
#pragma once

#include <span>

#include "column/kind.h"

namespace datahike::column {

// Each word as normalised() has it.
inline void normalise(Kind kind, std::span<uint64_t> words) {
  if (word_bytes(kind) == sizeof(uint64_t)) return;
  for (uint64_t& word : words) word = normalised(kind, word);
}

}  // namespace datahike::column
