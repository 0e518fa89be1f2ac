#include "store/version_tree.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "store/version.h"
#include "tree/live_set.h"
#include "tree/ordered_map.h"

namespace datahike::store {
namespace {

constexpr uint64_t kSignBit = uint64_t{1} << 63;  // makes signed times sort as unsigned

Bytes table_key(char kind, uint64_t table) {
  Bytes key(9);
  key[0] = static_cast<uint8_t>(kind);
  put_big_endian(key.data() + 1, table);
  return key;
}

tree::Edit put(Bytes key, Bytes value) {
  tree::Edit edit;
  edit.key = std::move(key);
  edit.value = std::move(value);
  return edit;
}

// What several deltas together do to one table. Adding everything and then removing everything is
// right because a rowid never becomes live again once a commit of the line removed it; clearing the
// table forgets what came before.
struct TableChange {
  bool cleared = false;
  Bytes schema;
  std::vector<tree::RowidRange> added;
  std::vector<uint64_t> removed;

  void apply(const TableDelta& delta) {
    if (delta.cleared) {
      cleared = true;
      added.clear();
      removed.clear();
    }
    if (!delta.schema.empty()) schema = delta.schema;
    added.insert(added.end(), delta.added.begin(), delta.added.end());
    for (const Removal& removal : delta.removed) removed.push_back(removal.rowid);
  }
};

// Deltas come in commit order, the live set wants rowid order and disjoint ranges.
void normalise(TableChange& change) {
  auto& ranges = change.added;
  std::sort(ranges.begin(), ranges.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  size_t kept = 0;
  for (size_t i = 0; i < ranges.size(); ++i) {
    const uint64_t end = ranges[i].first + ranges[i].count;
    if (kept > 0 && ranges[i].first <= ranges[kept - 1].first + ranges[kept - 1].count) {
      tree::RowidRange& last = ranges[kept - 1];
      last.count = std::max(last.first + last.count, end) - last.first;
    } else {
      ranges[kept++] = ranges[i];
    }
  }
  ranges.resize(kept);
  std::sort(change.removed.begin(), change.removed.end());
  change.removed.erase(std::unique(change.removed.begin(), change.removed.end()),
                       change.removed.end());
}

// The edit of a table's 't' entry; none if it had no live rows and still has none.
void edit_live(tree::NodeSink& sink, const tree::NodeRef& root, uint64_t table, TableChange& change,
               std::vector<tree::Edit>& edits) {
  normalise(change);
  const TableVersion before = find_table(sink, root, table);
  const bool fresh = change.cleared || before.live.empty();
  int64_t gained = 0;
  tree::Edit edit;
  edit.key = live_key(table);
  edit.child = tree::update_live_set(sink, fresh ? tree::NodeRef{} : before.live, change.added,
                                     change.removed, &gained);
  edit.remove = edit.child.empty();
  if (edit.remove && before.live.empty()) return;
  if (!edit.remove)
    ByteWriter(edit.value).varint((fresh ? 0 : before.rows) + static_cast<uint64_t>(gained));
  edits.push_back(std::move(edit));
}

tree::Edit edit_history(tree::NodeSink& sink, const tree::NodeRef& root,
                        std::span<const HistoryEntry> history) {
  std::vector<tree::Edit> entries;
  for (const HistoryEntry& entry : history)
    entries.push_back(
        put(encode_history_key(entry.tx, entry.time), Bytes(entry.id.begin(), entry.id.end())));
  const auto old = tree::get(sink, root, history_key());
  tree::Edit edit = put(history_key(), {});
  edit.child = tree::apply_edits(sink, old ? old->child : tree::NodeRef{}, entries);
  return edit;
}

// The edit of the 'm' entry; none where no commit is a merge.
void edit_merges(tree::NodeSink& sink, const tree::NodeRef& root,
                 std::span<const HistoryEntry> history, std::vector<tree::Edit>& edits) {
  std::vector<tree::Edit> entries;
  for (const HistoryEntry& entry : history) {
    if (entry.further_parents.empty()) continue;
    tree::Edit& merge = entries.emplace_back();
    merge.key.resize(sizeof entry.tx);
    put_big_endian(merge.key.data(), entry.tx);
    for (const Uuid& parent : entry.further_parents) ByteWriter(merge.value).raw(parent);
  }
  if (entries.empty()) return;
  const auto old = tree::get(sink, root, merges_key());
  tree::Edit edit = put(merges_key(), {});
  edit.child = tree::apply_edits(sink, old ? old->child : tree::NodeRef{}, entries);
  edits.push_back(std::move(edit));
}

}  // namespace

Bytes live_key(uint64_t table) { return table_key('t', table); }
Bytes schema_key(uint64_t table) { return table_key('s', table); }

std::optional<uint64_t> table_of_live_key(ByteView key) {
  if (key.size() != 9 || key[0] != 't') return std::nullopt;
  return get_big_endian(key.data() + 1);
}

Bytes history_key() { return {'h'}; }
Bytes merges_key() { return {'m'}; }

HistoryEntry history_entry(const Commit& commit) {
  HistoryEntry entry{commit.tx, commit.time, commit.id, {}};
  if (commit.parents.size() > 1)
    entry.further_parents.assign(commit.parents.begin() + 1, commit.parents.end());
  return entry;
}

Bytes encode_history_key(uint64_t tx, int64_t time) {
  Bytes key(16);
  put_big_endian(key.data(), tx);
  put_big_endian(key.data() + 8, static_cast<uint64_t>(time) ^ kSignBit);
  return key;
}

HistoryEntry decode_history_key(ByteView key) {
  if (key.size() != 16) throw CorruptError("history key of the wrong size");
  HistoryEntry entry;
  entry.tx = get_big_endian(key.data());
  entry.time = static_cast<int64_t>(get_big_endian(key.data() + 8) ^ kSignBit);
  return entry;
}

HistoryEntry decode_history_entry(const tree::Entry& stored) {
  HistoryEntry entry = decode_history_key(stored.key);
  if (stored.value.size() != entry.id.size()) throw CorruptError("history entry of the wrong size");
  std::copy(stored.value.begin(), stored.value.end(), entry.id.begin());
  return entry;
}

HistoryEntry decode_merge_entry(const tree::Entry& stored) {
  HistoryEntry entry;
  if (stored.key.size() != sizeof entry.tx || stored.value.size() % sizeof(Uuid) != 0)
    throw CorruptError("entry of a merge of the wrong size");
  entry.tx = get_big_endian(stored.key.data());
  ByteReader in(stored.value, "parents of a merge");
  while (in.left() > 0) {
    const ByteView parent = in.take(sizeof(Uuid));
    std::copy(parent.begin(), parent.end(), entry.further_parents.emplace_back().begin());
  }
  return entry;
}

tree::NodeRef advance_version(tree::NodeSink& sink, const tree::NodeRef& root,
                              std::span<const std::shared_ptr<const Delta>> deltas,
                              std::span<const HistoryEntry> history) {
  std::map<uint64_t, TableChange> changes;
  for (const auto& delta : deltas)
    for (const TableDelta& table : delta->tables) changes[table.table].apply(table);

  // In key order: 'h', 'm', then all 's', then all 't'.
  std::vector<tree::Edit> edits, live;
  edits.push_back(edit_history(sink, root, history));
  edit_merges(sink, root, history, edits);
  for (auto& [table, change] : changes) {
    if (!change.schema.empty()) edits.push_back(put(schema_key(table), std::move(change.schema)));
    edit_live(sink, root, table, change, live);
  }
  std::move(live.begin(), live.end(), std::back_inserter(edits));
  return tree::apply_edits(sink, root, edits);
}

tree::NodeRef advance_live_set(tree::NodeSink& sink, const tree::NodeRef& root,
                               std::span<const std::shared_ptr<const Delta>> deltas,
                               uint64_t table) {
  TableChange change;
  bool changed = false;
  for (const auto& delta : deltas)
    for (const TableDelta& t : delta->tables)
      if (t.table == table) {
        change.apply(t);
        changed = true;
      }
  const tree::NodeRef before = find_table(sink, root, table).live;
  if (!changed) return before;
  normalise(change);
  return tree::update_live_set(sink, change.cleared ? tree::NodeRef{} : before, change.added,
                               change.removed, nullptr);
}

}  // namespace datahike::store
