// Row locks: who has locked, updated or deleted a row version on a branch and has not ended yet. A
// holder counts only while its transaction is in progress; waiting is XactLockTableWait by the caller.
#pragma once

#include "pg/pg.h"

namespace datahike::am {

enum class Change : uint8_t { None, Update, Delete };

struct RowLockConflict {
  TransactionId xid;   // the holder to wait for
};
enum class RowLockResult { AlreadyHeld, Acquired, Conflict };

// Takes the lock for the current (sub)transaction unless someone else's conflicts.
// May raise a PostgreSQL error (out of memory).
RowLockResult try_lock_row(int32_t branch, uint64_t rowid, LockTupleMode mode, Change change,
                           RowLockConflict* conflict);
void unlock_row(int32_t branch, uint64_t rowid, TransactionId xid);
// A transaction other than this one, in progress, that has updated or deleted the row; or invalid.
TransactionId find_running_remover(int32_t branch, uint64_t rowid);

}  // namespace datahike::am
