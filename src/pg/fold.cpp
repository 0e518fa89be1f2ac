// The fold worker's process: turns log rows into commits in the store, publishes heads, purges.
// Order within a fold, which docs/protocol.md argues for: the fold lock, one snapshot, the xid;
// then the store's write batch, a WAL flush, the batch's commit, the heads, the transaction's
// commit.
#include "am/prepared.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/gc.h"
#include "pg/horizon.h"
#include "pg/incarnation.h"
#include "pg/log.h"
#include "pg/notify.h"
#include "pg/prepared_rows.h"
#include "pg/redaction.h"
#include "pg/settings.h"
#include "pg/shared.h"
#include "pg/store.h"
#include "pg/worker.h"
#include "store/fold.h"

extern "C" {
#include "access/xlog_internal.h"
#include "postmaster/interrupt.h"
#include "utils/ps_status.h"
}

namespace datahike::pg {

namespace {

WorkerSlot* slot = nullptr;
Horizons* horizons = nullptr;
Gc* gc = nullptr;
Redactor* redactor = nullptr;
constexpr int64_t kPurgeIntervalUs = 10 * USECS_PER_SEC;

// The batch being written, if one is. No frame owns it: where PostgreSQL ends the process from
// within a function of its own (the postmaster is gone, say) frames are not unwound, and detach()
// lets go of LMDB's writer mutex. After an error attempt() does.
store::WriteBatch* open_batch = nullptr;

store::WriteBatch& begin_batch() {
  open_batch = open_store_for_writing().begin_write().release();
  return *open_batch;
}

void drop_batch() {
  delete open_batch;
  open_batch = nullptr;
}

void commit_batch() {
  open_batch->commit();
  drop_batch();
}

// SIGTERM cancels the step being done as a query is cancelled: by an error, which unwinds its
// frames, and which whatever it waits for is interrupted by. run() leaves afterwards.
void terminate(int signal) {
  QueryCancelPending = true;
  InterruptPending = true;
  SignalHandlerForShutdownRequest(signal);
}

bool must_leave() { return ShutdownRequestPending || slot->holds > 0; }

// Where a step can be given up.
void check_for_leave() {
  call([] { CHECK_FOR_INTERRUPTS(); });
  if (must_leave()) throw SqlError(ERRCODE_QUERY_CANCELED, "the worker is asked to leave");
}

void detach(int, Datum) {
  drop_batch();
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  slot->pid = 0;
  slot->sleeping = false;
  slot->latch = nullptr;
  LWLockRelease(shared->lock);
  ConditionVariableBroadcast(&slot->done);
}

void attach(int index) {
  slot = &shared->workers[index];
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  bool superfluous = slot->pid != 0 || slot->holds > 0;
  if (!superfluous) {
    slot->pid = MyProcPid;
    slot->latch = MyLatch;
  }
  slot->starting_since = 0;
  LWLockRelease(shared->lock);
  if (superfluous) proc_exit(0);
  before_shmem_exit(detach, static_cast<Datum>(0));
}

void reload_configuration() {
  ConfigReloadPending = false;
  ProcessConfigFile(PGC_SIGHUP);
}

void pause_until_reload() {
  // The flag first: what waited before this point may have reset the latch that came with it.
  while (!ConfigReloadPending) {
    CHECK_FOR_INTERRUPTS();
    WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
  }
  reload_configuration();
}

// Named points at which tests stop the worker dead, or with "pause:" before the name let it wait.
void crash_point(const char* name) {
  constexpr std::string_view kPause = "pause:";
  std::string_view setting = setting_crash_point ? setting_crash_point : "";
  bool pausing = setting.starts_with(kPause);
  if (setting.substr(pausing ? kPause.size() : 0) != name) return;
  ereport(LOG, (errmsg("datahike: %s at crash point %s", pausing ? "pausing" : "stopping", name)));
  if (!pausing) kill(MyProcPid, SIGKILL);
  call([] { pause_until_reload(); });
}

void begin_transaction() {
  SetCurrentStatementStartTimestamp();
  StartTransactionCommand();
  XactIsoLevel = XACT_READ_COMMITTED;
  XactReadOnly = false;
}

// One fold at a time: also against a worker that a crash left behind for a moment.
void take_fold_lock() {
  LOCKTAG tag;
  SET_LOCKTAG_OBJECT(tag, MyDatabaseId, extension().heads, 0, 1);
  LockAcquire(&tag, ExclusiveLock, false, false);
}

// Everything inserted into the WAL up to now is durable afterwards. The position may point behind a
// page header that nothing has been written after yet.
void flush_wal() {
  XLogRecPtr upto = GetXLogInsertRecPtr();
  if (upto % XLOG_BLCKSZ <= SizeOfXLogLongPHD) upto -= upto % XLOG_BLCKSZ;
  XLogFlush(upto);
}

FoldSnapshot contained_in(Snapshot s) {
  FoldSnapshot f;
  f.xmax = widen_xid(s->xmax);
  for (uint32_t i = 0; i < s->xcnt; ++i) f.xip.push_back(widen_xid(s->xip[i]));
  std::sort(f.xip.begin(), f.xip.end());
  return f;
}

store::LogEntry to_entry(LogRow& row) {
  store::LogEntry entry;
  entry.xid = row.xid;
  entry.time = row.time;
  entry.author = std::move(row.author);
  entry.message = std::move(row.message);
  entry.extra_parents = std::move(row.parents);
  entry.delta = store::decode_delta(row.delta);
  return entry;
}

// A fold in the making: the batch is begun by the first branch that has something to fold.
class Fold {
 public:
  explicit Fold(Snapshot snapshot)
      : snapshot_(snapshot), first_tx_(read_next_tx(snapshot)), next_tx_(first_tx_) {}

