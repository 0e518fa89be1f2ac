// BRIN indexes. One summarises the blocks that TIDs name, of 291 rowids each from the table's first
// on, and its scans walk over as many as RelationGetNumberOfBlocks() says. That is what a table
// would have on heap (table_size.h), except for BRIN: there it is the blocks up to the last row
// version that any view may have.
//
// A summary covers the versions of all branches and commits, of running transactions too. Those
// whose index entries are made once the range has a summary widen it; those from before are looked
// at, when their transactions have ended. What is no longer there leaves it as wide as it was.
#pragma once

#include "am/all_versions.h"
#include "am/relation.h"

namespace datahike::am {

// For RelationGetNumberOfBlocks(), where that is asked for the sake of a BRIN index, or may be.
// `as_heap`: the table's blocks otherwise.
uint64_t blocks_for_callers(Relation relation, const RelationInfo& info, uint64_t as_heap);
// For the planner: about how many blocks a scan of a BRIN index walks over.
double walked_blocks(Relation relation);

// VACUUM's part: the ranges that have none get a summary, but those that others are inserting into.
// Plain PostgreSQL code.
IndexBulkDeleteResult* summarize_new_ranges(IndexVacuumInfo* info, IndexBulkDeleteResult* stats);
// The ranges with rows that are no more to be found are left without a summary until VACUUM.
void forget_redacted_summaries(Relation index, const RelationInfo& info);

// Rowids of which an index's build looks at the versions together.
struct BrinRanges {
  uint64_t first, last, rows_per_range;
};
// `start`: the block that a range begins with; InvalidBlockNumber: all. Waits for transactions
// that are inserting into such a range. Throws what PostgreSQL raises.
BrinRanges ranges_to_summarize(Relation index, const RelationInfo& info, BlockNumber start);
// The scan of a range is over: the values that it has gathered take their final form, once. What
// others have put into the range's placeholder meanwhile is united with that. Left as they are, as
// heap leaves them, values of the minmax-multi operator classes are serialised anew after they have
// been united, and what came meanwhile is lost. `state`: the scan's. Plain PostgreSQL code.
void serialize_summary(Relation index, void* state, BlockNumber start);
// Throws 0A000 where a whole index would have too many ranges, up to rowid `end`.
void require_few_ranges(Relation index, const BrinRanges& ranges, uint64_t end);
// Range by range, as BRIN's build wants them; within a range in any order.
template <class Visit>
void run_by_ranges(AllVersions& versions, const BrinRanges& ranges, TidBase base,
                   TupleTableSlot* slot, Visit&& visit) {
  for (uint64_t from = ranges.first; from <= ranges.last;) {
    std::optional<uint64_t> next = versions.first_version(from);
    if (!next || *next > ranges.last) return;
    uint64_t before = (*next - static_cast<uint64_t>(base)) % ranges.rows_per_range;
    uint64_t end = std::min(*next - before + ranges.rows_per_range - 1, ranges.last);
    versions.run(*next, end, slot, visit);
    from = end + 1;
  }
}

}  // namespace datahike::am
