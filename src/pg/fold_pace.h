// When the fold worker folds next, if nobody waits for it.
//
// A fold has a cost of its own, whatever it brings: the inner pages of LMDB's trees, the version
// tree's path, the syncs. So folds that use much of a processor come more rarely, and each brings
// more transactions. How much more is bounded: every session holds in memory what is not folded.
#pragma once

#include "pg/pg.h"

namespace datahike::pg {

class FoldPace {
 public:
  // Around a fold.
  void begin();
  void end();
  // From the end of the last fold on: datahike.fold_delay, or up to four times that.
  long delay_ms() const;
  // So much has been committed since the last fold began that the next one is due after
  // datahike.fold_delay.
  bool has_backlog() const;

 private:
  uint64_t ring_head_ = 0;
  XLogRecPtr wal_ = 0;
  int64_t began_us_ = 0;  // processor time
  int64_t cost_us_ = 0;   // of the last fold
};

}  // namespace datahike::pg
