#include "pg/gc.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/joiner.h"
#include "pg/keep_history.h"
#include "pg/log.h"
#include "pg/pins.h"
#include "pg/shared.h"
#include "pg/store.h"
#include "pg/versions_in_use.h"
#include "store/redaction.h"
#include "store/unused_bytes.h"
#include "store/version.h"

namespace datahike::pg {

int setting_gc_interval = 0;
int setting_gc_min_age = 3600;
char* setting_gc_older_than = nullptr;

namespace {

bool check_older_than(char** value, void**, GucSource) {
  int64_t microseconds;
  if (**value == 0) return true;
  int64_t* out = &microseconds;
  if (guard([=] { return parse_keep_history(*value, out); })) return true;
  GUC_check_errmsg("invalid value for datahike.gc_older_than: \"%s\"", *value);
  GUC_check_errhint("Give an interval, or nothing.");
  return false;
}

// The commit ids that rows of one of the extension's tables, all that are not dead to all, have in
// a column of type uuid[].
std::vector<store::Uuid> ids_in(Oid table, int column, TransactionId xmin) {
  List* found = call([=] {
    List* ids = NIL;
    for_each_version(table, xmin, [&](HeapTuple tuple, TupleDesc desc, HTSV_Result) {
      bool isnull;
      Datum value = heap_getattr(tuple, column, desc, &isnull);
      if (isnull) return;
      Datum* elements;
      int count;
      deconstruct_array(DatumGetArrayTypePCopy(value), UUIDOID, UUID_LEN, false, TYPALIGN_CHAR,
                        &elements, nullptr, &count);
      for (int i = 0; i < count; ++i) ids = lappend(ids, DatumGetUUIDP(elements[i]));
    });
    return ids;
  });
  std::vector<store::Uuid> result;
  ListCell* cell;
  foreach (cell, found) {
    store::Uuid& id = result.emplace_back();
    std::memcpy(id.data(), static_cast<pg_uuid_t*>(lfirst(cell))->data, id.size());
  }
  return result;
}

// What the log names; tags; and where branches stood before a reset that some snapshot does not
// see.
std::vector<store::Uuid> ids_that_stay(TransactionId xmin) {
  constexpr int kParentsColumn = 11;
  std::vector<store::Uuid> ids = ids_in(extension().tx_log, kParentsColumn, xmin);
  for (const OtherName& name : other_names(xmin))
    if (name.always) ids.push_back(name.commit);
  return ids;
}

struct NamedHead {
  int32_t branch;
  int64_t fold;
  store::Uuid commit;
  bool in_progress;
  bool settled;  // every snapshot sees it
};

// Each snapshot reads the newest head that it sees, so what is older than one that all see is used
// by none, whether the worker has purged it yet or not.
std::vector<NamedHead> heads_in_use(TransactionId xmin) {
  constexpr int kBranchColumn = 1, kFoldColumn = 2, kCommitColumn = 3;
  List* found = call([=] {
    List* heads = NIL;
    for_each_version(extension().heads, xmin, [&](HeapTuple tuple, TupleDesc desc, HTSV_Result s) {
      bool isnull;
      auto* head = static_cast<NamedHead*>(palloc(sizeof(NamedHead)));
      head->branch = DatumGetInt32(heap_getattr(tuple, kBranchColumn, desc, &isnull));
      head->fold = DatumGetInt64(heap_getattr(tuple, kFoldColumn, desc, &isnull));
      Datum commit = heap_getattr(tuple, kCommitColumn, desc, &isnull);
      std::memcpy(head->commit.data(), DatumGetUUIDP(commit)->data, UUID_LEN);
      head->in_progress = s == HEAPTUPLE_INSERT_IN_PROGRESS;
      head->settled =
          s == HEAPTUPLE_LIVE && TransactionIdPrecedes(HeapTupleHeaderGetXmin(tuple->t_data), xmin);
      heads = lappend(heads, head);
    });
    return heads;
  });
  std::vector<NamedHead> heads;
  ListCell* cell;
  std::map<int32_t, int64_t> settled;  // by branch: the newest that every snapshot sees
  foreach (cell, found) {
    heads.push_back(*static_cast<NamedHead*>(lfirst(cell)));
    const NamedHead& head = heads.back();
    if (head.settled) settled[head.branch] = std::max(settled[head.branch], head.fold);
  }
  std::erase_if(heads, [&](const NamedHead& head) {
    auto newest = settled.find(head.branch);
    return newest != settled.end() && head.fold < newest->second;
  });
  return heads;
}

// Whether a deleted branch has something that is not folded yet.
bool has_open_log(int32_t branch, Snapshot snapshot) {
  std::optional<Head> head = read_head(branch, snapshot);
  return head && !read_log(branch, head->contained, snapshot).empty();
}

std::vector<store::Uuid> read_roots(TransactionId xmin, Snapshot snapshot) {
  std::vector<store::Uuid> roots = ids_that_stay(xmin);
  std::vector<int32_t> named = branches_named_to_anyone(xmin);
  std::map<int32_t, bool> open;  // deleted branches
  for (const NamedHead& head : heads_in_use(xmin)) {
    bool counts = head.in_progress || std::binary_search(named.begin(), named.end(), head.branch);
    if (!counts) {
      auto [at, first_time] = open.try_emplace(head.branch);
      if (first_time) at->second = has_open_log(head.branch, snapshot);
      counts = at->second;
    }
    if (counts) roots.push_back(head.commit);
  }
  store::Environment& env = open_store_for_writing();
  // The first commit of a store that nobody has written to, and an id that names nothing any more.
  std::erase_if(roots,
                [&](const store::Uuid& id) { return !env.commit(id) && !env.tombstone(id); });
  std::sort(roots.begin(), roots.end());
  roots.erase(std::unique(roots.begin(), roots.end()), roots.end());
  return roots;
}

// The head of the default branch once more, with what is the store's next transaction number. False
// where the branch is being set to another commit: that head must stay the newest one.
bool carry_next_tx(uint64_t next_tx) {
  auto branch = static_cast<int32_t>(call([] { return find_branch(kDefaultBranch); }));
  if (!call([=] { return try_lock_branch_for_write(branch); })) return false;
  Snapshot latest = call([] { return RegisterSnapshot(GetLatestSnapshot()); });
  std::optional<Head> head = read_head(branch, latest);
  call([=] { UnregisterSnapshot(latest); });
  if (!head) throw CorruptError("the default branch has no head");
  const uint64_t own = widen_xid(call([] { return GetTopTransactionId(); }));
  if (head->fold >= own) return false;
  head->fold = own;
  head->next_tx = next_tx;
  write_head(*head);
  return true;
}

// Heads of branches whose commits are gone: nobody can find them by name either. Transaction
// numbers are never used again, so the greatest of what heads say of them stays; where it cannot,
// the heads stay until a later run.
void forget_heads_of_collected(Snapshot snapshot) {
  store::Environment& env = open_store_for_writing();
  env.refresh();
  uint64_t next_tx = read_next_tx(snapshot), kept = 0;
  std::vector<int32_t> gone;
  for (int32_t branch : branches_with_heads(snapshot)) {
    std::optional<Head> head = read_head(branch, snapshot);
    if (!head) continue;
    if (env.tombstone(head->commit))
      gone.push_back(branch);
    else
      kept = std::max(kept, head->next_tx);
  }
  if (!gone.empty() && kept < next_tx && !carry_next_tx(next_tx)) return;
  for (int32_t branch : gone) forget_heads(branch);
}

// Of the commits with a tx from `first` to before `end`.
void add_parents_of_commits(store::Environment& env, uint64_t first, uint64_t end,
                            std::vector<store::Uuid>& ids) {
  for (uint64_t tx = first; tx < end; ++tx) {
    std::optional<store::Uuid> id = env.commit_by_tx(tx);
    std::optional<store::Commit> commit = id ? store::load_commit(env, *id) : std::nullopt;
    if (commit) ids.insert(ids.end(), commit->parents.begin(), commit->parents.end());
  }
}

// A fold that never committed has left something that the next one will clear away.
bool has_orphans(store::Environment& env, Snapshot snapshot) {
  std::optional<Bytes> last = env.meta("next_tx");
  return last && ByteReader(*last, "meta next_tx").fixed<uint64_t>() > read_next_tx(snapshot);
}

}  // namespace

void define_gc() {
  DefineCustomIntVariable("datahike.gc_interval",
                          "Time between runs of garbage collection by the fold worker.",
                          "0: only gc() collects.", &setting_gc_interval, 0, 0, INT_MAX, PGC_SIGHUP,
                          GUC_UNIT_S, nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "datahike.gc_min_age", "Commits younger than this are not collected by those runs.", nullptr,
      &setting_gc_min_age, 3600, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("datahike.gc_older_than",
                             "Age from which those runs collect commits that branches have.",
                             "An interval. Empty: only what no branch has.", &setting_gc_older_than,
                             "", PGC_SIGHUP, 0, check_older_than, nullptr, nullptr);
}

bool Gc::wanted(const WorkerSlot& slot) const {
  if (run_ || compacting_ || joining_ || slot.gc.requested > slot.gc.served) return true;
  if (setting_gc_interval == 0 || slot.folds == folds_) return false;
  return GetCurrentTimestamp() >= slot.gc.last_run_at + setting_gc_interval * USECS_PER_SEC;
}

bool Gc::has_work_to_come(const WorkerSlot& slot) const {
  return wanted(slot) || (setting_gc_interval != 0 && slot.folds != folds_);
}

bool Gc::begin(WorkerSlot& slot, Snapshot snapshot) {
  store::GcOptions options;
  TimestampTz now = GetCurrentTimestamp();
  LWLockAcquire(shared->lock, LW_SHARED);
  const GcMailbox asked = slot.gc;
  LWLockRelease(shared->lock);
  serving_ = asked.requested > asked.served ? asked.requested : 0;
  result_ = {};
  if (serving_ && asked.compact) {
    compacting_.emplace();
    return false;
  }
  if (serving_ && asked.join) {
    joining_.emplace(store::SegmentJoiner::Mode::All);
    joining_->add_table(asked.join);
    return false;
  }
  if (serving_) {
    if (asked.has_date) options.older_than = asked.older_than;
    options.newest = asked.newest;
    options.dry_run = asked.dry_run;
  } else {
    int64_t keep;
    if (*setting_gc_older_than && parse_keep_history(setting_gc_older_than, &keep) &&
        keep != kKeepAll)
      options.older_than = now - keep;
    options.newest = now - setting_gc_min_age * USECS_PER_SEC;
  }
  store::Environment& env = open_store_for_writing();
  env.refresh();
  if (has_orphans(env, snapshot)) return false;
  folds_ = slot.folds;
  dry_run_ = options.dry_run;
  TransactionId xmin = oldest_xmin();
  options.xmin = widen_xid(xmin);
  options.next_tx = read_next_tx(snapshot);
  stage_ = Stage::Trace;
  run_ = std::make_unique<store::Collector>(env, options, read_roots(xmin, snapshot));
  return true;
}

void Gc::collect(Snapshot snapshot, const Batches& batches) {
  store::Environment& env = open_store_for_writing();
  call([] { lock_versioning_relations(); });
  lock_pins();
  count_collection();
  TransactionId xmin = oldest_xmin();
  uint64_t limit = std::min(oldest_commit_in_use(), oldest_uncommitted_name(xmin));
  Snapshot latest = call([] { return RegisterSnapshot(GetLatestSnapshot()); });
  std::vector<store::Uuid> named = read_roots(xmin, latest);
  add_parents_of_commits(env, run_->next_tx(), read_next_tx(latest), named);
  call([=] { UnregisterSnapshot(latest); });
  // What has got a name since was not traced, nor what lies before it: the next step begins anew.
  if (run_->spare(named)) {
    unlock_pins();
    run_.reset();
    return;
  }
  if (run_->spare_from(limit)) {
    unlock_pins();
    stage_ = Stage::TraceSpared;
    return;
  }
  if (run_->has_candidates(limit)) {
    run_->collect(env, batches.begin(), limit);
    batches.commit();
    count_collection();  // what was read of the store in between may be that of before
  }
  bool more = run_->has_candidates(limit);
  unlock_pins();
  forget_heads_of_collected(snapshot);
  if (!more) stage_ = Stage::Mark;
}

// Of what purge() has erased nothing is to stay in the file. Free is what only states before the
// last two have: so there are two more first, made by a worker that has erased nothing itself.
void Gc::compact(WorkerSlot& slot, const Batches& batches) {
  store::Environment& env = open_store_for_writing();
  const bool has_erased = store::redacted_rows(env).has_value();
  for (int i = 0; has_erased && compacting_->next == 0 && i < 2; ++i) {
    batches.begin();
    batches.commit();
  }
  if (store::punch_free_pages(env, *compacting_)) return;
  if (has_erased) store::clear_unused_bytes(env);
  store::GcResult result;
  result.bytes = compacting_->bytes;
  compacting_.reset();
  answer(slot, result);
}

void Gc::join(WorkerSlot& slot, const Batches& batches) {
  store::Environment& env = open_store_for_writing();
  env.refresh();
  short_of_space_ = is_short_of_space(env);
  if (short_of_space_) joining_->clear();
  store::WriteBatch* batch = nullptr;
  const auto begin = [&]() -> store::WriteBatch& {
    if (!batch) batch = &batches.begin();
    return *batch;
  };
  try {
    joining_->step(env, begin, 0);
  } catch (const CorruptError& e) {
    // What has been collected stays collected, and what has been joined so far is whole. VACUUM is
    // told.
    if (serving_ && slot.gc.join) throw;
    joining_->clear();
    const char* message = e.what();
    call([=] {
      ereport(LOG, (errmsg("gc() has not joined all small segments: %s", message),
                    errhint("datahike.verify() says what is damaged.")));
    });
  }
  if (batch) batches.commit();
  if (joining_->done()) answer(slot, result_);
}

void Gc::step(WorkerSlot& slot, Snapshot snapshot, const Batches& batches) {
  if (joining_) return join(slot, batches);
  if (compacting_) return compact(slot, batches);
  if (!run_ && !begin(slot, snapshot)) return;
  store::Environment& env = open_store_for_writing();
  env.refresh();
  if (has_orphans(env, snapshot)) return;
  switch (stage_) {
    case Stage::Trace:
      if (run_->trace(env)) stage_ = Stage::Choose;
      return;
    case Stage::Choose:
      if (run_->choose(env)) stage_ = Stage::TraceSpared;
      return;
    case Stage::TraceSpared:
      if (run_->trace(env)) stage_ = dry_run_ ? Stage::Mark : Stage::Collect;
      return;
    case Stage::Collect:
      return collect(snapshot, batches);
    case Stage::Mark:
      if (run_->mark(env)) stage_ = Stage::Sweep;
      return;
    case Stage::Sweep: {
      bool done;
      if (dry_run_) {
        done = run_->sweep(env, nullptr);
      } else {
        done = run_->sweep(env, &batches.begin());
        batches.commit();
      }
      if (!done) return;
      result_ = run_->result();
      run_.reset();
      if (dry_run_) return answer(slot, result_);
      joining_.emplace(store::SegmentJoiner::Mode::All);
      joining_->add_all_tables(env);
    }
  }
}

void Gc::answer(WorkerSlot& slot, const store::GcResult& result) {
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  GcMailbox& gc = slot.gc;
  gc.commits = static_cast<int64_t>(result.commits);
  gc.nodes = static_cast<int64_t>(result.nodes);
  gc.rows = static_cast<int64_t>(result.rows);
  gc.bytes = static_cast<int64_t>(result.bytes);
  gc.kept = static_cast<int64_t>(result.kept);
  const store::JoinResult joined = joining_ ? joining_->result() : store::JoinResult();
  gc.segments_before = static_cast<int64_t>(joined.before);
  gc.segments_after = static_cast<int64_t>(joined.after);
  gc.short_of_space = joining_ && short_of_space_;
  gc.sqlstate = 0;
  gc.served = std::max(gc.served, serving_);
  if (!serving_ || !(gc.compact || gc.join)) {
    gc.last_run_at = GetCurrentTimestamp();
    ++gc.runs;
  }
  LWLockRelease(shared->lock);
  joining_.reset();
  ConditionVariableBroadcast(&slot.done);
}

void Gc::fail(WorkerSlot& slot, int sqlstate, const char* message) {
  run_.reset();
  compacting_.reset();
  joining_.reset();
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  GcMailbox& gc = slot.gc;
  gc.sqlstate = sqlstate;
  strlcpy(gc.error, message, sizeof gc.error);
  gc.served = std::max(gc.served, serving_);
  gc.last_run_at = GetCurrentTimestamp();
  LWLockRelease(shared->lock);
  ConditionVariableBroadcast(&slot.done);
}

}  // namespace datahike::pg
