// The slot of datahike tables: a row in a segment, whose columns are decoded when they are asked
// for, or values of one's own (as in a virtual slot).
#pragma once

#include "am/relation.h"
#include "am/slot_columns.h"
#include "pg/pg.h"
#include "store/segment.h"

namespace datahike::store {
struct SegmentColumns;
}

namespace datahike::am {

class RowFilter;
struct Shape;

// Memory for decoded by-reference values: the newest block; each begins with a pointer to the one
// before it. When the slot is cleared all blocks but the newest are freed.
struct SlotArena {
  char* block;
  size_t size, used;
};

struct Slot {
  VirtualTupleTableSlot base;
  // Where the columns that are not decoded yet come from; table 0 = all of them are values already.
  uint64_t table;
  uint64_t rowid;
  store::SegmentReader segment;
  uint32_t row;
  bool in_store;  // the segment points into the map: valid for `generation` only
  uint64_t generation;
  bool owned;          // by-reference values are the slot's own memory
  RelationInfo* info;  // the slot's own copy: the relation cache may drop its entry
  SlotColumns columns;
  SlotArena arena;
  TransactionId xmin;  // invalid: not asked for yet
  TransactionId xmax;  // invalid: whoever is removing the row at the moment of asking
  CommandId cmin;
  RowFilter* filter;  // of the scans that fill it; nullptr: none
};

extern const TupleTableSlotOps slot_operations;
inline bool is_datahike_slot(const TupleTableSlot* slot) {
  return slot->tts_ops == &slot_operations;
}

// Puts a row version into the slot. `xid` is the transaction that wrote it.
void store_segment_row(TupleTableSlot* slot, Relation relation, const RelationInfo& info,
                       uint64_t rowid, const store::SegmentReader& segment, uint32_t row,
                       bool in_store);
// What RETURNING shows of a row that the current (sub)transaction has just written.
void mark_written_now(TupleTableSlot* slot, CommandId cid, bool was_locked);
// Puts a row of this transaction into the slot, a tuple or a row of columns: its values are copied.
void store_pending_row(TupleTableSlot* slot, Relation relation, const RelationInfo& info,
                       uint64_t rowid, MinimalTuple tuple);
void store_pending_row(TupleTableSlot* slot, Relation relation, const RelationInfo& info,
                       uint64_t rowid, const Shape& shape, const store::SegmentColumns& columns,
                       uint32_t row);
// Such a row's writer.
void mark_own(TupleTableSlot* slot, TransactionId xmin, CommandId cmin);

}  // namespace datahike::am
