// Folds: log rows become commits in the store, and heads in PostgreSQL name them. For the fold
// worker alone.
#pragma once

#include "pg/pg.h"
#include "store/environment.h"

namespace datahike::pg {

class Gc;
class Horizons;

// The batch being written, if one is. No frame owns it: where PostgreSQL ends the process from
// within a function of its own (the postmaster is gone, say) frames are not unwound, and the
// process's exit callback lets go of LMDB's writer mutex with drop_batch(). After an error, too.
store::WriteBatch& begin_batch();
void drop_batch();
void commit_batch();

// The store and its root commit, as soon as the extension exists: pinned sessions need them.
void ensure_store(Snapshot snapshot);

struct FoldContext {
  Horizons& horizons;
  Gc& gc;
  void (*check_for_leave)();  // raises where the fold is to be given up
  void (*crash_point)(const char* name);
};
// Folds every branch's log rows that `snapshot` sees: the store is written, then the heads. False
// when there was nothing to fold. REQUIRES: a transaction that holds the fold lock, which it took
// before its snapshot, and ensure_store().
bool fold_log(Snapshot snapshot, const FoldContext& context);

}  // namespace datahike::pg
