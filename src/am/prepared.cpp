// What datahike.prepared holds of a prepared transaction, in rows of about 1 MB:
//
// locks   := section*
// section := kind:u8 branch:varint table:varint ranges:varint range*
//            kind: 0..3 row locks of this LockTupleMode; 4 removals; 5..7 inserts; 8 a table that
//            has been changed, 9 and its rows moved. table: 0 for kinds 0..4
// range   := gap:varint (count - 1):varint     ids: entities if locked, rowids if removed
//            gap: from the end of the section's previous range (0 before the first).
//            Of inserts: what the transaction has taken of a chunk of 64, 4 096 or 65 536 rowids
//            for kinds 5, 6 and 7, up to the chunk's end. Of a table: one range, of no meaning.
#include "am/prepared.h"

#include "am/pending.h"
#include "am/row_locks.h"
#include "am/rowid_blocks.h"
#include "am/rowids.h"
#include "am/serializable.h"
#include "am/slot.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/log.h"
#include "pg/prepared_rows.h"
#include "pg/shared.h"
#include "pg/worker.h"

extern "C" {
#include "access/subtrans.h"
#include "access/twophase.h"
}

namespace datahike::am {

namespace {

constexpr uint8_t kRemovalKind = 4, kInsertKind = 5, kTableKind = 8, kMovedKind = 9, kKinds = 10;
constexpr size_t kRowBytes = 1 << 20;

struct Held {
  uint8_t kind;
  int32_t branch;
  uint64_t table, first, count;
  auto operator<=>(const Held&) const = default;
};

std::vector<Held> collect() {
  std::vector<Held> held;
  for (const PendingLock& lock : pending_locks())
    held.push_back({lock.removal ? kRemovalKind : static_cast<uint8_t>(lock.mode), lock.branch, 0,
                    lock.first, lock.count});
  for (const InsertChunk& chunk : own_insert_chunks())
    held.push_back({static_cast<uint8_t>(kInsertKind + chunk.size), chunk.branch, chunk.table,
                    chunk.first, chunk.end - chunk.first});
  for (const TablePending* table : pending_tables())
    held.push_back({table->moved ? kMovedKind : kTableKind, table->branch, table->table, 0, 1});
  std::sort(held.begin(), held.end());
  return held;
}

// Joins what is adjacent, but for chunks: each has its own end.
void join(std::vector<Held>& held) {
  size_t last = 0;
  for (size_t i = 1; i < held.size(); ++i) {
    Held& before = held[last];
    const Held& h = held[i];
    bool same = h.kind == before.kind && h.branch == before.branch && h.kind < kInsertKind;
    uint64_t end = before.first + before.count;
    if (same && h.first <= end)  // or locked by several subtransactions
      before.count = std::max(end, h.first + h.count) - before.first;
    else
      held[++last] = h;
  }
  if (!held.empty()) held.resize(last + 1);
}

// Writes held[at...] while they belong to one section and the row has room; returns the next.
size_t write_section(const std::vector<Held>& held, size_t at, Bytes& out) {
  const Held& start = held[at];
  Bytes ranges;
  ByteWriter writer(ranges);
  uint64_t end = 0, count = 0;
  for (; at < held.size() && ranges.size() < kRowBytes; ++at, ++count) {
    const Held& h = held[at];
    if (std::tie(h.kind, h.branch, h.table) != std::tie(start.kind, start.branch, start.table))
      break;
    writer.varint(h.first - end);
    writer.varint(h.count - 1);
    end = h.first + h.count;
  }
  ByteWriter section(out);
  section.fixed(start.kind);
  section.varint(static_cast<uint32_t>(start.branch));
  section.varint(start.table);
  section.varint(count);
  section.raw(ranges);
  return at;
}

void restore_one(const Held& h, TransactionId xid) {
  if (h.kind == kMovedKind) return restore_moved_rows(h.table, h.branch, xid);
  if (h.kind == kTableKind) {
    restore_serializable_change(h.table, h.branch, xid, 0, 0);
    return;
  }
  if (h.kind >= kInsertKind) {
    restore_insert(h.table, h.first, h.kind - kInsertKind, h.branch, xid);
    restore_serializable_change(h.table, h.branch, xid, h.first, h.first + h.count);
    return;
  }
  if (h.kind == kRemovalKind)
    restore_removals(h.branch, h.first, h.count, xid);
  else
    restore_row_locks(h.branch, h.first, h.count, static_cast<LockTupleMode>(h.kind), xid);
}

void restore_row(uint64_t wide, ByteView locks) {
  auto xid = static_cast<TransactionId>(wide);
  ByteReader in(locks, "datahike.prepared");
  while (in.left() > 0) {
    Held h{};
    h.kind = in.fixed<uint8_t>();
    h.branch = static_cast<int32_t>(in.varint());
    h.table = in.varint();
    if (h.kind >= kKinds) throw CorruptError("datahike.prepared: unknown kind of lock");
    uint64_t end = 0;
    for (uint64_t left = in.varint(); left > 0; --left) {
      h.first = end + in.varint();
      h.count = in.varint() + 1;
      pg::call([=] { restore_one(h, xid); });
      end = h.first + h.count;
    }
  }
}

void restore_all() {
  pg::visit_prepared_rows([](uint64_t xid, ByteView locks) {
    pg::call([=] { register_prepared(static_cast<TransactionId>(xid)); });
    restore_row(xid, locks);
  });
}

bool is_under(const store::SegmentPlace& place, uint64_t rowid) {
  return rowid - place.first_rowid < place.rows;
}

}  // namespace

void write_prepared_locks() {
  pg::call([] {
    TransactionId xid = GetTopTransactionIdIfAny();
    if (mark_begun_blocks(xid)) register_prepared(xid);
  });
  if (!has_row_locks()) return;
  std::vector<Held> held = collect();
  if (held.empty()) return;
  join(held);
  uint64_t xid = pg::widen_xid(GetTopTransactionId());
  Bytes row;
  for (size_t at = 0; at < held.size();) {
    at = write_section(held, at, row);
    if (row.size() < kRowBytes && at < held.size()) continue;
    pg::write_prepared_row(xid, row);
    row.clear();
  }
  pg::call([] { register_prepared(GetTopTransactionId()); });
}

void leave_prepared() {
  leave_pending();
  leave_inserts();
}

void restore_prepared() {
  static bool done = false;
  if (done) return;
  pg::WorkerSlot* slot = pg::worker_slot();
  if (max_prepared_xacts > 0 && !(slot && slot->restored)) {
    pg::call([] { pg::lock_prepared_rows(); });
    if (!(slot && slot->restored)) restore_all();
    if (slot) slot->restored = true;
    pg::call([] { pg::unlock_prepared_rows(); });
  }
  done = true;
}

void restore_before_commit_prepared() {
  bool free = pg::call([] {
    for (int tries = 0; tries < 50; ++tries) {
      if (ConditionalLockRelationOid(pg::extension().prepared, AccessShareLock)) return true;
      CHECK_FOR_INTERRUPTS();
      pg_usleep(20000);
    }
    return false;
  });
  if (free) restore_prepared();
}

// Only an end that has been noticed before the tables are walked makes the mark go.
void sweep_prepared() {
  pg::WorkerSlot* slot = pg::worker_slot();
  if (slot && slot->left) {
    slot->left = false;
    pg_memory_barrier();
    pg::call([=] {
      bool more;
      bool ended = forget_ended_prepared(&more);
      if (more) slot->left = true;
      if (!ended) return;
      sweep_row_locks();
      sweep_inserts();
      sweep_begun_blocks();
    });
  }
}

bool fetch_prepared_row(Relation relation, const RelationInfo& info, int32_t branch,
                        TransactionId xid, uint64_t rowid, TupleTableSlot* slot) {
  uint64_t top = pg::widen_xid(pg::call([=] { return SubTransGetTopmostTransaction(xid); }));
  for (pg::LogRow& row : pg::read_log_of(branch, top, SnapshotAny)) {
    if (row.kind != 'd') continue;
    store::Delta delta = store::decode_delta(row.delta);
    for (const store::TableDelta& table : delta.tables) {
      if (table.table != info.table) continue;
      for (const store::SegmentPlace& place : table.segments) {
        if (!is_under(place, rowid)) continue;
        std::optional<Bytes> part;
        if (place.part == row.part && !row.rows.empty())
          part = std::move(row.rows);
        else
          part = pg::read_log_part(branch, top, place.part, SnapshotAny);
        if (!part || place.offset + place.length > part->size()) return false;
        store::SegmentReader segment(ByteView(*part).subspan(place.offset, place.length));
        auto at = static_cast<uint32_t>(rowid - place.first_rowid);
        store_segment_row(slot, relation, info, rowid, segment, at, false);
        pg::call([=] { slot_getallattrs(slot); });  // the part goes with this frame
        return true;
      }
    }
  }
  return false;
}

}  // namespace datahike::am
