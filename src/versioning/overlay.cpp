#include "versioning/overlay.h"

#include <set>

#include "versioning/present_runs.h"
#include "versioning/redacted.h"

namespace datahike::versioning {

void Overlay::apply(uint64_t xid, int32_t branch, const store::Delta& delta, uint32_t part,
                    ByteView content, size_t delta_bytes) {
  LogTransaction& t = transactions_.emplace_back();
  const uint32_t sequence = ++size_;
  t.xid = xid;
  t.branch = branch;
  t.part = part;
  if (!content.empty()) {
    auto* copy = static_cast<uint8_t*>(memory_.allocate(content.size(), 8));
    std::copy(content.begin(), content.end(), copy);
    t.delta = {copy, delta_bytes};
    t.rows = {copy + delta_bytes, content.size() - delta_bytes};
    bytes_ += content.size();
    delta_bytes_ += delta_bytes;
  }
  for (const store::TableDelta& change : delta.tables) {
    for (const store::SegmentPlace& place : change.segments) added_rows_ += place.rows;
    bytes_ += 64 * (change.segments.size() + change.removed.size());
    auto known = tables_.find(change.table);
    if (known != tables_.end()) {
      apply_table(known->second, change, sequence, &t);
    } else if (looks_at_all_ || t.delta.empty()) {  // of the latter: it cannot be read again
      apply_table(table_with(change.table, sequence - 1), change, sequence, &t);
    }
  }
}

void Overlay::apply_table(TableOverlay& t, const store::TableDelta& delta, uint32_t sequence,
                          LogTransaction* transaction) {
  uint64_t rows = delta.cleared ? 0 : count_rows(t, sequence);
  if (!delta.schema.empty()) t.schema = delta.schema;
  if (delta.cleared) t.cleared.push_back(sequence);
  auto add_run = [&](uint64_t first, const AddedRun& run) {
    if (!t.added.put(first, run)) t.present.reset();
  };
  for (const store::SegmentPlace& place : delta.segments)
    add_run(place.first_rowid, {place.rows, sequence, 0, 0, transaction, place});
  // A commit's delta names no places: its rows are in the store.
  if (delta.segments.empty())
    for (const tree::RowidRange& range : delta.added)
      add_run(range.first, {range.count, sequence, 0, 0, nullptr, {}});
  for (const tree::RowidRange& range : delta.added) rows += range.count;
  for (const store::Removal& r : delta.removed) {
    if (!t.removed.put(r.rowid, {sequence, r.successor, transaction->xid})) t.removed_again = true;
    auto run = t.added.find(r.rowid);
    if (run == t.added.end()) continue;
    ++run->second.removed_rows;
    run->second.last_removal = sequence;
  }
  rows -= std::min<uint64_t>(rows, delta.removed.size());
  t.counts.push_back({sequence, rows});
}

namespace {
constexpr uint64_t kMostReadAgain = 256 << 10;  // bytes of deltas: some 4096 small ones
}  // namespace

// As it is after the first `deltas` of them, where it was not known.
TableOverlay& Overlay::table_with(uint64_t id, uint32_t deltas) {
  auto at = tables_.find(id);
  if (at != tables_.end()) return at->second;
  if (make_) {
    TableOverlay& table = tables_.try_emplace(id, &memory_).first->second;
    try {
      make_(id, table, own_nodes_);
    } catch (...) {
      tables_.erase(id);
      throw;
    }
    return table;
  }
  if (!looks_at_all_ && read_again_ > kMostReadAgain) look_at_all(deltas);
  if (!tables_.count(id)) {
    if (!looks_at_all_) read_again_ += delta_bytes_;
    look_at({id}, looks_at_all_ ? 0 : deltas);
  }
  return tables_.at(id);
}

// Enters tables that are not known, with the first `deltas` deltas. After an error none is.
void Overlay::look_at(const std::vector<uint64_t>& ids, uint32_t deltas) {
  std::unordered_map<uint64_t, TableOverlay*> tables;
  try {
    for (uint64_t id : ids) {
      store::TableVersion version;
      if (!root_.empty()) version = store::find_table(nodes(), root_, id);
      TableOverlay& table = tables_.try_emplace(id, &memory_).first->second;
      tables.emplace(id, &table);
      table.live = version.live;
      table.live_rows = version.rows;
    }
    store::Delta delta;
    for (uint32_t i = 0; i < deltas; ++i) {
      LogTransaction& t = transactions_[i];
      if (t.delta.empty()) continue;  // its tables are known
      store::decode_delta(t.delta, delta);
      for (const store::TableDelta& change : delta.tables)
        if (auto at = tables.find(change.table); at != tables.end())
          apply_table(*at->second, change, i + 1, &t);
    }
  } catch (...) {
    for (uint64_t id : ids) tables_.erase(id);
    throw;
  }
}

void Overlay::look_at_all(uint32_t deltas) {
  if (make_) return;
  std::set<uint64_t> touched;
  store::Delta delta;
  for (uint32_t i = 0; i < deltas; ++i) {
    if (transactions_[i].delta.empty()) continue;
    store::decode_delta(transactions_[i].delta, delta);
    for (const store::TableDelta& change : delta.tables)
      if (!tables_.count(change.table)) touched.insert(change.table);
  }
  look_at({touched.begin(), touched.end()}, deltas);
  looks_at_all_ = true;
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
  return table.added.find(rowid);
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
