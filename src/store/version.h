// The version tree of a commit, and the state of any commit: nearest keyframe plus deltas.
//
//   version tree := ordered map of
//     't' table:u64be -> row count:varint, child = live set     a table with live rows
//     's' table:u64be -> schema bytes                           its schema when last changed
//     'h'             -> (empty), child = history               the commits of this line
//     'm'             -> (empty), child = merges                those with more than one parent
//   history      := ordered map of  tx:u64be (time + 2^63):u64be -> commit uuid
//   merges       := ordered map of  tx:u64be -> parent uuid+    all parents but the first
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "store/commit.h"
#include "store/environment.h"
#include "tree/ordered_map.h"

namespace datahike::store {

// What a commit contains: the tree of its nearest keyframe at or before it along first parents, and
// the deltas of the commits after that keyframe up to it, oldest first.
struct CommitState {
  tree::NodeRef root;
  std::vector<std::shared_ptr<const Delta>> deltas;
};
CommitState load_state(Environment& env, const Uuid& id);  // CorruptError if the chain is broken
// Whether the row version is live in that state.
bool is_live(Environment& env, const CommitState& state, uint64_t table, uint64_t rowid);

// nullopt if there is no such commit; CollectedError if there was one.
std::optional<Commit> load_commit(Environment& env, const Uuid& id);
std::optional<Commit> find_commit(Environment& env, const Uuid& id);  // nullopt in both cases
Commit load_known_commit(Environment& env, const Uuid& id);  // CorruptError if there is none
[[noreturn]] void throw_collected(const Uuid& id);
// The branch's previous commit; CorruptError for a commit that has none.
const Uuid& first_parent(const Commit& commit);

struct TableVersion {
  tree::NodeRef live;
  uint64_t rows = 0;
};
TableVersion find_table(tree::NodeSource& source, const tree::NodeRef& root, uint64_t table);
std::optional<Bytes> find_schema(tree::NodeSource& source, const tree::NodeRef& root,
                                 uint64_t table);

// The last commit on the first-parent line of `head` (itself included) with time <= time, or with
// tx <= tx; nullopt if even the root commit is later. CorruptError if there is no such head.
std::optional<Uuid> commit_as_of_time(Environment& env, const Uuid& head, int64_t time);
std::optional<Uuid> commit_as_of_tx(Environment& env, const Uuid& head, uint64_t tx);
// The first commit on that line with tx >= tx that has not been collected; `head` at the latest.
std::optional<Uuid> first_kept_from_tx(Environment& env, const Uuid& head, uint64_t tx);
// The commits of that line that have not been collected, ascending by tx.
struct LineCommit {
  uint64_t tx = 0;
  Uuid id{};
};
std::vector<LineCommit> kept_line(Environment& env, const Uuid& head);
// The n-th first parent; nullopt if the line is shorter.
std::optional<Uuid> nth_parent(Environment& env, const Uuid& head, uint64_t n);

// Commits reachable from `head` through all parents, but for those that have been collected, newest
// (greatest tx) first, each once; stops when `report` returns false.
void walk_log(Environment& env, const Uuid& head, const std::function<bool(const Commit&)>& report);
// The same for several heads together.
void walk_log(Environment& env, std::span<const Uuid> heads,
              const std::function<bool(const Commit&)>& report);

}  // namespace datahike::store
