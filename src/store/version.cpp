#include "store/version.h"

#include <algorithm>

#include "store/version_tree.h"

namespace datahike::store {

std::optional<Commit> find_commit(Environment& env, const Uuid& id) {
  const std::optional<Bytes> record = env.commit(id);
  if (!record) return std::nullopt;
  return decode_commit(*record, id);
}

std::optional<Commit> load_commit(Environment& env, const Uuid& id) {
  std::optional<Commit> commit = find_commit(env, id);
  if (!commit && env.tombstone(id)) throw_collected(id);
  return commit;
}

void throw_collected(const Uuid& id) {
  throw CollectedError("commit " + format_uuid(id) + " has been collected");
}

Commit load_known_commit(Environment& env, const Uuid& id) {
  std::optional<Commit> commit = load_commit(env, id);
  if (!commit) throw CorruptError("commit " + format_uuid(id) + " is missing");
  return std::move(*commit);
}

const Uuid& first_parent(const Commit& commit) {
  if (commit.parents.empty())
    throw CorruptError("commit " + format_uuid(commit.id) + " has neither parents nor a root");
  return commit.parents.front();
}

CommitState load_state(Environment& env, const Uuid& id) {
  CommitState state;
  Commit commit = load_known_commit(env, id);
  while (!commit.keyframe) {
    const Uuid parent = first_parent(commit);
    state.deltas.push_back(std::make_shared<const Delta>(std::move(commit.delta)));
    commit = load_known_commit(env, parent);
  }
  state.root = commit.root;
  std::reverse(state.deltas.begin(), state.deltas.end());
  return state;
}

bool is_live(Environment& env, const CommitState& state, uint64_t table, uint64_t rowid) {
  bool live = tree::contains(env, find_table(env, state.root, table).live, rowid);
  for (const auto& delta : state.deltas)
    for (const TableDelta& changes : delta->tables) {
      if (changes.table != table) continue;
      live = live && !changes.cleared;
      for (const tree::RowidRange& range : changes.added)
        live = live || rowid - range.first < range.count;
      live = live && !std::ranges::binary_search(changes.removed, rowid, {}, &Removal::rowid);
    }
  return live;
}

TableVersion find_table(tree::NodeSource& source, const tree::NodeRef& root, uint64_t table) {
  const auto entry = tree::get(source, root, live_key(table));
  if (!entry) return {};
  return {.live = entry->child, .rows = ByteReader(entry->value, "row count").varint()};
}

std::optional<Bytes> find_schema(tree::NodeSource& source, const tree::NodeRef& root,
                                 uint64_t table) {
  auto entry = tree::get(source, root, schema_key(table));
  if (!entry) return std::nullopt;
  return std::move(entry->value);
}

}  // namespace datahike::store
