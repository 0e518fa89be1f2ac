// Runs of pending rows that have grown large are encoded by a thread of their own while the session
// makes the next rows, and written to the log when that is done. One at a time: until it is written
// a run keeps its rows in memory. A run of an outer subtransaction waits until it is the innermost
// one again, and meanwhile others are encoded by the session itself.
#pragma once

#include "am/pending.h"

namespace datahike::am {

// Writes the run that is being encoded, if there is one. Throws what its encoding has thrown.
// REQUIRES: no subtransaction, or the run's own.
void finish_spilling();
// The run is going to be freed.
void stop_spilling(const PendingRun& run) noexcept;
void stop_spilling() noexcept;  // all are
// The transaction ends, its runs are gone.
void end_spilling() noexcept;

}  // namespace datahike::am
