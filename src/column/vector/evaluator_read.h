// What an Evaluator has read of a column.
#pragma once

#include "column/vector/evaluator.h"
#include "store/segment_strings.h"

namespace datahike::vector {

// A column of the piece at hand and, once it was asked for, its values in all rows of the chunk.
struct Evaluator::Read {
  int at = -1;  // in the segment; -1: written before the column was added
  bool nullable = false;
  uint32_t decoded_base = ~0u, nulls_base = ~0u;
  std::unique_ptr<Vector> values;
  uint64_t nulls[kMaskWords];  // if nullable
  std::vector<ByteView> strings;
  store::StringScratch scratch;
  uint32_t strings_base = ~0u;
  uint64_t strings_of[kMaskWords];  // if compressed: the rows whose strings have been read
  // By code, where the segment has codes: the strings, and their numbers of characters (~0: not
  // counted yet; of all, or as rows have them).
  std::vector<ByteView> coded;
  std::vector<uint32_t> lengths;
  bool all_lengths = false;
  uint32_t codes = 0, codes_base = ~0u;
  uint32_t code[kChunkRows];  // of the chunk's rows
};

}  // namespace datahike::vector
