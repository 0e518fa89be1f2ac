#include "am/fetch.h"

#include "am/dead_rows.h"
#include "am/prepared.h"
#include "am/rewrite.h"
#include "am/row_locks.h"
#include "am/rowids.h"
#include "am/slot.h"
#include "pg/bridge.h"
#include "pg/store.h"
#include "versioning/collected.h"
#include "versioning/named_view.h"

namespace datahike::am {

namespace {

using versioning::View;

TableView make_view(const View& view, const RelationInfo& info, CommandId command) {
  if (view.pinned || view.computed_from) versioning::require_kept(view, info.table);
  return {view, &view.overlay->table(info.table), info.table, command, info.floor};
}

}  // namespace

bool TableView::sees(uint64_t rowid) const {
  if (TablePending* own = pending()) {
    if (PendingRow row = find_pending_row(*own, rowid))
      return own_row_visible(*own, *row.run, rowid, command);
    if (own_cleared(*own, command) || own_removed(*own, rowid, command)) return false;
  }
  return rowid >= floor && view.overlay->is_live(*table, rowid, view.limit);
}

TableView latest_table_view(const RelationInfo& info, int32_t branch) {
  return make_view(versioning::latest_view(branch), info, InvalidCommandId);
}

TableView table_view_of_branch(const RelationInfo& info, int32_t branch, Snapshot snapshot) {
  return make_view(versioning::branch_view(branch, snapshot), info, InvalidCommandId);
}

TableView table_view_in(const RelationInfo& info, const View& view) {
  return make_view(view, info, InvalidCommandId);
}

TableView table_view(const RelationInfo& info, Snapshot snapshot) {
  switch (snapshot->snapshot_type) {
    case SNAPSHOT_MVCC: {
      TableView view = make_view(versioning::view_for(snapshot), info, snapshot->curcid);
      if (!view.view.pinned && !view.view.committed)
        view.set_aside = set_aside_by_rewrite(info.table, view.view.branch);
      return view;
    }
    case SNAPSHOT_SELF:
    case SNAPSHOT_ANY:
    case SNAPSHOT_DIRTY:
    case SNAPSHOT_NON_VACUUMABLE: {
      const versioning::SessionView& session = versioning::session_view();
      if (session.pinned && ActiveSnapshotSet())
        return make_view(versioning::view_for(GetActiveSnapshot()), info, InvalidCommandId);
      return latest_table_view(info, session.branch);
    }
    default:
      throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                         "datahike tables cannot be read with this type of snapshot");
  }
}

bool fetch_row(const TableView& view, Relation relation, const RelationInfo& info, uint64_t rowid,
               TupleTableSlot* slot) {
  if (TablePending* own = view.pending()) {
    if (PendingRow row = find_pending_row(*own, rowid)) {
      const PendingRun& run = *row.run;
      if (run.places.empty()) {
        if (run.columns)
          store_pending_row(slot, relation, info, rowid, *run.shape, *run.columns,
                            static_cast<uint32_t>(row.index));
        else
          store_pending_row(slot, relation, info, rowid, run.tuples[row.index]);
        mark_own(slot, run.xid, run.cid);
        return true;
      }
      uint32_t at;
      store::SegmentReader segment = read_spilled(*own, run, row.index, &at);
      store_segment_row(slot, relation, info, rowid, segment, at, false);
      slot_getallattrs(slot);  // the part may leave its cache
      reinterpret_cast<Slot*>(slot)->xmin = run.xid;
      reinterpret_cast<Slot*>(slot)->cmin = run.cid;
      reinterpret_cast<Slot*>(slot)->table = 0;
      return true;
    }
  }
  auto found = versioning::find_row(view.view, *view.table, view.table_id, rowid);
  if (!found) return false;
  store_segment_row(slot, relation, info, rowid, found->segment, found->row, found->in_store);
  return true;
}

namespace {

// A trigger's row. What it asks would be answered by what the session reads, which is not what it
// has written.
void refuse_own_row_of_read_only(uint64_t table, uint64_t rowid) {
  if (!has_pending_of(table)) return;
  versioning::SessionView now = versioning::current_settings();
  TablePending* own = now.pinned_by ? find_pending(now.branch, table) : nullptr;
  if (own && (find_pending_row(*own, rowid) || own->removed.count(rowid)))
    refuse_check_on_other_branch();
}

}  // namespace

bool fetch_any(Relation relation, const RelationInfo& info, uint64_t rowid, TupleTableSlot* slot) {
  refuse_own_row_of_read_only(info.table, rowid);
  if (ActiveSnapshotSet() && IsMVCCSnapshot(GetActiveSnapshot())) {
    TableView view = table_view(info, GetActiveSnapshot());
    if (fetch_row(view, relation, info, rowid, slot)) return true;
  }
  // Committed after the active snapshot was taken, perhaps folded since.
  if (store::Environment* env = pg::try_store()) env->refresh();
  int32_t branch = versioning::session_view().branch;
  if (fetch_row(latest_table_view(info, branch), relation, info, rowid, slot)) return true;
  for (int32_t other : versioning::named_branches())
    if (fetch_row(latest_table_view(info, other), relation, info, rowid, slot)) return true;
  refuse_row_of_other_branch(branch, info.table);
  return false;
}

bool is_dead_on_locked_branch(int32_t branch, uint64_t rowid) {
  return has_locked(branch) && is_known_dead(branch, rowid);
}

// The order is what makes one pass exact: first the shared tables, then the snapshot, then the
// view. A transaction found there is still running; one that is not found any more has ended before
// the snapshot is taken, and the view contains it.
bool sees_dirty(const RelationInfo& info, uint64_t rowid, Snapshot snapshot) {
  snapshot->xmin = snapshot->xmax = InvalidTransactionId;
  snapshot->speculativeToken = 0;
  int32_t branch = versioning::session_view().branch;
  if (is_dead_on_locked_branch(branch, rowid)) return false;
  restore_prepared();
  TablePending* own = find_pending(branch, info.table);
  if (own) {
    if (PendingRow row = find_pending_row(*own, rowid))
      return own_row_visible(*own, *row.run, rowid, InvalidCommandId);
    if (own->cleared || own_removed(*own, rowid, InvalidCommandId)) return false;
  }
  RunningInsert insert;
  if (pg::call([&] { return find_running_insert(rowid, &insert); })) {
    if (insert.branch != branch) return false;  // of no concern to this branch
    snapshot->xmin = insert.xid;
    if (insert.speculative) snapshot->speculativeToken = insert.token;
    return true;
  }
  TransactionId remover = pg::call([=] { return find_running_remover(branch, rowid); });
  TableView view = latest_table_view(info, branch);
  if (!view.sees(rowid)) {
    // Removed on this branch: never live again here, unless the branch is reset.
    if (has_locked(branch) && versioning::find_lineage(view.view, info.table, rowid))
      remember_dead(branch, rowid);
    return false;
  }
  snapshot->xmax = remover;
  return true;
}

uint64_t entity_of(const TableView& view, uint64_t rowid) {
  if (TablePending* own = view.pending())
    if (PendingRow row = find_pending_row(*own, rowid)) {
      if (row.run->places.empty()) return row.run->entity(row.index);
      uint32_t at;
      return read_spilled(*own, *row.run, row.index, &at).entity(at);
    }
  auto found = versioning::find_row(view.view, *view.table, view.table_id, rowid);
  return found ? found->segment.entity(found->row) : rowid;
}

}  // namespace datahike::am
