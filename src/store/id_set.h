// A set of 64-bit numbers that come in clusters: node ids, rowids, transaction numbers. In memory,
// 8 KB for each 65536 neighbouring numbers of which one is a member.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "tree/live_set.h"

namespace datahike::store {

class IdSet {
 public:
  bool contains(uint64_t id) const {
    const tree::Container* block = find(id >> 16);
    return block && block->contains(static_cast<uint16_t>(id));
  }
  // False if it was a member already.
  bool add(uint64_t id) {
    tree::Container& block = make(id >> 16);
    if (block.contains(static_cast<uint16_t>(id))) return false;
    block.add(static_cast<uint16_t>(id));
    return true;
  }
  void add_range(uint64_t first, uint64_t count) {
    for (uint64_t at = first, end = first + count; at < end;) {
      const uint64_t last = std::min(end - 1, at | 0xffff);
      make(at >> 16).add_range(static_cast<uint16_t>(at), static_cast<uint16_t>(last));
      at = last + 1;
    }
  }
  // Adds the members of a container whose numbers have these high bits.
  void add_all(uint64_t high, const tree::Container& members) {
    tree::Container& block = make(high);
    for (size_t i = 0; i < members.words.size(); ++i) block.words[i] |= members.words[i];
  }

 private:
  const tree::Container* find(uint64_t high) const {
    if (high == last_high_) return last_;
    const auto at = blocks_.find(high);
    if (at == blocks_.end()) return nullptr;
    last_high_ = high;
    return last_ = at->second.get();
  }
  tree::Container& make(uint64_t high) {
    if (!find(high)) {
      last_high_ = high;
      last_ = (blocks_[high] = std::make_unique<tree::Container>()).get();
    }
    return *last_;
  }

  // `count` of these containers is not kept.
  std::unordered_map<uint64_t, std::unique_ptr<tree::Container>> blocks_;
  mutable uint64_t last_high_ = UINT64_MAX;
  mutable tree::Container* last_ = nullptr;
};

}  // namespace datahike::store
