// Building version trees: their keys, and a new tree from an old one and the commits since.
// The grammar is at the head of version.h.
#pragma once

#include <memory>
#include <span>

#include "store/commit.h"
#include "tree/node.h"

namespace datahike::store {

Bytes live_key(uint64_t table);
Bytes schema_key(uint64_t table);
Bytes history_key();

// A commit in the history map of its line.
struct HistoryEntry {
  uint64_t tx = 0;
  int64_t time = 0;
  Uuid id{};
};
Bytes encode_history_key(uint64_t tx, int64_t time);
HistoryEntry decode_history_key(ByteView key);                 // without the id; CorruptError
HistoryEntry decode_history_entry(const tree::Entry& stored);  // CorruptError

// The version tree after `deltas`, oldest first, on top of the tree `root`; `history` is what the
// history map gains, oldest first.
tree::NodeRef advance_version(tree::NodeSink& sink, const tree::NodeRef& root,
                              std::span<const std::shared_ptr<const Delta>> deltas,
                              std::span<const HistoryEntry> history);

// The live set of one table after `deltas`, oldest first, on top of the tree `root`.
tree::NodeRef advance_live_set(tree::NodeSink& sink, const tree::NodeRef& root,
                               std::span<const std::shared_ptr<const Delta>> deltas,
                               uint64_t table);

}  // namespace datahike::store
