// Hooks into the planner, the executor and utility commands, and the transaction callbacks.
#pragma once

#include "pg/pg.h"

extern "C" {
#include "nodes/pathnodes.h"
}

namespace datahike::pg {

void install_executor_hooks();
void install_planner_hook();
void forget_queries();  // at the end of the transaction: an error skips the executor's end
bool any_open_query();  // one that runs, or a cursor's
void install_utility_hook();
void install_transaction_callbacks();

// Whether the planner must not take for granted what holds for live rows alone, by the settings.
bool plans_history();
// For a relation of a query that reads history. Raises 0A000 where grouping relies on its key.
void forget_uniqueness(PlannerInfo* root, Relation relation, RelOptInfo* rel);

}  // namespace datahike::pg
