// A list of byte strings, any of which is reached in O(1).
//
//   byte_list(n) := stride:u32 width:u8 packed(n + 1, width) byte[*]
//
// String i is the bytes offset(i) .. offset(i + 1) after the packed values, where
// offset(i) = i * stride + packed value i. The stride is the length of the shortest string, so
// strings of one length need no offsets at all (width 0).
#pragma once

#include <algorithm>
#include <bit>

#include "column/bit_packing.h"
#include "column/bytes.h"

namespace datahike::column {

struct ByteListShape {
  uint64_t n = 0;
  uint32_t stride = 0;
  unsigned width = 0;
  uint64_t data_bytes = 0;

  static constexpr size_t kHeadBytes = 5;
  uint64_t bytes() const { return kHeadBytes + packed_bytes(n + 1, width) + data_bytes; }
};

// The shape of n >= 1 strings, the shortest of `shortest` and all of `data_bytes` bytes.
inline ByteListShape byte_list_shape(uint64_t n, uint64_t shortest, uint64_t data_bytes) {
  // What the lengths exceed the stride by only adds up, so the last offset needs the most bits.
  const unsigned width = std::bit_width(data_bytes - n * shortest);
  return {n, static_cast<uint32_t>(shortest), width, data_bytes};
}

// Appends all but the strings themselves, which the caller appends next.
// offset_at(i) is the offset of string i in them, for i in 0 .. n.
template <class OffsetAt>
void write_byte_list_head(const ByteListShape& shape, OffsetAt offset_at, Bytes& out) {
  ByteWriter writer(out);
  writer.fixed<uint32_t>(shape.stride);
  writer.fixed<uint8_t>(static_cast<uint8_t>(shape.width));
  pack(
      shape.n + 1, shape.width, [&](uint64_t i) { return offset_at(i) - i * shape.stride; }, out);
}

// String i of the byte_list(n) that is all of `list`. CorruptError if it lies outside.
ByteView read_byte_list(ByteView list, uint64_t n, uint64_t i);

// Strings first, first + 1, ... while `out` has room.
void read_byte_lists(ByteView list, uint64_t n, uint64_t first, std::span<ByteView> out);

}  // namespace datahike::column
