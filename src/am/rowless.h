// Index entries of row versions that never got a row in the store, nor will: nobody can see them,
// whatever branch or commit is read and whatever history is kept. Two kinds are known here.
//   - Rowids of (sub)transactions that this session has rolled back, and those of row versions that
//     a transaction of this session superseded itself and then committed.
//   - Of the transaction that is running, versions that it has superseded itself. That counts only
//     where no rollback to a savepoint can bring the version back, and no snapshot that this
//     session still reads with sees it: a cursor, or a query that called the function which made
//     the update.
// What other sessions have left is searched for: rowless_search.h.
#pragma once

#include "am/pending.h"

namespace datahike::am {

// Whether an index may forget the entry of this row version, by these rules or because nobody can
// read the version any more. False where that is not known. May be asked under an index page's
// lock.
bool is_dead_entry(uint64_t table, uint64_t rowid);

// A scan that is going to change the page it has read cannot mark the dead entries it met there; a
// unique check can, as it holds the page's lock. So where scans have met some the next row's
// entries are made with a check, though it is of no other use.
void note_dead_entry_met();
bool is_time_to_mark_dead_entries();

// Before the transaction takes rowids.
void note_source_of_rowids();
// The rows of a run that has been rolled back.
void remember_rolled_back(const PendingRun& run) noexcept;
// A rowid that was found to name no row.
void remember_rowless(uint64_t rowid);
// When the transaction has ended, other than by PREPARE.
void remember_rowless(TablePending& table, bool committed) noexcept;

}  // namespace datahike::am
