// Index scans' access to rows: liveness by the scan's snapshot, content by rowid.
#include "am/callbacks.h"

#include "am/fetch.h"
#include "am/horizon.h"
#include "am/prepared.h"
#include "am/rowless.h"
#include "am/rowless_search.h"
#include "am/rowids.h"
#include "am/sample.h"
#include "am/serializable.h"
#include "am/slot.h"
#include "pg/bridge.h"
#include "pg/catalog.h"

namespace datahike::am {

namespace {

// palloc'd; owns nothing. The view of an MVCC snapshot is computed once and kept.
struct IndexFetch {
  IndexFetchTableData base;
  TableView view;
  Snapshot snapshot;
  CommandId command;
  TransactionId xmax;
  bool has_view;
};

IndexFetch* as_fetch(IndexFetchTableData* scan) { return reinterpret_cast<IndexFetch*>(scan); }

// Unique checks call with a lock on an index page: nothing is left to lock or open then.
TableView& view_of(IndexFetch* fetch, const RelationInfo& info, Snapshot snapshot) {
  bool same = fetch->has_view && snapshot->snapshot_type == SNAPSHOT_MVCC &&
              fetch->snapshot == snapshot && fetch->command == snapshot->curcid &&
              fetch->xmax == snapshot->xmax;
  if (!same) {
    fetch->view = table_view(info, snapshot);
    if (snapshot->snapshot_type == SNAPSHOT_MVCC) refuse_index(fetch->base.rel, fetch->view, info);
    fetch->snapshot = snapshot;
    fetch->command = snapshot->curcid;
    fetch->xmax = snapshot->xmax;
    fetch->has_view = true;
  }
  return fetch->view;
}

bool fetch_for_dirty(const RelationInfo& info, Relation relation, uint64_t rowid, Snapshot snapshot,
                     TupleTableSlot* slot) {
  if (!sees_dirty(info, rowid, snapshot)) return false;
  TableView view = latest_table_view(info, versioning::session_view().branch);
  if (fetch_row(view, relation, info, rowid, slot)) return true;
  // Being inserted elsewhere. Its content is published where a constraint may ask for it; a unique
  // btree does not.
  MinimalTuple published = pg::call([=] { return find_published_row(rowid); });
  if (published) {
    store_pending_row(slot, relation, info, rowid, published);
    mark_own(slot, snapshot->xmin, FirstCommandId);
    pfree(published);
    return true;
  }
  // That of a transaction prepared before the server started is in its log rows only.
  if (info.publishes_rows && TransactionIdIsValid(snapshot->xmin) &&
      fetch_prepared_row(relation, info, versioning::session_view().branch, snapshot->xmin, rowid,
                         slot))
    return true;
  ExecStoreAllNullTuple(slot);
  slot->tts_tid = to_tid(info.tid_base, rowid);
  slot->tts_tableOid = RelationGetRelid(relation);
  return true;
}

}  // namespace

IndexFetchTableData* index_fetch_begin(Relation relation) {
  auto* fetch = static_cast<IndexFetch*>(palloc0(sizeof(IndexFetch)));
  fetch->base.rel = relation;
  versioning::begin_using_views();
  return &fetch->base;
}

void index_fetch_reset(IndexFetchTableData*) {}

void index_fetch_end(IndexFetchTableData* scan) {
  versioning::end_using_views();
  pfree(scan);
}

bool index_fetch_tuple(IndexFetchTableData* scan, ItemPointer tid, Snapshot snapshot,
                       TupleTableSlot* slot, bool* call_again, bool* all_dead) {
  *call_again = false;
  bool found = pg::guard([=] {
    IndexFetch* fetch = as_fetch(scan);
    const RelationInfo& info = relation_info(scan->rel);
    uint64_t rowid = to_rowid(info.tid_base, *tid);
    // Keys that are updated often leave long tails of dead entries: nothing to be done for one.
    if (snapshot->snapshot_type == SNAPSHOT_DIRTY &&
        is_dead_on_locked_branch(versioning::session_view().branch, rowid)) {
      snapshot->xmin = snapshot->xmax = InvalidTransactionId;
      snapshot->speculativeToken = 0;
      return false;
    }
    if (snapshot->snapshot_type == SNAPSHOT_DIRTY)
      return fetch_for_dirty(info, scan->rel, rowid, snapshot, slot);
    if (snapshot->snapshot_type == SNAPSHOT_ANY) return fetch_any(scan->rel, info, rowid, slot);
    TableView& view = view_of(fetch, info, snapshot);
    bool visible = view.sees(rowid);
    serializable_fetch(scan->rel, view, snapshot, rowid, visible);
    return visible && fetch_row(view, scan->rel, info, rowid, slot);
  });
  // The index hides an entry that is dead from everybody: whatever branch or commit they read.
  if (all_dead) {
    bool scans = snapshot->snapshot_type == SNAPSHOT_MVCC;  // else a page may be locked
    *all_dead = !found && pg::guard([=] {
      const RelationInfo& info = relation_info(scan->rel);
      uint64_t rowid = to_rowid(info.tid_base, *tid);
      if (is_dead_entry(info.table, rowid)) return true;
      if (scans) suspect_entry(info, rowid);
      return false;
    });
    if (*all_dead && scans) note_dead_entry_met();
  }
  return found;
}

bool fetch_row_version(Relation relation, ItemPointer tid, Snapshot snapshot,
                       TupleTableSlot* slot) {
  return pg::guard([=] {
    if (!is_rowid(*tid)) return false;
    const RelationInfo& info = relation_info(relation);
    uint64_t rowid = to_rowid(info.tid_base, *tid);
    if (snapshot->snapshot_type == SNAPSHOT_ANY) return fetch_any(relation, info, rowid, slot);
    if (snapshot->snapshot_type == SNAPSHOT_DIRTY)
      return fetch_for_dirty(info, relation, rowid, snapshot, slot);
    TableView view = table_view(info, snapshot);
    bool visible = view.sees(rowid);
    serializable_fetch(relation, view, snapshot, rowid, visible);
    return visible && fetch_row(view, relation, info, rowid, slot);
  });
}

bool tuple_satisfies_snapshot(Relation relation, TupleTableSlot* slot, Snapshot snapshot) {
  return pg::guard([=] {
    const RelationInfo& info = relation_info(relation);
    uint64_t rowid = to_rowid(info.tid_base, slot->tts_tid);
    if (snapshot->snapshot_type == SNAPSHOT_DIRTY) return sees_dirty(info, rowid, snapshot);
    if (snapshot->snapshot_type == SNAPSHOT_ANY) return true;
    TableView view = table_view(info, snapshot);
    if (!IsolationUsesXactSnapshot()) return view.sees(rowid);
    // ON CONFLICT asks for the row that it has met, and fails if that is not visible.
    TablePending* own = view.pending();
    PendingRow row = own ? find_pending_row(*own, rowid) : PendingRow();
    bool own_move = row && own->moved_unseen && row.run->cid <= own->cleared_cid;
    bool sees = view.sees(rowid);
    if (own_move || (!sees && !row && rows_have_moved(view, snapshot)))
      pg::call([=] { raise_rows_have_moved(RelationGetRelid(relation)); });
    return sees;
  });
}

// No TID is one of an empty table. A row that is there answers it without counting them all, which
// would make as many look-ups by TID as there are changes in the transaction quadratic.
bool tuple_tid_valid(TableScanDesc scan, ItemPointer tid) {
  if (!ItemPointerIsValid(tid) || !is_rowid(*tid)) return false;
  return pg::guard([=] {
    const RelationInfo& info = relation_info(scan->rs_rd);
    TableView view = table_view(info, scan->rs_snapshot);
    if (view.sees(to_rowid(info.tid_base, *tid))) return true;
    view.table->complete();  // of a computed table the number of rows is a guess before
    return count_rows(view) > 0;
  });
}

// Follows a row to its newest version that the scan's snapshot sees.
void get_latest_tid(TableScanDesc scan, ItemPointer tid) {
  pg::guard([=] {
    const RelationInfo& info = relation_info(scan->rs_rd);
    TableView view = table_view(info, scan->rs_snapshot);
    uint64_t rowid = to_rowid(info.tid_base, *tid);
    while (!view.sees(rowid)) {
      TablePending* own = view.pending();
      auto removal = own ? own->removed.find(rowid) : decltype(own->removed.end()){};
      if (own && removal != own->removed.end()) {
        if (removal->second.successor <= store::kMovedPartition) return;
        rowid = removal->second.successor;
        continue;
      }
      auto next = versioning::find_lineage(view.view, info.table, rowid);
      if (!next || next->successor <= store::kMovedPartition) return;
      rowid = next->successor;
    }
    *tid = to_tid(info.tid_base, rowid);
  });
}

}  // namespace datahike::am
