// The fold worker: one background process per database that needs it, started on demand.
#pragma once

#include <optional>

#include "pg/pg.h"

namespace datahike::pg {

// Tells the worker of this database that something was committed; starts it if there is none.
// Called after commit: never raises, but warns where none can be started.
void wake_worker() noexcept;
// Starts it if there is none; false: it cannot be.
bool start_worker() noexcept;
// Folds that wrote something since the server started: when it moves, newer heads exist.
uint64_t worker_folds();
// Purges of the log: when it moves, log rows of transactions that a cached view has not met yet may
// be gone. Read it before looking for them; every purge that a snapshot sees has been counted.
uint64_t worker_purges();
// Redactions since the server started: when it moves, more rows have been erased.
uint64_t worker_redactions();
// Asks for a fold of everything committed before the call and waits for it. Interruptible.
// Starts another worker where one is terminated meanwhile. Raises the worker's own error where the
// fold failed.
void request_fold_and_wait();

struct GcRequest {
  std::optional<int64_t> older_than;
  int64_t newest;
  bool dry_run;
  bool compact = false;  // instead, gives free pages back to the file system
  uint64_t join = 0;     // instead, joins the small segments of this table
};
struct GcAnswer {
  int64_t commits, nodes, rows, bytes, kept;
  int64_t segments_before, segments_after;  // that were joined, and what they have become
  bool short_of_space;                      // so some were not
};
// Has the worker collect, compact or join, and waits. Interruptible: the worker goes on then.
GcAnswer request_gc_and_wait(const GcRequest& request);
uint64_t gc_runs();
int64_t last_gc_at();  // 0: none

// This database's mailbox; nullptr where too many databases have one.
struct WorkerSlot;
WorkerSlot* worker_slot() noexcept;

// For those who wait for it in ways of their own. Starts it unless it runs or is being started;
// false where that is not possible. Wakes it.
bool start_worker(WorkerSlot* slot);
void poke_worker(WorkerSlot* slot);
[[noreturn]] void refuse_without_worker();
inline constexpr long kWorkerPollMs = 200;
inline constexpr int kWorkerStartAttempts = 50;

struct WorkerStatus {
  int pid;
  bool unstartable;  // none runs because none could be started
  int sqlstate;
  char error[512];
};
WorkerStatus worker_status();

// Makes the worker of a database leave, and keeps it and others out until let_worker_back(), which
// is called once for each call that returned true. False: there is none, and nothing to wait for.
// Both raise nothing.
bool keep_worker_out(Oid database);
void let_worker_back(Oid database);
void wait_until_worker_left(Oid database);  // 10 seconds at most; interruptible
void forget_worker(Oid database);           // the database is gone: its mailbox is free again

}  // namespace datahike::pg
