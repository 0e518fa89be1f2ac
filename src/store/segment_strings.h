// Reading the byte strings of a run of a segment's rows.
#pragma once

#include "store/segment.h"

namespace datahike::store {

// Where strings are put together, or decompressed: as much memory as those of one call need.
struct StringScratch {
  std::vector<column::ShortScratch> brief;
  std::unique_ptr<uint8_t[]> decompressed;
  size_t capacity = 0;  // of `decompressed`
};

// What bytes() gives for the rows first, first + 1, ... while `out` has room; much faster than one
// by one. For NULL rows: any string. They lie in the segment or, to the next call, in `scratch`.
// CorruptError as bytes(). `wanted`, if given: a bit for each of these rows, lowest first; where it
// is not set, what is compressed is an empty string. REQUIRES: kind Bytes.
void read_strings(const SegmentReader& segment, int column, uint32_t first, std::span<ByteView> out,
                  StringScratch& scratch, const uint64_t* wanted = nullptr);

// The strings of all codes of a column that has such: code_count() of them.
void read_coded(const SegmentReader& segment, int column, std::span<ByteView> out);

}  // namespace datahike::store
