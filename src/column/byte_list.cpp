#include "column/byte_list.h"

namespace datahike::column {

ByteView read_byte_list(ByteView list, uint64_t n, uint64_t i) {
  if (list.size() < ByteListShape::kHeadBytes) throw CorruptError("column: truncated byte strings");
  uint32_t stride;
  std::memcpy(&stride, list.data(), sizeof stride);
  const unsigned width = list[4];
  const ByteView packed = list.subspan(ByteListShape::kHeadBytes);
  const uint64_t head = packed_bytes(n + 1, width);
  if (width > 32 || i >= n || head > packed.size())
    throw CorruptError("column: damaged offsets of byte strings");
  const uint64_t from = i * stride + unpack(packed, i, width);
  const uint64_t to = (i + 1) * stride + unpack(packed, i + 1, width);
  if (from > to || to > packed.size() - head)
    throw CorruptError("column: byte string lies outside its column");
  return packed.subspan(head + from, to - from);
}

}  // namespace datahike::column
