// Blocks of rowids: each table has its own, 65536 rowids from a sequence.
#pragma once

#include "pg/pg.h"

namespace datahike::am {

inline constexpr uint64_t kBlockRows = 65536;

// Of a table that is being made: its first rowid. May be a block that this session has taken and
// that no row has a rowid of.
uint64_t begin_first_block(uint64_t table);
// Makes the rowids that follow come from a block of which none is in use, and returns its first:
// greater than every rowid of the table so far. REQUIRES: the table is locked against other
// writers.
uint64_t begin_block(uint64_t table);
// What is left of the table's block is not used: the table goes.
void forget_block(uint64_t table);
// The same for all tables of a database that has been dropped.
void forget_blocks_of(Oid database);
// How many tables, of all databases, have a block.
int64_t count_blocks();

// At least one block more. May raise a PostgreSQL error.
void add_block(uint64_t table);
// The start of an aligned chunk of 64, 4096 or 65536 rowids (`size` 0 to 2, which may become less)
// out of the table's block, or 0 if the block has no room.
uint64_t take_from_block(uint64_t table, int& size);
// Behind the last rowid that was handed out for the table since the server started; 0: none was.
uint64_t end_of_handed_out(uint64_t table);

// The first rowid that was handed out in this database since the server started: rowids from before
// are lower, later ones are not. Takes a block of rowids if there is none. May raise a PostgreSQL
// error.
uint64_t first_rowid_of_run();

// Blocks of tables that had none: they go with the (sub)transaction that has begun them.
void undo_begun_blocks();
void keep_begun_blocks();
// At PREPARE of the transaction `xid`: whether there are any. May raise a PostgreSQL error.
bool mark_begun_blocks(TransactionId xid);
// Those of prepared transactions that have been rolled back go, in this database.
void sweep_begun_blocks();
void undo_begun_blocks_of(SubTransactionId sub);
void pass_begun_blocks(SubTransactionId sub, SubTransactionId parent);

}  // namespace datahike::am
