// Row-level security hides rows from queries, for which the planner adds conditions. What tells of
// rows in another way cannot ask them.
#pragma once

#include "pg/pg.h"

namespace datahike::versioning {

// Raises 0A000 where policies of the table, or of one that it is a partition of, apply to the
// caller; `what` is a phrase such as "merge". 42501 where row_security is off then.
void refuse_row_security(Oid relation, const char* what);

// Calls that queries of blame(), versions() and diff() are made of carry this as their location,
// which no parsed or stored expression has: the rows that they ask about are those that the query
// itself has been allowed to read.
inline constexpr int kCallOfQuery = -15041;
bool is_call_of_query(FunctionCallInfo fcinfo);

}  // namespace datahike::versioning
