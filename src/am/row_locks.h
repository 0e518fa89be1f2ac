// Row locks: who has locked, updated or deleted a row on a branch and has not ended yet. A lock
// belongs to the row's entity, so it holds for every version of the row: a foreign key's lock on a
// version that has been updated since still keeps the newest one from being deleted. Which version
// is being removed is noted besides. A holder counts only while its transaction is in progress;
// waiting is XactLockTableWait by the caller.
#pragma once

#include "pg/pg.h"

namespace datahike::am {

struct RowLockConflict {
  TransactionId xid;  // the holder to wait for
  bool holds_some;    // this transaction has a weaker lock already: it must not queue behind others
};
enum class RowLockResult { AlreadyHeld, Acquired, Conflict };

// Takes the entity's lock for the current (sub)transaction unless someone else's conflicts.
// AlreadyHeld: in this mode or a stronger one.
// May raise a PostgreSQL error (out of memory).
RowLockResult try_lock_row(int32_t branch, uint64_t entity, LockTupleMode mode,
                           RowLockConflict* conflict);
// Of `count` neighbouring entities, in whatever mode.
void unlock_rows(int32_t branch, uint64_t entity, uint64_t count, TransactionId xid);

// Notes that the current (sub)transaction removes the row version. REQUIRES: the entity's lock.
void begin_removal(int32_t branch, uint64_t rowid);
void end_removals(int32_t branch, uint64_t rowid, uint64_t count, TransactionId xid);
// A transaction other than this one, in progress, that removes the row version; or invalid.
TransactionId find_running_remover(int32_t branch, uint64_t rowid);

// At the end of a transaction: takes away what it has of these ids and perhaps of others near them.
void forget_holder(int32_t branch, uint64_t id, uint64_t count, TransactionId xid);

// Entries of a transaction that was prepared before the server started.
void restore_row_locks(int32_t branch, uint64_t entity, uint64_t count, LockTupleMode mode,
                       TransactionId xid);
void restore_removals(int32_t branch, uint64_t rowid, uint64_t count, TransactionId xid);
// Takes away every holder of this database that has ended.
void sweep_row_locks();

}  // namespace datahike::am
