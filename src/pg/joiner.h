// Joining small segments in the background (store/segment_joiner.h): when the fold worker does it,
// and how much of it.
//
// Enough small segments have been written, or there are some and nothing else to do. A step is
// short, and the next one comes after a pause of several times its length, so folds are not held
// up. What it writes cannot take the place of what it has read while a reader holds an older state:
// so it waits where one does for long, and where disk or map are nearly full.
#pragma once

#include "pg/gc.h"
#include "store/segment_joiner.h"

namespace datahike::pg {

extern int setting_join_segments_after;  // 0: not in the background
void define_joiner();                    // the setting

// Whether there is so little room left, on disk or in the map, that nothing should be written that
// need not be.
bool is_short_of_space(store::Environment& env);

class Joiner {
 public:
  Joiner();
  // Takes note of what this process has written. REQUIRES: the store is open.
  void note();
  bool wanted(bool idle) const;
  bool running() const { return running_; }  // there will be more steps
  long pause_ms() const;                     // until the next one
  // Whether the worker has to stay for it.
  bool has_work_to_come() const;
  // REQUIRES: within a step of the worker.
  void step(const Gc::Batches& batches);
  void fail();  // the step has failed

 private:
  bool must_wait(store::Environment& env);
  void postpone(int64_t microseconds);

  store::SegmentJoiner joiner_{store::SegmentJoiner::Mode::Tiers};
  store::SegmentSurvey survey_;
  bool surveyed_ = false;
  bool running_ = false;
  TimestampTz survey_at_;       // not before
  TimestampTz not_before_ = 0;  // the next step
  TimestampTz noted_at_ = 0;
  uint64_t oldest_reader_ = 0;  // the state that the oldest reader has had lately
  uint64_t held_bytes_ = 0;     // written while it has had that
};

}  // namespace datahike::pg
