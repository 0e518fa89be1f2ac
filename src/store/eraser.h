// Takes erased row versions out of the segments: see redaction.h.
#pragma once

#include <cstdint>

#include "store/redaction.h"

namespace datahike::store {

// Goes through what the records say is to be erased, in bounded steps of one batch each. A step
// that was not the last leaves rows behind that nobody reads; to begin anew does them again.
class Eraser {
 public:
  // `env` reads the newest state.
  explicit Eraser(Environment& env);
  // Whether the batch finishes it. REQUIRES: the batch is committed before the next call, and `env`
  // reads that state then.
  bool step(Environment& env, WriteBatch& batch);

 private:
  std::vector<Redaction> redactions_;
  tree::RowidSet gone_;
  size_t at_ = 0;      // in redactions_
  uint64_t next_ = 0;  // rowid
};

}  // namespace datahike::store
