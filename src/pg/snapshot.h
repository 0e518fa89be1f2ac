// Snapshots that PostgreSQL does not hand out itself.
#pragma once

#include "pg/pg.h"

namespace datahike::pg {

// As GetLatestSnapshot(), but in parallel mode too, in the leader and in workers. Good until the
// next call. May raise a PostgreSQL error.
Snapshot latest_snapshot();

}  // namespace datahike::pg
