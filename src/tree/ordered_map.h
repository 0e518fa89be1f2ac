// A persistent ordered map from byte strings to values. Node boundaries are chosen by a hash of the
// keys, so the same content has the same root hash whatever the order of edits (after the prolly
// trees of Dolt and Noms). Aim: nodes of about 4 KB.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "tree/node.h"
#include "tree/node_path.h"

namespace datahike::tree {

// A put (value present) or a removal. Edits of one call have distinct, ascending keys.
struct Edit {
  Bytes key;
  bool remove = false;
  Bytes value;
  NodeRef child;
};

// The new root after applying the edits; untouched subtrees are shared. Returns the same root when
// nothing changes, the empty ref when nothing is left.
NodeRef apply_edits(NodeSink& sink, const NodeRef& root, std::span<const Edit> edits);

std::optional<Entry> get(NodeSource& source, const NodeRef& root, ByteView key);

// Walks the leaf entries in key order, either way. Holds decoded nodes, so it survives a renewal of
// the source's read transaction.
class MapCursor {
 public:
  MapCursor(NodeSource& source, const NodeRef& root);
  void first();
  void last();
  void seek(ByteView key);          // at the first entry with a key >= `key`, else at the end
  void seek_at_most(ByteView key);  // at the last entry with a key <= `key`, else at the end
  // At the last entry for which `before` holds; `before` must hold for a prefix of the entries.
  // Decides by keys alone: O(log n) nodes.
  void seek_last_where(const std::function<bool(ByteView key)>& before);
  bool valid() const;
  void next();
  void prev();
  const Entry& entry() const;  // REQUIRES valid()
  ByteView key() const;        // as entry().key, without decoding the rest; REQUIRES valid()

 private:
  template <class Before>
  void seek_first_not(const Before& before);
  NodePath path_;
  mutable Entry entry_;  // the current entry, once asked for
  mutable bool decoded_ = false;
};

// One difference: before and/or after. Both present: the key's value or child changed.
struct Difference {
  const Entry* before = nullptr;
  const Entry* after = nullptr;
};
// Calls `report` for every leaf entry that differs, in key order; subtrees with equal hashes are
// skipped. Stops early when `report` returns false.
void diff(NodeSource& source, const NodeRef& before, const NodeRef& after,
          const std::function<bool(const Difference&)>& report);

}  // namespace datahike::tree
