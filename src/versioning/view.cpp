// How a snapshot becomes a view. Slow path: the newest head that the snapshot sees, and the log
// rows it sees that the head does not contain. Fast path: the ring names the transactions that may
// have become visible since a cached view was made. docs/protocol.md argues why both are right.
#include "versioning/view.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/pins.h"
#include "pg/reflog.h"
#include "pg/settings.h"
#include "pg/shared.h"
#include "pg/snapshot.h"
#include "pg/store.h"
#include "pg/worker.h"
#include "versioning/named_view.h"
#include "versioning/own_resets.h"
#include "versioning/pin.h"
#include "versioning/redacted.h"

namespace datahike::versioning {

namespace {

// What makes two MVCC snapshots see the same transactions. A transaction's own xid is never in its
// snapshots' xip, whether it has ended or not, so it belongs to the key. A snapshot from before the
// transaction had one has an xmax that is not above it: then it makes no difference.
struct SnapshotKey {
  TransactionId xmax = InvalidTransactionId;
  TransactionId own = InvalidTransactionId;
  std::vector<TransactionId> xip;
  explicit SnapshotKey(Snapshot s)
      : xmax(s->xmax), own(GetTopTransactionIdIfAny()), xip(s->xip, s->xip + s->xcnt) {}
  bool matches(Snapshot s) const {
    // In recovery running transactions are listed elsewhere: no two snapshots are taken for the
    // same.
    return !s->takenDuringRecovery && s->xmax == xmax && s->xcnt == xip.size() &&
           (own == InvalidTransactionId || own == GetTopTransactionIdIfAny()) &&
           std::memcmp(s->xip, xip.data(), xip.size() * sizeof(TransactionId)) == 0;
  }
  // Snapshots are totally ordered in time: a later one has a greater xmax, or fewer in progress.
  bool not_newer_than(Snapshot s) const {
    return TransactionIdFollows(s->xmax, xmax) || (s->xmax == xmax && s->xcnt <= xip.size());
  }
};

// A transaction that may have become visible, and where in the ring it is, if that is known.
constexpr uint64_t kNowhere = UINT64_MAX;
struct Candidate {
  uint64_t xid;
  uint64_t position = kNowhere;
  bool operator<(const Candidate& other) const {
    return std::tie(xid, position) < std::tie(other.xid, other.position);
  }
};

struct CachedView {
  int32_t branch;
  uint64_t own_reset;  // of this transaction, that the head comes from; 0: none
  SnapshotKey key;
  std::shared_ptr<Overlay> overlay;
  uint32_t limit;
  pg::Head head;
  uint32_t base = 0;  // how many of the deltas make up the head's commit
  bool is_of(int32_t of_branch, Snapshot s) const {
    return branch == of_branch && own_reset == versioning::own_reset(branch, s->curcid);
  }
  bool of_statement = false;  // what a running statement's snapshot sees, beside a newer view
  bool can_advance = false;   // the rest is for this only
  uint64_t ring_position = 0;
  uint64_t folds = 0;  // the worker's counters when the overlay was begun
  uint64_t purges = 0;
  std::vector<Candidate> unresolved;  // transactions that may still become visible
};

constexpr size_t kCachedViews = 6;
constexpr uint32_t kRebaseSize = 64;  // deltas worth a newer tree
constexpr size_t kRebaseBytes = 8 << 20;
constexpr uint64_t kRebaseRows = 16384;      // scans read those of the tree faster
constexpr size_t kMostKeptDelta = 64 << 10;  // encoded bytes of a delta whose memory is kept

std::vector<std::unique_ptr<CachedView>> cache;  // most recently used first
std::vector<std::shared_ptr<Overlay>> retained;  // overlays that a scan may still point to
int views_in_use = 0;

View to_view(const CachedView& c) { return {c.overlay.get(), c.limit, c.branch}; }

void drop(size_t at) {
  retained.push_back(cache[at]->overlay);
  cache.erase(cache.begin() + static_cast<ptrdiff_t>(at));
}

// The trees that cached views rest on are there as long as this process has published their commits
// or nothing has been collected since (pg/pins.h). What is published is forgotten when a
// transaction ends: the next one does it again.
void keep_cache_or_forget_it() {
  static LocalTransactionId looked_in = InvalidLocalTransactionId;
  static uint64_t collections = 0;
  if (looked_in == MyProc->lxid) return;
  for (const auto& view : cache) pg::publish_view(view->head.tx);
  looked_in = MyProc->lxid;
  const uint64_t now = pg::collections();
  if (now == collections) return;
  while (!cache.empty()) drop(cache.size() - 1);
  collections = now;
}

// Where CREATE EXTENSION has been undone, the next one gives its branches the same ids.
void forget_other_installations() {
  static uint64_t generation = 0;
  static Oid heads = InvalidOid;
  if (generation == pg::extension_generation()) return;
  generation = pg::extension_generation();
  const Oid now = pg::call([] { return pg::extension().heads; });
  if (now == heads) return;
  heads = now;
  while (!cache.empty()) drop(cache.size() - 1);
}

CachedView& use(size_t at) {
  if (at > 0)
    std::rotate(cache.begin(), cache.begin() + static_cast<ptrdiff_t>(at),
                cache.begin() + static_cast<ptrdiff_t>(at) + 1);
  return *cache.front();
}

// A delta row, of the log or of the ring. `content` holds the delta, then the rows of its part.
struct DeltaRow {
  uint64_t xid, lsn;
  uint32_t part;
  size_t delta_bytes;
  Bytes content;
  ByteView delta() const { return ByteView(content).first(delta_bytes); }
};

DeltaRow to_delta_row(pg::LogRow& row) {
  DeltaRow d{row.xid, row.lsn, row.part, row.delta.size(), std::move(row.delta)};
  d.content.insert(d.content.end(), row.rows.begin(), row.rows.end());
  return d;
}

void apply_row(CachedView& view, const DeltaRow& row) {
  static store::Delta delta;  // its memory is used again, unless it is large
  store::decode_delta(row.delta(), delta);
  view.overlay->apply(row.xid, view.branch, delta, row.part, row.content, row.delta_bytes);
  if (row.delta().size() > kMostKeptDelta) delta = store::Delta();
  view.limit = view.overlay->size();
}

// Transactions that had appended themselves to the ring before `position` and that `s` does not
// see: those running in it, and those that began after it. An entry records the next xid at its
// time; one below s->xmax was there before `s` was taken, and so was everything before that entry.
void collect_unresolved(CachedView& view, Snapshot s) {
  for (uint32_t i = 0; i < s->xcnt; ++i) view.unresolved.push_back({pg::widen_xid(s->xip[i])});
  uint64_t xmax = pg::widen_xid(s->xmax);
  for (uint64_t at = view.ring_position; at > 0; --at) {
    pg::RingEntry entry;
    bool ours;
    if (!pg::ring_read(at - 1, &entry, &ours)) {
      view.can_advance = false;  // overwritten: what it was is not known
      return;
    }
    if (entry.next_xid < xmax) break;
    if (ours && entry.branch == static_cast<uint32_t>(view.branch) && entry.xid >= xmax)
      view.unresolved.push_back({entry.xid, at - 1});
  }
}

// The heads of a deleted branch are seen for a moment after its commits have been collected.
void require_head(const pg::Head& head) {
  store::Environment* env = pg::try_store();
  if (env && head.tx > 1 && env->tombstone(head.commit)) store::throw_collected(head.commit);
}

std::unique_ptr<CachedView> build(int32_t branch, Snapshot s) {
  uint64_t position = pg::ring_head();
  bool cacheable = !s->takenDuringRecovery && pg::widen_xid(s->xmin) > pg::ring_floor();
  uint64_t folds = pg::worker_folds(), purges = pg::worker_purges();
  pg::call([] { pg::lock_log_relations(); });
  std::optional<pg::Head> head = pg::read_head(branch, s);
  if (!head)
    throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT,
                       "the branch did not exist when the snapshot was taken",
                       "End the transaction and start another.");
  pg::publish_view(head->tx);
  std::vector<pg::LogRow> rows = pg::read_log(branch, head->contained, s);
  auto view = std::make_unique<CachedView>(CachedView{
      branch, own_reset(branch, s->curcid), SnapshotKey(s), nullptr, 0, std::move(*head)});
  view->overlay = overlay_of_head(view->head);
  require_head(view->head);
  view->limit = view->base = view->overlay->size();
  for (pg::LogRow& row : rows) apply_row(*view, to_delta_row(row));
  // The transaction may yet undo its reset.
  view->can_advance = cacheable && view->own_reset == 0;
  view->ring_position = position;
  view->folds = folds;
  view->purges = purges;
  if (view->can_advance) collect_unresolved(*view, s);
  if (pg::widen_xid(s->xmin) <= pg::ring_floor()) view->can_advance = false;
  return view;
}

// The delta rows of a transaction that has become visible. False: it has set the branch to another
// commit.
bool read_delta_rows(const CachedView& view, const Candidate& c, Snapshot s,
                     std::vector<DeltaRow>& out) {
  pg::RingEntry entry;
  bool ours;
  if (c.position != kNowhere && pg::ring_read(c.position, &entry, &ours) && ours) {
    if (entry.reset) return false;
    DeltaRow row{entry.xid, entry.lsn, entry.part, entry.delta_bytes, {}};
    if (pg::ring_read_content(entry, row.content)) {
      out.push_back(std::move(row));
      return true;
    }
  }
  for (pg::LogRow& row : pg::read_log_of(view.branch, c.xid, s)) {
    if (row.kind == 's') return false;
    out.push_back(to_delta_row(row));
  }
  return true;
}

// Brings a cached view up to `s`, which is not older. False: the ring has moved on too far, log
// rows that would be needed may have been purged, or the branch has been set to another commit.
bool advance(CachedView& view, Snapshot s) {
  if (view.purges != pg::worker_purges()) return false;
  uint64_t head = pg::ring_head();
  if (head == view.ring_position && view.unresolved.empty()) {
    view.key = SnapshotKey(s);
    return true;
  }
  std::vector<Candidate> candidates = std::move(view.unresolved);
  view.unresolved.clear();
  for (uint64_t at = view.ring_position; at < head; ++at) {
    pg::RingEntry entry;
    bool ours;
    if (!pg::ring_read(at, &entry, &ours)) return false;
    if (ours && entry.branch == static_cast<uint32_t>(view.branch))
      candidates.push_back({entry.xid, at});
  }
  // Each once; one whose place is known comes before the same without.
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(
      std::unique(candidates.begin(), candidates.end(),
                  [](const Candidate& a, const Candidate& b) { return a.xid == b.xid; }),
      candidates.end());
  std::vector<DeltaRow> rows;
  for (const Candidate& candidate : candidates) {
    auto xid = static_cast<TransactionId>(candidate.xid);
    if (TransactionIdIsCurrentTransactionId(xid) ||
        pg::call([&] { return XidInMVCCSnapshot(xid, s); })) {
      view.unresolved.push_back(candidate);
    } else if (pg::call([&] { return TransactionIdDidCommit(xid); })) {
      if (!read_delta_rows(view, candidate, s, rows)) return false;
    }
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const DeltaRow& a, const DeltaRow& b) { return a.lsn < b.lsn; });
  for (const DeltaRow& row : rows) apply_row(view, row);
  view.ring_position = head;
  view.key = SnapshotKey(s);
  return true;
}

