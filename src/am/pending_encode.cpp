// Pending rows as segments, and the transaction's rows of the log.
#include "am/pending.h"
#include "am/segment_writer.h"
#include "am/shared_changes.h"
#include "am/spilling.h"
#include "pg/bridge.h"
#include "pg/log.h"
#include "pg/settings.h"
#include "pg/shared.h"
#include "versioning/overlay.h"
#include "versioning/own_resets.h"
#include "versioning/view.h"

namespace datahike::am {

uint64_t own_xid() {
  return pg::widen_xid(pg::call([] { return GetTopTransactionId(); }));
}

pg::LogRow new_log_row(uint32_t part, char kind) {
  pg::LogRow row;
  row.xid = own_xid();
  row.part = part;
  row.kind = kind;
  row.lsn = GetXLogInsertRecPtr();
  row.time = GetCurrentTimestamp();
  if (kind != 'd') return row;
  const char* author = pg::setting_author;
  if (!author || !*author)
    author = pg::call([] { return GetUserNameFromId(GetSessionUserId(), true); });
  row.author = author ? author : "";
  row.message = pg::setting_message ? pg::setting_message : "";
  return row;
}

namespace {

constexpr size_t kPartBytes = 1 << 20;
// Of values of a run: less may share a segment with its neighbours.
constexpr size_t kSegmentOfItsOwn = store::kSegmentTargetBytes / 4;

// The part that is being filled: rows of several segments, written when large enough.
struct Part {
  int32_t branch;
  uint32_t number;
  Bytes rows;

