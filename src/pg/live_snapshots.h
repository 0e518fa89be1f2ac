// The snapshots that this session still reads with: those on the stack of active ones and those
// that are registered, of cursors and queries under way. PostgreSQL keeps both lists to itself.
#pragma once

#include "pg/pg.h"

namespace datahike::pg {

constexpr int kMostLiveSnapshots = 64;

// Their command ids, in no order, into `commands`, which has room for kMostLiveSnapshots; returns
// how many. -1: not known, for there are more, or none is active, or subtransactions are open that
// began without being counted. Snapshots that are taken later have the current command id or a
// greater one. May raise a PostgreSQL error, which leaves the stack as it was.
int live_command_ids(CommandId* commands);

// When a subtransaction begins: each entry of the stack belongs to a level of subtransactions,
// which cannot be asked for, so it is known by how many there were. `counts`: whether it may be of
// use.
void note_subtransaction_start(bool counts);

}  // namespace datahike::pg
