#include "store/ancestry.h"

#include <algorithm>
#include <set>

#include "tree/ordered_map.h"

namespace datahike::store {
namespace {

tree::NodeRef child_of(Environment& env, const tree::NodeRef& root, const Bytes& key) {
  if (root.empty()) return {};
  const auto entry = tree::get(env, root, key);
  return entry ? entry->child : tree::NodeRef{};
}

}  // namespace

// The commits after the keyframe are few and held here; the others are in the keyframe's maps.
struct Ancestry::Line {
  Environment& env;
  std::vector<HistoryEntry> recent;  // ascending; not empty
  tree::NodeRef history, merges;

  Line(Environment& e, const Uuid& head) : env(e) {
    Commit commit = load_known_commit(env, head);
    while (true) {
      recent.push_back(history_entry(commit));
      if (commit.keyframe) break;
      commit = load_known_commit(env, first_parent(commit));
    }
    std::reverse(recent.begin(), recent.end());
    history = child_of(env, commit.root, history_key());
    merges = child_of(env, commit.root, merges_key());
  }

  uint64_t tx() const { return recent.back().tx; }

  // The last commit with tx <= `limit`.
  std::optional<HistoryEntry> at_or_before(uint64_t limit) const {
    for (auto at = recent.rbegin(); at != recent.rend(); ++at)
      if (at->tx <= limit) return *at;
    tree::MapCursor cursor(env, history);
    cursor.seek_at_most(encode_history_key(limit, INT64_MAX));
    if (!cursor.valid()) return std::nullopt;
    return decode_history_entry(cursor.entry());
  }

  // The first commit with tx > `limit`.
  std::optional<HistoryEntry> after(uint64_t limit) const {
    if (limit == UINT64_MAX) return std::nullopt;
    if (limit < recent.front().tx) {
      tree::MapCursor cursor(env, history);
      cursor.seek(encode_history_key(limit + 1, INT64_MIN));
      if (cursor.valid()) return decode_history_entry(cursor.entry());
    }
    for (const HistoryEntry& entry : recent)
      if (entry.tx > limit) return entry;
    return std::nullopt;
  }