  void write_if_full() {
    if (rows.size() < kPartBytes) return;
    pg::LogRow row = new_log_row(number, 'r');
    row.rows = std::move(rows);
    pg::write_log_row(branch, row);
    rows.clear();
    number = take_part_number(branch);
  }
};

// A spilled run some of whose rows were removed again: what is left of it is encoded anew.
void rewrite_spilled(const TablePending& table, const PendingRun& run, SegmentWriter& writer) {
  for (uint64_t i = 0; i < run.count; ++i) {
    if (own_removed(table, run.first + i, InvalidCommandId)) continue;
    uint32_t row;
    store::SegmentReader segment = read_spilled(table, run, i, &row);
    writer.add(segment, row);
  }
}

bool any_removed(const TablePending& table, const PendingRun& run) {
  if (table.removed.empty()) return false;
  for (uint64_t i = 0; i < run.count; ++i)
    if (table.removed.count(run.first + i)) return true;
  return false;
}

void add_range(std::vector<tree::RowidRange>& ranges, uint64_t rowid, uint64_t count) {
  if (!ranges.empty() && ranges.back().first + ranges.back().count == rowid)
    ranges.back().count += count;
  else
    ranges.push_back({rowid, count});
}

// The one row that the transaction has written to the table, if that is so.
bool encode_lone_row(const TablePending& table, Part& part, store::TableDelta& delta) {
  if (table.runs.size() != 1) return false;
  const PendingRun& run = table.runs.begin()->second;
  if (run.count != 1 || run.tuples.size() != 1 || !run.places.empty() ||
      own_removed(table, run.first, InvalidCommandId))
    return false;
  const size_t before = part.rows.size();
  if (!write_lone_row(*run.shape, run.first, run.entity(0), pg::widen_xid(run.xid), run.tuples[0],
                      part.rows))
    return false;
  delta.segments.push_back({run.first, 1, part.number, before, part.rows.size() - before});
  delta.added.push_back({run.first, 1});
  part.write_if_full();
  return true;
}

void encode_rows(const TablePending& table, Part& part, store::TableDelta& delta) {
  if (encode_lone_row(table, part, delta)) return;
  std::vector<store::SegmentPlace> fresh;
  auto settle = [&] {
    for (store::SegmentPlace& p : fresh) {
      p.part = part.number;
      delta.segments.push_back(p);
      add_range(delta.added, p.first_rowid, p.rows);
    }
    fresh.clear();
    part.write_if_full();
  };
  SegmentWriter writer(part.rows, fresh);
  for (const auto& [first, run] : table.runs) {
    if (!run.places.empty() && !any_removed(table, run)) {
      writer.finish();
      settle();
      for (const store::SegmentPlace& p : run.places) {
        delta.segments.push_back(p);
        add_range(delta.added, p.first_rowid, p.rows);
      }
      continue;
    }
    if (!run.places.empty()) {
      rewrite_spilled(table, run, writer);
      continue;
    }
    uint64_t xid = pg::widen_xid(run.xid);
    pg::call([] { CHECK_FOR_INTERRUPTS(); });
    const bool alone = table.runs.size() == 1;
    if (run.columns && (alone || run.columns->raw_bytes >= kSegmentOfItsOwn) &&
        !any_removed(table, run)) {
      writer.add_all(first, *run.columns);
    } else {
      for (uint64_t i = 0; i < run.count; ++i) {
        uint64_t rowid = first + i;
        if (own_removed(table, rowid, InvalidCommandId)) continue;
        if (run.columns)
          writer.add(*run.shape, rowid, *run.columns, static_cast<uint32_t>(i));
        else
          writer.add(*run.shape, rowid, run.entity(i), xid, run.tuples[i]);
      }
    }
    if (part.rows.size() >= kPartBytes) {
      writer.finish();
      settle();
    }
  }
  writer.finish();
  settle();
}

// The version that took a removed row's place at last: rows written and removed again by this
// transaction itself are skipped.
uint64_t final_successor(TablePending& table, uint64_t rowid) {
  uint64_t at = rowid;
  while (at != 0) {
    auto removal = table.removed.find(at);
    if (removal == table.removed.end()) return at;
    at = removal->second.successor;
  }
  return 0;
}

void encode_removals(TablePending& table, store::TableDelta& delta) {
  for (const auto& [rowid, removal] : table.removed) {
    if (find_pending_row(table, rowid)) continue;  // never committed
    delta.removed.push_back({rowid, final_successor(table, removal.successor)});
  }
  std::sort(delta.removed.begin(), delta.removed.end(),
            [](const store::Removal& a, const store::Removal& b) { return a.rowid < b.rowid; });
}

bool is_recorded(const TablePending& table) {
  versioning::View view = versioning::latest_view(table.branch);
  std::optional<Bytes> recorded = versioning::recorded_schema(view, table.table);
  bool same = recorded && *recorded == table.schema;
  if (same) schema_is_recorded(table);
  return same;
}

void write_branch(int32_t branch, const std::vector<TablePending*>& tables) {
  Part part{branch, take_part_number(branch), {}};
  store::Delta delta;
  for (TablePending* table : tables) {
    store::TableDelta d;
    d.table = table->table;
    d.cleared = table->cleared;
    encode_rows(*table, part, d);
    encode_removals(*table, d);
    bool nothing = d.added.empty() && d.removed.empty() && !d.cleared;
    if (nothing) continue;  // everything was removed again
    if (!table->schema.empty() && !is_recorded(*table)) d.schema = table->schema;
    delta.tables.push_back(std::move(d));
  }
  std::vector<store::Uuid> parents = merge_parents(branch);
  bool reset = versioning::own_reset(branch, InvalidCommandId) != 0;
  if (delta.empty() && parents.empty()) {
    pg::LogRow nothing;
    nothing.xid = own_xid();
    if (reset) pg::ring_append(nothing, static_cast<uint32_t>(branch), true);
    return;
  }
  pg::LogRow row = new_log_row(part.number, 'd');
  row.parents = std::move(parents);
  store::encode_delta(delta, store::WithPlaces::Yes, row.delta);
  row.rows = std::move(part.rows);
  pg::ring_append(row, static_cast<uint32_t>(branch), reset);
  pg::write_log_row(branch, row);
}

}  // namespace

store::SegmentReader read_spilled(const TablePending& table, const PendingRun& run, uint64_t index,
                                  uint32_t* row) {
  // The parts read last; a slot copies what it takes from them.
  struct Cached {
    uint64_t xid = 0;
    int32_t branch = 0;
    uint32_t part = 0;
    Bytes rows;
  };
  static std::array<Cached, 4> cache;
  static size_t next = 0;
  uint64_t rowid = run.first + index;
  for (const store::SegmentPlace& place : run.places) {
    if (rowid - place.first_rowid >= place.rows) continue;
    *row = static_cast<uint32_t>(rowid - place.first_rowid);
    if (place.part == kSharedPart) return store::SegmentReader(shared_segment(place));
    uint64_t xid = own_xid();
    Cached* hit = nullptr;
    for (Cached& c : cache)
      if (c.xid == xid && c.branch == table.branch && c.part == place.part) hit = &c;
    if (!hit) {
      std::optional<Bytes> rows = pg::read_log_part(table.branch, xid, place.part);
      if (!rows)
        throw CorruptError("rows written earlier in this transaction are missing in the log");
      hit = &cache[next++ % cache.size()];
      *hit = {xid, table.branch, place.part, std::move(*rows)};
    }
    return store::SegmentReader(ByteView(hit->rows).subspan(place.offset, place.length));
  }
  throw CorruptError("a row written earlier in this transaction has no place in the log");
}

namespace {

bool has_deferrable_triggers(Oid relid) {
  Relation relation = table_open(relid, AccessShareLock);
  bool found = false;
  for (int i = 0; relation->trigdesc && i < relation->trigdesc->numtriggers; ++i)
    found |= relation->trigdesc->triggers[i].tgdeferrable;
  table_close(relation, NoLock);
  return found;
}

// Deferred constraints have just been checked as the settings stand now: not on another branch that
// the transaction has written.
void refuse_unchecked(const TablePending& table) {
  if (!table.fired_triggers) return;
  versioning::SessionView now = versioning::current_settings();
  if (!now.pinned_by && now.branch == table.branch) return;
  Oid relation = table.relation;
  if (!pg::call([=] { return has_deferrable_triggers(relation); })) return;
  refuse_check_on_other_branch();
}

}  // namespace

void write_pending_to_log() {
  std::map<int32_t, std::vector<TablePending*>> branches;
  for (TablePending* table : pending_tables()) {
    // A table that this transaction has dropped leaves nothing behind.
    Oid relation = table->relation;
    bool exists =
        pg::call([=] { return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)); });
    if (!exists) continue;
    refuse_unchecked(*table);
    branches[table->branch].push_back(table);
  }
  for (int32_t branch : branches_with_merge_parents()) branches[branch];
  for (int32_t branch : versioning::branches_reset()) branches[branch];
  if (branches.empty()) return;
  pg::call([] { PushActiveSnapshot(GetTransactionSnapshot()); });
  finish_spilling();
  for (auto& [branch, tables] : branches) write_branch(branch, tables);
  pg::call([] { PopActiveSnapshot(); });
  mark_written();
}

}  // namespace datahike::am
