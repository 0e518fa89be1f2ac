// UPDATE, DELETE and row locks. A removed row keeps its content; who waited for the remover follows
// its lineage to the newest version.
#include "am/callbacks.h"

#include "am/columns_differ.h"
#include "am/fetch.h"
#include "am/flatten.h"
#include "am/index_entries.h"
#include "am/merge_rows.h"
#include "am/omitted_rows.h"
#include "am/pending.h"
#include "am/row_locks.h"
#include "am/rowids.h"
#include "am/slot.h"
#include "am/serializable.h"
#include "pg/bridge.h"
#include "pg/reflog.h"

namespace datahike::am {

bool columns_differ(Relation relation, IndexAttrBitmapKind kind, TupleTableSlot* before,
                    TupleTableSlot* after) {
  Bitmapset* columns = RelationGetIndexAttrBitmap(relation, kind);
  bool differ = false;
  int i = -1;
  while (!differ && (i = bms_next_member(columns, i)) >= 0) {
    auto attnum = static_cast<AttrNumber>(i + FirstLowInvalidHeapAttributeNumber);
    if (attnum <= 0) {  // an index over the whole row
      differ = true;
      break;
    }
    bool null_before, null_after;
    Datum a = slot_getattr(before, attnum, &null_before);
    Datum b = slot_getattr(after, attnum, &null_after);
    FormData_pg_attribute* att = TupleDescAttr(RelationGetDescr(relation), attnum - 1);
    differ = null_before != null_after ||
             (!null_before && !datum_image_eq(a, b, att->attbyval, att->attlen));
  }
  bms_free(columns);
  return differ;
}

namespace {

// The heavyweight lock that queues waiters fairly for each row lock mode, as in heapam.
LOCKMODE queue_mode(LockTupleMode mode) {
  switch (mode) {
    case LockTupleKeyShare:
      return AccessShareLock;
    case LockTupleShare:
      return RowShareLock;
    case LockTupleNoKeyExclusive:
      return ExclusiveLock;
    default:
      return AccessExclusiveLock;
  }
}

struct Target {
  Relation relation;
  const RelationInfo* info;
  int32_t branch;
  uint64_t rowid;
  uint64_t entity;
  ItemPointerData tid;
  CommandId cid;
};

// Where waiters for an entity queue: branches of their own beside each other, the first at the
// entity's own place. Two that meet there by chance only wait a little longer.
ItemPointerData queue_of(const Target& t) {
  uint64_t shift = static_cast<uint64_t>(t.branch - 1) * 0x9e3779b97f4a7c15u;
  return to_tid(kNoTidBase, (t.entity + shift) % kMostTids);
}

// How a lock is to be taken.
struct Request {
  LockTupleMode mode;
  LockWaitPolicy policy;
  XLTW_Oper why;
};

// Waits for a conflicting holder, or says that it would have to. True: try again. Waiters queue at
// the entity; not so who has a weaker lock already, for those in the queue may wait for that one.
bool wait_for(const Target& t, const RowLockConflict& conflict, const Request& request,
              bool* queued) {
  const Target* target = &t;
  ItemPointerData queue = queue_of(t);
  return pg::call([=] {
    ItemPointerData at = queue, tid = target->tid;
    switch (request.policy) {
      case LockWaitBlock:
        if (!*queued && !conflict.holds_some) {
          LockTuple(target->relation, &at, queue_mode(request.mode));
          *queued = true;
        }
        XactLockTableWait(conflict.xid, target->relation, &tid, request.why);
        return true;
      case LockWaitSkip:
        return ConditionalXactLockTableWait(conflict.xid);
      case LockWaitError:
        if (!ConditionalXactLockTableWait(conflict.xid))
          ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
                          errmsg("could not obtain lock on row in relation \"%s\"",
                                 RelationGetRelationName(target->relation))));
        return true;
    }
    return true;
  });
}

