// changes  := count:varint table*
// table    := table:varint branch:varint relation:varint flags:u8 cleared-cid:varint
//             rewritten-by:varint first-rowid:varint runs:varint run* removals:varint removal*
//             flags: 1 cleared, 2 takes-rows, 4 moved-unseen
// run      := first:varint count:varint cid:varint xid:varint sub:varint kind:u8 rows
//             rows, by kind:
//               0 tuples     entities:varint entity:varint* (pad tuple)*   as many as the run has
//               1 segment    sized bytes, of all rows
//               2 spilled    places:varint place*                         in the log
// tuple    := a MinimalTuple, padded to MAXALIGN; the worker's rows are there
// place    := first:varint rows:varint part:varint offset:varint length:varint
// removal  := rowid:u64 successor:u64 cid:u32 sub:u32 moved-partition:u8
//
// Shapes are not shared: tuples are read by the table's definition, and segments have their own.
#include "am/shared_changes.h"

#include "am/pending_transaction.h"
#include "am/rewrite.h"
#include "pg/bridge.h"

namespace datahike::am {

namespace {

// What is shared, and what a worker makes of it, is memory beside that of the query.
constexpr size_t kMostSharedBytes = 32 << 20;
constexpr size_t kBytesPerRun = 192, kBytesPerRemoval = 64;  // about, in a worker

constexpr uint8_t kCleared = 1, kTakesRows = 2, kMovedUnseen = 4;
enum class Rows : uint8_t { Tuples, Segment, Spilled };

ByteView shared;  // worker

size_t shared_bytes(const PendingRun& run) {
  return kBytesPerRun + run.entities.size() * sizeof(uint64_t) +
         (run.places.empty() ? run.bytes : run.places.size() * sizeof(store::SegmentPlace));
}

// Stops counting where it is too much.
bool is_too_much(const std::vector<TablePending*>& tables) {
  size_t bytes = 0;
  for (const TablePending* table : tables) {
    bytes += table->removed.size() * kBytesPerRemoval;
    for (auto run = table->runs.begin(); run != table->runs.end() && bytes <= kMostSharedBytes;)
      bytes += shared_bytes((run++)->second);
  }
  return bytes > kMostSharedBytes;
}

void write_tuples(const PendingRun& run, ByteWriter& out, Bytes& bytes) {
  out.varint(run.entities.size());
  for (uint64_t entity : run.entities) out.varint(entity);
  for (MinimalTuple tuple : run.tuples) {
    bytes.resize(MAXALIGN(bytes.size()));
    out.raw(ByteView(reinterpret_cast<const uint8_t*>(tuple), tuple->t_len));
  }
}

void write_run(const PendingRun& run, ByteWriter& out, Bytes& bytes) {
  out.varint(run.first);
  out.varint(run.count);
  out.varint(run.cid);
  out.varint(run.xid);
  out.varint(run.sub);
  if (!run.places.empty()) {
    out.fixed(Rows::Spilled);
    out.varint(run.places.size());
    for (const store::SegmentPlace& p : run.places)
      for (uint64_t word : {p.first_rowid, uint64_t{p.rows}, uint64_t{p.part}, p.offset, p.length})
        out.varint(word);
  } else if (run.columns && run.count > 0) {
    out.fixed(Rows::Segment);
    out.sized(run.columns->encode(run.first));
  } else {
    out.fixed(Rows::Tuples);
    write_tuples(run, out, bytes);
  }
}

void write_table(const TablePending& table, Bytes& bytes) {
  ByteWriter out(bytes);
  out.varint(table.table);
  out.varint(static_cast<uint32_t>(table.branch));
  out.varint(table.relation);
  out.fixed(static_cast<uint8_t>((table.cleared ? kCleared : 0) |
                                 (table.takes_rows ? kTakesRows : 0) |
                                 (table.moved_unseen ? kMovedUnseen : 0)));
  out.varint(table.cleared_cid);
  out.varint(table.rewritten_by);
  out.varint(table.first_rowid);
  out.varint(table.runs.size());
  for (const auto& [first, run] : table.runs) {
    pg::call([] { CHECK_FOR_INTERRUPTS(); });
    write_run(run, out, bytes);
  }
  out.varint(table.removed.size());
  for (const auto& [rowid, removal] : table.removed) {
    out.fixed(rowid);
    out.fixed(removal.successor);
    out.fixed(removal.cid);
    out.fixed(removal.sub);
    out.fixed(static_cast<uint8_t>(removal.moved_partition));
  }
}

void read_tuples(ByteReader& in, PendingRun& run) {
  for (uint64_t left = in.varint(); left > 0; --left) run.entities.push_back(in.varint());
  for (uint64_t i = 0; i < run.count; ++i) {
    in.take(MAXALIGN(in.position()) - in.position());
    auto* tuple = const_cast<uint8_t*>(shared.data() + in.position());
    const auto length = in.fixed<uint32_t>();  // with itself
    in.take(length - sizeof length);
    run.tuples.push_back(reinterpret_cast<MinimalTuple>(tuple));
  }
}

void read_places(ByteReader& in, PendingRun& run) {
  for (uint64_t left = in.varint(); left > 0; --left) {
    store::SegmentPlace p;
    p.first_rowid = in.varint();
    p.rows = static_cast<uint32_t>(in.varint());
    p.part = static_cast<uint32_t>(in.varint());
    p.offset = in.varint();
    p.length = in.varint();
    run.places.push_back(p);
  }
}

void read_run(ByteReader& in, TablePending& table) {
  const uint64_t first = in.varint();
  PendingRun& run = table.runs[first];
  run.first = first;
  run.count = in.varint();
  run.cid = static_cast<CommandId>(in.varint());
  run.xid = static_cast<TransactionId>(in.varint());
  run.sub = static_cast<SubTransactionId>(in.varint());
  switch (in.fixed<Rows>()) {
    case Rows::Tuples:
      return read_tuples(in, run);
    case Rows::Spilled:
      return read_places(in, run);
    case Rows::Segment: {
      const ByteView segment = in.sized();
      const auto offset = static_cast<uint64_t>(segment.data() - shared.data());
      run.places.push_back(
          {first, static_cast<uint32_t>(run.count), kSharedPart, offset, segment.size()});
    }
  }
}

// That the transaction has superseded versions of its own is left out: workers do not decide that
// index entries are dead for good, for which the leader's savepoints would have to be known.
void read_table(ByteReader& in) {
  auto table = std::make_unique<TablePending>();
  table->table = in.varint();
  table->branch = static_cast<int32_t>(in.varint());
  table->relation = static_cast<Oid>(in.varint());
  const auto flags = in.fixed<uint8_t>();
  table->cleared = flags & kCleared;
  table->takes_rows = flags & kTakesRows;
  table->moved_unseen = flags & kMovedUnseen;
  table->cleared_cid = static_cast<CommandId>(in.varint());
  table->rewritten_by = static_cast<Oid>(in.varint());
  table->first_rowid = in.varint();
  for (uint64_t left = in.varint(); left > 0; --left) read_run(in, *table);
  uint64_t left = in.varint();
  table->removed.reserve(left);
  for (; left > 0; --left) {
    const auto rowid = in.fixed<uint64_t>();
    PendingRemoval& removal = table->removed[rowid];
    removal.successor = in.fixed<uint64_t>();
    removal.cid = in.fixed<CommandId>();
    removal.sub = in.fixed<SubTransactionId>();
    removal.moved_partition = in.fixed<uint8_t>() != 0;
  }
  const std::pair<int32_t, uint64_t> key{table->branch, table->table};
  transaction.tables[key] = std::move(table);
}

}  // namespace

dsm_segment* share_changes(const std::vector<uint64_t>* wanted) {
  // A command that rewrites a table has more to say of it, and a merge is more than its rows.
  if (any_rewrite() || !transaction.parents.empty()) return nullptr;
  std::vector<TablePending*> tables = pending_tables();
  std::erase_if(tables, [=](const TablePending* table) {
    return wanted && !std::binary_search(wanted->begin(), wanted->end(), table->table);
  });
  if (is_too_much(tables)) return nullptr;
  Bytes bytes;
  ByteWriter(bytes).varint(tables.size());
  for (const TablePending* table : tables) write_table(*table, bytes);
  const Bytes* written = &bytes;
  return pg::call([=] {
    dsm_segment* segment = dsm_create(written->size(), DSM_CREATE_NULL_IF_MAXSEGMENTS);
    if (segment) std::memcpy(dsm_segment_address(segment), written->data(), written->size());
    return segment;
  });
}

void take_shared_changes(dsm_handle handle) {
  pg::call([=] {
    dsm_segment* segment = dsm_attach(handle);
    if (!segment)
      ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                      errmsg("the leader of this parallel query has ended")));
    dsm_pin_mapping(segment);
    shared = ByteView(static_cast<const uint8_t*>(dsm_segment_address(segment)),
                      dsm_segment_map_length(segment));
  });
  ByteReader in(shared, "changes of a parallel query's leader");
  for (uint64_t left = in.varint(); left > 0; --left) read_table(in);
}

void forget_shared_changes() noexcept { transaction = Transaction(); }

ByteView shared_segment(const store::SegmentPlace& place) {
  return shared.subspan(place.offset, place.length);
}

}  // namespace datahike::am