bool is_of_active_snapshot(const CachedView& view) {
  return ActiveSnapshotSet() && view.key.matches(GetActiveSnapshot());
}

// A copy of the view `at`, which is about to be advanced, stays: the transaction's snapshot, or
// that of the statement that looks at the newest state in between, is read again. Of statements'
// there is one at a time.
void keep_old_state(size_t at) {
  const CachedView& c = *cache[at];
  auto old = std::make_unique<CachedView>(
      CachedView{c.branch, c.own_reset, c.key, c.overlay, c.limit, c.head, c.base});
  old->of_statement = !IsolationUsesXactSnapshot();
  if (old->of_statement) {
    for (auto& view : cache)
      if (view->of_statement) {
        if (view->overlay != old->overlay) retained.push_back(view->overlay);
        view = std::move(old);
        return;
      }
  }
  cache.push_back(std::move(old));
  if (cache.size() > kCachedViews && at + 1 < cache.size() - 1) drop(cache.size() - 2);
}

bool wants_rebase(const CachedView& view) {
  const Overlay& overlay = *view.overlay;
  return (overlay.size() > kRebaseSize || overlay.bytes() > kRebaseBytes ||
          overlay.added_rows() > kRebaseRows) &&
         pg::worker_folds() != view.folds;
}

CachedView& cached_view(int32_t branch, Snapshot s) {
  forget_other_installations();
  refresh_redacted_rows();
  keep_cache_or_forget_it();
  for (size_t i = 0; i < cache.size(); ++i)
    if (cache[i]->is_of(branch, s) && cache[i]->key.matches(s)) return use(i);
  for (size_t i = 0; i < cache.size(); ++i) {
    CachedView& c = *cache[i];
    if (!c.is_of(branch, s) || !c.can_advance || !c.key.not_newer_than(s)) continue;
    const bool of_active = is_of_active_snapshot(c);
    if (!of_active && wants_rebase(c)) {
      drop(i);
      break;
    }
    if (of_active || IsolationUsesXactSnapshot()) keep_old_state(i);
    bool done = false;
    try {
      done = advance(c, s);
    } catch (...) {
      drop(i);  // half advanced
      throw;
    }
    if (done) return use(i);
    drop(i);
    break;
  }
  std::unique_ptr<CachedView> built = build(branch, s);
  while (cache.size() >= kCachedViews) drop(cache.size() - 1);
  cache.insert(cache.begin(), std::move(built));
  return *cache.front();
}

