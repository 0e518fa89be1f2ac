// A transaction's own changes, handed by the leader of a parallel query to its workers.
//
// A worker makes tables of pending changes (pending.h) of them: the same rows, written by the same
// commands. So what a snapshot sees of them is found out in the worker as it is in the leader, for
// the snapshots of functions as well as for that of the query. Nothing changes meanwhile that the
// query or a function could see: PostgreSQL refuses writes while a query is run in parallel, but
// for the rows of CREATE TABLE AS, which belong to the command that is running.
//
// The byte format is the grammar at the head of shared_changes.cpp.
#pragma once

#include "am/pending.h"

extern "C" {
#include "storage/dsm.h"
}

namespace datahike::am {

// Leader: a segment that holds the changes of these tables on all branches; nullptr: they are too
// many, or not such that they could be shared, and the query has to be run without workers. It is
// the resource owner's at hand. `tables` is sorted; nullptr: of all tables.
dsm_segment* share_changes(const std::vector<uint64_t>* tables);

// Worker: takes over what the leader has shared. Once, before any table is read.
void take_shared_changes(dsm_handle handle);
// At the end of the worker's transaction: nothing has been undone.
void forget_shared_changes() noexcept;

// The segments that shared runs have instead of columns are at such places, whose `part` this is.
inline constexpr uint32_t kSharedPart = UINT32_MAX;
ByteView shared_segment(const store::SegmentPlace& place);

}  // namespace datahike::am
