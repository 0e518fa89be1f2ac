// Row versions that an index has no entry for. An index serves all branches and commits, but where
// its expressions or predicate may raise errors they are not evaluated for row versions that are
// live on no branch: heap evaluates them for the rows there are, and CREATE INDEX must not fail for
// one that was deleted. Nor has a btree index entries for such row versions whose key is too large
// for it. Those rows are recorded for the index (datahike.index_omissions), for they can be seen
// all the same: by an older snapshot, in an old commit, on a branch made from one. A view that sees
// any of them
//   - does not use that index: neither is a plan made with it, nor is one carried out;
//   - takes no new row where the index is to keep it unique (0A000), until REINDEX.
#pragma once

#include <memory>

#include "am/fetch.h"
#include "tree/rowid_set.h"

namespace datahike::am {

// Whether evaluating the index's columns or predicate may depend on the row in whether it succeeds.
// Plain PostgreSQL code.
bool may_raise_errors(const IndexInfo* info);
// Whether a row's key may be too large for the index, which heap finds out when a row has one.
bool may_have_large_keys(Relation index);
bool is_too_large(Relation index, Datum* values, bool* isnull);
// Whether the index is of a kind that can lack rows. Plain PostgreSQL code.
bool may_lack_rows(Relation index);
// Replaces what is recorded for the index. REQUIRES: it has just been built, with a lock on it.
void record_omitted_rows(Oid index, const tree::RowidSet& rows);
// nullptr: none.
std::shared_ptr<const tree::RowidSet> omitted_rows(Oid index);

// Whether the index has an entry for each row that the view sees and that should have one.
bool serves_view(Oid index, const TableView& view);
// For the planner: the same for what the session's settings say is read now.
bool serves_settings(Relation table, Oid index);
// For a plan that reads the index: throws 0A000 where it was made for another view.
void refuse_incomplete_index(Relation table, Relation index, Snapshot snapshot);
// Before a row is added to a branch, also in place of another.
void refuse_unchecked_uniqueness(Relation table, const RelationInfo& info, TablePending& pending);

void register_omission_callbacks();

}  // namespace datahike::am
