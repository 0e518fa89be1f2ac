#include "am/serializable.h"

#include "am/prepared.h"
#include "am/row_locks.h"
#include "pg/bridge.h"
#include "pg/shared.h"

namespace datahike::am {

namespace {

struct Key {
  Oid database;
  int32_t branch;
  uint64_t table;
};
// What a serializable transaction did to the table: first = end = 0 for something. It is of
// interest until every snapshot sees the transaction.
struct Change {
  uint64_t xid;         // the top-level transaction's; with `moved`, the subtransaction's
  uint64_t first, end;  // rowids it took; a later transaction may go on within them
  bool cleared;         // it removed all rows
  bool moved = false;   // and wrote them anew, whatever its isolation level
};
struct Entry {
  Key key;
  uint32_t count, capacity;
  dsa_pointer changes;
};
static_assert(sizeof(Key) == pg::kWriterKeySize && sizeof(Entry) == pg::kWriterEntrySize);

constexpr uint32_t kFirstCapacity = 4;
constexpr int kSweepAfter = 256;     // new entries
constexpr uint64_t kPieceRows = 64;  // an aligned piece of rowids belongs to one session

// What this transaction has made known.
struct Noted {
  bool written = false;
  uint64_t first = 0, end = 0;
};
std::map<std::pair<int32_t, uint64_t>, Noted> noted;

constexpr int kMostHiddenUpdates = 16;
int hidden_updates = 0;  // of this transaction

Change* changes_of(Entry* entry) {
  return static_cast<Change*>(dsa_get_address(pg::shared_tables().area, entry->changes));
}

// Transactions below have ended for every snapshot there is.
uint64_t horizon() { return pg::widen_xid(GetOldestNonRemovableTransactionId(nullptr)); }

void forget_before(Entry* entry, uint64_t oldest) {
  if (entry->count == 0) return;
  Change* changes = changes_of(entry);
  Change* end = std::remove_if(changes, changes + entry->count,
                               [=](const Change& c) { return c.xid < oldest; });
  entry->count = static_cast<uint32_t>(end - changes);
}

// Tables that are no longer written leave entries behind.
void sweep() {
  pg::SharedTables& tables = pg::shared_tables();
  uint64_t oldest = horizon();
  dshash_seq_status scan;
  dshash_seq_init(&scan, tables.writers, true);
  while (auto* entry = static_cast<Entry*>(dshash_seq_next(&scan))) {
    forget_before(entry, oldest);
    if (entry->count > 0) continue;
    if (entry->capacity > 0) dsa_free(tables.area, entry->changes);
    dshash_delete_current(&scan);
  }
  dshash_seq_term(&scan);
}

// REQUIRES: the entry's partition lock; an error leaves it to the transaction's abort.
void make_room(Entry* entry) {
  if (entry->count < entry->capacity) return;
  forget_before(entry, horizon());
  if (entry->count < entry->capacity / 2) return;
  dsa_area* area = pg::shared_tables().area;
  uint32_t capacity = std::max(entry->capacity * 2, kFirstCapacity);
  dsa_pointer more = dsa_allocate_extended(area, capacity * sizeof(Change), DSA_ALLOC_HUGE);
  if (entry->capacity > 0) {
    std::memcpy(dsa_get_address(area, more), changes_of(entry), entry->count * sizeof(Change));
    dsa_free(area, entry->changes);
  }
  entry->changes = more;
  entry->capacity = capacity;
}

void add_change(uint64_t table, int32_t branch, const Change& change) {
  static int made = 0;
  dshash_table* writers = pg::shared_tables().writers;
  Key key{MyDatabaseId, branch, table};
  bool found;
  auto* entry = static_cast<Entry*>(dshash_find_or_insert(writers, &key, &found));
  if (!found) {
    entry->count = entry->capacity = 0;
    ++made;
  }
  Change* last = entry->count > 0 ? changes_of(entry) + entry->count - 1 : nullptr;
  if (last && last->xid == change.xid && !last->cleared && change.end > 0 &&
      last->end == change.first) {
    last->end = change.end;
  } else {
    make_room(entry);
    changes_of(entry)[entry->count++] = change;
  }
  dshash_release_lock(writers, entry);
  if (made < kSweepAfter) return;
  made = 0;
  sweep();
}

uint64_t own_xid() { return U64FromFullTransactionId(GetTopFullTransactionId()); }

void note_writer(uint64_t table, int32_t branch) {
  Noted& n = noted[{branch, table}];
  if (n.written) return;
  pg::call([=] { add_change(table, branch, {own_xid(), 0, 0, false}); });
  n.written = true;
}

// The changes by transactions that the snapshot may not see. palloc'd; nullptr: none.
struct Unseen {
  uint32_t count = 0;
  Change* change = nullptr;
};
Unseen find_unseen(const TableView& view, Snapshot snapshot) {
  dshash_table* writers = pg::shared_tables().writers;
  uint64_t xmin = pg::widen_xid(snapshot->xmin);
  Key key{MyDatabaseId, view.view.branch, view.table_id};
  auto* entry = static_cast<Entry*>(dshash_find(writers, &key, false));
  Unseen unseen;
  if (!entry) return unseen;
  Change* changes = entry->count > 0 ? changes_of(entry) : nullptr;
  for (uint32_t i = 0; i < entry->count; ++i) {
    if (changes[i].xid < xmin) continue;
    if (!unseen.change)
      unseen.change = static_cast<Change*>(
          palloc_extended((entry->count - i) * sizeof(Change), MCXT_ALLOC_HUGE));
    unseen.change[unseen.count++] = changes[i];
  }
  dshash_release_lock(writers, entry);
  return unseen;
}

// A rewrite that has committed, and the snapshot does not see. The table's lock keeps others from
// being under way.
bool is_unseen_move(const Change& change, Snapshot snapshot) {
  auto xid = static_cast<TransactionId>(change.xid);
  return change.moved && !TransactionIdIsCurrentTransactionId(xid) &&
         XidInMVCCSnapshot(xid, snapshot) && TransactionIdDidCommit(xid);
}

// A CLUSTER of this transaction has made rows its own that its snapshot does not see.
void refuse_own_move(Relation relation, const TableView& view, Snapshot snapshot) {
  if (!IsolationUsesXactSnapshot() || !snapshot || !IsMVCCSnapshot(snapshot)) return;
  TablePending* own = view.pending();
  if (!own || !own->moved_unseen) return;
  pg::call([=] { raise_rows_have_moved(RelationGetRelid(relation)); });
}

// Who changes a row that was moved changes it under another rowid than its reader knows.
void refuse_moved_rows(Relation relation, const Unseen& unseen, Snapshot snapshot) {
  for (uint32_t i = 0; i < unseen.count; ++i)
    if (is_unseen_move(unseen.change[i], snapshot))
      raise_rows_have_moved(RelationGetRelid(relation));
}

void forget(Unseen& unseen) {
  if (unseen.change) pfree(unseen.change);
}

void conflict_out(Relation relation, uint64_t xid, Snapshot snapshot) {
  auto top = static_cast<TransactionId>(xid);
  if (XidInMVCCSnapshot(top, snapshot)) CheckForSerializableConflictOut(relation, top, snapshot);
}

// The transaction that inserted an invisible row: of those that took rowids in the same piece, the
// last one that began at or before it. If the snapshot sees that one, the row is dead.
void conflict_with_inserter(Relation relation, const Unseen& unseen, Snapshot snapshot,
                            uint64_t rowid) {
  const Change* inserter = nullptr;
  for (uint32_t i = 0; i < unseen.count; ++i) {
    const Change& c = unseen.change[i];
    if (rowid < c.first || rowid >= c.end) continue;
    if (!inserter || c.first > inserter->first) inserter = &c;
  }
  if (inserter) conflict_out(relation, inserter->xid, snapshot);
}

void conflict_with_all(Relation relation, const Unseen& unseen, Snapshot snapshot) {
  for (uint32_t i = 0; i < unseen.count; ++i)
    conflict_out(relation, unseen.change[i].xid, snapshot);
}

BlockNumber page_of(int32_t branch) { return MaxBlockNumber - static_cast<BlockNumber>(branch); }

ItemPointerData place_of(int32_t branch, uint64_t rowid) {
  uint64_t distance = static_cast<uint64_t>(branch - 1) * 0x9e3779b97f4a7c15u;
  return to_tid(kNoTidBase, (rowid + distance) % kMostTids);
}

bool is_needed(Relation relation, const TableView& view, Snapshot snapshot) {
  if (!IsolationIsSerializable() || !snapshot) return false;
  if (view.view.pinned && !view.view.to_now) return false;
  if (!pg::call([=] { return CheckForSerializableConflictOutNeeded(relation, snapshot); }))
    return false;
  restore_prepared();
  return true;
}

// Who removes, or has removed, a row that the snapshot sees. The order is that of a unique check:
// first who is running, then the newest state.
void conflict_with_remover(Relation relation, const TableView& view, const Unseen& unseen,
                           Snapshot snapshot, uint64_t rowid) {
  int32_t branch = view.view.branch;
  bool running = pg::call([=] {
    TransactionId xid = find_running_remover(branch, rowid);
    if (!TransactionIdIsValid(xid)) return false;
    conflict_out(relation, SubTransGetTopmostTransaction(xid), snapshot);
    return true;
  });
  if (running) return;
  const Unseen* changes = &unseen;
  if (IsInParallelMode()) {  // no newer snapshot is to be had
    pg::call([=] { conflict_with_all(relation, *changes, snapshot); });
    return;
  }
  const RelationInfo& info = relation_info(relation);
  TableView latest = latest_table_view(info, branch);
  if (latest.view.overlay->is_live(*latest.table, rowid, latest.view.limit)) return;
  auto lineage = versioning::find_lineage(latest.view, view.table_id, rowid);
  uint64_t remover = lineage ? lineage->xid : 0;
  pg::call([=] {
    if (remover) conflict_out(relation, remover, snapshot);
    for (uint32_t i = 0; i < changes->count; ++i)
      if (changes->change[i].cleared) conflict_out(relation, changes->change[i].xid, snapshot);
  });
}

}  // namespace

void serializable_scan(Relation relation, const TableView& view, Snapshot snapshot) {
  refuse_own_move(relation, view, snapshot);
  if (!is_needed(relation, view, snapshot)) return;
  const TableView* v = &view;
  pg::call([=] {
    PredicateLockPage(relation, page_of(v->view.branch), snapshot);
    Unseen unseen = find_unseen(*v, snapshot);
    refuse_moved_rows(relation, unseen, snapshot);
    conflict_with_all(relation, unseen, snapshot);
    forget(unseen);
  });
}

void serializable_fetch(Relation relation, const TableView& view, Snapshot snapshot, uint64_t rowid,
                        bool visible) {
  if (view.view.to_now) return serializable_scan(relation, view, snapshot);
  refuse_own_move(relation, view, snapshot);
  if (!is_needed(relation, view, snapshot)) return;
  TablePending* own = view.pending();
  if (own && find_pending_row(*own, rowid)) return;
  const TableView* v = &view;
  Unseen unseen;
  Unseen* found = &unseen;
  pg::call([=] {
    if (visible) {
      ItemPointerData place = place_of(v->view.branch, rowid);
      PredicateLockTID(relation, &place, snapshot, InvalidTransactionId);
    }
    *found = find_unseen(*v, snapshot);
    refuse_moved_rows(relation, *found, snapshot);
    if (!visible) conflict_with_inserter(relation, *found, snapshot, rowid);
  });
  if (visible && unseen.count > 0) conflict_with_remover(relation, view, unseen, snapshot, rowid);
  forget(unseen);
}

void serializable_insert(Relation relation, const RelationInfo& info, int32_t branch) {
  if (!IsolationIsSerializable()) return;
  note_writer(info.table, branch);
  pg::call([=] { CheckForSerializableConflictIn(relation, nullptr, page_of(branch)); });
}

void note_serializable_rowid(uint64_t table, int32_t branch, uint64_t rowid) {
  if (!IsolationIsSerializable()) return;
  Noted& n = noted[{branch, table}];
  if (rowid >= n.first && rowid < n.end) return;
  uint64_t end = (rowid | (kPieceRows - 1)) + 1;
  pg::call([=] { add_change(table, branch, {own_xid(), rowid, end, false}); });
  n.first = rowid;
  n.end = end;
}

void serializable_remove(Relation relation, const RelationInfo& info, int32_t branch,
                         uint64_t rowid) {
  if (!IsolationIsSerializable()) return;
  note_writer(info.table, branch);
  pg::call([=] {
    ItemPointerData place = place_of(branch, rowid);
    CheckForSerializableConflictIn(relation, &place, ItemPointerGetBlockNumber(&place));
    CheckForSerializableConflictIn(relation, nullptr, page_of(branch));
  });
}

void note_serializable_clear(uint64_t table, int32_t branch) {
  if (!IsolationIsSerializable()) return;
  pg::call([=] { add_change(table, branch, {own_xid(), 0, 0, true}); });
}

void note_moved_rows(uint64_t table, int32_t branch) {
  pg::call([=] {
    uint64_t xid = pg::widen_xid(GetCurrentTransactionId());
    add_change(table, branch, {xid, 0, 0, true, true});
    sweep();  // sessions that do nothing else come and go
  });
}

void restore_moved_rows(uint64_t table, int32_t branch, TransactionId xid) {
  add_change(table, branch, {pg::widen_xid(xid), 0, 0, true, true});
}

bool rows_have_moved(const TableView& view, Snapshot snapshot) {
  if (!IsMVCCSnapshot(snapshot)) return false;
  restore_prepared();
  const TableView* v = &view;
  return pg::call([=] {
    Unseen unseen = find_unseen(*v, snapshot);
    bool moved = false;
    for (uint32_t i = 0; i < unseen.count; ++i) moved |= is_unseen_move(unseen.change[i], snapshot);
    forget(unseen);
    return moved;
  });
}

void raise_rows_have_moved(Oid table) {
  ereport(
      ERROR,
      (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
       errmsg("could not serialize access: table \"%s\" has been rewritten", get_rel_name(table)),
       errdetail("A command such as CLUSTER wrote its rows anew after this transaction's "
                 "snapshot was taken."),
       errhint("Retry the transaction.")));
}

void restore_serializable_change(uint64_t table, int32_t branch, TransactionId xid, uint64_t first,
                                 uint64_t end) {
  // Whether it emptied the table is not known: that counts only for rows it has left dead.
  add_change(table, branch, {pg::widen_xid(xid), first, end, end == 0});
}

bool hides_unchanged_entries() {
  if (!IsolationIsSerializable() || hidden_updates == kMostHiddenUpdates) return false;
  ++hidden_updates;
  return true;
}

void end_serializable() {
  noted.clear();
  hidden_updates = 0;
}

}  // namespace datahike::am
