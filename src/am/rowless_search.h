// Rowids that name no row: their transaction was rolled back, or had superseded the version itself.
// Nothing in the store says so; it is proven, for many at once.
#pragma once

#include <unordered_set>

#include "am/relation.h"

namespace datahike::am {

// Leaves of rowids that the store did not have those that name no row. Takes a snapshot: not to be
// called under an index page's lock.
void keep_rowless(std::unordered_set<uint64_t>& rowids, const RelationInfo& info);

// For a scan that has met an entry of a row that it does not see, nor knows to be dead. Where
// history is collected, entries of which the store knows nothing are gathered and looked into, and
// what is proven is dead from then on (rowless.h). The same about locks.
void suspect_entry(const RelationInfo& info, uint64_t rowid);

}  // namespace datahike::am
