// Finding commits along first parents, and walking the whole graph.
//
// From any commit the nearest keyframe is less than a batch of deltas away; its history map then
// has every earlier commit of the line in order, so nothing here follows more parents than that.
#include <map>
#include <set>

#include "store/version.h"
#include "store/version_tree.h"
#include "tree/ordered_map.h"

namespace datahike::store {
namespace {

// The history map of a keyframe; empty for the root commit, which is not in a map of its own.
tree::NodeRef history_of(Environment& env, const Commit& keyframe) {
  const auto entry = tree::get(env, keyframe.root, history_key());
  return entry ? entry->child : tree::NodeRef{};
}

// The last commit on the line of `head` for which `early` holds, as it must for a prefix of the
// line.
std::optional<Uuid> last_commit_where(Environment& env, const Uuid& head,
                                      const std::function<bool(uint64_t tx, int64_t time)>& early) {
  Commit commit = load_known_commit(env, head);
  while (!early(commit.tx, commit.time)) {
    if (commit.keyframe) {
      tree::MapCursor cursor(env, history_of(env, commit));
      cursor.seek_last_where([&](ByteView key) {
        const HistoryEntry entry = decode_history_key(key);
        return early(entry.tx, entry.time);
      });
      if (!cursor.valid()) return std::nullopt;
      return decode_history_entry(cursor.entry()).id;
    }
    commit = load_known_commit(env, first_parent(commit));
  }
  return commit.id;
}

}  // namespace

std::optional<Uuid> commit_as_of_time(Environment& env, const Uuid& head, int64_t time) {
  return last_commit_where(env, head, [time](uint64_t, int64_t at) { return at <= time; });
}

std::optional<Uuid> commit_as_of_tx(Environment& env, const Uuid& head, uint64_t tx) {
  return last_commit_where(env, head, [tx](uint64_t at, int64_t) { return at <= tx; });
}

std::optional<Uuid> first_kept_from_tx(Environment& env, const Uuid& head, uint64_t tx) {
  std::optional<Uuid> first;
  Commit commit = load_known_commit(env, head);
  for (; commit.tx >= tx; commit = load_known_commit(env, first_parent(commit))) {
    first = commit.id;
    if (commit.keyframe) break;
  }
  if (commit.tx < tx) return first;
  tree::MapCursor cursor(env, history_of(env, commit));
  for (cursor.seek(encode_history_key(tx, INT64_MIN)); cursor.valid(); cursor.next()) {
    const Uuid id = decode_history_entry(cursor.entry()).id;
    if (env.commit(id)) return id;
  }
  return first;
}

std::vector<LineCommit> kept_line(Environment& env, const Uuid& head) {
  std::vector<LineCommit> recent;
  Commit commit = load_known_commit(env, head);
  for (; !commit.keyframe; commit = load_known_commit(env, first_parent(commit)))
    recent.push_back({commit.tx, commit.id});
  recent.push_back({commit.tx, commit.id});
  std::vector<LineCommit> line;
  tree::MapCursor cursor(env, history_of(env, commit));
  for (cursor.first(); cursor.valid(); cursor.next()) {
    const HistoryEntry entry = decode_history_entry(cursor.entry());
    if (entry.tx < commit.tx && env.commit(entry.id)) line.push_back({entry.tx, entry.id});
  }
  line.insert(line.end(), recent.rbegin(), recent.rend());
  return line;
}

std::optional<Uuid> nth_parent(Environment& env, const Uuid& head, uint64_t n) {
  Commit commit = load_known_commit(env, head);
  for (; n > 0 && !commit.keyframe; --n) commit = load_known_commit(env, first_parent(commit));
  if (n == 0) return commit.id;
  tree::MapCursor cursor(env, history_of(env, commit));
  for (cursor.last(); cursor.valid() && n > 0; --n) cursor.prev();
  if (!cursor.valid()) return std::nullopt;
  return decode_history_entry(cursor.entry()).id;
}

void walk_log(Environment& env, const Uuid& head,
              const std::function<bool(const Commit&)>& report) {
  walk_log(env, std::span(&head, 1), report);
}

void walk_log(Environment& env, std::span<const Uuid> heads,
              const std::function<bool(const Commit&)>& report) {
  // By tx, newest first. A parent's tx is less than its children's, so all children of a commit
  // are out before it is, and being in here once is being reported once.
  std::map<uint64_t, Commit, std::greater<>> frontier;
  std::set<Uuid> collected;  // met on the way
  const std::function<void(const Uuid&)> visit = [&](const Uuid& id) {
    if (auto commit = find_commit(env, id)) {
      const uint64_t tx = commit->tx;
      frontier.try_emplace(tx, std::move(*commit));
      return;
    }
    const auto tombstone = env.tombstone(id);
    if (!tombstone) throw CorruptError("commit " + format_uuid(id) + " is missing");
    if (!collected.insert(id).second) return;
    for (const Uuid& ancestor : tombstone->ancestors) visit(ancestor);
  };
  for (const Uuid& head : heads) {
    if (!find_commit(env, head) && env.tombstone(head)) throw_collected(head);
    visit(head);
  }
  while (!frontier.empty()) {
    const Commit commit = std::move(frontier.extract(frontier.begin()).mapped());
    if (!report(commit)) return;
    for (const Uuid& parent : commit.parents) visit(parent);
  }
}

}  // namespace datahike::store
