// A set of rowids in memory: the high 48 bits of a rowid lead to a container of its low 16 bits, as
// in live sets. The grammar of its encoded form is at the head of rowid_set.cpp.
#pragma once

#include <map>
#include <optional>

#include "tree/live_set.h"

namespace datahike::tree {

class RowidSet {
 public:
  using Containers = std::map<uint64_t, Container>;  // by high bits; none is empty
  void add(uint64_t rowid) { containers_[rowid >> 16].add(static_cast<uint16_t>(rowid)); }
  bool empty() const { return containers_.empty(); }
  bool contains(uint64_t rowid) const;
  const Containers& containers() const { return containers_; }
  std::optional<uint64_t> at_or_after(uint64_t rowid) const;  // the least such member
  // Whether test(rowid) holds for a member from first to last, both included.
  template <class Test>
  bool any_of(uint64_t first, uint64_t last, Test&& test) const;

 private:
  friend RowidSet decode_rowid_set(ByteView bytes);
  Containers containers_;
};

Bytes encode_rowid_set(const RowidSet& set);
RowidSet decode_rowid_set(ByteView bytes);  // throws CorruptError

// Calls test(rowid) for the bits of `words` that lie in a container, until it holds.
template <class Test>
bool any_bit(uint64_t high, std::span<const uint64_t, 1024> words, Test&& test) {
  for (size_t w = 0; w < words.size(); ++w)
    for (uint64_t bits = words[w]; bits; bits &= bits - 1)
      if (test(high << 16 | w << 6 | static_cast<uint64_t>(std::countr_zero(bits)))) return true;
  return false;
}

template <class Test>
bool RowidSet::any_of(uint64_t first, uint64_t last, Test&& test) const {
  for (auto c = containers_.lower_bound(first >> 16);
       c != containers_.end() && c->first <= last >> 16; ++c)
    if (any_bit(c->first, c->second.words,
                [&](uint64_t rowid) { return rowid >= first && rowid <= last && test(rowid); }))
      return true;
  return false;
}

}  // namespace datahike::tree
