#include "column/byte_list.h"

namespace datahike::column {

void read_byte_lists(ByteView list, uint64_t n, uint64_t first, std::span<ByteView> out) {
  if (out.empty()) return;
  read_byte_list(list, n, first + out.size() - 1);  // checks the head
  const uint32_t stride = [&] {
    uint32_t v;
    std::memcpy(&v, list.data(), sizeof v);
    return v;
  }();
  const unsigned width = list[4];
  const ByteView packed = list.subspan(ByteListShape::kHeadBytes);
  const ByteView strings = packed.subspan(packed_bytes(n + 1, width));
  constexpr size_t kPart = 256;
  uint64_t offsets[kPart + 1];
  for (size_t done = 0; done < out.size();) {
    const size_t part = std::min(kPart, out.size() - done);
    unpack_run(packed, first + done, width, 0, {offsets, part + 1});
    for (size_t i = 0; i < part; ++i) {
      const uint64_t row = first + done + i;
      const uint64_t from = offsets[i] + row * stride, to = offsets[i + 1] + (row + 1) * stride;
      if (from > to || to > strings.size())
        throw CorruptError("column: byte string lies outside its column");
      out[done + i] = strings.subspan(from, to - from);
    }
    done += part;
  }
}

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
