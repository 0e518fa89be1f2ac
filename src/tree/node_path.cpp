#include "tree/node_path.h"

#include <string>

namespace datahike::tree {

std::shared_ptr<const LoadedNode> load_child(NodeSource& source, const NodeRef& ref,
                                             uint8_t parent) {
  auto node = std::make_shared<const LoadedNode>(source.node(ref.id), ref.id);
  if ((*node)->level() + 1 != parent) {
    throw CorruptError("node " + std::to_string(ref.id) + ": level " +
                       std::to_string((*node)->level()) + " below a node of level " +
                       std::to_string(parent));
  }
  return node;
}

void NodePath::push_root() {
  if (root_.empty()) return;
  auto node = std::make_shared<const LoadedNode>(source_->node(root_.id), root_.id);
  if ((*node)->level() < bottom_) {
    throw CorruptError("node " + std::to_string(root_.id) + ": a root of too low a level");
  }
  frames_.push_back({std::move(node), 0});
}

void NodePath::push_child() {
  frames_.push_back({load_child(*source_, node().child(position()), node().level()), 0});
}

void NodePath::descend(bool to_last) {
  while (true) {
    set_position(to_last ? node().size() - 1 : 0);
    if (at_bottom()) return;
    push_child();
  }
}

void NodePath::first() {
  frames_.clear();
  push_root();
  if (valid()) descend(false);
}

void NodePath::last() {
  frames_.clear();
  push_root();
  if (valid()) descend(true);
}

bool NodePath::step(bool forward) {
  size_t depth = frames_.size() - 1;  // of the frame above which there is a neighbour
  auto at_edge = [&](const Frame& f) {
    return forward ? f.at + 1 >= (*f.node)->size() : f.at == 0;
  };
  while (depth > 0 && at_edge(frames_[depth - 1])) --depth;
  if (depth == 0) return false;
  frames_.resize(depth);
  frames_.back().at += forward ? 1 : -1;
  push_child();
  descend(!forward);
  return true;
}

bool NodePath::at_last_node() const {
  for (size_t i = 0; i + 1 < frames_.size(); ++i) {
    if (frames_[i].at + 1 < (*frames_[i].node)->size()) return false;
  }
  return true;
}

}  // namespace datahike::tree
