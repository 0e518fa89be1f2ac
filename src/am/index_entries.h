// Index entries of an updated row whose indexed columns are all unchanged.
#pragma once

#include "am/relation.h"
#include "pg/pg.h"

namespace datahike::am {

// Inserts the new version's entries itself and returns true, where that is simple: no index has
// expressions or a predicate, no constraint is deferrable. No unique check is made, for the version
// that is being replaced holds the keys; PostgreSQL's own would visit every dead entry of the key.
// May raise a PostgreSQL error; owns nothing with a destructor.
bool insert_unchanged_entries(Relation relation, uint64_t stamp, TupleTableSlot* before,
                              TupleTableSlot* after);

}  // namespace datahike::am