// Takes the entity's lock. False: LockWaitSkip, and it is taken.
bool acquire(const Target& t, const Request& request, bool* is_new) {
  bool queued = false;
  *is_new = false;
  const Target* target = &t;
  for (;;) {
    RowLockConflict conflict{};
    RowLockResult result = pg::call(
        [&] { return try_lock_row(target->branch, target->entity, request.mode, &conflict); });
    if (result != RowLockResult::Conflict) {
      *is_new = result == RowLockResult::Acquired;
      if (*is_new) remember_row_lock(t.branch, t.entity, request.mode);
      break;
    }
    if (!wait_for(t, conflict, request, &queued)) return false;
  }
  if (queued) {
    ItemPointerData queue = queue_of(t);
    pg::call([=] {
      ItemPointerData at = queue;
      UnlockTuple(target->relation, &at, queue_mode(request.mode));
    });
  }
  return true;
}

// A row that is gone without a trace went with a reset of the branch. After a fast-forward there
// may be a newer version of it, which has come about on another branch.
void refuse_after_fast_forward(int32_t branch) {
  if (!pg::fast_forwarded_since(branch, GetActiveSnapshot())) return;
  throw pg::SqlError(ERRCODE_T_R_SERIALIZATION_FAILURE,
                     "could not serialize access: the branch has been fast-forwarded",
                     "Retry the transaction.");
}

// The same for a row that a rewrite has given another rowid.
void refuse_after_rewrite(const Target& t, const TableView& latest, Snapshot snapshot) {
  if (!rows_have_moved(latest, snapshot)) return;
  Oid table = RelationGetRelid(t.relation);
  pg::call([=] { raise_rows_have_moved(table); });
}

// What became of a committed row that is no longer live.
TM_Result superseded(const Target& t, const TableView& latest, TM_FailureData* failure) {
  auto lineage = versioning::find_lineage(latest.view, t.info->table, t.rowid);
  if (!lineage && ActiveSnapshotSet()) {
    refuse_after_fast_forward(t.branch);
    refuse_after_rewrite(t, latest, GetActiveSnapshot());
  }
  failure->ctid = t.tid;
  failure->xmax = lineage ? static_cast<TransactionId>(lineage->xid) : InvalidTransactionId;
  failure->cmax = InvalidCommandId;
  if (!lineage || lineage->successor == 0) return TM_Deleted;
  if (lineage->successor == store::kMovedPartition) {
    ItemPointerSetMovedPartitions(&failure->ctid);
    return TM_Updated;
  }
  failure->ctid = to_tid(t.info->tid_base, lineage->successor);
  return TM_Updated;
}

// How this transaction's own doings bear on the row. TM_Ok: they do not, `*own_row` says whether
// the row is its own.
TM_Result check_own(const Target& t, TM_FailureData* failure, bool* own_row) {
  *own_row = false;
  TablePending* own = find_pending(t.branch, t.info->table);
  if (!own) return TM_Ok;
  PendingRow row = find_pending_row(*own, t.rowid);
  *own_row = static_cast<bool>(row);
  if (row && row.run->cid >= t.cid) return TM_Invisible;
  auto removal = own->removed.find(t.rowid);
  if (removal == own->removed.end()) return row || !own->cleared ? TM_Ok : TM_Deleted;
  failure->ctid = t.tid;
  failure->xmax = GetTopTransactionId();
  failure->cmax = removal->second.cid;
  return removal->second.cid >= t.cid ? TM_SelfModified : TM_Invisible;
}

// Whether the row version that took the place of a committed one has the same key.
bool same_key(const Target& t, uint64_t before, uint64_t after) {
  Relation relation = t.relation;
  TupleTableSlot* slots[2];
  TupleTableSlot** made = slots;
  pg::call([=] {
    made[0] = table_slot_create(relation, nullptr);
    made[1] = table_slot_create(relation, nullptr);
  });
  TableView view = latest_table_view(*t.info, t.branch);
  bool found = fetch_row(view, relation, *t.info, before, slots[0]) &&
               fetch_row(view, relation, *t.info, after, slots[1]);
  return pg::call([=] {
    bool same = found && !columns_differ(relation, INDEX_ATTR_BITMAP_KEY, made[0], made[1]);
    ExecDropSingleTupleTableSlot(made[0]);
    ExecDropSingleTupleTableSlot(made[1]);
    return same;
  });
}

