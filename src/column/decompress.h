// Values that PostgreSQL compressed, one by one, by pglz or lz4.
//
//   compressed := size_and_method:u32 data   size: the low 30 bits; method: 0 pglz, 1 lz4
//
// That is what a compressed varlena of PostgreSQL holds behind its length word.
#pragma once

#include <algorithm>

#include "column/bytes.h"

namespace datahike::column {

// CorruptError where these bytes cannot be so many.
size_t decompressed_size(ByteView compressed);
// Writes decompressed_size() bytes. CorruptError; whatever the bytes are, nothing is read or
// written outside.
void decompress(ByteView compressed, uint8_t* out);

// What a value counts for in the size of a segment. Who reads a column as strings has those of a
// segment before him decompressed, and some values become a hundred times as large.
inline size_t weight_of_compressed(ByteView compressed) {
  constexpr uint32_t kSizeBits = 30;
  constexpr size_t kMostTimes = 8;
  uint32_t head = 0;
  if (compressed.size() >= sizeof head) std::memcpy(&head, compressed.data(), sizeof head);
  return std::max<size_t>(compressed.size(), (head & ((1u << kSizeBits) - 1)) / kMostTimes);
}

}  // namespace datahike::column
