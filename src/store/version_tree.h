// Building version trees: their keys, and a new tree from an old one and the commits since.
// The grammar is at the head of version.h.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "store/commit.h"
#include "tree/node.h"

namespace datahike::store {

Bytes live_key(uint64_t table);
std::optional<uint64_t> table_of_live_key(ByteView key);  // nullopt: another kind of key
Bytes schema_key(uint64_t table);
Bytes history_key();
Bytes merges_key();

// A commit in the history map of its line, and with its further parents in the merges map.
struct HistoryEntry {
  uint64_t tx = 0;
  int64_t time = 0;
  Uuid id{};
  std::vector<Uuid> further_parents;  // not in the history map
};
HistoryEntry history_entry(const Commit& commit);
Bytes encode_history_key(uint64_t tx, int64_t time);
HistoryEntry decode_history_key(ByteView key);                 // without the id; CorruptError
HistoryEntry decode_history_entry(const tree::Entry& stored);  // CorruptError
HistoryEntry decode_merge_entry(const tree::Entry& stored);    // tx and parents alone; CorruptError

// The version tree after `deltas`, oldest first, on top of the tree `root`; `history` is what the
// history and merges maps gain, oldest first.
tree::NodeRef advance_version(tree::NodeSink& sink, const tree::NodeRef& root,
                              std::span<const std::shared_ptr<const Delta>> deltas,
                              std::span<const HistoryEntry> history);

// The live set of one table after `deltas`, oldest first, on top of the tree `root`.
tree::NodeRef advance_live_set(tree::NodeSink& sink, const tree::NodeRef& root,
                               std::span<const std::shared_ptr<const Delta>> deltas,
                               uint64_t table);

}  // namespace datahike::store
