// Inserting rows: a rowid, values as they are stored, a place among this transaction's pending
// rows.
#include "am/callbacks.h"

#include "am/compress.h"
#include "am/fetch.h"
#include "am/flatten.h"
#include "am/floor.h"
#include "am/merge_rows.h"
#include "am/omitted_rows.h"
#include "am/pending_columns.h"
#include "am/rewrite.h"
#include "am/rowid_blocks.h"
#include "am/rowids.h"
#include "am/slot.h"
#include "am/serializable.h"
#include "pg/bridge.h"
#include "pg/catalog.h"

namespace datahike::am {

MinimalTuple flatten(Relation relation, TupleTableSlot* slot, const RelationInfo& info) {
  Datum* values = stored_values(relation, slot, info);
  MemoryContext old = MemoryContextSwitchTo(pending_memory());
  MinimalTuple tuple = heap_form_minimal_tuple(slot->tts_tupleDescriptor, values, slot->tts_isnull);
  MemoryContextSwitchTo(old);
  free_stored(slot, info, values);
  return tuple;
}

namespace {

// The first row that REFRESH MATERIALIZED VIEW or ALTER TABLE ... SET ACCESS METHOD datahike
// writes: what was there on the branch goes, for the commands that follow.
void begin_rewrite(TablePending& pending, Relation relation, const RelationInfo& info) {
  Oid owner = relation->rd_rel->relrewrite;
  uint64_t table = info.table;
  uint64_t horizon = pg::call([=] {
    Relation old = table_open(owner, NoLock);
    // What the store has from before the table was a heap table may be of other types.
    uint64_t first = old->rd_tableam != relation->rd_tableam ? begin_block(table) : 0;
    if (first > 0) pg::set_horizon(owner, first);
    table_close(old, NoLock);
    return first;
  });
  clear_table(pending, pg::call([] { return GetCurrentCommandId(true); }));
  pending.rewritten_by = RelationGetRelid(relation);
  pending.first_rowid = horizon;
}

TablePending& writable(Relation relation, const RelationInfo& info, const char* what) {
  const versioning::SessionView& session = versioning::session_view();
  versioning::require_writable(session, what);
  bool rewrite = is_rewrite_target(relation);
  TablePending& pending =
      pending_for(relation, info, session.branch, rewrite ? Purpose::Replace : Purpose::Change);
  if (!rewrite) {
    refuse_unchecked_uniqueness(relation, info, pending);
    pending.fired_triggers = true;
  } else if (pending.rewritten_by != RelationGetRelid(relation)) {
    begin_rewrite(pending, relation, info);
  }
  if (info.floor == kAllLost)
    pg::call([=] {
      begin_after_crash(relation);
      relation_info(relation);  // reads the floor anew
    });
  serializable_insert(relation, info, session.branch);
  return pending;
}

// As many as the cache of a core holds while their values are gone through.
constexpr int kMostRowsAtOnce = 32;
constexpr int kFewestRowsAtOnce = 4;

void mark_inserted(Relation relation, const RelationInfo& info, TupleTableSlot* slot,
                   uint64_t rowid, CommandId cid) {
  slot->tts_tableOid = RelationGetRelid(relation);
  slot->tts_tid = to_tid(info.tid_base, rowid);
  mark_written_now(slot, cid, false);
}

uint64_t insert_row(TablePending& pending, Relation relation, const RelationInfo& info,
                    TupleTableSlot* slot, CommandId cid, const RewrittenRow& rewritten = {}) {
  uint64_t least = std::max({info.horizon, pending.first_rowid, rewritten.first_rowid});
  uint64_t rowid = next_rowid(info.table, pending.branch, least);
  note_serializable_rowid(info.table, pending.branch, rowid);
  const RelationInfo* i = &info;
  TupleDesc desc = RelationGetDescr(relation);
  PendingRun* columns = info.publishes_rows || rewritten.entity != 0
                            ? nullptr
                            : columns_for(pending, rowid, 1, cid, info, desc);
  if (columns) {
    Datum* values = pg::call([=] { return stored_values(relation, slot, *i); });
    append_row(*columns, values, slot->tts_isnull, 0);
    pg::call([=] { free_stored(slot, *i, values); });
  } else {
    MinimalTuple tuple = pg::call([=] { return flatten(relation, slot, *i); });
    if (info.publishes_rows) pg::call([=] { publish_row(rowid, tuple); });
    add_pending_row(pending, rowid, tuple, rewritten.entity, cid, info, desc);
  }
  mark_inserted(relation, info, slot, rowid, cid);
  return rowid;
}

// The rows of the slots from the first on that can be added at once: how many, or 0.
int insert_rows(TablePending& pending, Relation relation, const RelationInfo& info,
                TupleTableSlot** slots, int count, CommandId cid) {
  if (info.publishes_rows || count < kFewestRowsAtOnce) return 0;
  const RelationInfo* i = &info;
  const size_t room = bytes_in_last_run(pending);
  const auto most = static_cast<uint32_t>(std::min(count, kMostRowsAtOnce));
  uint64_t rows = pg::call([=] { return flat_slots(slots, most, *i, room); });
  if (rows == 0) return 0;
  rows = std::min(rows, rows_in_last_run(pending));
  uint64_t least = std::max(info.horizon, pending.first_rowid);
  uint64_t first = next_rowids(info.table, pending.branch, least, &rows);
  for (uint64_t row = 0; row < rows; ++row)
    note_serializable_rowid(info.table, pending.branch, first + row);
  TupleDesc desc = RelationGetDescr(relation);
  PendingRun* run = columns_for(pending, first, static_cast<uint64_t>(count), cid, info, desc);
  if (run) {
    append_rows(*run, slots, static_cast<uint32_t>(rows));
  } else {
    for (uint64_t row = 0; row < rows; ++row) {
      TupleTableSlot* slot = slots[row];
      MinimalTuple tuple = pg::call([=] { return flatten(relation, slot, *i); });
      add_pending_row(pending, first + row, tuple, 0, cid, info, desc);
    }
  }
  for (uint64_t row = 0; row < rows; ++row)
    mark_inserted(relation, info, slots[row], first + row, cid);
  return static_cast<int>(rows);
}

}  // namespace

void tuple_insert(Relation relation, TupleTableSlot* slot, CommandId cid, int,
                  BulkInsertStateData*) {
  pg::guard([=] {
    const RelationInfo& info = relation_info(relation);
    RewrittenRow rewritten;
    if (is_rewrite_target(relation))
      rewritten = place_of_rewritten_row(RelationGetRelid(relation), info);
    TablePending& pending =
        rewritten.pending ? *rewritten.pending : writable(relation, info, "INSERT");
    insert_row(pending, relation, info, slot, cid, rewritten);
  });
  pgstat_count_heap_insert(relation, 1);
}

void multi_insert(Relation relation, TupleTableSlot** slots, int count, CommandId cid, int,
                  BulkInsertStateData*) {
  pg::guard([=] {
    const RelationInfo& info = relation_info(relation);
    TablePending& pending = writable(relation, info, "INSERT");
    for (int i = 0; i < count;) {
      int added = insert_rows(pending, relation, info, slots + i, count - i, cid);
      if (added == 0) insert_row(pending, relation, info, slots[i], cid);
      i += std::max(added, 1);
    }
  });
  pgstat_count_heap_insert(relation, count);
}

void tuple_insert_speculative(Relation relation, TupleTableSlot* slot, CommandId cid, int,
                              BulkInsertStateData*, uint32 token) {
  pg::guard([=] {
    const RelationInfo& info = relation_info(relation);
    TablePending& pending = writable(relation, info, "INSERT");
    uint64_t rowid = insert_row(pending, relation, info, slot, cid);
    pg::call([=] { set_speculative(rowid, token); });
  });
  pgstat_count_heap_insert(relation, 1);
}

void tuple_complete_speculative(Relation relation, TupleTableSlot* slot, uint32, bool succeeded) {
  pg::guard([=] {
    const RelationInfo& info = relation_info(relation);
    uint64_t rowid = to_rowid(info.tid_base, slot->tts_tid);
    if (!succeeded) {
      mark_hole(rowid, 1);
      drop_pending_row(pending_for(relation, info, versioning::session_view().branch), rowid);
    }
    pg::call([=] { clear_speculative(rowid); });
  });
}

void insert_merged_row(Relation relation, TupleTableSlot* slot, uint64_t entity, uint64_t replaced,
                       CommandId cid) {
  pg::guard([=] {
    const RelationInfo& info = relation_info(relation);
    TablePending& pending = writable(relation, info, "merge");
    uint64_t rowid = insert_row(pending, relation, info, slot, cid, {nullptr, entity, 0});
    // Not undone by a subtransaction: whoever inserts the row once more, sets it once more.
    if (replaced != 0) pending.removed.at(replaced).successor = rowid;
  });
}

// A rewrite that wrote no row has emptied the table all the same.
void finish_bulk_insert(Relation relation, int) {
  if (!is_rewrite_target(relation)) return;
  pg::guard([=] {
    const RelationInfo& info = relation_info(relation);
    if (finish_rewrite(RelationGetRelid(relation))) return;
    writable(relation, info, "INSERT");
  });
}

}  // namespace datahike::am
