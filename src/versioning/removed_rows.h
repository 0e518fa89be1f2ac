// The rows of one table that the deltas of an overlay remove: by rowid, and in the order of the
// deltas. Plain C++.
//
// An open-addressing hash table (linear probing, at most half full, nothing is ever erased) of
// numbers of entries. Most look-ups are for rows that are not removed, and end at a free slot
// without looking at an entry.
#pragma once

#include <cstdint>
#include <deque>
#include <memory_resource>
#include <utility>
#include <vector>

namespace datahike::versioning {

struct RemovedRow {
  uint32_t sequence = 0;
  uint64_t successor = 0;
  uint64_t xid = 0;
};

class RemovedRows {
 public:
  using Entry = std::pair<uint64_t, RemovedRow>;  // by rowid
  explicit RemovedRows(std::pmr::memory_resource* memory) : entries_(memory), slots_(memory) {}
  // How the row was removed; nullptr: it was not.
  const RemovedRow* find(uint64_t rowid) const {
    if (slots_.empty()) return nullptr;
    const uint32_t number = slots_[slot_of(rowid)];
    return number == kFree ? nullptr : &entries_[number].second;
  }
  // False: it was removed before; what was known of that is replaced.
  bool put(uint64_t rowid, const RemovedRow& removal) {
    if (2 * (entries_.size() + 1) > slots_.size()) grow();
    uint32_t& number = slots_[slot_of(rowid)];
    if (number != kFree) {
      entries_[number].second = removal;
      return false;
    }
    entries_.emplace_back(rowid, removal);
    number = static_cast<uint32_t>(entries_.size() - 1);
    return true;
  }
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  // In the order in which their rows were removed first.
  const Entry& operator[](size_t number) const { return entries_[number]; }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

 private:
  static constexpr uint32_t kFree = UINT32_MAX;
  static constexpr size_t kFirstSlots = 16;

  // Where the row is, or would be.
  size_t slot_of(uint64_t rowid) const {
    const size_t mask = slots_.size() - 1;
    size_t at = (rowid * 0x9e3779b97f4a7c15 >> 32) & mask;
    while (slots_[at] != kFree && entries_[slots_[at]].first != rowid) at = (at + 1) & mask;
    return at;
  }

  void grow() {
    std::pmr::vector<uint32_t> larger(slots_.empty() ? kFirstSlots : 2 * slots_.size(), kFree,
                                      slots_.get_allocator());
    slots_.swap(larger);
    for (uint32_t number = 0; number < entries_.size(); ++number)
      slots_[slot_of(entries_[number].first)] = number;
  }

  std::pmr::deque<Entry> entries_;
  std::pmr::vector<uint32_t> slots_;  // numbers of entries; a power of two of them
};

}  // namespace datahike::versioning