// The commit whose state is exactly what the snapshot sees: walks back from `newest` over the
// commits folded since the head that the snapshot sees itself.
std::optional<store::Uuid> commit_of_snapshot(Snapshot s, const store::Uuid& newest,
                                              const store::Uuid& seen_head) {
  store::Environment& env = pg::open_store();
  std::optional<store::Uuid> found;
  store::Uuid at = newest;
  while (at != seen_head) {
    std::optional<store::Commit> commit = store::load_commit(env, at);
    if (!commit || commit->parents.empty()) return found;
    auto xid = static_cast<TransactionId>(commit->xid);
    bool visible = !pg::call([&] { return XidInMVCCSnapshot(xid, s); });
    if (visible && !found) found = at;
    if (!visible && found) return std::nullopt;
    at = commit->parents.front();
  }
  return found ? found : seen_head;
}

// The newest commit of the branch, folded, but where the branch has been set to another commit
// since: the last one before that.
store::Uuid newest_on_line_of(int32_t branch, Snapshot s) {
  Snapshot latest = pg::call([] { return pg::latest_snapshot(); });
  if (std::optional<store::Uuid> left = pg::commit_left_behind(branch, s, latest)) return *left;
  std::optional<pg::Head> head = pg::read_head(branch, latest);
  if (!head) throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT, "the branch no longer exists");
  return head->commit;
}

}  // namespace

