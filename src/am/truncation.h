// What becomes of a table's indexes when TRUNCATE empties it: they stay as they are. Their entries
// are for every row version there is, on any branch and in any commit, of which TRUNCATE takes none
// away; the rows that it removes are found dead, as those of DELETE are.
//
// PostgreSQL (ExecuteTruncateGuts) would build each index anew, from all those versions: it gives
// the table a new file and calls reindex_relation(), or empties the files in place, where the table
// or its file is the (sub)transaction's own, and builds them by the index's columns without
// expressions and predicate. Either goes by the relcache's list of the table's indexes. So within a
// TRUNCATE that list is empty, from when the access method is told to empty the table until
//   - another function than PostgreSQL's own is called: a trigger that might look at the table, or
//   - the command ends, by an error too.
// Whatever else makes PostgreSQL find the list out again has the indexes built anew.
#pragma once

#include "pg/pg.h"

namespace datahike::am {

// Around the command. Returns what leave_truncate() takes. All of these are plain PostgreSQL code.
bool enter_truncate(bool is_truncate);
void leave_truncate(bool before);
void leave_truncate_after_error(bool before);

// The table gets a new file, or is emptied in place. Outside of a TRUNCATE the indexes are
// PostgreSQL's, and those that may not be emptied in place are an error.
void keep_indexes_with_new_file(Relation table);
void keep_indexes_in_place(Relation table);

// Whether the index is being built without its expressions or its predicate: by a TRUNCATE in place
// that is no command.
bool is_built_by_dummies(Relation index, const IndexInfo* info);

void install_truncation_hooks();

}  // namespace datahike::am