// A key share lock is content with a version that has been updated since, as long as its key stands
// in the live version: foreign keys refer to the key alone.
bool key_still_stands(const Target& t, const TableView& latest) {
  uint64_t at = t.rowid;
  for (;;) {
    auto lineage = versioning::find_lineage(latest.view, t.info->table, at);
    if (!lineage || lineage->successor <= store::kMovedPartition) return false;
    if (!same_key(t, at, lineage->successor)) return false;
    at = lineage->successor;
    if (latest.view.overlay->is_live(*latest.table, at, latest.view.limit)) return true;
  }
}

// The row version that this transaction locked last, other than by changing it; a version that
// takes the place of a locked one has its lock.
struct LastLock {
  TransactionId xid = InvalidTransactionId;
  int32_t branch = 0;
  uint64_t rowid = 0;
  bool is(const Target& t) const {
    return TransactionIdIsCurrentTransactionId(xid) && branch == t.branch && rowid == t.rowid;
  }
};
LastLock last_lock;

// Locks the row and decides whether it may be changed. `*was_locked`: this transaction had a lock
// on the version already.
TM_Result lock_live_row(const Target& t, const Request& request, TM_FailureData* failure,
                        bool* was_locked) {
  *was_locked = last_lock.is(t);
  bool own_row;
  TM_Result own = check_own(t, failure, &own_row);
  // Nobody else knows an entity that this transaction has made.
  if (own != TM_Ok || (own_row && t.entity == t.rowid)) return own;
  bool is_new;
  if (!acquire(t, request, &is_new)) return TM_WouldBlock;
  if (own_row) return TM_Ok;
  *was_locked |= !is_new;
  // Liveness comes from a snapshot taken after the lock, also after one got at once: the
  // statement's own may be older than the last holder's commit.
  TableView latest = latest_table_view(*t.info, t.branch);
  if (latest.view.overlay->is_live(*latest.table, t.rowid, latest.view.limit)) return TM_Ok;
  if (request.mode == LockTupleKeyShare && key_still_stands(t, latest)) return TM_Ok;
  // The lock stays: it is the newest version's too, and others may be waiting for this transaction
  // by now. PostgreSQL locks the newest version next in any case.
  return superseded(t, latest, failure);
}

Target target_of(Relation relation, ItemPointer tid, CommandId cid, const char* what,
                 Purpose purpose = Purpose::Change) {
  const versioning::SessionView& session = versioning::session_view();
  versioning::require_writable(session, what);
  const RelationInfo& info = relation_info(relation);
  pending_for(relation, info, session.branch, purpose);  // takes the branch's and the log's locks
  uint64_t rowid = to_rowid(info.tid_base, *tid);
  uint64_t entity = entity_of(latest_table_view(info, session.branch), rowid);
  return {relation, &info, session.branch, rowid, entity, *tid, cid};
}

bool hidden_from(const Target& t, Snapshot crosscheck, TM_FailureData* failure) {
  if (crosscheck == InvalidSnapshot) return false;
  TableView view = table_view(*t.info, crosscheck);
  if (view.sees(t.rowid)) return false;
  refuse_after_rewrite(t, view, crosscheck);
  failure->ctid = t.tid;
  failure->xmax = InvalidTransactionId;
  failure->cmax = InvalidCommandId;
  return true;
}

}  // namespace

