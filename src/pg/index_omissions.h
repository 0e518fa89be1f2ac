// Rows of datahike.index_omissions: which row versions an index has no entry for, encoded.
#pragma once

#include "pg/pg.h"

namespace datahike::pg {

// Plain PostgreSQL code.
bytea* find_omissions(Oid index);  // palloc'd; nullptr: none
// Replaces them and tells the other sessions; nullptr: none.
void set_omissions(Oid index, const bytea* rows);

}  // namespace datahike::pg
