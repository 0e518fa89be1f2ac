// Commands that write a table anew. PostgreSQL makes a transient relation, scans the table, inserts
// what becomes of each row into the transient relation, and swaps the two. Here the scan returns
// the rows of every branch, one branch after the other, and what is inserted takes the place of the
// row that was returned last, on its branch.
#pragma once

#include "am/pending.h"
#include "am/row_cursor.h"

namespace datahike::am {

// What object_access_hook sees of transient relations; nothing happens for other relations.
// Errors: 0A000 where the table would lose the rows of other branches.
void rewrite_begins(Oid created);
void rewrite_ends(Oid dropped);

// The transient relation that a scan of the relation that begins now is to fill; invalid: an
// ordinary scan.
Oid take_rewrite(Relation relation);
// The next row of the scan that fills `target`. False: every branch's rows have been returned.
bool next_row_to_rewrite(Oid target, Relation relation, Snapshot snapshot,
                         std::unique_ptr<RowCursor>& cursor, TupleTableSlot* slot);

// Where a row that is inserted into a transient relation goes.
struct RewrittenRow {
  TablePending* pending = nullptr;  // nullptr: no scan of a datahike table fills the relation
  uint64_t entity = 0;
  uint64_t first_rowid = 0;  // rowids below are not to be used
};
RewrittenRow place_of_rewritten_row(Oid target, const RelationInfo& info);
// Everything has been inserted. False: no scan of a datahike table fills the relation.
bool finish_rewrite(Oid target);
void forget_rewrite(Oid target);  // the command needs no scan
bool any_rewrite();
void forget_rewrites();                            // at the end of the transaction
void forget_rewrites_since(SubTransactionId sub);  // which has been rolled back

// Functions that a rewriting command calls see the table as it was before: what the transaction had
// pending on the branch; nullptr: the table is not being rewritten, or nothing was set aside.
// Errors: 0A000 where columns change their type.
TablePending* set_aside_by_rewrite(uint64_t table, int32_t branch);
// Throws 0A000 if the table is being rewritten.
void refuse_changes_during_rewrite(Relation relation, uint64_t table);

// VACUUM FULL and CLUSTER: writes the rows of branches that were made from commits before a column
// changed its type anew, as the types are now. Errors: those of casts and constraints.
void convert_older_rows(Relation relation);
// CLUSTER: writes the rows of every branch anew, in the order of a btree index.
void sort_rows(Relation relation, Relation index);
// The branch whose rows a command is at, for messages; nullptr: none, or the session's. An error
// leaves it set.
const char* branch_in_errors();
void name_branch_in_errors(const char* branch);

// Whether the branch has rows of a datahike table, this transaction's included. The table is
// locked.
bool branch_has_rows(Oid table, int32_t branch);

}  // namespace datahike::am
