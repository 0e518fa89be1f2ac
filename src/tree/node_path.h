// A path of nodes from the root of a tree down to one node of a chosen level, and the walk from
// node to node along that level. What cursors, edits and differences are built on.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tree/node.h"

namespace datahike::tree {

// A node with its own copy of the bytes, so that it outlives the source's read transaction.
class LoadedNode {
 public:
  LoadedNode(ByteView bytes, uint64_t id) : bytes_(bytes.begin(), bytes.end()), view_(bytes_, id) {}
  LoadedNode(const LoadedNode&) = delete;
  LoadedNode& operator=(const LoadedNode&) = delete;
  const NodeView* operator->() const { return &view_; }
  const NodeView& operator*() const { return view_; }

 private:
  Bytes bytes_;
  NodeView view_;
};

// Loads the node that `ref` names as the child of an inner node of level `parent`. CorruptError
// unless it is one level lower: so a damaged tree cannot lead a walk in circles.
std::shared_ptr<const LoadedNode> load_child(NodeSource& source, const NodeRef& ref,
                                             uint8_t parent);

class NodePath {
 public:
  // `bottom`: the level to walk along, at most the root's.
  NodePath(NodeSource& source, const NodeRef& root, uint8_t bottom = 0)
      : source_(&source), root_(root), bottom_(bottom) {}

  bool valid() const { return !frames_.empty(); }
  void clear() { frames_.clear(); }
  // The node at the bottom level and a position in it; node().size() = behind its last entry.
  // REQUIRES valid().
  const NodeView& node() const { return **frames_.back().node; }
  size_t position() const { return frames_.back().at; }
  void set_position(size_t at) { frames_.back().at = at; }

  // These leave the path invalid when the tree is empty.
  void first();
  void last();
  // To the first entry for which `before(key)` does not hold, or behind the last entry of the last
  // node if it holds for all; it must hold for a prefix of the entries.
  template <class Before>
  void seek(const Before& before);
  // As seek(), reading only nodes that are not on the path yet. REQUIRES that the target is not in
  // front of the current node.
  template <class Before>
  void seek_forward(const Before& before);

  // To the first entry of the next node, or the last entry of the previous one; false, and no move,
  // where there is none. REQUIRES valid().
  bool next_node() { return step(true); }
  bool prev_node() { return step(false); }
  bool at_last_node() const;

 private:
  struct Frame {
    std::shared_ptr<const LoadedNode> node;
    size_t at = 0;
  };
  void push_root();
  void push_child();  // below the top frame's current entry
  void descend(bool to_last);
  bool step(bool forward);
  bool at_bottom() const { return (*frames_.back().node)->level() == bottom_; }

  NodeSource* source_;
  NodeRef root_;
  uint8_t bottom_;
  std::vector<Frame> frames_;  // root first
};

template <class Before>
void NodePath::seek(const Before& before) {
  frames_.clear();
  push_root();
  if (valid()) seek_forward(before);
}

template <class Before>
void NodePath::seek_forward(const Before& before) {
  if (!valid()) return seek(before);
  // A node whose greatest key is still `before` cannot hold the target.
  while (frames_.size() > 1 && before(node().key(node().size() - 1))) frames_.pop_back();
  while (true) {
    size_t at = node().partition_point(before);
    if (at_bottom()) return set_position(at);
    set_position(at < node().size() ? at : at - 1);
    push_child();
  }
}

}  // namespace datahike::tree
