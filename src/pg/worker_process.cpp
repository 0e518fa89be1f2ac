// The fold worker's process: folds, purges the log, collects and redacts, sleeps, and leaves where
// there is nothing to do.
#include "am/prepared.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/fold.h"
#include "pg/fold_pace.h"
#include "pg/gc.h"
#include "pg/horizon.h"
#include "pg/incarnation.h"
#include "pg/joiner.h"
#include "pg/log.h"
#include "pg/notify.h"
#include "pg/prepared_rows.h"
#include "pg/published_refs.h"
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
Joiner* joiner = nullptr;
FoldPace* pace = nullptr;
constexpr int64_t kPurgeIntervalUs = 10 * USECS_PER_SEC;
constexpr int64_t kPublishIntervalUs = USECS_PER_SEC;

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
  if (slot->pid == MyProcPid) {  // else it has left, and there may be another one
    slot->pid = 0;
    slot->sleeping = false;
    slot->latch = nullptr;
  }
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
    slot->sleeping = slot->unstartable = false;
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
    wrote = fold_log(snapshot, {*horizons, *gc, check_for_leave, crash_point});
    joiner->note();
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

bool join_step() {
  if (begin_step())
    joiner->step({begin_batch, [] {
                    crash_point("before_join_commit");
                    commit_batch();
                    crash_point("after_join_commit");
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

// Later than the fold's commit: what is published has to be in PostgreSQL as well.
bool publish_step() {
  if (begin_step()) {
    store::Environment& env = open_store_for_writing();
    std::vector<store::PublishedRef> refs = present_refs(GetActiveSnapshot());
    bool known =
        std::ranges::all_of(refs, [&](const auto& r) { return env.commit(r.commit).has_value(); });
    if (known && !store::are_published(env, refs)) {
      store::publish_refs(begin_batch(), refs);
      commit_batch();
    }
  }
  end_step();
  return false;
}

bool purge_step() {
  purge();
  return false;
}

// Waits until someone asks, or until the delay is over after something was committed, or sooner if
// that was much. False when the worker is to leave.
bool wait_for_work(bool failed_before) {
  bool more = gc->wanted(*slot) || redactor->wanted(*slot);
  long delay = failed_before ? 1000
               : more        ? 0
                             : std::max<long>(pace->delay_ms(), joiner->pause_ms());
  TimestampTz now = GetCurrentTimestamp();
  TimestampTz until = TimestampTzPlusMilliseconds(now, delay);
  TimestampTz soonest = TimestampTzPlusMilliseconds(now, setting_fold_delay);
  for (;;) {
    HOLD_CANCEL_INTERRUPTS();  // no step is being done
    CHECK_FOR_INTERRUPTS();
    RESUME_CANCEL_INTERRUPTS();
    if (ConfigReloadPending) reload_configuration();
    if (must_leave()) return false;
    if (slot->requested > std::max(slot->completed, slot->failed)) return true;
    if (!failed_before && (gc->wanted(*slot) || redactor->wanted(*slot))) return true;
    now = GetCurrentTimestamp();
    long left = TimestampDifferenceMilliseconds(now, until);
    if (left <= 0) return true;
    if (!failed_before && now >= soonest && pace->has_backlog()) return true;
    left = std::min<long>(left, setting_fold_delay);
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
  }
}

bool log_left;

bool look_at_log() {
  log_left = begin_step() && !log_is_empty(GetActiveSnapshot());
  end_step();
  return false;
}

// A database whose worker found no room, nullptr if there is none. Under the lock.
WorkerSlot* crowded_out() {
  for (WorkerSlot& other : shared->workers)
    if (OidIsValid(other.database) && !other.pid && !other.starting_since && other.unstartable)
      return &other;
  return nullptr;
}

bool may_leave() {
  return setting_worker_idle_timeout > 0 && !slot->left && !gc->has_work_to_come(*slot) &&
         !redactor->wanted(*slot);
}

bool should_make_room() {
  if (!may_leave()) return false;
  LWLockAcquire(shared->lock, LW_SHARED);
  bool wanted = crowded_out() != nullptr;
  LWLockRelease(shared->lock);
  return wanted;
}

// Gives up the process that it takes where there is nothing to do, with `sleeping` still set: who
// commits from now on finds no worker and starts one; who has committed before has poked this one.
// To make room for another database's it leaves the rest of the log, and joining, to the next one.
void leave_if_unneeded(bool to_make_room) {
  if (!may_leave()) return;
  if (to_make_room ? !attempt(purge_step, 0) : joiner->has_work_to_come()) return;
  if (!attempt(look_at_log, 0) || (log_left && !to_make_room)) return;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  WorkerSlot* other = to_make_room ? crowded_out() : nullptr;
  bool unneeded = !slot->poked && slot->requested <= slot->completed && !gc->wanted(*slot) &&
                  !redactor->wanted(*slot) && (other || !to_make_room);
  if (unneeded) {
    if (other) other->unstartable = false;
    slot->pid = 0;
    slot->latch = nullptr;
  }
  LWLockRelease(shared->lock);
  if (unneeded) proc_exit(0);
}

// Called after a fold that found nothing. The first time it only announces that the worker will
// sleep: committers wake it from now on, and one more fold finds whoever committed before that.
// `worked`: when there was something to do the last time.
void sleep_when_announced(TimestampTz worked) {
  if (!slot->sleeping) {
    slot->poked = false;
    pg_memory_barrier();
    slot->sleeping = true;
    pg_memory_barrier();
    return;
  }
  if (must_leave()) return;
  long sleep = should_make_room() ? 0 : 10000;
  if (setting_worker_idle_timeout > 0) sleep = std::min(sleep, setting_worker_idle_timeout * 1000L);
  int woken =
      WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, sleep, PG_WAIT_EXTENSION);
  if (setting_worker_idle_timeout > 0 && !(woken & WL_LATCH_SET) &&
      GetCurrentTimestamp() - worked >= setting_worker_idle_timeout * USECS_PER_SEC)
    leave_if_unneeded(false);
  else if (should_make_room())
    leave_if_unneeded(true);
  ResetLatch(MyLatch);
  slot->sleeping = false;
}

[[noreturn]] void run() {
  horizons = new Horizons();
  gc = new Gc();
  redactor = new Redactor();
  joiner = new Joiner();
  pace = new FoldPace();
  TimestampTz purged = GetCurrentTimestamp();  // a server that recovers has other work at first
  TimestampTz worked = purged, published = purged;
  bool ok = true;
  uint64_t folds = slot->folds;
  for (;;) {
    if (!wait_for_work(!ok)) proc_exit(0);
    uint64_t served = slot->completed, serving = slot->requested;
    pace->begin();
    ok = attempt(fold_once, serving);
    pace->end();
    if (!ok && !store_works()) {  // the next worker opens it anew
      wait_for_work(true);
      proc_exit(0);
    }
    if (ok) attempt(horizon_step, 0);
    if (ok && redactor->wanted(*slot) && !attempt(redaction_step, 0) && !must_leave())
      redactor->fail(*slot, slot->sqlstate, slot->error);
    if (redactor->must_forget()) proc_exit(0);
    if (gc->wanted(*slot)) redactor->try_again();
    // What is being erased is not copied meanwhile.
    const bool collects = gc->wanted(*slot) && !(gc->joins() && redactor->wanted(*slot));
    if (ok && collects && !attempt(gc_step, 0) && !must_leave())
      gc->fail(*slot, slot->sqlstate, slot->error);
    if (ok && GetCurrentTimestamp() - purged > kPurgeIntervalUs) {
      attempt(purge_step, 0);
      purged = GetCurrentTimestamp();
    }
    bool idle = ok && slot->folds == folds;
    folds = slot->folds;
    if (ok && joiner->wanted(idle) && !gc->wanted(*slot) && !redactor->wanted(*slot) &&
        !must_leave() && !attempt(join_step, 0))
      joiner->fail();
    if (ok && (idle || GetCurrentTimestamp() - published > kPublishIntervalUs)) {
      attempt(publish_step, 0);
      published = GetCurrentTimestamp();
    }
    if (!idle || serving > served || gc->wanted(*slot) || redactor->wanted(*slot))
      worked = GetCurrentTimestamp();
    pgstat_report_stat(true);
    pgstat_report_activity(STATE_IDLE, nullptr);
    if (idle && slot->requested <= slot->completed && !gc->wanted(*slot) &&
        !redactor->wanted(*slot) && !joiner->running())
      sleep_when_announced(worked);
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
