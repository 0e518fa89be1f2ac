#include "pg/redaction.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/shared.h"
#include "pg/store.h"
#include "pg/worker.h"

extern "C" {
#include "storage/dsm.h"
}

namespace datahike::pg {

namespace {

// Plain PostgreSQL code from here to the end of the namespace: owns no C++ object.

struct Posted {
  uint64_t ticket;
  dsm_segment* segment;
};

Posted post(WorkerSlot* slot, const uint8_t* bytes, size_t size) {
  dsm_segment* segment = dsm_create(std::max<size_t>(size, 1), 0);
  std::memcpy(dsm_segment_address(segment), bytes, size);
  RedactionMailbox& box = slot->redaction;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  const uint64_t ticket = box.requested + 1;
  box.segment = dsm_segment_handle(segment);
  box.bytes = size;
  box.requested = ticket;
  LWLockRelease(shared->lock);
  return {ticket, segment};
}

// False: a worker is at it.
bool withdraw(WorkerSlot* slot, uint64_t ticket) {
  RedactionMailbox& box = slot->redaction;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  const bool free = box.written < ticket && (box.claimed < ticket || slot->pid == 0);
  if (free) box.served = std::max(box.served, ticket);
  LWLockRelease(shared->lock);
  return free;
}

struct Progress {
  bool written, served, running;
  int sqlstate;
  char error[512];
};

void look(WorkerSlot* slot, uint64_t ticket, Progress* out) {
  LWLockAcquire(shared->lock, LW_SHARED);
  const RedactionMailbox& box = slot->redaction;
  out->written = box.written >= ticket;
  out->served = box.served >= ticket;
  out->running = slot->pid != 0;
  out->sqlstate = box.sqlstate;
  strlcpy(out->error, box.error, sizeof out->error);
  LWLockRelease(shared->lock);
}

// Has every session look at what is redacted.
void count(WorkerSlot& slot) {
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  ++slot.redactions;
  LWLockRelease(shared->lock);
}

enum class Outcome { Written, Failed, Withdrawn };

// After an error of another kind. Then too the locks hold until nobody will write any more.
void leave(WorkerSlot* slot, uint64_t ticket) {
  constexpr long kPauseUs = 10'000;
  Progress progress;
  do {
    if (withdraw(slot, ticket)) return;
    pg_usleep(kPauseUs);
    look(slot, ticket, &progress);
  } while (!progress.written && !progress.served);
}

// REQUIRES: interrupts are held.
Outcome wait_until_written(WorkerSlot* slot, uint64_t ticket, Progress* progress) {
  int attempts = 0;
  Outcome outcome;
  ConditionVariablePrepareToSleep(&slot->done);
  for (;;) {
    look(slot, ticket, progress);
    if (progress->written) {
      outcome = Outcome::Written;
      break;
    }
    if (progress->served) {
      outcome = Outcome::Failed;
      break;
    }
    if (progress->running) attempts = 0;
    bool give_up = QueryCancelPending || ProcDiePending;
    if (!progress->running) give_up |= !start_worker(slot) || ++attempts > kWorkerStartAttempts;
    if (give_up && withdraw(slot, ticket)) {
      outcome = Outcome::Withdrawn;
      break;
    }
    poke_worker(slot);
    ConditionVariableTimedSleep(&slot->done, kWorkerPollMs, PG_WAIT_EXTENSION);
  }
  ConditionVariableCancelSleep();
  return outcome;
}

[[noreturn]] void raise_failure(const Progress* progress) {
  ereport(ERROR,
          (errcode(progress->sqlstate), errmsg("the fold worker failed: %s", progress->error),
           progress->sqlstate == ERRCODE_DISK_FULL
               ? errhint("Free disk space, or raise datahike.map_size and restart; then call "
                         "purge() again.")
               : 0));
  pg_unreachable();
}

void sleep_until_erased(WorkerSlot* slot, uint64_t ticket) {
  int attempts = 0;
  Progress progress;
  ConditionVariablePrepareToSleep(&slot->done);
  for (;;) {
    look(slot, ticket, &progress);
    if (progress.served) break;
    if (progress.running) {
      attempts = 0;
    } else if (!start_worker(slot) || ++attempts > kWorkerStartAttempts) {
      ConditionVariableCancelSleep();
      refuse_without_worker();
    }
    poke_worker(slot);
    ConditionVariableTimedSleep(&slot->done, kWorkerPollMs, PG_WAIT_EXTENSION);
  }
  ConditionVariableCancelSleep();
  if (progress.sqlstate != 0) raise_failure(&progress);
}

// Copies the request; its length is in the mailbox.
bool read_request(uint32_t handle, uint8_t* out, size_t size) {
  dsm_segment* segment = dsm_attach(handle);
  if (!segment) return false;
  std::memcpy(out, dsm_segment_address(segment), size);
  dsm_detach(segment);
  return true;
}

}  // namespace

void lock_redactions() {
  LOCKTAG tag;
  SET_LOCKTAG_OBJECT(tag, MyDatabaseId, extension().heads, 0, 3);
  LockAcquire(&tag, ExclusiveLock, false, false);
}

uint64_t request_redactions(const std::vector<store::Redaction>& redactions) {
  const Bytes request = store::encode_request(redactions);
  const uint8_t* bytes = request.data();
  const size_t size = request.size();
  Progress progress;
  Progress* p = &progress;
  WorkerSlot* slot = worker_slot();
  const Posted posted = call([=] { return post(slot, bytes, size); });
  const uint64_t ticket = posted.ticket;
  HOLD_INTERRUPTS();
  Outcome outcome;
  try {
    outcome = call([=] { return wait_until_written(slot, ticket, p); });
  } catch (...) {
    leave(slot, ticket);
    if (InterruptHoldoffCount > 0) RESUME_INTERRUPTS();  // an error has let go of them
    throw;
  }
  RESUME_INTERRUPTS();
  call([=] { dsm_detach(posted.segment); });
  if (outcome == Outcome::Failed) call([=] { raise_failure(p); });
  if (outcome == Outcome::Withdrawn) {
    // A worker that was stopped may have made it durable with its last act.
    store::Environment& env = open_store();
    env.refresh();
    if (redactions.empty() || !store::has_redaction(env, redactions.front().request)) {
      call([] { CHECK_FOR_INTERRUPTS(); });
      call([] { refuse_without_worker(); });
    }
    call([=] { count(*slot); });
    return request_redactions({});  // and another worker is to erase the rows
  }
  return ticket;
}

void wait_until_erased(uint64_t ticket) {
  WorkerSlot* slot = worker_slot();
  call([=] { sleep_until_erased(slot, ticket); });
}

namespace {}  // namespace

bool Redactor::wanted(const WorkerSlot& slot) const {
  const RedactionMailbox& box = slot.redaction;
  return look_ || eraser_ || box.requested > std::max(box.served, box.written);
}

void Redactor::step(WorkerSlot& slot, const Batches& batches) {
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  RedactionMailbox& box = slot.redaction;
  const uint64_t ticket = box.requested;
  const bool asked = ticket > std::max(box.served, box.written);
  if (asked) {
    box.claimed = ticket;
    box.sqlstate = 0;
  }
  LWLockRelease(shared->lock);
  store::Environment& env = open_store_for_writing();
  env.refresh();
  if (asked) return write(slot, ticket, batches);
  if (look_ && !eraser_ && store::first_unerased(env)) {
    count(slot);  // a worker that was stopped may have written it and not come so far
    eraser_.emplace(env);
  }
  look_ = false;
  if (eraser_) erase(slot, batches);
}

void Redactor::write(WorkerSlot& slot, uint64_t ticket, const Batches& batches) {
  store::Environment& env = open_store_for_writing();
  LWLockAcquire(shared->lock, LW_SHARED);
  const uint32_t handle = slot.redaction.segment;
  Bytes request(slot.redaction.bytes);
  LWLockRelease(shared->lock);
  uint8_t* out = request.data();
  const size_t size = request.size();
  if (!call([=] { return read_request(handle, out, size); }))
    throw SqlError(ERRCODE_QUERY_CANCELED, "who asked for the rows to be erased is gone");
  std::vector<store::Redaction> redactions = store::decode_request(request);
  // A worker before this one may have come as far.
  if (!redactions.empty() && !store::has_redaction(env, redactions.front().request)) {
    store::put_redactions(env, batches.begin(), std::move(redactions));
    batches.commit();
    env.refresh();
  }
  count(slot);
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  slot.redaction.written = ticket;
  LWLockRelease(shared->lock);
  ConditionVariableBroadcast(&slot.done);
  eraser_.emplace(env);
}

void Redactor::erase(WorkerSlot& slot, const Batches& batches) {
  const bool done = eraser_->step(open_store_for_writing(), batches.begin());
  batches.commit_erased();
  if (!done) return;
  eraser_.reset();
  must_forget_ = true;
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  slot.redaction.served = std::max(slot.redaction.served, slot.redaction.written);
  LWLockRelease(shared->lock);
  ConditionVariableBroadcast(&slot.done);
}

void Redactor::fail(WorkerSlot& slot, int sqlstate, const char* message) {
  eraser_.reset();
  look_ = false;
  failed_ = true;
  count(slot);  // what failed last may yet be durable
  LWLockAcquire(shared->lock, LW_EXCLUSIVE);
  RedactionMailbox& box = slot.redaction;
  box.sqlstate = sqlstate;
  strlcpy(box.error, message, sizeof box.error);
  box.served = std::max({box.served, box.claimed, box.written});
  LWLockRelease(shared->lock);
  ConditionVariableBroadcast(&slot.done);
}

}  // namespace datahike::pg