TM_Result tuple_delete(Relation relation, ItemPointer tid, CommandId cid, Snapshot,
                       Snapshot crosscheck, bool wait, TM_FailureData* failure,
                       bool changing_part) {
  TM_Result result = pg::guard([=] {
    Target t = target_of(relation, tid, cid, "DELETE");
    LockWaitPolicy policy = wait ? LockWaitBlock : LockWaitSkip;
    bool was_locked;
    TM_Result locked =
        lock_live_row(t, {LockTupleExclusive, policy, XLTW_Delete}, failure, &was_locked);
    if (locked == TM_WouldBlock) return TM_BeingModified;
    if (locked != TM_Ok) return locked;
    if (hidden_from(t, crosscheck, failure)) return TM_Updated;
    remove_row(pending_for(relation, *t.info, t.branch), t.rowid, cid,
               changing_part ? store::kMovedPartition : 0, changing_part);
    serializable_remove(relation, *t.info, t.branch, t.rowid);
    return TM_Ok;
  });
  if (result == TM_Ok) pgstat_count_heap_delete(relation);
  return result;
}

bool remove_merged_row(Relation relation, uint64_t rowid, bool key_changes, CommandId cid) {
  return pg::guard([=] {
    ItemPointerData tid = to_tid(relation_info(relation).tid_base, rowid);
    Target t = target_of(relation, &tid, cid, "merge");
    LockTupleMode mode = key_changes ? LockTupleExclusive : LockTupleNoKeyExclusive;
    TM_FailureData failure;
    bool was_locked;
    if (lock_live_row(t, {mode, LockWaitBlock, XLTW_Update}, &failure, &was_locked) != TM_Ok)
      return false;
    remove_row(pending_for(relation, *t.info, t.branch), t.rowid, cid, 0, false);
    serializable_remove(relation, *t.info, t.branch, t.rowid);
    return true;
  });
}

namespace {

// The version that is to be replaced, to compare the new one with. False: there is none.
bool fetch_old(const Target& t, TupleTableSlot* slot) {
  TableView view = latest_table_view(*t.info, t.branch);
  return fetch_row(view, t.relation, *t.info, t.rowid, slot);
}

TM_Result update_row(const Target& t, TupleTableSlot* before, TupleTableSlot* slot,
                     Snapshot crosscheck, bool wait, TM_FailureData* failure,
                     LockTupleMode* lockmode) {
  const Target* target = &t;
  bool found = fetch_old(t, before);
  bool key_changes = pg::call([=] {
    return !found || columns_differ(target->relation, INDEX_ATTR_BITMAP_KEY, before, slot);
  });
  *lockmode = key_changes ? LockTupleExclusive : LockTupleNoKeyExclusive;
  LockWaitPolicy policy = wait ? LockWaitBlock : LockWaitSkip;
  bool was_locked;
  TM_Result locked = lock_live_row(t, {*lockmode, policy, XLTW_Update}, failure, &was_locked);
  if (locked == TM_WouldBlock) return TM_BeingModified;
  if (locked != TM_Ok) return locked;
  if (hidden_from(t, crosscheck, failure)) return TM_Updated;
  TablePending& pending = pending_for(t.relation, *t.info, t.branch);
  refuse_unchecked_uniqueness(t.relation, *t.info, pending);
  uint64_t rowid = next_rowid(t.info->table, t.branch, t.info->horizon);
  note_serializable_rowid(t.info->table, t.branch, rowid);
  MinimalTuple tuple = pg::call([=] { return flatten(target->relation, slot, *target->info); });
  if (t.info->publishes_rows) pg::call([=] { publish_row(rowid, tuple); });
  add_pending_row(pending, rowid, tuple, t.entity, t.cid, *t.info, RelationGetDescr(t.relation));
  remove_row(pending, t.rowid, t.cid, rowid, false);
  serializable_remove(t.relation, *t.info, t.branch, t.rowid);
  slot->tts_tableOid = RelationGetRelid(t.relation);
  slot->tts_tid = to_tid(t.info->tid_base, rowid);
  mark_written_now(slot, t.cid, was_locked);
  if (was_locked) last_lock = {GetCurrentTransactionId(), t.branch, rowid};
  return TM_Ok;
}

}  // namespace