  void branch(int32_t branch) {
    std::optional<Head> head = read_head(branch, snapshot_);
    if (!head) return;
    std::vector<LogRow> rows = read_log(branch, head->contained, snapshot_);
    if (rows.empty()) return;
    begin();
    store::Commit base = head_commit(*head);
    store::CommitState state;
    if (head->has_root)
      state.root = head->root;
    else
      state = store::load_state(open_store_for_writing(), head->commit);
    store::Folder folder(*batch_, static_cast<uint32_t>(branch), base, state, next_tx_);
    for (LogRow& row : rows) add(folder, branch, row);
    store::Commit done = folder.finish();
    next_tx_ = folder.next_tx();
    publish(branch, done);
  }

  // Writes the store, then PostgreSQL's heads. False when there was nothing to fold.
  bool finish() {
    if (!batch_) return false;
    Bytes tx;
    ByteWriter(tx).fixed<uint64_t>(next_tx_);
    batch_->put_meta("next_tx", tx);
    put_mark();
    call([] { flush_wal(); });
    crash_point("before_store_commit");
    check_for_leave();
    commit_batch();
    crash_point("after_store_commit");
    uint64_t fold = widen_xid(call([] { return GetCurrentTransactionId(); }));
    for (Head& head : heads_) {
      head.fold = fold;
      head.next_tx = next_tx_;
      write_head(head);
    }
    if (notifies()) notify_commits(first_tx_, next_tx_);
    crash_point("after_heads");
    return true;
  }

 private:
  void begin() {
    if (batch_) return;
    batch_ = &begin_batch();
    // A fold whose transaction never committed left commits that no head names.
    std::optional<Bytes> last = batch_->meta("next_tx");
    if (last && ByteReader(*last, "meta next_tx").fixed<uint64_t>() > next_tx_)
      batch_->erase_commits_from(next_tx_);
  }

  store::Commit head_commit(const Head& head) {
    std::optional<Bytes> record = batch_->commit_record(head.commit);
    if (record) return store::decode_commit(*record, head.commit);
    store::Commit root = store::root_commit(head.time);
    if (root.id == head.commit) return root;
    throw CorruptError("commit " + store::format_uuid(head.commit) +
                       ", a branch's head, is missing in the store");
  }

  void add(store::Folder& folder, int32_t branch, LogRow& row) {
    uint64_t xid = row.xid, tx = folder.next_tx();
    std::map<uint32_t, Bytes> loaded;
    if (!row.rows.empty()) loaded[row.part] = std::move(row.rows);
    store::LogEntry entry = to_entry(row);
    for (const store::TableDelta& table : entry.delta.tables) horizons->touched(table.table, tx);
    gc->note(entry.delta);
    folder.add(entry, [&](uint32_t part) -> ByteView {
      check_for_leave();
      auto at = loaded.find(part);
      if (at != loaded.end()) return at->second;
      std::optional<Bytes> rows = read_log_part(branch, xid, part);
      if (!rows)
        throw CorruptError("datahike.tx_log: a part of transaction " + std::to_string(xid) +
                           " is missing");
      loaded.clear();
      return loaded[part] = std::move(*rows);
    });
    check_for_leave();
  }

  void put_mark() {
    FoldSnapshot contained = contained_in(snapshot_);
    uint64_t xmin = contained.xip.empty() ? contained.xmax : contained.xip.front();
    store::put_fold_mark(*batch_, {next_tx_ - 1, GetCurrentTimestamp(), xmin, contained.xmax},
                         first_tx_);
  }

