// This process's handle on the store of its database.
#pragma once

#include "pg/pg.h"
#include "store/environment.h"

namespace datahike::pg {

std::string store_directory(Oid database);
store::Identity store_identity();  // of this database's
// Opened at first use, never before fork. nullptr while the fold worker has not made the store yet,
// or not adopted one that an earlier installation of the extension has left.
store::Environment* try_store();
// The same, CorruptError when there is none although something names a version in it.
store::Environment& open_store();
// The worker's writable handle; makes the store where there is none.
store::Environment& open_store_for_writing();
// An installation is known by the id of its default branch, which no other has had (incarnation.h).
bool serves_installation(store::Environment& store, int64_t default_branch);
void adopt_for_installation(store::WriteBatch& batch, int64_t default_branch);
// The next transaction number of the store, whosever it is; 0 where there is none.
uint64_t next_tx_of_any_store();
// False where LMDB has given up on this process's handle: a header could not be written.
bool store_works() noexcept;
// Lets go of the map where nobody holds views into it: between statements.
void release_store();

}  // namespace datahike::pg
