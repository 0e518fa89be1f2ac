// The mailbox side of the fold worker: starting it, asking it, waiting for it. Its work is
// worker_process.cpp.
#include "pg/worker.h"

#include <algorithm>

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/settings.h"
#include "pg/shared.h"

extern "C" {
#include "utils/array.h"
#include "utils/fmgrprotos.h"
}

namespace datahike::pg {

namespace {

constexpr int64_t kWarnEveryUs = 5 * 60 * USECS_PER_SEC;

WorkerSlot* my_slot = nullptr;

// The database's slot, made if there is none; nullptr when all are taken.
WorkerSlot* find_slot(Oid database, bool make) {
  WorkerSlot* found = nullptr;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  for (WorkerSlot& slot : shared->workers)
    if (slot.database == database) found = &slot;
  for (WorkerSlot& slot : shared->workers) {
    if (found || !make) break;
    if (OidIsValid(slot.database)) continue;
    slot.database = database;
    found = &slot;
  }
  LWLockRelease(shared->lock);
  return found;
}

// Wakes a worker that has nothing to do, for it to make way for that of `slot`. False: there is
// none.
bool ask_for_room(WorkerSlot* slot) {
  bool asked = false;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  slot->starting_since = 0;
  slot->unstartable = true;
  for (WorkerSlot& other : shared->workers) {
    if (setting_worker_idle_timeout == 0 || asked) break;
    if (!other.latch || !other.sleeping) continue;
    SetLatch(other.latch);
    asked = true;
  }
  LWLockRelease(shared->lock);
  return asked;
}

// Registers a worker unless one runs, is being started, or must stay out. False: there is no room,
// and no worker that could make some; who is told true asks again. Raises nothing.
bool start_if_absent(WorkerSlot* slot) {
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  TimestampTz now = GetCurrentTimestamp();
  bool starting = slot->starting_since != 0 && now - slot->starting_since < 5 * USECS_PER_SEC;
  bool start = slot->pid == 0 && !starting && slot->holds == 0;
  if (start) slot->starting_since = now;
  LWLockRelease(shared->lock);
  if (!start) return true;
  BackgroundWorker worker{};
  worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
  worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
  worker.bgw_restart_time = BGW_NEVER_RESTART;
  strlcpy(worker.bgw_library_name, "datahike", BGW_MAXLEN);
  strlcpy(worker.bgw_function_name, "datahike_worker_main", BGW_MAXLEN);
  strlcpy(worker.bgw_name, "datahike fold worker", BGW_MAXLEN);
  strlcpy(worker.bgw_type, "datahike fold worker", BGW_MAXLEN);
  worker.bgw_main_arg = Int32GetDatum(static_cast<int32_t>(slot - shared->workers));
  return RegisterDynamicBackgroundWorker(&worker, nullptr) || ask_for_room(slot);
}

// False: there is no worker to be woken.
bool poke(WorkerSlot* slot) {
  LWLockAcquire(shared->lock, LW_SHARED);
  bool there = slot->latch != nullptr;
  slot->poked = true;
  if (there) SetLatch(slot->latch);
  LWLockRelease(shared->lock);
  return there;
}

// To who commits, now and then. Everything stays right without a worker, but for naming commits.
void warn_of_no_worker(bool has_slot) {
  static TimestampTz warned = 0;
  TimestampTz now = GetCurrentTimestamp();
  if (warned != 0 && now - warned < kWarnEveryUs) return;
  warned = now;
  ereport(
      WARNING,
      (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
       errmsg("no fold worker can be started for this database"),
       errdetail("What is committed is safe, but its commits cannot be named before a worker "
                 "has folded them, and no branch made, merged or read as of a time."),
       has_slot
           ? errhint("Raise max_worker_processes: each database that is being written takes one.")
           : errhint("No more than %d databases can use datahike from one start of the server "
                     "to the next; dropping one makes room.",
                     kWorkerSlots)));
}

struct Answer {
  bool done, failed;
  WorkerStatus status;
};

Answer look(WorkerSlot* slot, uint64_t ticket) {
  Answer a{};
  LWLockAcquire(shared->lock, LW_SHARED);
  a.done = slot->completed >= ticket;
  a.failed = !a.done && slot->failed >= ticket;
  a.status.pid = slot->pid;
  a.status.unstartable = slot->unstartable;
  a.status.sqlstate = slot->sqlstate;
  strlcpy(a.status.error, slot->error, sizeof a.status.error);
  LWLockRelease(shared->lock);
  return a;
}

[[noreturn]] void no_worker() {
  ereport(ERROR,
          (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
           errmsg("the datahike fold worker of this database could not be started"),
           errhint("Raise max_worker_processes, or look in the server's log for the reason.")));
  pg_unreachable();
}

// Whether the process waits for a lock of this one, or for one of a process that does.
bool waits_for_us(int pid) {
  constexpr int kMost = 128;
  int waiting[kMost] = {pid}, count = 1;
  for (int i = 0; i < count; ++i) {
    ArrayType* blockers =
        DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(waiting[i])));
    auto* blocker = reinterpret_cast<int32*>(ARR_DATA_PTR(blockers));
    const int* end = blocker + ArrayGetNItems(ARR_NDIM(blockers), ARR_DIMS(blockers));
    for (; blocker != end; ++blocker) {
      if (*blocker == MyProcPid) return true;
      const bool known = std::find(waiting, waiting + count, *blocker) != waiting + count;
      if (!known && count < kMost) waiting[count++] = *blocker;
    }
  }
  return false;
}

