#include "versioning/overlay.h"

#include <array>

#include "versioning/present_runs.h"
#include "versioning/redacted.h"

namespace datahike::versioning {

void Overlay::apply(uint64_t xid, int32_t branch, const store::Delta& delta, uint32_t part,
                    ByteView rows) {
  uint32_t sequence = ++size_;
  LogTransaction& t = transactions_.emplace_back();
  t.xid = xid;
  t.branch = branch;
  t.part = part;
  if (!rows.empty()) {
    auto* copy = static_cast<uint8_t*>(memory_.allocate(rows.size(), 8));
    std::copy(rows.begin(), rows.end(), copy);
    t.rows = {copy, rows.size()};
    bytes_ += rows.size();
  }
  for (const store::TableDelta& table : delta.tables) apply_table(table, sequence, &t);
}

namespace {

// Where runs have been added last, by chunk of rowids. Each session writes rows with the rowids of
// a chunk that it has taken, one after another: what comes behind a run mostly comes behind the
// next one of its chunk, too, which then need not be searched a place for. std::map makes sure of
// it.
struct LastPlace {
  uint64_t overlay = 0, table = 0, chunk = 0;
  AddedRuns::iterator next;
};
constexpr size_t kLastPlaces = 256;
constexpr unsigned kChunkBits = 6;  // of the smallest chunks (am/rowids.cpp)

LastPlace& last_place(uint64_t table, uint64_t chunk) {
  static std::array<LastPlace, kLastPlaces> places;
  return places[(chunk ^ table * 0x9e3779b97f4a7c15 >> 32) % kLastPlaces];
}

// `overlay`: its serial, which no other one ever has.
void add_run(uint64_t overlay, uint64_t id, TableOverlay& table, uint64_t first,
             const AddedRun& run) {
  const uint64_t chunk = first >> kChunkBits;
  LastPlace& last = last_place(id, chunk);
  const bool known = last.overlay == overlay && last.table == id && last.chunk == chunk;
  auto next = known ? last.next : table.added.lower_bound(first);
  const size_t before = table.added.size();
  auto at = table.added.insert_or_assign(next, first, run);
  table.in_order.push_back({run.sequence, at});
  if (table.added.size() == before) {  // it took another one's place
    table.present.reset();
    next = std::next(at);
  }
  last = {overlay, id, chunk, next};
}

}  // namespace

void Overlay::apply_table(const store::TableDelta& delta, uint32_t sequence,
                          LogTransaction* transaction) {
  TableOverlay& t = table(delta.table);
  uint64_t rows = delta.cleared ? 0 : count_rows(t, sequence);
  if (!delta.schema.empty()) t.schema = delta.schema;
  if (delta.cleared) t.cleared.push_back(sequence);
  for (const store::SegmentPlace& place : delta.segments) {
    add_run(serial_, delta.table, t, place.first_rowid,
            {place.rows, sequence, 0, 0, transaction, place});
    added_rows_ += place.rows;
  }
  // A commit's delta names no places: its rows are in the store.
  if (delta.segments.empty())
    for (const tree::RowidRange& range : delta.added)
      add_run(serial_, delta.table, t, range.first, {range.count, sequence, 0, 0, nullptr, {}});
  for (const tree::RowidRange& range : delta.added) rows += range.count;
  for (const store::Removal& r : delta.removed) {
    if (!t.removed.put(r.rowid, {sequence, r.successor, transaction->xid})) t.removed_again = true;
    if (t.added.empty() || r.rowid < t.added.begin()->first) continue;
    auto run = find_added(t, r.rowid);
    if (run == t.added.end()) continue;
    ++run->second.removed_rows;
    run->second.last_removal = sequence;
  }
  rows -= std::min<uint64_t>(rows, delta.removed.size());
  t.counts.push_back({sequence, rows});
  bytes_ += 64 * (delta.segments.size() + delta.removed.size());
}

TableOverlay& Overlay::table(uint64_t id) {
  auto at = tables_.find(id);
  if (at != tables_.end()) return at->second;
  // Looked up before it is entered: an error must not leave an empty table behind.
  store::TableVersion version;
  if (!root_.empty()) version = store::find_table(nodes(), root_, id);
  TableOverlay& table = tables_.try_emplace(id, &memory_).first->second;
  if (make_) {
    try {
      make_(id, table, own_nodes_);
    } catch (...) {
      tables_.erase(id);
      throw;
    }
    return table;
  }
  table.live = version.live;
  table.live_rows = version.rows;
  return table;
}

void TableOverlay::complete() {
  if (!make_rest) return;
  make_rest();
  make_rest = nullptr;
  contains = nullptr;
}

uint32_t Overlay::last_clear(const TableOverlay& table, uint32_t limit) {
  uint32_t last = 0;
  for (uint32_t sequence : table.cleared)
    if (sequence <= limit) last = sequence;
  return last;
}

uint32_t Overlay::last_touch(const TableOverlay& table, uint32_t limit) {
  for (auto at = table.counts.rbegin(); at != table.counts.rend(); ++at)
    if (at->sequence <= limit) return at->sequence;
  return 0;
}

const tree::Container* Overlay::container(TableOverlay& table, uint64_t high) {
  if (table.last_high == high) return table.last_container;
  auto at = table.containers.find(high);
  if (at == table.containers.end()) {
    std::unique_ptr<tree::Container> loaded;
    if (!table.live.empty()) {
      auto container = std::make_unique<tree::Container>();
      if (tree::find_container(nodes(), table.live, high, container.get()))
        loaded = std::move(container);
    }
    at = table.containers.emplace(high, std::move(loaded)).first;
  }
  table.last_high = high;
  table.last_container = at->second.get();
  return table.last_container;
}

AddedRuns::iterator Overlay::find_added(TableOverlay& table, uint64_t rowid) {
  auto at = table.added.upper_bound(rowid);
  if (at == table.added.begin()) return table.added.end();
  --at;
  return rowid - at->first < at->second.rows ? at : table.added.end();
}

const RemovedRow* Overlay::find_removed(const TableOverlay& table, uint64_t rowid) {
  return table.removed.find(rowid);
}

bool Overlay::is_live(TableOverlay& table, uint64_t rowid, uint32_t limit) {
  if (is_redacted(rowid)) return false;
  if (table.contains) return table.contains(rowid);
  if (limit > 0) {
    if (!table.removed.empty()) {
      const RemovedRow* removed = find_removed(table, rowid);
      if (removed && removed->sequence <= limit) return false;
    }
    uint32_t clear = table.cleared.empty() ? 0 : last_clear(table, limit);
    if (!table.added.empty()) {
      auto at = find_added(table, rowid);
      if (at != table.added.end())
        return at->second.sequence <= limit && at->second.sequence >= clear;
    }
    if (clear) return false;
  }
  const tree::Container* c = container(table, rowid >> 16);
  return c && c->contains(static_cast<uint16_t>(rowid));
}

uint64_t Overlay::count_rows(const TableOverlay& table, uint32_t limit) {
  for (auto at = table.counts.rbegin(); at != table.counts.rend(); ++at)
    if (at->sequence <= limit) return at->rows;
  return table.live_rows;
}

}  // namespace datahike::versioning
