// Garbage collection by the fold worker: when a run begins, what are its roots, and the steps of it
// that go between folds. What a run does is store/collector.h.
//
// Roots are the heads of branches that have a name in some snapshot in use, or that are being made;
// the commits that tags name; and those that the log names: parents of merges that are not folded,
// targets of resets. Commits at or above the oldest one that a session has pinned, or that one of
// its views rests on, are left for another time (pins.h), and so is what their ancestry needs.
#pragma once

#include <memory>

#include "pg/pg.h"
#include "store/collector.h"
#include "store/free_pages.h"
#include "store/segment_joiner.h"

namespace datahike::pg {

struct WorkerSlot;

extern int setting_gc_interval;      // seconds; 0: only when asked for
extern int setting_gc_min_age;       // seconds
extern char* setting_gc_older_than;  // an interval; '': only what no branch has
void define_gc();                    // the settings

class Gc {
 public:
  // What a step needs of the worker: the store's one write batch.
  struct Batches {
    store::WriteBatch& (*begin)();
    void (*commit)();
  };

  // Whether there is something to be done: a run is under way, was asked for, or is due.
  bool wanted(const WorkerSlot& slot) const;
  bool joins() const { return joining_.has_value(); }
  // Whether the worker has to stay for it: that, or something has been folded that is to be
  // collected when it is due.
  bool has_work_to_come(const WorkerSlot& slot) const;
  // A delta that is being folded.
  void note(const store::Delta& delta) {
    if (run_) run_->note(delta);
  }
  // REQUIRES: within a step of the worker, under the fold lock, everything that `snapshot` sees is
  // folded, or will be noted. Does a bounded piece of a run.
  void step(WorkerSlot& slot, Snapshot snapshot, const Batches& batches);
  // The step has failed: so has the run.
  void fail(WorkerSlot& slot, int sqlstate, const char* message);

 private:
  enum class Stage { Trace, Choose, TraceSpared, Collect, Mark, Sweep };
  bool begin(WorkerSlot& slot, Snapshot snapshot);
  void collect(Snapshot snapshot, const Batches& batches);
  void answer(WorkerSlot& slot, const store::GcResult& result);

  void compact(WorkerSlot& slot, const Batches& batches);
  void join(WorkerSlot& slot, const Batches& batches);

  std::unique_ptr<store::Collector> run_;
  std::optional<store::FreePages> compacting_;
  // After a run, and where VACUUM asks for it.
  std::optional<store::SegmentJoiner> joining_;
  store::GcResult result_;  // of the run before it
  bool short_of_space_ = false;
  Stage stage_ = Stage::Trace;
  bool dry_run_ = false;
  uint64_t serving_ = 0;  // the request; 0: nobody's
  uint64_t folds_ = 0;    // of the worker, when the last run began
};

}  // namespace datahike::pg
