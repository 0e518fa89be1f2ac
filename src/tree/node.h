// Nodes: the immutable, content-hashed blocks that persistent trees are made of.
// The byte format is the grammar at the head of node.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "column/bytes.h"

namespace datahike::tree {

using Hash = std::array<uint8_t, 32>;  // SHA-256

// Where a node is and what it contains. id 0 is the empty tree, whose hash is all zero. Two refs
// with equal hashes are the same content, even where their ids differ.
struct NodeRef {
  uint64_t id = 0;
  Hash hash{};
  bool empty() const { return id == 0; }
  bool same_content(const NodeRef& o) const { return hash == o.hash; }
};

// One entry of a node. In a leaf: a key and its value, which may also own a further node (a subtree
// such as a table's live set). In an inner node: the greatest key below a child, and the child.
struct Entry {
  Bytes key;
  Bytes value;
  NodeRef child;  // empty() = none
};

struct Node {
  uint8_t level = 0;  // 0 = leaf
  std::vector<Entry> entries;
};

// Where nodes come from. Returned bytes stay valid until the next call that may renew the
// underlying read transaction; readers that keep a node decode it first.
class NodeSource {
 public:
  virtual ~NodeSource() = default;
  // CorruptError naming the id when there is no such node.
  virtual ByteView node(uint64_t id) = 0;
};

// Where new nodes go: a store's write batch, or a map in tests.
class NodeSink : public NodeSource {
 public:
  // Stores a node, returns its new id (> 0, ascending).
  virtual uint64_t put_node(ByteView bytes) = 0;
};

// The hash covers level, keys, values and the children's hashes, not their ids, so that the same
// content has the same hash wherever it was built. The encoded form also carries a checksum over
// all its bytes, ids included. REQUIRES at least one entry, keys ascending.
NodeRef write_node(NodeSink& sink, const Node& node);
Node decode_node(ByteView bytes, uint64_t id);  // CorruptError, naming the id
// Recomputes the content hash of encoded bytes: for verification.
Hash node_hash(ByteView bytes, uint64_t id);

// SHA-256 of the bytes.
Hash sha256(ByteView bytes);

// An encoded node read in place: entries are reached in O(1) and nothing is copied. Holds a view of
// the caller's bytes, which must outlive it.
class NodeView {
 public:
  // Verifies the checksum and the layout: CorruptError naming the id. So do the accessors, should
  // an entry lead outside the node.
  NodeView(ByteView bytes, uint64_t id);

  uint64_t id() const { return id_; }
  uint8_t level() const { return level_; }
  size_t size() const { return count_; }  // > 0
  // REQUIRES i < size().
  ByteView key(size_t i) const;
  ByteView value(size_t i) const;
  NodeRef child(size_t i) const;  // never empty in an inner node
  Entry entry(size_t i) const;
  // Index of the first entry for which `before(key)` does not hold, size() if it holds for all;
  // it must hold for a prefix of the entries.
  template <class Before>
  size_t partition_point(const Before& before) const {
    size_t low = 0, high = count_;
    while (low < high) {
      size_t middle = low + (high - low) / 2;
      if (before(key(middle))) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

 private:
  struct Fields;
  Fields fields(size_t i) const;
  NodeRef child(const Fields& fields) const;
  ByteView body_;
  ByteView ids_;
  uint64_t id_;
  size_t count_ = 0;
  uint8_t level_ = 0;
};

// memcmp order, a prefix before what it is a prefix of.
inline int compare_keys(ByteView a, ByteView b) {
  size_t common = a.size() < b.size() ? a.size() : b.size();
  if (int c = common == 0 ? 0 : std::memcmp(a.data(), b.data(), common)) return c;
  return a.size() < b.size() ? -1 : a.size() > b.size();
}

}  // namespace datahike::tree
