// Edits work level by level, from the leaves up. A level is one sequence of entries that the
// cutting rule of chunker.h divides into nodes; the entries of the level above are its nodes. So
// the edits of a level turn into edits of the next one: old nodes that went, new nodes that came.
//
// Why the result is canonical: cutting restarts at the start of an old node, which is a cut of the
// new sequence too because the entries in front of it are unchanged back to the cut before; and it
// stops only where a new cut meets the end of an old node, from where both sequences agree.
#include "tree/ordered_map.h"

#include <utility>

#include "tree/chunker.h"

namespace datahike::tree {

namespace {

bool same_payload(const Entry& entry, const Edit& edit) {
  return entry.value == edit.value && entry.child.same_content(edit.child);
}

Entry entry_of(const Edit& edit) { return Entry{edit.key, edit.value, edit.child}; }

// The entries of a node after the edits that fall into it. False if none of them changes anything.
bool merge(const NodeView& node, std::span<const Edit> edits, std::vector<Entry>& out) {
  bool changed = false;
  out.clear();
  out.reserve(node.size() + edits.size());
  auto insert_new = [&](const Edit& edit) {
    if (edit.remove) return;
    out.push_back(entry_of(edit));
    changed = true;
  };
  size_t e = 0;
  for (size_t i = 0; i < node.size(); ++i) {
    ByteView key = node.key(i);
    while (e < edits.size() && compare_keys(edits[e].key, key) < 0) insert_new(edits[e++]);
    bool edited = e < edits.size() && compare_keys(edits[e].key, key) == 0;
    Entry old = node.entry(i);
    if (!edited) {
      out.push_back(std::move(old));
      continue;
    }
    const Edit& edit = edits[e++];
    bool same = !edit.remove && same_payload(old, edit);
    changed |= !same;
    if (!edit.remove) out.push_back(same ? std::move(old) : entry_of(edit));
  }
  while (e < edits.size()) insert_new(edits[e++]);
  return changed;
}

// Old nodes that went and new ones that came, both ascending, as edits of the level above.
std::vector<Edit> edits_above(std::vector<Bytes>& gone, std::vector<Entry>& come) {
  std::vector<Edit> edits;
  edits.reserve(gone.size() + come.size());
  size_t g = 0;
  auto remove_before = [&](const Bytes* key) {
    for (; g < gone.size() && (!key || gone[g] < *key); ++g) {
      edits.push_back(Edit{std::move(gone[g]), true, {}, {}});
    }
  };
  for (Entry& entry : come) {
    remove_before(&entry.key);
    if (g < gone.size() && gone[g] == entry.key) ++g;  // replaced
    edits.push_back(Edit{std::move(entry.key), false, {}, entry.child});
  }
  remove_before(nullptr);
  return edits;
}

// Applies edits to one level below the root's; returns the edits of the level above.
std::vector<Edit> rewrite_level(NodeSink& sink, const NodeRef& root, uint8_t level,
                                std::span<const Edit> edits) {
  NodePath path(sink, root, level);
  Chunker chunker(sink, level);
  std::vector<Bytes> gone;
  std::vector<Entry> merged;
  while (!edits.empty()) {
    path.seek_forward([&](ByteView k) { return compare_keys(k, edits[0].key) < 0; });
    // From here on node by node, until a new cut meets the end of an old node.
    while (true) {
      const NodeView& node = path.node();
      ByteView greatest = node.key(node.size() - 1);
      size_t here = edits.size();
      if (!path.at_last_node()) {
        here = 0;
        while (here < edits.size() && compare_keys(edits[here].key, greatest) <= 0) ++here;
      }
      bool changed = merge(node, edits.first(here), merged);
      edits = edits.subspan(here);
      if (changed || !chunker.clean()) {
        gone.emplace_back(greatest.begin(), greatest.end());
        for (Entry& entry : merged) chunker.add(std::move(entry));
      }
      if (path.at_last_node()) chunker.finish();
      if (chunker.clean()) break;
      path.next_node();
    }
  }
  return edits_above(gone, chunker.nodes());
}

// The root over all entries of one level.
NodeRef build(NodeSink& sink, uint8_t level, std::vector<Entry> entries) {
  while (level == 0 || entries.size() > 1) {
    if (entries.empty()) return {};
    Chunker chunker(sink, level++);
    for (Entry& entry : entries) chunker.add(std::move(entry));
    chunker.finish();
    entries = std::move(chunker.nodes());
  }
  return entries.empty() ? NodeRef{} : entries[0].child;
}

// The root proper of a tree: inner nodes with a single child do not count as roots.
NodeRef collapse(NodeSource& source, NodeRef root) {
  while (!root.empty()) {
    NodeView node(source.node(root.id), root.id);
    if (node.level() == 0 || node.size() > 1) break;
    root = node.child(0);
  }
  return root;
}

}  // namespace

NodeRef apply_edits(NodeSink& sink, const NodeRef& root, std::span<const Edit> edits) {
  std::vector<Entry> entries;
  if (root.empty()) {
    for (const Edit& edit : edits) {
      if (!edit.remove) entries.push_back(entry_of(edit));
    }
    return build(sink, 0, std::move(entries));
  }
  const LoadedNode top(sink.node(root.id), root.id);
  std::vector<Edit> upward;
  for (uint8_t level = 0; level < top->level(); ++level) {
    upward = rewrite_level(sink, root, level, edits);
    if (upward.empty()) return root;
    edits = upward;
  }
  if (!merge(*top, edits, entries)) return root;
  return collapse(sink, build(sink, top->level(), std::move(entries)));
}

}  // namespace datahike::tree
