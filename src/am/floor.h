// The floor of a table: row versions with lower rowids do not exist for it, on no branch and in no
// commit. It is what empties an UNLOGGED table after a crash, whose rows the log and the store have
// all the same.
//
// The floor is on the first page of the table's main fork:
//   page header, special space: magic:u64 floor:u64
// Of a permanent table the page may be missing: the floor is 0. Of an unlogged table PostgreSQL
// replaces the main fork after a crash by the init fork, which is empty: without the page all rows
// there have been are lost. The first row inserted afterwards puts the floor between them and
// itself: rowids are never handed out twice, so every rowid from before the crash is below the
// first one of the server's present run, and every later one is not. No transaction is needed for
// that, for it changes what exists by nothing. The page goes through shared buffers and without
// WAL, as those of unlogged tables do: a checkpoint writes it, the shutdown's at the latest.
#pragma once

#include "pg/pg.h"

namespace datahike::am {

inline constexpr uint64_t kAllLost = UINT64_MAX;

// All of these may raise a PostgreSQL error.
// kAllLost: an unlogged table after a crash.
uint64_t read_floor(Relation relation);
// Before the first row is inserted into a table all of whose rows are lost.
void begin_after_crash(Relation relation);
// Gives a new file the floor of the table that it is for.
void carry_floor(Relation from, Relation to);
void make_file(const RelFileNode* node, char persistence, uint64_t floor);
void copy_file_to(Relation relation, const RelFileNode* node);  // SET TABLESPACE

}  // namespace datahike::am
