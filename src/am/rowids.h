// Rowids: handed out in runs, and the table of running inserts that tells other sessions whose rows
// they are before they are committed.
#pragma once

#include "pg/pg.h"

namespace datahike::am {

// The next rowid of a table for this transaction, which inserts on `branch`. Registers the rowid's
// chunk as being inserted into, before any index entry can name it. May raise a PostgreSQL error.
// Never one below `least`.
uint64_t next_rowid(uint64_t table, int32_t branch, uint64_t least);
// The same for several in a row. `count`: how many are wanted at most, and there are, at least one.
uint64_t next_rowids(uint64_t table, int32_t branch, uint64_t least, uint64_t* count);
struct RunningInsert {
  TransactionId xid;  // subtransaction
  int32_t branch;
  bool speculative;
  uint32_t token;
};
// Whether a rowid is being inserted by a transaction other than this one that has not ended.
bool find_running_insert(uint64_t rowid, RunningInsert* out);

// Transactions of others, prepared ones too, that may be inserting rows of the table with rowids of
// a range, and the first of those.
struct RunningInserts {
  TransactionId xid;
  uint64_t first;
};
std::vector<RunningInserts> running_inserts(uint64_t table, uint64_t first, uint64_t end);

// Marks rowids of a rolled back subtransaction: nobody waits for them any more.
void mark_hole(uint64_t first, uint64_t count);
void set_speculative(uint64_t rowid, uint32_t token);
void clear_speculative(uint64_t rowid);

// The content of an uncommitted row, for sessions whose constraint checks need it.
// May raise a PostgreSQL error.
void publish_row(uint64_t rowid, MinimalTuple tuple);
// A palloc'd copy, or nullptr.
MinimalTuple find_published_row(uint64_t rowid);

// A chunk that this transaction inserts into, from the first rowid it may have taken on.
struct InsertChunk {
  uint64_t table;
  uint64_t first, end;
  int size;
  int32_t branch;
};
std::vector<InsertChunk> own_insert_chunks();
// The entry of a transaction that was prepared before the server started.
void restore_insert(uint64_t table, uint64_t first, int size, int32_t branch, TransactionId xid);

// A prepared transaction's entries have no session that would take them away: it is put on a list.
void register_prepared(TransactionId xid);
// Strikes off the list those that have ended; false if there were none. `*more`: others are left.
bool forget_ended_prepared(bool* more);
// Takes away every entry of this database whose transaction has ended.
void sweep_inserts();

void end_inserts(bool rolled_back);  // at the end of the transaction
void leave_inserts();                // at PREPARE: the entries stay
void forget_insert_chunks();         // at the end of the session

}  // namespace datahike::am
