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
// Before exit() destroys what the transaction callbacks need, they are called. FATAL without
// memory.
void install_exit_handler();

// Whether by the settings the planner must not take for granted what holds for rows of the present
// alone.
bool plans_past();
// What a plan may be executed for; each also for those before it.
enum class PlannedFor : uint32 { Present, Past, History };
PlannedFor planned_for(PlannedStmt* plan);
// For a relation of such a query. Under datahike.history, raises 0A000 where grouping relies on its
// key.
void forget_uniqueness(PlannerInfo* root, Relation relation, RelOptInfo* rel);

// Plans a query without belief in constraints and partition bounds, which may be younger than the
// rows it reads.
PlannedStmt* plan_without_constraints(PlannedStmt* (*next)(Query*, const char*, int, ParamListInfo),
                                      Query* query, const char* text, int options,
                                      ParamListInfo params);
// For a partitioned table: while such a query is planned, nothing follows from its partitions'
// bounds where these may be younger than rows.
void forget_bounds(Relation relation, RelOptInfo* rel);
// One grouping set of all columns of each GROUP BY, and so in subqueries: PostgreSQL drops columns
// that a key among them determines, but not from grouping sets.
void keep_grouping(Query* query);

}  // namespace datahike::pg
