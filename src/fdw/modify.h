// INSERT, UPDATE, DELETE and COPY of foreign tables whose server names a branch of this database.
#pragma once

#include "pg/pg.h"

extern "C" {
#include "foreign/fdwapi.h"
}

namespace datahike::fdw {

void add_modify_callbacks(FdwRoutine* routine);

}  // namespace datahike::fdw