  // Calls visit(commit's tx, further parents) for each merge with tx > `limit`, newest first, while
  // it returns true.
  template <class Visit>
  void merges_above(uint64_t limit, Visit&& visit) const {
    for (auto at = recent.rbegin(); at != recent.rend(); ++at) {
      if (at->tx <= limit) return;
      if (!at->further_parents.empty() && !visit(at->tx, at->further_parents)) return;
    }
    tree::MapCursor cursor(env, merges);
    for (cursor.last(); cursor.valid(); cursor.prev()) {
      const HistoryEntry merge = decode_merge_entry(cursor.entry());
      if (merge.tx <= limit) return;
      if (merge.tx >= recent.front().tx) continue;  // the keyframe itself
      if (!visit(merge.tx, merge.further_parents)) return;
    }
  }
};

Ancestry::Ancestry(Environment& env) : env_(env) {}
Ancestry::~Ancestry() = default;

Ancestry::Line& Ancestry::line(const Uuid& head) {
  std::unique_ptr<Line>& known = lines_[head];
  if (!known) known = std::make_unique<Line>(env_, head);
  return *known;
}

// The lines of some commits and of everything merged into them, which together have all their
// ancestors with a tx above the limit. Lines that meet run on as one, so merges below are looked at
// once.
std::vector<Ancestry::Line*> Ancestry::lines_above(std::vector<Uuid> left, uint64_t tx) {
  std::vector<Line*> found;
  std::set<Uuid> heads;
  std::set<uint64_t> merges;
  while (!left.empty()) {
    const Uuid id = left.back();
    left.pop_back();
    if (!heads.insert(id).second) continue;
    Line& next = line(id);
    if (next.tx() <= tx) continue;
    found.push_back(&next);
    next.merges_above(tx, [&](uint64_t merge, const std::vector<Uuid>& parents) {
      if (!merges.insert(merge).second) return false;
      left.insert(left.end(), parents.begin(), parents.end());
      return true;
    });
  }
  return found;
}

// Whether one of the commits is the ancestor, or has it among its own.
bool Ancestry::descends(std::vector<Uuid> commits, uint64_t tx, const Uuid& ancestor) {
  for (const Line* line : lines_above(std::move(commits), tx - 1)) {
    const std::optional<HistoryEntry> then = line->at_or_before(tx);
    if (then && then->id == ancestor) return true;
  }
  return false;
}

// The same of the line's commit with the number `up_to`, which may have been collected.
bool Ancestry::descends(const Line& line, uint64_t up_to, uint64_t tx, const Uuid& ancestor) {
  if (up_to < tx) return false;
  const std::optional<HistoryEntry> then = line.at_or_before(tx);
  if (then && then->id == ancestor) return true;
  std::vector<Uuid> merged;
  line.merges_above(tx, [&](uint64_t merge, const std::vector<Uuid>& parents) {
    if (merge <= up_to) merged.insert(merged.end(), parents.begin(), parents.end());
    return true;
  });
  return descends(std::move(merged), tx, ancestor);
}

bool Ancestry::is_ancestor(const Uuid& ancestor, const Uuid& commit) {
  return descends({commit}, line(ancestor).tx(), ancestor);
}

bool Ancestry::is_ancestor(uint64_t tx, const Uuid& ancestor, const Uuid& commit) {
  auto known = all_lines_.find(commit);
  if (known == all_lines_.end()) known = all_lines_.emplace(commit, lines_above({commit}, 0)).first;
  return std::any_of(known->second.begin(), known->second.end(), [&](const Line* line) {
    const std::optional<HistoryEntry> then = line->at_or_before(tx);
    return then && then->id == ancestor;
  });
}

bool Ancestry::is_on_line(uint64_t tx, const Uuid& ancestor, const Uuid& commit) {
  const std::optional<HistoryEntry> then = line(commit).at_or_before(tx);
  return then && then->id == ancestor;
}

std::optional<HistoryEntry> Ancestry::first_with(uint64_t tx, const Uuid& ancestor,
                                                 const Uuid& head) {
  const Line& main = line(head);
  const std::optional<HistoryEntry> then = main.at_or_before(tx);
  if (then && then->id == ancestor) return then;
  if (!is_ancestor(tx, ancestor, head)) return std::nullopt;
  std::vector<uint64_t> merges;  // on the line, after the ancestor: one of them brought it
  main.merges_above(tx, [&](uint64_t merge, const std::vector<Uuid>&) {
    merges.push_back(merge);
    return true;
  });
  std::reverse(merges.begin(), merges.end());
  const auto first = std::partition_point(merges.begin(), merges.end(), [&](uint64_t merge) {
    return !descends(main, merge, tx, ancestor);
  });
  if (first == merges.end()) throw CorruptError("no merge brought an ancestor");
  return main.at_or_before(*first);
}

// The newest commit on both lines, which have one in common. Up to it they are the same, after it
// they differ.
HistoryEntry Ancestry::newest_shared(Line& a, Line& b) {
  uint64_t low = 0, high = std::min(a.tx(), b.tx()), at = high;
  std::optional<HistoryEntry> shared;
  while (true) {
    const std::optional<HistoryEntry> in_a = a.at_or_before(at), in_b = b.at_or_before(at);
    if (in_a && in_b && in_a->id == in_b->id) {
      shared = in_a;
      low = at;
    } else {
      high = std::min({at - 1, in_a ? in_a->tx : 0, in_b ? in_b->tx : 0});
    }
    if (low >= high) break;
    at = low + (high - low + 1) / 2;
  }
  if (!shared) throw CorruptError("the lines of two commits do not meet");
  return *shared;
}

// Lines that have a commit above a tx in common have the same first commit above it. Each round
// finds a common ancestor newer than the one before, until there is none: newest lines first, so
// that rounds are few.
std::optional<Uuid> Ancestry::common_ancestor(const Uuid& a, const Uuid& b) {
  const auto newest_first = [](Line* x, Line* y) { return x->tx() > y->tx(); };
  std::optional<HistoryEntry> best;
  while (true) {
    const uint64_t tx = best ? best->tx : 0;
    std::vector<Line*> of_a = lines_above({a}, tx), of_b = lines_above({b}, tx);
    std::sort(of_a.begin(), of_a.end(), newest_first);
    std::sort(of_b.begin(), of_b.end(), newest_first);
    std::map<Uuid, Line*> first_commits;
    for (Line* line : of_a) first_commits.try_emplace(line->after(tx)->id, line);
    const auto meets = std::find_if(of_b.begin(), of_b.end(), [&](Line* line) {
      return first_commits.contains(line->after(tx)->id);
    });
    if (meets == of_b.end()) break;
    best = newest_shared(*first_commits.at((*meets)->after(tx)->id), **meets);
  }
  if (!best) return std::nullopt;
  return best->id;
}

// The lines of `head` and of what has been merged into it that have commits which `ancestor` does
// not descend from.
std::vector<Ancestry::Line*> Ancestry::lines_outside(const Uuid& head, const Uuid& ancestor) {
  std::vector<Line*> found;
  std::set<Uuid> heads;
  std::set<Uuid> merges;
  std::vector<Uuid> left = {head};
  while (!left.empty()) {
    const Uuid id = left.back();
    left.pop_back();
    if (!heads.insert(id).second || is_ancestor(id, ancestor)) continue;
    Line& next = line(id);
    found.push_back(&next);
    next.merges_above(0, [&](uint64_t tx, const std::vector<Uuid>& parents) {
      const Uuid merge = next.at_or_before(tx)->id;
      if (!merges.insert(merge).second || descends({ancestor}, tx, merge)) return false;
      left.insert(left.end(), parents.begin(), parents.end());
      return true;
    });
  }
  return found;
}

// A common ancestor that none descends from is the newest shared commit of two lines. Those that
// the newest of all descends from need not be looked for.
std::vector<Uuid> Ancestry::merge_bases(const Uuid& a, const Uuid& b) {
  const std::optional<Uuid> newest = common_ancestor(a, b);
  if (!newest) return {};
  std::vector<Uuid> found = {*newest};
  const std::vector<Line*> of_a = lines_outside(a, *newest), of_b = lines_outside(b, *newest);
  for (Line* x : of_a)
    for (Line* y : of_b) found.push_back(newest_shared(*x, *y).id);
  return independent(std::move(found));
}

std::vector<Uuid> Ancestry::independent(std::vector<Uuid> commits) {
  std::sort(commits.begin(), commits.end());
  commits.erase(std::unique(commits.begin(), commits.end()), commits.end());
  std::sort(commits.begin(), commits.end(),
            [this](const Uuid& x, const Uuid& y) { return line(x).tx() > line(y).tx(); });
  std::vector<Uuid> kept;
  for (const Uuid& commit : commits)
    if (std::none_of(kept.begin(), kept.end(),
                     [&](const Uuid& newer) { return is_ancestor(commit, newer); }))
      kept.push_back(commit);
  return kept;
}

}  // namespace datahike::store
