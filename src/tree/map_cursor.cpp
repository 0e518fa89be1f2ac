#include "tree/ordered_map.h"

#include <string>

namespace datahike::tree {

std::optional<Entry> get(NodeSource& source, const NodeRef& root, ByteView key) {
  auto before = [&](ByteView k) { return compare_keys(k, key) < 0; };
  NodeRef ref = root;
  for (int parent = -1; !ref.empty();) {
    NodeView node(source.node(ref.id), ref.id);
    if (parent >= 0 && node.level() + 1 != parent) {
      throw CorruptError("node " + std::to_string(ref.id) + ": at the wrong level");
    }
    size_t at = node.partition_point(before);
    if (at == node.size()) return std::nullopt;
    if (node.level() == 0) {
      if (compare_keys(node.key(at), key) != 0) return std::nullopt;
      return node.entry(at);
    }
    parent = node.level();
    ref = node.child(at);
  }
  return std::nullopt;
}

MapCursor::MapCursor(NodeSource& source, const NodeRef& root) : path_(source, root) {}

void MapCursor::first() {
  decoded_ = false;
  path_.first();
}

void MapCursor::last() {
  decoded_ = false;
  path_.last();
}

template <class Before>
void MapCursor::seek_first_not(const Before& before) {
  decoded_ = false;
  path_.seek(before);
}

void MapCursor::seek(ByteView key) {
  seek_first_not([&](ByteView k) { return compare_keys(k, key) < 0; });
  if (path_.valid() && path_.position() == path_.node().size()) path_.clear();
}

void MapCursor::seek_at_most(ByteView key) {
  seek_first_not([&](ByteView k) { return compare_keys(k, key) <= 0; });
  prev();
}

void MapCursor::seek_last_where(const std::function<bool(ByteView key)>& before) {
  seek_first_not(before);
  prev();
}

bool MapCursor::valid() const { return path_.valid(); }

void MapCursor::next() {
  if (!path_.valid()) return;
  decoded_ = false;
  if (path_.position() + 1 < path_.node().size()) {
    path_.set_position(path_.position() + 1);
  } else if (!path_.next_node()) {
    path_.clear();
  }
}

void MapCursor::prev() {
  if (!path_.valid()) return;
  decoded_ = false;
  if (path_.position() > 0) {
    path_.set_position(path_.position() - 1);
  } else if (!path_.prev_node()) {
    path_.clear();
  }
}

const Entry& MapCursor::entry() const {
  if (!decoded_) {
    entry_ = path_.node().entry(path_.position());
    decoded_ = true;
  }
  return entry_;
}

ByteView MapCursor::key() const { return path_.node().key(path_.position()); }

}  // namespace datahike::tree
