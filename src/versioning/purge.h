// Who may erase rows of a table: purge.cpp.
#pragma once

#include "pg/pg.h"

namespace datahike::versioning {

// ereport(ERROR, 42501) where the user may not purge() the table. Plain PostgreSQL code.
void require_purge_right(Oid table);

}  // namespace datahike::versioning
