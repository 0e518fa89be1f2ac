// The queries that calls of blame(), versions() and diff() stand for.
#pragma once

#include "pg/pg.h"

namespace datahike::exec {

// Text of the query, palloc'd. $1 and $2 are the call's revisions; a table that is to be read in
// the view of the call has one of these aliases.
inline constexpr const char* kRowAlias = "a row";    // blame, versions
inline constexpr const char* kNewAlias = "new row";  // diff: live at $2, not at $1
inline constexpr const char* kOldAlias = "old row";  // diff: live at $1, not at $2
char* blame_query(Relation relation);
char* versions_query(Relation relation);
char* diff_query(Relation relation);
char* changes_query(Relation relation);  // as diff, without the table's children

}  // namespace datahike::exec
