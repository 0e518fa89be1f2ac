#include "tree/chunker.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <utility>

namespace datahike::tree {

namespace {

constexpr size_t kMaxNodeBytes = 16 << 10;
constexpr size_t kChildBytes = sizeof(uint64_t) + sizeof(Hash);
constexpr size_t kOverheadBytes = 8;  // offset, lengths and ordinal

size_t weight(const Entry& entry) {
  return entry.key.size() + entry.value.size() + kOverheadBytes +
         (entry.child.empty() ? 0 : kChildBytes);
}

// Node sizes follow a Weibull distribution of shape 4 and scale L = 4096 bytes, mean 0.906 L = 3.7
// KB, as in Dolt's prolly trees: an even hazard would give many tiny and many huge nodes. Its
// hazard is 4 s^3 / L^4 per byte at size s, so an entry of e bytes ends the node with probability
// e * 4 s^3 / 2^48; compared with 32 bits of the hash that is e s^3 / 2^14.
bool ends_node(const Entry& entry, uint8_t level, size_t entries, size_t bytes) {
  // An inner node of a single entry would let a tree grow without end.
  if (level > 0 && entries < 2) return false;
  if (bytes >= kMaxNodeBytes) return true;
  uint64_t hash = XXH3_64bits_withSeed(entry.key.data(), entry.key.size(), level);
  uint64_t size = bytes;
  return (hash >> 32) < (weight(entry) * size * size * size >> 14);
}

}  // namespace

void Chunker::add(Entry entry) {
  bytes_ += weight(entry);
  open_.entries.push_back(std::move(entry));
  if (ends_node(open_.entries.back(), open_.level, open_.entries.size(), bytes_)) finish();
}

void Chunker::finish() {
  if (clean()) return;
  NodeRef ref = write_node(sink_, open_);
  nodes_.push_back(Entry{std::move(open_.entries.back().key), {}, ref});
  open_.entries.clear();
  bytes_ = 0;
}

}  // namespace datahike::tree
