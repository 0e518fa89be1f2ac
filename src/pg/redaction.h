// How purge() has rows erased: the session finds them and says which, the fold worker writes.
//
// The session holds the tables' exclusive locks, so nobody reads or changes them, and hands its
// request over in a segment of shared memory. The worker claims it, makes the records durable, and
// from that moment the rows count as erased everywhere: it counts the redaction, and a session that
// gets the table's lock later sees the count before it makes a view (versioning/redacted.h). Then
// it takes the rows out of the segments, in steps between folds; a worker that is started anew goes
// on with that. A request that has been claimed cannot be withdrawn, for the session's locks must
// not go while it is being written: until then neither a cancel nor a termination is heard.
#pragma once

#include <optional>
#include <utility>

#include "pg/pg.h"
#include "store/eraser.h"

namespace datahike::pg {

struct WorkerSlot;

// One at a time: until the end of the transaction.
void lock_redactions();
// Has the worker make the redactions durable; returns a ticket. None: only what an earlier one has
// left to be erased. Errors: the worker's own; then nothing has been erased.
uint64_t request_redactions(const std::vector<store::Redaction>& redactions);
// Until the rows are in no segment any more. Interruptible: the worker goes on.
void wait_until_erased(uint64_t ticket);

// The worker's part.
class Redactor {
 public:
  struct Batches {
    store::WriteBatch& (*begin)();
    void (*commit)();         // of records
    void (*commit_erased)();  // of segments
  };
  // A step that has failed is done again when somebody wants the space.
  void try_again() { look_ = std::exchange(failed_, false) || look_; }
  void nothing_there() { look_ = false; }  // the extension is not installed
  bool wanted(const WorkerSlot& slot) const;
  // REQUIRES: within a step of the worker, under the fold lock. Does a bounded piece.
  void step(WorkerSlot& slot, const Batches& batches);
  void fail(WorkerSlot& slot, int sqlstate, const char* message);
  // Rows have been erased, and the buffers that LMDB keeps for its pages may hold them still: what
  // it does not fill of a page goes to the file with what was there. The worker is to make room for
  // another.
  bool must_forget() const { return must_forget_; }

 private:
  void write(WorkerSlot& slot, uint64_t ticket, const Batches& batches);
  void erase(WorkerSlot& slot, const Batches& batches);

  bool look_ = true;  // whether a worker before this one has left something to be erased
  bool failed_ = false;
  bool must_forget_ = false;
  std::optional<store::Eraser> eraser_;
};

}  // namespace datahike::pg
