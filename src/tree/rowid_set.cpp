// The encoded form of a set:
//
//   set := (high:varint bytes:varint container)*   ascending; the container as in container.cpp
#include "tree/rowid_set.h"

namespace datahike::tree {

bool RowidSet::contains(uint64_t rowid) const {
  auto c = containers_.find(rowid >> 16);
  return c != containers_.end() && c->second.contains(static_cast<uint16_t>(rowid));
}

std::optional<uint64_t> RowidSet::at_or_after(uint64_t rowid) const {
  const uint64_t from = rowid & 0xffff;
  for (auto c = containers_.lower_bound(rowid >> 16); c != containers_.end(); ++c) {
    const uint64_t first = c->first == rowid >> 16 ? from : 0;
    for (size_t w = first >> 6; w < c->second.words.size(); ++w) {
      uint64_t word = c->second.words[w];
      if (w == first >> 6) word &= ~uint64_t{0} << (first & 63);
      if (word) return c->first << 16 | w << 6 | static_cast<uint64_t>(std::countr_zero(word));
    }
  }
  return std::nullopt;
}

Bytes encode_rowid_set(const RowidSet& set) {
  Bytes bytes;
  ByteWriter out(bytes);
  for (const auto& [high, container] : set.containers()) {
    out.varint(high);
    out.sized(encode_container(container));
  }
  return bytes;
}

RowidSet decode_rowid_set(ByteView bytes) {
  RowidSet set;
  ByteReader in(bytes, "rowid set");
  while (in.left() > 0) {
    uint64_t high = in.varint();
    if (!set.containers_.empty() && high <= set.containers_.rbegin()->first)
      throw CorruptError("rowid set: containers out of order");
    set.containers_.emplace(high, decode_container(in.sized()));
  }
  return set;
}

}  // namespace datahike::tree
