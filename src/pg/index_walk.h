// Walks over the indexes of the extension's own tables, under a visibility test of our own.
#pragma once

#include "pg/bridge.h"

namespace datahike::pg {

// A walk over an index that calls `visit(tuple descriptor, tuple)` for
// each heap tuple; `visit` returns false to stop. Owns nothing with a destructor.
struct IndexWalk {
  Oid table, index;
  ScanKeyData keys[4];
  int key_count = 0;
  ScanDirection direction = ForwardScanDirection;

  void equals_int4(int column, int32_t v) {
    ScanKeyInit(&keys[key_count++], column, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(v));
  }
  void compare_int8(int column, StrategyNumber strategy, RegProcedure op, uint64_t v) {
    ScanKeyInit(&keys[key_count++], column, strategy, op, Int64GetDatum(static_cast<int64_t>(v)));
  }
  template <class Visit>
  void run(Snapshot snapshot, Visit&& visit) {
    Relation rel = table_open(table, AccessShareLock);
    Relation idx = index_open(index, AccessShareLock);
    TupleTableSlot* slot = table_slot_create(rel, nullptr);
    IndexScanDesc scan = index_beginscan(rel, idx, SnapshotAny, key_count, 0);
    index_rescan(scan, keys, key_count, nullptr, 0);
    while (index_getnext_slot(scan, direction, slot)) {
      auto* bslot = reinterpret_cast<BufferHeapTupleTableSlot*>(slot);
      if (!is_visible(bslot, snapshot)) continue;
      if (!visit(RelationGetDescr(rel), bslot->base.tuple)) break;
    }
    index_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
    index_close(idx, NoLock);  // locks stay to the end of the transaction
    table_close(rel, NoLock);
  }

  static bool is_visible(BufferHeapTupleTableSlot* slot, Snapshot snapshot) {
    LockBuffer(slot->buffer, BUFFER_LOCK_SHARE);
    bool visible = HeapTupleSatisfiesVisibility(slot->base.tuple, snapshot, slot->buffer);
    LockBuffer(slot->buffer, BUFFER_LOCK_UNLOCK);
    return visible;
  }
};

}  // namespace datahike::pg