View branch_view(int32_t branch, Snapshot s) { return to_view(cached_view(branch, s)); }

View branch_view(int32_t branch, Snapshot s, pg::Head& head) {
  const CachedView& view = cached_view(branch, s);
  head = view.head;
  return to_view(view);
}

View view_for(Snapshot s) {
  const SessionView* named = named_view(s);
  const SessionView& session = named ? *named : session_view();
  if (*session.without) return view_of_two_commits(session);
  if (session.history) return history_view(session);
  if (*session.since) return since_view(session, s);
  if (session.pinned) return pinned_view(session);
  View view = branch_view(session.branch, s);
  view.committed = session.committed;
  return view;
}

View latest_view(int32_t branch) {
  Snapshot s = pg::call([] { return pg::latest_snapshot(); });
  // Toast can be read under a registered or active snapshot only; every statement has one.
  return to_view(cached_view(branch, s));
}

store::Uuid branch_head(int32_t branch) {
  Snapshot s = pg::call([] { return pg::latest_snapshot(); });
  CachedView& view = cached_view(branch, s);
  if (view.limit == view.base) return view.head.commit;
  wait_for_fold();
  s = pg::call([] { return pg::latest_snapshot(); });
  std::optional<pg::Head> head = pg::read_head(branch, s);
  if (!head) throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT, "the branch does not exist");
  return head->commit;
}

std::optional<store::Uuid> branch_commit(int32_t branch, Snapshot s) {
  CachedView& before = cached_view(branch, s);
  if (before.limit == before.base) return before.head.commit;
  store::Uuid seen = before.head.commit;
  wait_for_fold();
  return commit_of_snapshot(s, newest_on_line_of(branch, s), seen);
}

store::Uuid current_commit(Snapshot s) {
  const SessionView& session = session_view();
  if (session.pinned) return pinned_commit(session);
  return commit_of_branch(session.branch, s);
}

