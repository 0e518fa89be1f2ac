#include "store/collector.h"

#include <algorithm>

#include "store/horizon.h"
#include "store/version_tree.h"

namespace datahike::store {

namespace {

// How much one call does: some milliseconds.
constexpr size_t kCommitsAtOnce = 1000;
constexpr size_t kCollectedAtOnce = 2000;
constexpr size_t kKeyframesAtOnce = 200;
constexpr size_t kNodesAtOnce = 4000;

uint64_t tx_of(ByteView key) { return ByteReader(key, "transaction number").fixed<uint64_t>(); }

Uuid uuid_of(ByteView value) {
  Uuid id{};
  std::ranges::copy(ByteReader(value, "commit id").take(id.size()), id.begin());
  return id;
}

Bytes native_key(uint64_t number) {
  Bytes key;
  ByteWriter(key).fixed(number);
  return key;
}

}  // namespace

Collector::Collector(Environment& env, const GcOptions& options, const std::vector<Uuid>& roots)
    : options_(options), next_node_(env.next_node()) {
  for (const Uuid& root : roots) reach(env, root, true);
}

void Collector::reach(Environment& env, const Uuid& id, bool keep) {
  const std::optional<Commit> commit = find_commit(env, id);
  if (!commit) {
    // Collected before: what it descends from counts in its place.
    const std::optional<Tombstone> tombstone = env.tombstone(id);
    if (!tombstone) throw CorruptError("commit " + format_uuid(id) + " is missing");
    // But for the first, merges have named them.
    for (size_t i = 0; i < tombstone->ancestors.size(); ++i)
      reach(env, tombstone->ancestors[i], keep || i > 0);
    return;
  }
  if (traced_.contains(commit->tx)) return stay(*commit);  // it has had its turn
  const auto [at, first_time] = frontier_.try_emplace(commit->tx);
  if (first_time) at->second.commit = *commit;
  // Reached by two ways: where two lines part, which is what they have in common.
  at->second.keep = at->second.keep || keep || !first_time;
}

bool Collector::trace(Environment& env) {
  for (size_t i = 0; i < kCommitsAtOnce; ++i) {
    if (frontier_.empty() && spared_.empty()) break;
    trace_one(env);
  }
  if (!frontier_.empty() || !spared_.empty()) return false;
  // Some of the candidates may have been met.
  std::erase_if(candidates_,
                [&](const Candidate& candidate) { return !candidate_ids_.contains(candidate.id); });
  if (options_.dry_run) result_.commits = candidates_.size();
  return true;
}

void Collector::stay(const Commit& commit) {
  stay_.add(commit.tx);
  if (candidate_ids_.erase(commit.id) > 0) ++result_.kept;
}

// Newest first: when a commit's turn comes all its children have had theirs.
void Collector::trace_one(Environment& env) {
  if (!spared_.empty() && (frontier_.empty() || frontier_.begin()->first <= spared_.back().tx)) {
    const Uuid id = spared_.back().id;
    spared_.pop_back();
    reach(env, id, true);
  }
  if (frontier_.empty()) return;
  const Traced traced = std::move(frontier_.extract(frontier_.begin()).mapped());
  const Commit& commit = traced.commit;
  traced_.add(commit.tx);
  // What lies before commits that nothing names is kept for its part in the graph alone.
  const bool young = !chosen_ && (!options_.older_than || commit.time >= *options_.older_than);
  if (traced.keep || young || commit.parents.empty()) stay(commit);
  for (size_t i = 0; i < commit.parents.size(); ++i) {
    // What merges name besides their line is how ancestors are found; and the last commit before
    // the date is what was there on the date.
    const bool keep = i > 0 || (young && options_.older_than);
    reach(env, commit.parents[i], keep);
  }
}

bool Collector::is_candidate(const Commit& commit) const {
  return commit.time <= options_.newest && !commit.parents.empty() && !stay_.contains(commit.tx);
}

// Within a fold a commit's parent has the number before its own; what is not so is remembered.
void Collector::note_dependent(const Commit& commit, const Uuid* before) {
  if (commit.keyframe || commit.parents.empty()) return;
  const Uuid& parent = commit.parents.front();
  if (!before || *before != parent) dependents_[parent].push_back(commit.id);
}

bool Collector::choose(Environment& env) {
  size_t looked_at = 0;
  bool done = true;
  env.scan(Map::Txs, native_key(chosen_to_), [&](ByteView key, ByteView value) {
    const uint64_t tx = tx_of(key);
    if (tx >= options_.next_tx) return false;
    if (++looked_at > kCommitsAtOnce) return done = false;
    const Uuid id = uuid_of(value);
    const Commit commit = load_known_commit(env, id);
    note_dependent(commit, before_ && tx == chosen_to_ ? &*before_ : nullptr);
    before_ = id;
    chosen_to_ = tx + 1;
    if (is_candidate(commit)) {
      candidates_.push_back({tx, id});
      candidate_ids_.insert(id);
    } else {
      ++result_.kept;
      if (!stay_.contains(tx)) spared_.push_back({tx, id});
    }
    return true;
  });
  chosen_ = done;
  return done;
}

bool Collector::spare(const std::vector<Uuid>& ids) {
  bool spared = false;
  for (const Uuid& id : ids) {
    if (candidate_ids_.erase(id) == 0) continue;
    std::erase_if(candidates_, [&](const Candidate& candidate) { return candidate.id == id; });
    ++result_.kept;
    spared = true;
  }
  return spared;
}

bool Collector::spare_from(uint64_t limit) {
  const auto first = std::ranges::lower_bound(candidates_, limit, {}, &Candidate::tx);
  if (first == candidates_.end()) return false;
  for (auto at = first; at != candidates_.end(); ++at) candidate_ids_.erase(at->id);
  result_.kept += static_cast<uint64_t>(candidates_.end() - first);
  spared_.insert(spared_.end(), first, candidates_.end());
  candidates_.erase(first, candidates_.end());
  return true;
}

bool Collector::has_candidates(uint64_t limit) const {
  return !candidates_.empty() && candidates_.front().tx < limit;
}

void Collector::collect(Environment& env, WriteBatch& batch, uint64_t limit) {
  std::map<Uuid, Tombstone> buried;
  size_t keyframes = 0;
  while (has_candidates(limit) && buried.size() < kCollectedAtOnce &&
         keyframes < kKeyframesAtOnce) {
    const Candidate next = candidates_.front();
    candidates_.pop_front();
    candidate_ids_.erase(next.id);
    bury(env, batch, load_known_commit(env, next.id), buried);
    const auto others = dependents_.find(next.id);
    keyframes += others == dependents_.end() ? 0 : others->second.size();
  }
  for (const Uuid& id : cut_from(env, buried)) make_keyframe(env, batch, id);
}

// Erases a commit. Its tombstone says from which of those that stay it descended: the first is that
// of its line, the others are what merges have named, be it the first once more.
void Collector::bury(Environment& env, WriteBatch& batch, const Commit& commit,
                     std::map<Uuid, Tombstone>& buried) {
  Tombstone tombstone{commit.tx, commit.time, {}};
  std::vector<Uuid>& all = tombstone.ancestors;
  const auto descends = [&](const std::vector<Uuid>& ancestors) {
    for (const Uuid& id : ancestors)
      if (all.empty() || std::find(all.begin() + 1, all.end(), id) == all.end()) all.push_back(id);
  };
  for (const Uuid& parent : commit.parents) {
    if (const auto now = buried.find(parent); now != buried.end())
      descends(now->second.ancestors);
    else if (const auto before = env.tombstone(parent))
      descends(before->ancestors);
    else
      descends({parent});
  }
  ++result_.commits;
  result_.bytes += batch.erase_commit(commit.id, commit.tx);
  batch.put_tombstone(commit.id, tombstone);
  buried.emplace(commit.id, std::move(tombstone));
}

// Commits that are kept and whose state went through one of those that were buried.
std::vector<Uuid> Collector::cut_from(Environment& env,
                                      const std::map<Uuid, Tombstone>& buried) const {
  std::vector<Uuid> cut;
  const auto look = [&](const Uuid& id, const Uuid& parent) {
    if (buried.count(id)) return;
    const std::optional<Commit> commit = find_commit(env, id);
    if (commit && !commit->keyframe && !commit->parents.empty() &&
        commit->parents.front() == parent)
      cut.push_back(id);
  };
  for (const auto& [parent, tombstone] : buried) {
    if (const auto next = env.commit_by_tx(tombstone.tx + 1)) look(*next, parent);
    if (const auto others = dependents_.find(parent); others != dependents_.end())
      for (const Uuid& id : others->second) look(id, parent);
  }
  std::ranges::sort(cut);
  const auto rest = std::ranges::unique(cut);
  cut.erase(rest.begin(), rest.end());
  return cut;
}

// `env` still reads the state in which all of its chain is there.
void Collector::make_keyframe(Environment& env, WriteBatch& batch, const Uuid& id) {
  std::vector<HistoryEntry> history;
  Commit commit = load_known_commit(env, id), at = commit;
  for (; !at.keyframe; at = load_known_commit(env, first_parent(at)))
    history.push_back(history_entry(at));
  if (at.root.empty()) history.push_back(history_entry(at));
  std::ranges::reverse(history);
  const CommitState state = load_state(env, id);
  commit.root = advance_version(batch, state.root, state.deltas, history);
  commit.keyframe = true;
  batch.put_commit(commit.id, commit.tx, encode_commit(commit));
}

bool Collector::mark(Environment& env) {
  if (!horizons_marked_) mark_horizons(env);
  horizons_marked_ = true;
  size_t left = kNodesAtOnce;
  for (; left > 0 && !pending_.empty(); --left) {
    const PendingNode node = pending_.back();
    pending_.pop_back();
    mark_node(env, node);
  }
  if (!pending_.empty()) return false;
  std::vector<Uuid> commits;
  bool done = true;
  env.scan(Map::Txs, native_key(marked_to_), [&](ByteView key, ByteView value) {
    const uint64_t tx = tx_of(key);
    if (tx >= options_.next_tx) return false;
    if (commits.size() >= kCommitsAtOnce) return done = false;
    marked_to_ = tx + 1;
    const Uuid id = uuid_of(value);
    if (!options_.dry_run || !candidate_ids_.count(id)) commits.push_back(id);
    return true;
  });
  for (const Uuid& id : commits) mark_commit(env, id);
  return done && pending_.empty();
}

void Collector::push(PendingNode::Kind kind, const tree::NodeRef& ref, uint64_t table) {
  if (!ref.empty() && nodes_.add(ref.id)) pending_.push_back({kind, ref.id, table});
}

void Collector::mark_commit(Environment& env, const Uuid& id) {
  const Commit commit = load_known_commit(env, id);
  note(commit.delta);
  for (const Uuid& parent : commit.parents) name_tombstone(env, parent);
  if (commit.keyframe) push(PendingNode::Version, commit.root, 0);
  if (!options_.dry_run) return;
  // What goes is still there: this commit's chain may lead through it.
  Commit at = commit;
  while (!at.keyframe) at = load_known_commit(env, first_parent(at));
  push(PendingNode::Version, at.root, 0);
}

void Collector::name_tombstone(Environment& env, const Uuid& id) {
  const std::optional<Tombstone> tombstone = env.tombstone(id);
  if (!tombstone || !named_tombstones_.insert(id).second) return;
  for (const Uuid& ancestor : tombstone->ancestors) name_tombstone(env, ancestor);
}

void Collector::mark_horizons(Environment& env) {
  visit_horizons(env, [&](uint64_t table, const Horizon& horizon) {
    for (const KeptVersion& kept : horizon.kept) push(PendingNode::Live, kept.live, table);
  });
}

void Collector::mark_node(Environment& env, const PendingNode& node) {
  const tree::Node decoded = tree::decode_node(env.node(node.id), node.id);
  for (const tree::Entry& entry : decoded.entries) {
    if (decoded.level > 0) {
      push(node.kind, entry.child, node.table);
    } else if (node.kind == PendingNode::Live) {
      push(PendingNode::Plain, entry.child, 0);
      const tree::LiveEntry live = tree::decode_live_entry(env, entry);
      rows_[node.table].add_all(live.high, live.members);
    } else if (const auto table = table_of_live_key(entry.key);
               table && node.kind == PendingNode::Version) {
      push(PendingNode::Live, entry.child, *table);
    } else {
      push(PendingNode::Plain, entry.child, 0);
    }
  }
}

void Collector::note(const Delta& delta) {
  for (const TableDelta& table : delta.tables) {
    for (const tree::RowidRange& range : table.added)
      rows_[table.table].add_range(range.first, range.count);
    for (const Removal& removal : table.removed) removed_[table.table].add(removal.rowid);
  }
}

}  // namespace datahike::store
