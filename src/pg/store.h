// This process's handle on the store of its database.
#pragma once

#include "pg/pg.h"
#include "store/environment.h"

namespace datahike::pg {

std::string store_directory(Oid database);
// Opened at first use, never before fork. nullptr while the fold worker has not made the store yet.
store::Environment* try_store();
// The same, CorruptError when there is none although something names a version in it.
store::Environment& open_store();
// The worker's writable handle; makes the store where there is none.
store::Environment& open_store_for_writing();
// Lets go of the map where nobody holds views into it: between statements.
void release_store();

}  // namespace datahike::pg
