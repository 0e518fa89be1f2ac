// Conditions of PostgreSQL's sequential scans that are tested by column, before rows are made.
#pragma once

#include "pg/pg.h"

extern "C" {
#include "nodes/execnodes.h"
}

namespace datahike::exec {

// Has the scan of a datahike table leave out what some of its conditions exclude: those that
// compile (compile.h) and raise no error, up to the first that is volatile. Plan, EXPLAIN and what
// it counts stay as they are. The filter lives as long as the query.
void add_scan_filter(SeqScanState* scan);

}  // namespace datahike::exec
