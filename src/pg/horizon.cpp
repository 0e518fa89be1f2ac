#include "pg/horizon.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/keep_history.h"
#include "pg/pins.h"
#include "pg/shared.h"
#include "pg/store.h"
#include "pg/versions_in_use.h"
#include "store/version_tree.h"

namespace datahike::pg {

namespace {

// The last commit of a branch at or before a horizon.
struct LastCommit {
  uint64_t tx;
  store::CommitState state;
};

// What may name commits: the newest of each branch, deleted ones too, and others. A deleted branch
// counts while a commit of it is at or above the horizon: that one can still be read by its id.
std::vector<OtherName> all_names(const std::vector<Head>& heads, const std::vector<int32_t>& named,
                                 TransactionId xmin) {
  std::vector<OtherName> names = other_names(xmin);
  for (const Head& head : heads)
    names.push_back(
        {head.commit, head.tx, std::binary_search(named.begin(), named.end(), head.branch)});
  return names;
}

std::vector<LastCommit> last_commits(store::Environment& env, const std::vector<OtherName>& names,
                                     uint64_t horizon) {
  std::map<uint64_t, LastCommit> found;  // branches made from one commit share it
  for (const OtherName& name : names) {
    if (!name.always && name.tx < horizon) continue;
    if (!env.commit(name.commit)) continue;  // collected: of a branch that was reset long ago
    std::optional<store::Uuid> id =
        name.tx <= horizon ? name.commit : store::commit_as_of_tx(env, name.commit, horizon);
    // Collected: then the next one that is kept has what could be read there, and is read, too.
    if (id && !env.commit(*id)) id = store::first_kept_from_tx(env, name.commit, horizon);
    if (!id) throw CorruptError("a branch has no commit at transaction " + std::to_string(horizon));
    uint64_t tx = name.tx <= horizon ? name.tx : store::load_known_commit(env, *id).tx;
    if (!found.count(tx)) found.emplace(tx, LastCommit{tx, store::load_state(env, *id)});
  }
  std::vector<LastCommit> result;
  for (auto& [tx, commit] : found) result.push_back(std::move(commit));
  return result;
}

// A commit between two version trees has no live set of its own until it is made here. What the
// horizon before has made is taken over: it would be made again each time, for nothing.
store::Horizon horizon_at(store::Environment& env, store::WriteBatch& batch, uint64_t table,
                          const store::FoldMark& mark, const std::vector<LastCommit>& commits) {
  std::map<uint64_t, tree::NodeRef> made;
  if (std::optional<store::Horizon> before = store::read_horizon(env, table))
    for (const store::KeptVersion& kept : before->kept) made[kept.tx] = kept.live;
  store::Horizon horizon;
  horizon.mark = mark;
  for (const LastCommit& commit : commits) {
    auto known = made.find(commit.tx);
    tree::NodeRef live = known != made.end() ? known->second
                                             : store::advance_live_set(batch, commit.state.root,
                                                                       commit.state.deltas, table);
    horizon.kept.push_back({commit.tx, live});
  }
  return horizon;
}

// The newest mark for tables that keep so much; `marks` are ascending. nullptr: none yet.
const store::FoldMark* mark_for(const std::vector<store::FoldMark>& marks, int64_t keep,
                                uint64_t pin) {
  int64_t until = keep == 0 ? INT64_MAX : GetCurrentTimestamp() - keep;
  const store::FoldMark* best = nullptr;
  for (const store::FoldMark& mark : marks)
    if (mark.time <= until && mark.last_tx <= pin) best = &mark;
  return best;
}

// Where a horizon can lie: at folds that have committed and that every snapshot sees whole.
std::vector<store::FoldMark> visible_marks(store::Environment& env, Snapshot snapshot,
                                           TransactionId xmin) {
  std::vector<store::FoldMark> marks = store::read_fold_marks(env);
  uint64_t next_tx = read_next_tx(snapshot), oldest = widen_xid(xmin);
  std::erase_if(marks, [=](const store::FoldMark& mark) {
    return mark.last_tx >= next_tx || mark.xmax > oldest;
  });
  return marks;
}

}  // namespace

void Horizons::notice_branches(const std::vector<int32_t>& named) {
  if (named == named_) return;
  named_ = named;
  ++branches_generation_;
}

// Whether moving the table's horizon to the mark would let go of anything.
bool Horizons::may_move(Table& table, uint64_t id, const store::FoldMark& mark) {
  if (!table.known) {
    auto stored = store::read_horizon(open_store_for_writing(), id);
    table.horizon = stored ? stored->mark.last_tx : 0;
    table.known = true;
  }
  bool branches_went = table.branches != branches_generation_;
  if (branches_went) return mark.last_tx >= table.horizon;
  return mark.last_tx > table.horizon && table.touched > table.horizon;
}

void Horizons::advance(Snapshot snapshot, store::WriteBatch& (*begin)(), void (*commit)()) {
  std::vector<TableKeep> tables = tables_that_forget();
  if (tables.empty()) return;
  TransactionId xmin = oldest_xmin();
  store::Environment& env = open_store_for_writing();
  std::vector<store::FoldMark> marks = visible_marks(env, snapshot, xmin);
  notice_branches(branches_named_to_anyone(xmin));
  bool any = false;
  for (const TableKeep& t : tables) {
    const store::FoldMark* mark = mark_for(marks, t.microseconds, UINT64_MAX);
    any = any || (mark && may_move(tables_[t.table], t.table, *mark));
  }
  if (!any) return;

  // From here to the batch's commit no session can begin to read an old commit (pins.h). Who makes
  // a branch from one has a pin, or a head that is not committed, or has committed before the
  // snapshot that the heads are read with: hence in this order.
  call([] { lock_versioning_relations(); });
  lock_pins();
  uint64_t pin = oldest_pin();
  pin = std::min(pin, oldest_uncommitted_name(xmin));
  Snapshot latest = call([] { return RegisterSnapshot(GetLatestSnapshot()); });
  std::vector<Head> heads;
  for (int32_t branch : branches_with_heads(latest))
    if (std::optional<Head> head = read_head(branch, latest)) heads.push_back(std::move(*head));
  call([=] { UnregisterSnapshot(latest); });
  std::vector<OtherName> names = all_names(heads, branches_named_to_anyone(xmin), xmin);
  std::map<uint64_t, std::vector<LastCommit>> commits;  // by horizon
  store::WriteBatch* batch = nullptr;
  std::vector<std::pair<uint64_t, uint64_t>> moved;
  for (const TableKeep& t : tables) {
    const store::FoldMark* mark = mark_for(marks, t.microseconds, pin);
    if (!mark || !may_move(tables_[t.table], t.table, *mark)) continue;
    auto at = commits.find(mark->last_tx);
    if (at == commits.end())
      at = commits.emplace(mark->last_tx, last_commits(env, names, mark->last_tx)).first;
    if (!batch) batch = &begin();
    store::put_horizon(*batch, t.table, horizon_at(env, *batch, t.table, *mark, at->second));
    moved.emplace_back(t.table, mark->last_tx);
  }
  if (batch) commit();
  unlock_pins();
  for (auto [table, tx] : moved) {
    tables_[table].horizon = tx;
    tables_[table].branches = branches_generation_;
    if (tables_[table].touched == UINT64_MAX) tables_[table].touched = tx;
  }
  if (!moved.empty()) count_horizon_change();
}

}  // namespace datahike::pg
