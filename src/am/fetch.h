// Which row versions a snapshot sees, and fetching one by rowid.
#pragma once

#include "am/pending.h"
#include "am/relation.h"
#include "pg/pg.h"
#include "versioning/view.h"

namespace datahike::am {

// A table as one snapshot sees it.
struct TableView {
  versioning::View view;
  versioning::TableOverlay* table = nullptr;
  uint64_t table_id = 0;
  CommandId command = InvalidCommandId;  // own changes before it are seen; invalid: all
  uint64_t floor = 0;                    // see floor.h

  TablePending* set_aside = nullptr;  // own changes as they were before a rewrite began

  // Own changes; looked up anew, for they may go with a subtransaction.
  TablePending* pending() const {
    if (set_aside) return set_aside;
    return view.pinned || view.committed ? nullptr : find_pending(view.branch, table_id);
  }
  bool sees(uint64_t rowid) const;
};

// For MVCC and SELF snapshots (and ANY: the newest state). Errors: 0A000 for others.
TableView table_view(const RelationInfo& info, Snapshot snapshot);
TableView latest_table_view(const RelationInfo& info, int32_t branch);
// The table in a view of the caller's choice, say of a commit.
TableView table_view_in(const RelationInfo& info, const versioning::View& view);
// A branch's committed state, whatever the session's settings.
TableView table_view_of_branch(const RelationInfo& info, int32_t branch, Snapshot snapshot);

// Puts the row version into the slot, whatever its visibility. False if there is none.
bool fetch_row(const TableView& view, Relation relation, const RelationInfo& info, uint64_t rowid,
               TupleTableSlot* slot);
// The same for SnapshotAny: looks further where the view does not have it.
bool fetch_any(Relation relation, const RelationInfo& info, uint64_t rowid, TupleTableSlot* slot);

// A unique check's look at a row: sets the snapshot's xmin, xmax and speculativeToken as
// HeapTupleSatisfiesDirty does. True: visible, or being inserted.
bool sees_dirty(const RelationInfo& info, uint64_t rowid, Snapshot snapshot);

// Whether it is known, without a look, that the row is dead on the branch for as long as this
// transaction has the branch's lock; false where it has not.
bool is_dead_on_locked_branch(int32_t branch, uint64_t rowid);

// Identity of the row's entity: the rowid of its first version.
uint64_t entity_of(const TableView& view, uint64_t rowid);

}  // namespace datahike::am