// The deadlock detector sees what waits for locks, and not who waits for the worker.
class DeadlockCheck {
 public:
  void after_wait(int worker) {
    if (worker == 0 || !TimestampDifferenceExceeds(last_, GetCurrentTimestamp(), DeadlockTimeout))
      return;
    last_ = GetCurrentTimestamp();
    if (!waits_for_us(worker)) return;
    ConditionVariableCancelSleep();
    ereport(ERROR,
            (errcode(ERRCODE_T_R_DEADLOCK_DETECTED), errmsg("deadlock detected"),
             errdetail("This transaction waits for the fold worker, process %d, which waits for a "
                       "lock that the transaction holds or keeps others waiting for.",
                       worker),
             errhint("End the transaction first that has locked, changed or dropped what belongs "
                     "to extension datahike.")));
  }

 private:
  TimestampTz last_ = GetCurrentTimestamp();
};

// Plain PostgreSQL code: errors and interrupts may leave it by longjmp.
void ask_and_wait(WorkerSlot* slot) {
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  uint64_t ticket = ++slot->requested;
  LWLockRelease(shared->lock);
  int attempts = 0;
  DeadlockCheck deadlock;
  ConditionVariablePrepareToSleep(&slot->done);
  for (;;) {
    Answer answer = look(slot, ticket);
    if (answer.done) break;
    deadlock.after_wait(answer.status.pid);
    if (answer.failed) {
      ConditionVariableCancelSleep();
      ereport(ERROR, (errcode(answer.status.sqlstate),
                      errmsg("the fold worker failed: %s", answer.status.error),
                      answer.status.sqlstate == ERRCODE_DISK_FULL
                          ? errhint("Free disk space, or raise datahike.map_size and restart.")
                          : 0));
    }
    if (answer.status.pid != 0) {
      attempts = 0;
    } else {
      bool registered = start_if_absent(slot);
      if (!registered || ++attempts > kWorkerStartAttempts) {
        ConditionVariableCancelSleep();
        no_worker();
      }
    }
    poke(slot);
    ConditionVariableTimedSleep(&slot->done, kWorkerPollMs, PG_WAIT_EXTENSION);
  }
  ConditionVariableCancelSleep();
}

}  // namespace

bool start_worker(WorkerSlot* slot) { return start_if_absent(slot); }
void poke_worker(WorkerSlot* slot) { poke(slot); }
void refuse_without_worker() { no_worker(); }

WorkerSlot* worker_slot() noexcept {
  if (!my_slot) my_slot = find_slot(MyDatabaseId, true);
  return my_slot;
}

void wake_worker() noexcept {
  WorkerSlot* slot = worker_slot();
  if (!slot) {
    warn_of_no_worker(false);
    return;
  }
  pg_memory_barrier();  // the commit is visible before the flag is read
  // One that leaves because it has nothing to do still says that it sleeps; it may be gone when it
  // is to be woken.
  bool wanted = slot->pid == 0 || (slot->sleeping && !poke(slot));
  if (wanted && !start_if_absent(slot)) warn_of_no_worker(true);
}

bool start_worker() noexcept {
  WorkerSlot* slot = worker_slot();
  return slot && start_if_absent(slot);
}

uint64_t worker_folds() {
  WorkerSlot* slot = worker_slot();
  return slot ? slot->folds : 0;
}

uint64_t worker_purges() {
  WorkerSlot* slot = worker_slot();
  return slot ? *const_cast<volatile uint64_t*>(&slot->purges) : 0;
}

uint64_t worker_redactions() {
  WorkerSlot* slot = worker_slot();
  return slot ? *const_cast<volatile uint64_t*>(&slot->redactions) : 0;
}

