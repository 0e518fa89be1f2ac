// Commit ids as PostgreSQL's uuid[].
#pragma once

#include "pg/pg.h"
#include "store/environment.h"

namespace datahike::pg {

// Palloc'd. Raises PostgreSQL errors; owns nothing.
ArrayType* make_uuid_array(const std::vector<store::Uuid>* ids);
std::vector<store::Uuid> read_uuid_array(ArrayType* array);  // nullptr: none

}  // namespace datahike::pg
