// What the planner asks before an index is built.
#pragma once

#include "pg/pg.h"

namespace datahike::am {

// Whether several processes may build an index of the table. Workers do not have the rows that this
// transaction has written, and cannot sort together what other branches must not have twice.
bool builds_in_parallel(Relation table);

}  // namespace datahike::am