void request_fold_and_wait() {
  call([] {
    if (RecoveryInProgress())
      ereport(ERROR,
              (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
               errmsg("commits cannot be named on a standby server"), errhint("Ask the primary.")));
    WorkerSlot* slot = worker_slot();
    if (!slot)
      ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
                      errmsg("more than %d databases use datahike", kWorkerSlots)));
    ask_and_wait(slot);
  });
}

WorkerStatus worker_status() {
  WorkerSlot* slot = worker_slot();
  return slot ? look(slot, UINT64_MAX).status : WorkerStatus{};
}

namespace {

// One request at a time: until the end of the transaction, or of the wait.
void lock_gc() {
  LOCKTAG tag;
  SET_LOCKTAG_OBJECT(tag, MyDatabaseId, extension().heads, 0, 2);
  LockAcquire(&tag, ExclusiveLock, false, false);
}

void unlock_gc() {
  LOCKTAG tag;
  SET_LOCKTAG_OBJECT(tag, MyDatabaseId, extension().heads, 0, 2);
  LockRelease(&tag, ExclusiveLock, false);
}

// Plain PostgreSQL code, as ask_and_wait().
void ask_for_gc(WorkerSlot* slot, const GcRequest* request, GcMailbox* answer) {
  GcMailbox& gc = slot->gc;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  uint64_t ticket = gc.requested + 1;
  gc.has_date = request->older_than.has_value();
  gc.older_than = request->older_than.value_or(0);
  gc.newest = request->newest;
  gc.dry_run = request->dry_run;
  gc.compact = request->compact;
  gc.join = request->join;
  gc.requested = ticket;
  LWLockRelease(shared->lock);
  int attempts = 0;
  DeadlockCheck deadlock;
  ConditionVariablePrepareToSleep(&slot->done);
  for (;;) {
    LWLockAcquire(shared->lock, LW_SHARED);
    *answer = gc;
    const int worker = slot->pid;
    LWLockRelease(shared->lock);
    if (answer->served >= ticket) break;
    deadlock.after_wait(worker);
    if (worker != 0) {
      attempts = 0;
    } else if (!start_if_absent(slot) || ++attempts > kWorkerStartAttempts) {
      ConditionVariableCancelSleep();
      no_worker();
    }
    poke(slot);
    ConditionVariableTimedSleep(&slot->done, kWorkerPollMs, PG_WAIT_EXTENSION);
  }
  ConditionVariableCancelSleep();
  if (answer->sqlstate != 0)
    ereport(ERROR,
            (errcode(answer->sqlstate), errmsg("the fold worker failed: %s", answer->error)));
}

}  // namespace

GcAnswer request_gc_and_wait(const GcRequest& request) {
  request_fold_and_wait();
  GcMailbox answer{};
  const GcRequest* r = &request;
  GcMailbox* a = &answer;
  call([=] {
    lock_gc();
    ask_for_gc(worker_slot(), r, a);
    unlock_gc();
  });
  return {answer.commits, answer.nodes,           answer.rows,           answer.bytes,
          answer.kept,    answer.segments_before, answer.segments_after, answer.short_of_space};
}

uint64_t gc_runs() {
  WorkerSlot* slot = worker_slot();
  return slot ? slot->gc.runs : 0;
}

int64_t last_gc_at() {
  WorkerSlot* slot = worker_slot();
  return slot ? slot->gc.last_run_at : 0;
}

bool keep_worker_out(Oid database) {
  WorkerSlot* slot = find_slot(database, false);
  if (!slot) return false;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  ++slot->holds;
  LWLockRelease(shared->lock);
  return true;
}

void wait_until_worker_left(Oid database) {
  WorkerSlot* slot = find_slot(database, false);
  if (!slot) return;
  for (int i = 0; i < 1000; ++i) {
    LWLockAcquire(shared->lock, LW_SHARED);
    bool gone = slot->pid == 0;
    if (slot->latch) SetLatch(slot->latch);
    LWLockRelease(shared->lock);
    if (gone) break;
    CHECK_FOR_INTERRUPTS();
    pg_usleep(10 * 1000);
  }
}

void forget_worker(Oid database) {
  WorkerSlot* slot = find_slot(database, false);
  if (!slot) return;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  slot->database = InvalidOid;
  slot->holds = 0;  // of commands that now find the database gone
  slot->requested = slot->completed = slot->failed = slot->folds = 0;
  slot->gc = GcMailbox{};
  slot->redaction = RedactionMailbox{};
  slot->restored = slot->left = slot->unstartable = false;
  slot->sqlstate = 0;
  LWLockRelease(shared->lock);
}

void let_worker_back(Oid database) {
  WorkerSlot* slot = find_slot(database, false);
  if (!slot) return;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  if (slot->holds > 0) --slot->holds;
  LWLockRelease(shared->lock);
}

}  // namespace datahike::pg
