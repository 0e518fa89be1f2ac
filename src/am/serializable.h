// SERIALIZABLE: what PostgreSQL's serializable snapshot isolation (predicate.c) has to be told.
//
// A reader and a writer that do not see each other conflict if the one reads what the other
// changes, whichever comes first. Each does two things, in this order:
//   the reader takes its SIREAD lock, then looks for writers that its snapshot does not see;
//   the writer makes itself known, then looks for SIREAD locks.
// Each of the four happens under a lock in shared memory. So if the reader has missed the writer,
// the writer made itself known after that look, hence looks after the SIREAD lock was taken and
// finds it. What makes a writer known: its removals of rows (row_locks.h; once it has ended the
// newest view's lineage), and a table of serializable writers for what has no other trace: the
// ranges of rowids they inserted, and that they wrote to the table at all.
//
// The whole of a table on one branch is locked as a page that no row lies on, one for each branch,
// and a row by its rowid, moved by a distance of the branch's own: so sessions on different
// branches do not conflict, but for index pages, which are locked by the index's own access method,
// and for locks that PostgreSQL has merged into one of the relation. All functions may raise 40001,
// and do nothing outside SERIALIZABLE, but for those about rows that move.
#pragma once

#include "am/fetch.h"

namespace datahike::am {

// A scan of all rows begins.
void serializable_scan(Relation relation, const TableView& view, Snapshot snapshot);
// A scan by rowid has come to a row version. Where the view shows others than live ones (history),
// whose versions are more than the row's lock stands for, all rows are read.
void serializable_fetch(Relation relation, const TableView& view, Snapshot snapshot, uint64_t rowid,
                        bool visible);

// Before rows are inserted.
void serializable_insert(Relation relation, const RelationInfo& info, int32_t branch);
// A rowid was given to a new row version. Before any index entry has it.
void note_serializable_rowid(uint64_t table, int32_t branch, uint64_t rowid);
// The row version is to be removed. REQUIRES: begin_removal().
void serializable_remove(Relation relation, const RelationInfo& info, int32_t branch,
                         uint64_t rowid);
// All rows are to be removed. PostgreSQL looks for SIREAD locks itself.
void note_serializable_clear(uint64_t table, int32_t branch);

// CLUSTER and ALTER TABLE give rows other rowids, under which they are changed from then on: older
// snapshots have the ones from before. Who sees those cannot change the rows, nor be told who does:
// serializable_scan() and serializable_fetch() raise 40001 (decision 158). Under REPEATABLE READ,
// too, where the transaction itself has moved what it must not see.
// The transaction is about to do that. REQUIRES: the lock on the table that nobody reads beside.
void note_moved_rows(uint64_t table, int32_t branch);
// Whether another transaction has, which the snapshot does not see, on the view's branch.
bool rows_have_moved(const TableView& view, Snapshot snapshot);
// 40001. Plain PostgreSQL code.
[[noreturn]] void raise_rows_have_moved(Oid table);
// Of a transaction that was prepared before the server started.
void restore_moved_rows(uint64_t table, int32_t branch, TransactionId xid);

// Whether index entries for a new version of a row whose indexed columns stay as they were are to
// be made without looking for SIREAD locks on the index pages. They say nothing new to whoever read
// those: who saw the version before has locked that, who did not see it is in conflict with whoever
// inserted it. Heap makes no such entries (HOT). Counts: PostgreSQL lets it be done a few times in
// a transaction only (serializable_pause.h), later ones just raise 40001 more often.
bool hides_unchanged_entries();
// What a transaction that was prepared before the server started wrote of a table: rowids from
// `first` to `end`, or with end = 0 something. Of any isolation level: only serializable ones
// count.
void restore_serializable_change(uint64_t table, int32_t branch, TransactionId xid, uint64_t first,
                                 uint64_t end);

void end_serializable();  // at the end of the transaction

}  // namespace datahike::am
