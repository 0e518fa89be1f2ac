// Doing something inside a SERIALIZABLE transaction that is none of its reads and writes.
#pragma once

#include "pg/pg.h"

namespace datahike::pg {

// Runs `body` without looking for conflicts with other serializable transactions and without taking
// SIREAD locks; locks of others are moved when pages split, as ever. PostgreSQL forgets which locks
// of the transaction's own lie below others, which it needs to know to merge many small ones into
// one: not to be done often in one transaction. Raises what `body` raises.
void outside_serializable(void (*body)(void*), void* argument);

}  // namespace datahike::pg
