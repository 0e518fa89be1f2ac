// PREPARE TRANSACTION: what the transaction holds in the shared tables stays there without a
// session that would take it away, and comes back after a restart.
#pragma once

#include "am/fetch.h"

namespace datahike::am {

// PRE_PREPARE, after the log rows: writes down what a restart must restore.
void write_prepared_locks();
// PREPARE: the session forgets the transaction; its entries stay. Must not raise.
void leave_prepared();

// Before a session looks into the shared tables for the first time: transactions that were prepared
// before the server started have their entries there again.
void restore_prepared();
// Before COMMIT PREPARED, for once it has ended nothing of it will be restored. Not where somebody
// has locked datahike.prepared for a second: it may be that transaction, which waits for nothing.
void restore_before_commit_prepared();

// Takes away what ended prepared transactions have left. Called by the worker now and then.
void sweep_prepared();

// A row that a prepared transaction is inserting on the branch, from its log rows; `xid` may be
// that of a subtransaction. False if it is not there.
bool fetch_prepared_row(Relation relation, const RelationInfo& info, int32_t branch,
                        TransactionId xid, uint64_t rowid, TupleTableSlot* slot);

}  // namespace datahike::am
