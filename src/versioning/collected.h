// What collecting history has left: which commits can still be read for a table, and which row
// versions are dead for everybody. The rule is in store/horizon.h.
#pragma once

#include "store/horizon.h"
#include "versioning/view.h"

namespace datahike::versioning {

// For a view of a commit, or computed from some. Throws 72000 where the table's history has been
// collected past it; else it stays readable until the end of the transaction. REQUIRES: the commit
// is pinned (pg/pins.h).
void require_kept(const View& view, uint64_t table);

// The same for all tables, for a branch that is to be made from the commit. Pins it.
void require_all_kept(const store::Commit& commit);

// Whether nobody can see the row version any more, on any branch. False where that is not known,
// and for tables with more branches than are worth looking at for one row.
bool is_dead_for_all(uint64_t table, uint64_t rowid);

// The table's dead row versions under its present horizon; nullptr if it never had one. Valid until
// the next call of a function of this file.
store::DeadVersions* dead_versions(uint64_t table);

}  // namespace datahike::versioning