store::Uuid commit_of_branch(int32_t branch, Snapshot s) {
  if (std::optional<store::Uuid> commit = branch_commit(branch, s)) return *commit;
  if (!IsolationUsesXactSnapshot()) return newest_on_line_of(branch, s);
  throw pg::SqlError(ERRCODE_T_R_SERIALIZATION_FAILURE,
                     "no commit holds exactly what this transaction's snapshot sees",
                     "Transactions committed in another order than the snapshot saw them; retry.");
}

void wait_for_fold() {
  pg::request_fold_and_wait();
  if (store::Environment* env = pg::try_store()) env->refresh();
}

namespace {

std::optional<FoundRow> find_in_store(uint64_t table_id, uint64_t rowid) {
  store::Environment* env = pg::try_store();
  if (!env) return std::nullopt;
  std::optional<store::SegmentReader> segment = env->segment(table_id, rowid);
  if (!segment) return std::nullopt;
  return FoundRow{*segment, static_cast<uint32_t>(rowid - segment->first_rowid()), true};
}

// The rows of one part, kept with the transaction; empty once the log has been purged of it.
ByteView part_of(LogTransaction& t, uint32_t number) {
  if (number == t.part && !t.rows.empty()) return t.rows;
  if (!t.loaded) t.loaded = std::make_unique<std::map<uint32_t, Bytes>>();
  auto part = t.loaded->find(number);
  if (part != t.loaded->end()) return part->second;
  std::optional<Bytes> rows = pg::read_log_part(t.branch, t.xid, number);
  if (!rows) return {};
  return t.loaded->emplace(number, std::move(*rows)).first->second;
}

}  // namespace

FoundRow load_row(const AddedRun& run, uint64_t table_id, uint64_t rowid) {
  if (run.transaction) {
    ByteView part = part_of(*run.transaction, run.place.part);
    if (!part.empty()) {
      if (run.place.offset + run.place.length > part.size())
        throw CorruptError("datahike.tx_log: rows of transaction " +
                           std::to_string(run.transaction->xid) + " are truncated");
      store::SegmentReader segment(part.subspan(run.place.offset, run.place.length));
      return {segment, static_cast<uint32_t>(rowid - segment.first_rowid()), false};
    }
    // Purged, hence folded, but perhaps after this process began to read the store.
    pg::open_store().refresh();
  }
  if (std::optional<FoundRow> found = find_in_store(table_id, rowid)) return *found;
  throw CorruptError("row " + std::to_string(rowid) + " of table " + std::to_string(table_id) +
                     " is missing in the store");
}

std::optional<FoundRow> find_row(const View& view, TableOverlay& table, uint64_t table_id,
                                 uint64_t rowid) {
  if (is_redacted(rowid)) return std::nullopt;
  auto run = Overlay::find_added(table, rowid);
  if (run != table.added.end() && run->second.transaction)
    return load_row(run->second, table_id, rowid);
  return find_in_store(table_id, rowid);
}

std::optional<Bytes> recorded_schema(const View& view, uint64_t table_id) {
  const TableOverlay& table = view.overlay->table(table_id);
  if (!table.schema.empty()) return table.schema;
  if (view.overlay->root().empty()) return std::nullopt;
  return store::find_schema(pg::open_store(), view.overlay->root(), table_id);
}

std::optional<store::Lineage> find_lineage(const View& view, uint64_t table_id, uint64_t rowid) {
  TableOverlay& table = view.overlay->table(table_id);
  if (const RemovedRow* removed = Overlay::find_removed(table, rowid))
    return store::Lineage{removed->successor, removed->xid};
  store::Environment* env = pg::try_store();
  if (!env) return std::nullopt;
  return env->lineage(table_id, rowid, static_cast<uint32_t>(view.branch));
}

TableState state_of(const View& view, uint64_t table_id) {
  if (view.computed_from) return {};
  return {true, view.overlay->serial(),
          Overlay::last_touch(view.overlay->table(table_id), view.limit)};
}

void retain_overlay(std::shared_ptr<Overlay> overlay) { retained.push_back(std::move(overlay)); }

void begin_using_views() { ++views_in_use; }
void end_using_views() {
  if (views_in_use > 0) --views_in_use;
}

void release_views(bool transaction_ends) {
  if (transaction_ends) views_in_use = 0;
  if (views_in_use == 0) retained.clear();
}

}  // namespace datahike::versioning