  void publish(int32_t branch, const store::Commit& commit) {
    Head head;
    head.branch = branch;
    head.commit = commit.id;
    head.tx = commit.tx;
    head.time = commit.time;
    head.has_root = true;
    head.root = commit.root;
    head.contained = contained_in(snapshot_);
    heads_.push_back(std::move(head));
  }

  Snapshot snapshot_;
  uint64_t first_tx_;  // of this fold
  uint64_t next_tx_;
  store::WriteBatch* batch_ = nullptr;  // open_batch
  std::vector<Head> heads_;
};

// The store and its root commit, as soon as the extension exists: pinned sessions need them.
void ensure_store(Snapshot snapshot) {
  store::Environment& env = open_store_for_writing();
  call([] { forget_recorded_ids(); });
  int64_t branch = call([] { return find_branch(kDefaultBranch); });
  if (serves_installation(env, branch)) return;
  std::optional<Head> first = read_head(static_cast<int32_t>(branch), snapshot);
  // A store that has lost this installation's commits stays refused.
  if (!first || (first->tx != 1 && !env.commit(first->commit))) return;
  store::WriteBatch& batch = begin_batch();
  if (first->tx == 1) {
    store::Commit root = store::root_commit(first->time);
    batch.put_commit(root.id, root.tx, store::encode_commit(root));
  }
  adopt_for_installation(batch, branch);
  commit_batch();
}

// The transaction of a step: first the fold lock, then a snapshot. False where the extension is not
// installed.
bool begin_step() {
  bool installed = false;
  call([&] {
    begin_transaction();
    installed = extension_installed();
    if (installed) take_fold_lock();
    PushActiveSnapshot(GetTransactionSnapshot());
  });
  return installed;
}

void end_step() {
  call([] {
    PopActiveSnapshot();
    CommitTransactionCommand();
  });
  release_store();
}

bool fold_once() {
  bool installed = begin_step();
  bool wrote = false;
  if (installed) {
    Snapshot snapshot = GetActiveSnapshot();
    ensure_store(snapshot);
    Fold fold(snapshot);
    for (int32_t branch : branches_with_heads(snapshot)) fold.branch(branch);
    wrote = fold.finish();
  }
  end_step();
  return wrote;
}

// Under the fold lock as well: heads are read and written by one process at a time.
void purge() {
  if (begin_step()) {
    uint64_t horizon = widen_xid(call([] { return GetOldestNonRemovableTransactionId(nullptr); }));
    Snapshot snapshot = GetActiveSnapshot();
    uint64_t removed = 0;
    for (int32_t branch : branches_with_heads(snapshot)) {
      std::optional<Head> head = read_head_before(branch, horizon, snapshot);
      if (head) removed += purge_log(*head);
    }
    if (removed > 0) {
      LWLockAcquire(shared->lock, LW_EXCLUSIVE);
      ++slot->purges;
      LWLockRelease(shared->lock);
    }
    purge_prepared_rows();
    am::sweep_prepared();
    open_store_for_writing().check_readers();
  }
  end_step();
}

// Runs one step; a failure ends its transaction, is logged, and told to whoever waits. Who waits
// for a worker that leaves starts another.
bool attempt(bool (*step)(), uint64_t serving) {
  CaughtError caught;
  try {
    bool wrote = step();
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    slot->completed = std::max(slot->completed, serving);
    if (wrote) ++slot->folds;
    slot->sqlstate = 0;
    slot->error[0] = 0;
    LWLockRelease(shared->lock);
    ConditionVariableBroadcast(&slot->done);
    return true;
  } catch (...) {
    capture_exception(caught);
  }
  if (caught.data) {
    caught.sqlstate = caught.data->sqlerrcode;
    strlcpy(caught.message, caught.data->message, sizeof caught.message);
  }
  HOLD_INTERRUPTS();
  drop_batch();  // before the fold lock goes
  AbortCurrentTransaction();
  LWLockReleaseAll();
  RESUME_INTERRUPTS();
  release_store();
  if (must_leave()) return false;
  ereport(LOG, (errcode(caught.sqlstate), errmsg("datahike fold worker: %s", caught.message)));
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  slot->failed = std::max(slot->failed, serving);
  slot->sqlstate = caught.sqlstate;
  strlcpy(slot->error, caught.message, sizeof slot->error);
  LWLockRelease(shared->lock);
  ConditionVariableBroadcast(&slot->done);
  return false;
}

// In a transaction of its own: the fold before it is then older than any snapshot taken from now
// on, this step's own included.
bool horizon_step() {
  if (begin_step())
    horizons->advance(GetActiveSnapshot(), begin_batch, [] {
      commit_batch();
      crash_point("after_horizon");
    });
  end_step();
  return false;
}

bool gc_step() {
  if (begin_step())
    gc->step(*slot, GetActiveSnapshot(), {begin_batch, [] {
                                            crash_point("before_gc_commit");
                                            commit_batch();
                                            crash_point("after_gc_commit");
                                          }});
  end_step();
  return false;
}

bool redaction_step() {
  if (begin_step())
    redactor->step(*slot, {begin_batch,
                           [] {
                             crash_point("before_redaction_commit");
                             commit_batch();
                             crash_point("after_redaction_commit");
                           },
                           [] {
                             crash_point("before_erasure_commit");
                             commit_batch();
                             crash_point("after_erasure_commit");
                           }});
  else
    redactor->nothing_there();
  end_step();
  return false;
}

bool purge_step() {
  purge();
  return false;
}

// Waits until someone asks, or until the delay is over after something was committed. False when
// the worker is to leave.
bool wait_for_work(bool failed_before) {
  bool more = gc->wanted(*slot) || redactor->wanted(*slot);
  long delay = failed_before ? 1000 : more ? 0 : setting_fold_delay;
  TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);
  for (;;) {
    HOLD_CANCEL_INTERRUPTS();  // no step is being done
    CHECK_FOR_INTERRUPTS();
    RESUME_CANCEL_INTERRUPTS();
    if (ConfigReloadPending) reload_configuration();
    if (must_leave()) return false;
    if (slot->requested > std::max(slot->completed, slot->failed)) return true;
    long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);
    if (left <= 0) return true;
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
  }
}

