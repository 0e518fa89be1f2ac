// Paths of foreign scans.
#pragma once

#include "pg/pg.h"

extern "C" {
#include "nodes/pathnodes.h"
}

namespace datahike::fdw {

// A scan of all rows, and scans of those that rows of other relations have conditions for, as the
// inner side of a nested loop. Plain PostgreSQL code.
void add_paths(PlannerInfo* root, RelOptInfo* rel, Oid foreign_table);

}  // namespace datahike::fdw
