#include "store/row_origin.h"

#include <algorithm>

namespace datahike::store {

namespace {

constexpr size_t kMostRemembered = 1 << 16;  // commits, transactions
constexpr size_t kMostRanges = 1 << 20;      // of added rowids
constexpr size_t kMostStates = 64;           // of commits

}  // namespace

tree::RowidRange Origin::range_of(uint64_t table, uint64_t rowid) const {
  const auto ranges = added.find(table);
  if (ranges == added.end()) return {};
  const auto after = std::upper_bound(
      ranges->second.begin(), ranges->second.end(), rowid,
      [](uint64_t wanted, const tree::RowidRange& range) { return wanted < range.first; });
  if (after == ranges->second.begin()) return {};
  const tree::RowidRange& range = *std::prev(after);
  return rowid - range.first < range.count ? range : tree::RowidRange{};
}

RowOrigins::RowOrigins(Environment& env, const Uuid& commit)
    : env_(env), commit_(commit), ancestry_(env) {}

void RowOrigins::forget_some() {
  if (known_.size() > kMostRemembered || ranges_ > kMostRanges) {
    known_.clear();
    ranges_ = 0;
  }
  if (writes_.size() > kMostRemembered) writes_.clear();
  if (brought_by_.size() > kMostRemembered) brought_by_.clear();
}

const Origin* RowOrigins::origin(uint64_t tx) {
  auto known = known_.find(tx);
  if (known != known_.end()) return known->second.get();
  std::unique_ptr<Origin> origin;
  if (std::optional<Uuid> id = env_.commit_by_tx(tx)) {
    Commit commit = load_known_commit(env_, *id);
    origin = std::make_unique<Origin>();
    origin->tx = commit.tx;
    origin->time = commit.time;
    origin->commit = commit.id;
    origin->branch = commit.branch;
    origin->xid = commit.xid;
    origin->author = std::move(commit.author);
    for (TableDelta& table : commit.delta.tables) {
      if (table.cleared) origin->cleared.push_back(table.table);
      std::vector<tree::RowidRange> made = rows_made(table);
      ranges_ += made.size();
      if (!made.empty()) origin->added.emplace(table.table, std::move(made));
    }
    origin->is_ancestor = ancestry_.is_ancestor(tx, commit.id, commit_);
  }
  return known_.emplace(tx, std::move(origin)).first->second.get();
}

// The commit with this tx where it is an ancestor, and that of the transaction: the map may name
// what a fold had that never committed.
const Origin* RowOrigins::written(uint64_t xid, uint32_t branch, uint64_t tx) {
  const Origin* found = origin(tx);
  bool is = found && found->is_ancestor && found->xid == xid && found->branch == branch;
  return is ? found : nullptr;
}

const Origin* RowOrigins::added(uint64_t table, uint64_t rowid, uint64_t xid) {
  forget_some();
  auto writes = writes_.find(xid);
  if (writes == writes_.end()) writes = writes_.emplace(xid, env_.commits_of(xid)).first;
  for (const WrittenCommit& write : writes->second) {
    const Origin* found = origin(write.tx);
    if (found && found->is_ancestor && found->range_of(table, rowid).count > 0) return found;
  }
  return nullptr;
}

const Origin* RowOrigins::removed(uint64_t table, uint64_t rowid, const Origin& made_by) {
  const Origin* first = nullptr;
  auto consider = [&](const Origin* found) {
    if (found && found->tx > made_by.tx && (!first || found->tx < first->tx)) first = found;
  };
  bool all_known = true;
  for (const BranchLineage& removal : env_.lineage_on_branches(table, rowid)) {
    bool known = false;
    for (const WrittenCommit& write : env_.commits_of(removal.lineage.xid)) {
      if (write.branch != removal.branch) continue;
      known = known || origin(write.tx);
      consider(written(removal.lineage.xid, write.branch, write.tx));
    }
    all_known = all_known && known;
  }
  auto clears = clears_.find(table);
  if (clears == clears_.end()) clears = clears_.emplace(table, env_.clears_of(table, 0)).first;
  for (auto tx = std::upper_bound(clears->second.begin(), clears->second.end(), made_by.tx);
       tx != clears->second.end() && (!first || *tx < first->tx); ++tx) {
    const Origin* clear = origin(*tx);
    if (clear && clear->is_ancestor && std::ranges::binary_search(clear->cleared, table) &&
        ancestry_.is_on_line(made_by.tx, made_by.commit, clear->commit)) {
      consider(clear);
      all_known = all_known && !has_gaps();  // there may have been one before it
    }
  }
  auto merge = brought_by_.find(made_by.tx);
  if (merge == brought_by_.end()) {
    const auto entry = ancestry_.first_with(made_by.tx, made_by.commit, commit_);
    uint64_t tx = entry && entry->tx != made_by.tx ? entry->tx : 0;
    if (tx != 0 && !env_.commit(entry->id))
      tx = load_known_commit(env_, *first_kept_from_tx(env_, commit_, tx)).tx;
    merge = brought_by_.emplace(made_by.tx, tx).first;
  }
  if (merge->second != 0)
    consider(origin(merge->second));
  else if (!first || !all_known)
    consider(gone_on_line(table, rowid, made_by));
  return first;
}

bool RowOrigins::has_gaps() {
  if (!has_gaps_) has_gaps_ = env_.statistics().tombstones > 0;
  return *has_gaps_;
}

const std::vector<LineCommit>& RowOrigins::line() {
  if (line_.empty()) line_ = kept_line(env_, commit_);
  return line_;
}

const CommitState& RowOrigins::state_of(const Uuid& commit) {
  if (states_.size() >= kMostStates) states_.clear();
  const auto [at, first_time] = states_.try_emplace(commit);
  if (first_time) at->second = load_state(env_, commit);
  return at->second;
}

// REQUIRES: the row was made on the line. From then on it is live until it is gone for good.
const Origin* RowOrigins::gone_on_line(uint64_t table, uint64_t rowid, const Origin& made_by) {
  const auto made = std::ranges::lower_bound(line(), made_by.tx, {}, &LineCommit::tx);
  const auto gone = std::partition_point(made, line().end(), [&](const LineCommit& commit) {
    return is_live(env_, state_of(commit.id), table, rowid);
  });
  return gone == line().end() ? nullptr : origin(gone->tx);
}

}  // namespace datahike::store
