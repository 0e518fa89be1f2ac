// The branches as readers outside of this database's sessions find them in its store
// (store/backup.h).
#pragma once

#include "pg/pg.h"
#include "store/backup.h"

namespace datahike::pg {

// Branches with their names and newest folded commits, as a snapshot sees them.
std::vector<store::PublishedRef> present_refs(Snapshot snapshot);

}  // namespace datahike::pg
