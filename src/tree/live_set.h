// A persistent set of rowids: an ordered map from the high 48 bits of a rowid to a container of its
// low 16 bits, encoded as array, bitmap or runs, whichever is smallest (after Roaring bitmaps).
// The map's keys and values are the grammar at the head of live_set.cpp, containers that at the
// head of container.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "tree/node.h"
#include "tree/ordered_map.h"

namespace datahike::tree {

// A decoded container: 65536 bits, and their number.
struct Container {
  std::array<uint64_t, 1024> words{};
  uint32_t count = 0;
  bool contains(uint16_t low) const { return words[low >> 6] >> (low & 63) & 1; }
  void add(uint16_t low);                         // no effect if present
  void remove(uint16_t low);                      // no effect if absent
  void add_range(uint16_t first, uint16_t last);  // both included
};
Bytes encode_container(const Container& c);  // canonical: the same bits, the same bytes
Container decode_container(ByteView bytes);  // CorruptError
// As decode_container(bytes).contains(low), reading no more than it must.
bool encoded_container_contains(ByteView bytes, uint16_t low);

// rowids first, first+1, ..., first+count-1.
struct RowidRange {
  uint64_t first = 0;
  uint64_t count = 0;
  bool operator==(const RowidRange&) const = default;
};
// Appends to a list of ascending ranges of which no two touch. REQUIRES: it lies behind them.
void append_range(std::vector<RowidRange>& ranges, uint64_t first, uint64_t count);

// The set after adding, then removing. `added`: disjoint ascending ranges; `removed`: ascending.
// Adding a member and removing a stranger are allowed and change nothing.
// `size_change` receives how many members were gained (may be negative); may be null.
NodeRef update_live_set(NodeSink& sink, const NodeRef& root, std::span<const RowidRange> added,
                        std::span<const uint64_t> removed, int64_t* size_change);

// The container that holds rowids high<<16 .. high<<16 | 0xffff; false if it is empty.
bool find_container(NodeSource& source, const NodeRef& root, uint64_t high, Container* out);
bool contains(NodeSource& source, const NodeRef& root, uint64_t rowid);

// A leaf entry of a live set's map.
struct LiveEntry {
  uint64_t high = 0;
  Container members;
};
LiveEntry decode_live_entry(NodeSource& source, const Entry& entry);  // CorruptError

// Walks the non-empty containers in ascending or descending order of `high`.
class ContainerCursor {
 public:
  ContainerCursor(NodeSource& source, const NodeRef& root) : source_(&source), map_(source, root) {}
  void first() { map_.first(); }
  void last() { map_.last(); }
  void seek(uint64_t high);  // first container with high >= `high`
  bool valid() const { return map_.valid(); }
  void next() { map_.next(); }
  void prev() { map_.prev(); }
  uint64_t high() const;
  uint32_t count() const;  // members, without decoding the container
  void load(Container* out) const;

 private:
  NodeSource* source_;
  MapCursor map_;
};

uint64_t live_count(NodeSource& source, const NodeRef& root);

// Rowids in one set and not in the other, ascending; equal subtrees are skipped.
// `report(rowid, in_after)`: in_after = gained, else lost. Stops when it returns false.
void diff_live_sets(NodeSource& source, const NodeRef& before, const NodeRef& after,
                    const std::function<bool(uint64_t rowid, bool in_after)>& report);

// The same by container: `report(high)` for each container that differs.
void diff_containers(NodeSource& source, const NodeRef& before, const NodeRef& after,
                     const std::function<void(uint64_t high)>& report);

}  // namespace datahike::tree