// Called after a fold that found nothing. The first time it only announces that the worker will
// sleep: committers wake it from now on, and one more fold finds whoever committed before that.
void sleep_when_announced() {
  if (!slot->sleeping) {
    slot->sleeping = true;
    pg_memory_barrier();
    return;
  }
  if (must_leave()) return;
  WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10000, PG_WAIT_EXTENSION);
  ResetLatch(MyLatch);
  slot->sleeping = false;
}

[[noreturn]] void run() {
  horizons = new Horizons();
  gc = new Gc();
  redactor = new Redactor();
  TimestampTz purged = GetCurrentTimestamp();  // a server that recovers has other work at first
  bool ok = true;
  uint64_t folds = 0;
  for (;;) {
    if (!wait_for_work(!ok)) proc_exit(0);
    uint64_t serving = slot->requested;
    ok = attempt(fold_once, serving);
    if (!ok && !store_works()) {  // the next worker opens it anew
      wait_for_work(true);
      proc_exit(0);
    }
    if (ok) attempt(horizon_step, 0);
    if (ok && redactor->wanted(*slot) && !attempt(redaction_step, 0) && !must_leave())
      redactor->fail(*slot, slot->sqlstate, slot->error);
    if (redactor->must_forget()) proc_exit(0);
    if (gc->wanted(*slot)) redactor->try_again();
    if (ok && gc->wanted(*slot) && !attempt(gc_step, 0) && !must_leave())
      gc->fail(*slot, slot->sqlstate, slot->error);
    if (ok && GetCurrentTimestamp() - purged > kPurgeIntervalUs) {
      attempt(purge_step, 0);
      purged = GetCurrentTimestamp();
    }
    bool idle = ok && slot->folds == folds;
    folds = slot->folds;
    pgstat_report_stat(true);
    pgstat_report_activity(STATE_IDLE, nullptr);
    if (idle && slot->requested <= slot->completed && !gc->wanted(*slot) &&
        !redactor->wanted(*slot))
      sleep_when_announced();
    else
      slot->sleeping = false;
  }
}

}  // namespace

}  // namespace datahike::pg

extern "C" PGDLLEXPORT void datahike_worker_main(Datum arg);

void datahike_worker_main(Datum arg) {
  using namespace datahike::pg;
  pqsignal(SIGTERM, terminate);
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  ConfigReloadPending = true;  // PostgreSQL ignores the signal until here
  BackgroundWorkerUnblockSignals();
  Oid database = shared->workers[DatumGetInt32(arg)].database;
  BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, BGWORKER_BYPASS_ALLOWCONN);
  attach(DatumGetInt32(arg));
  SetConfigOption("synchronous_commit", "local", PGC_USERSET, PGC_S_OVERRIDE);
  pgstat_report_appname("datahike fold worker");
  run();
}
