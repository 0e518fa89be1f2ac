// The parts of purge() that know rows: which versions satisfy a predicate, who refers to them, and
// their entries in indexes and statistics. The versions themselves the fold worker erases
// (pg/redaction.h).
#pragma once

#include <map>

#include "am/relation.h"
#include "tree/rowid_set.h"

namespace datahike::am {

// Row versions of one table.
struct Versions {
  tree::RowidSet rows;
  uint64_t count = 0;
  uint64_t entities = 0;
};

// Every version in the store, of whatever branch or commit or none any more, that satisfies the
// predicate: over its values as history shows them, of the present types. `name` is what the
// predicate may call the table. REQUIRES: all of the table is folded, and nobody else uses it.
// Errors: the predicate's own; 42601 where it is no expression, 0A000 where it has subqueries or
// names system columns; what reading an old value raises.
Versions find_versions(Relation relation, const char* name, const char* predicate);

// 23503 where a row that is not to be erased refers, on some branch, to one that is live there and
// is to be. 42501 where the caller may not read the table that refers. REQUIRES: as above, and that
// the rows are still there.
void check_references(const std::map<Oid, Versions>& tables);

// Takes the entries of all erased rows out of the table's indexes, and what has been gathered of
// the table's values out of the planner's statistics. The latter is undone by ROLLBACK.
void remove_redacted_entries(Relation relation, const RelationInfo& info);
void remove_statistics(Relation relation);

}  // namespace datahike::am