TM_Result tuple_update(Relation relation, ItemPointer tid, TupleTableSlot* slot, CommandId cid,
                       Snapshot, Snapshot crosscheck, bool wait, TM_FailureData* failure,
                       LockTupleMode* lockmode, bool* update_indexes) {
  *update_indexes = false;
  TM_Result result = pg::guard([=] {
    Target t = target_of(relation, tid, cid, "UPDATE");
    TupleTableSlot* before = pg::call([=] { return table_slot_create(relation, nullptr); });
    TM_Result done = update_row(t, before, slot, crosscheck, wait, failure, lockmode);
    uint64_t stamp = t.info->stamp;
    // A new rowid needs an entry in every index: made here where that is simple, else by the
    // executor.
    pg::call([=] {
      if (done == TM_Ok && relation->rd_rel->relhasindex)
        *update_indexes = !insert_unchanged_entries(relation, stamp, before, slot);
      ExecDropSingleTupleTableSlot(before);
    });
    return done;
  });
  if (result == TM_Ok) pgstat_count_heap_update(relation, false);
  return result;
}

namespace {

[[noreturn]] void moved_to_another_partition() {
  throw pg::SqlError(ERRCODE_T_R_SERIALIZATION_FAILURE,
                     "tuple to be locked was already moved to another partition due to concurrent "
                     "update");
}

// Where a chain of versions that others began goes on with this transaction's own, the target
// becomes the last of those. What the command itself, or a function it called, has made is not to
// be locked: TM_SelfModified, with the command that made it.
TM_Result follow_own(Target* t, TM_FailureData* failure) {
  TablePending* own = find_pending(t->branch, t->info->table);
  if (!own) return TM_Ok;
  uint64_t first = t->rowid;
  for (auto r = own->removed.find(t->rowid); r != own->removed.end();
       r = own->removed.find(t->rowid)) {
    if (r->second.moved_partition) moved_to_another_partition();
    if (r->second.successor == 0) return TM_Deleted;
    t->rowid = r->second.successor;
    t->tid = to_tid(t->info->tid_base, t->rowid);
  }
  PendingRow row = find_pending_row(*own, t->rowid);
  if (t->rowid == first || !row || row.run->cid < t->cid) return TM_Ok;
  failure->xmax = GetTopTransactionId();
  failure->cmax = row.run->cid;
  return TM_SelfModified;
}

}  // namespace

TM_Result tuple_lock(Relation relation, ItemPointer tid, Snapshot, TupleTableSlot* slot,
                     CommandId cid, LockTupleMode mode, LockWaitPolicy policy, uint8 flags,
                     TM_FailureData* failure) {
  failure->traversed = false;
  return pg::guard([=] {
    for (;;) {
      Target t = target_of(relation, tid, cid, "lock rows", Purpose::Lock);
      if (failure->traversed) {
        TM_Result own = follow_own(&t, failure);
        *tid = t.tid;
        if (own != TM_Ok) return own;
      }
      bool was_locked;
      TM_Result result = lock_live_row(t, {mode, policy, XLTW_Lock}, failure, &was_locked);
      if (result == TM_Updated && (flags & TUPLE_LOCK_FLAG_FIND_LAST_VERSION)) {
        if (ItemPointerIndicatesMovedPartitions(&failure->ctid)) moved_to_another_partition();
        *tid = failure->ctid;
        failure->traversed = true;
        continue;
      }
      if (result == TM_Ok) last_lock = {GetCurrentTransactionId(), t.branch, t.rowid};
      if (result == TM_Ok || result == TM_Invisible || result == TM_SelfModified)
        fetch_any(relation, *t.info, t.rowid, slot);
      return result;
    }
  });
}

}  // namespace datahike::am
