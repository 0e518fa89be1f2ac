// What a merge does to the rows of a branch. As UPDATE, DELETE and INSERT do it, but all removals
// come before all insertions, so that rows may exchange the values of a unique column. No triggers,
// no index entries, no checks of constraints: those are the caller's. REQUIRES: the session is not
// pinned. May raise PostgreSQL errors.
#pragma once

#include "pg/pg.h"

namespace datahike::am {

// Locks the row version as UPDATE or DELETE does, waiting for whoever else changes it, and removes
// it. False: it is not live any more. `key_changes`: a foreign key may refer to what it loses.
bool remove_merged_row(Relation relation, uint64_t rowid, bool key_changes, CommandId cid);

// Makes the slot's row a new version of `entity` (0: a new one). It takes the place of row version
// `replaced` (0: of none), which was removed before. The slot gets the version's TID.
void insert_merged_row(Relation relation, TupleTableSlot* slot, uint64_t entity, uint64_t replaced,
                       CommandId cid);

}  // namespace datahike::am
