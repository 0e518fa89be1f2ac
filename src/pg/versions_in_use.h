// Which rows of the extension's own tables some snapshot in use may see, deleted ones included:
// what keeps history from being collected.
#pragma once

#include <vector>

#include "pg/pg.h"
#include "store/environment.h"

namespace datahike::pg {

// Calls visit(tuple, descriptor, state) for every tuple of a table of the extension that is not
// dead to all, with what HeapTupleSatisfiesVacuum() says of it.
template <class Visit>
void for_each_version(Oid table, TransactionId oldest_xmin, Visit&& visit) {
  Relation rel = table_open(table, AccessShareLock);
  TupleTableSlot* slot = table_slot_create(rel, nullptr);
  TableScanDesc scan = table_beginscan(rel, SnapshotAny, 0, nullptr);
  while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
    auto* in_buffer = reinterpret_cast<BufferHeapTupleTableSlot*>(slot);
    LockBuffer(in_buffer->buffer, BUFFER_LOCK_SHARE);
    HTSV_Result state =
        HeapTupleSatisfiesVacuum(in_buffer->base.tuple, oldest_xmin, in_buffer->buffer);
    LockBuffer(in_buffer->buffer, BUFFER_LOCK_UNLOCK);
    if (state != HEAPTUPLE_DEAD) visit(in_buffer->base.tuple, RelationGetDescr(rel), state);
  }
  table_endscan(scan);
  ExecDropSingleTupleTableSlot(slot);
  table_close(rel, AccessShareLock);
}

// Every transaction below it has ended for all snapshots.
TransactionId oldest_xmin();
// The oldest commit that a branch or tag is being made from, or a branch being set to, by a
// transaction that has not ended: that of a prepared one has no pin any more. UINT64_MAX: none.
uint64_t oldest_uncommitted_name(TransactionId xmin);

// A commit that counts beside the branches' newest ones.
struct OtherName {
  store::Uuid commit;
  uint64_t tx;
  bool always;  // else while a commit of its line is at or above the horizon
};

// Tags; and where branches stood before they were set to another commit, which counts as a deleted
// branch does, or as the branch itself while a snapshot does not see the reset.
std::vector<OtherName> other_names(TransactionId xmin);

// Ids of branches that have a name in some snapshot that is in use, ascending.
std::vector<int32_t> branches_named_to_anyone(TransactionId xmin);

}  // namespace datahike::pg
