// delta  := table-count:varint table*
// table  := flags:u8 id:varint [schema:sized] [range+] [run+] [place+]
//           flags: 1 cleared, 2 schema, 4 ranges, 8 runs, 16 places; the last four tell what
//           follows. id is less the previous table's id (0 before the first table).
// range  := gap:varint size:varint                  added rowids
//           gap: from the end of the previous range (0 before the first).
//           size: (rowids - 1) << 1 | more ranges follow
// run    := gap:varint size:varint [successor:varint]   removed rowids
//           A run is consecutive rowids with one fate: 0 all deleted, 1 all updated and their
//           successors consecutive too, 2 all moved to other partitions.
//           gap: from the end of the previous run; in the first run zigzag, from the first added
//           rowid (0 if there is none), which is near where a hot row is updated.
//           size: (rowids - 1) << 3 | fate << 1 | more runs follow
//           successor, if updated: of the run's first rowid, zigzag, from the end of the previous
//           run's successors (at first from the first added rowid).
// place  := size:varint [skip:varint] part:varint offset:varint length:varint
//           size: (rows - 1) << 2 | has skip << 1 | more places follow
//           A place's rows are the next added rowids after the previous place, once `skip` added
//           rowids without a place have been passed over.
//           part: zigzag, from the previous place's part (0 before the first).
//           offset: zigzag, from the end of the previous place if it is in the same part, else 0.
//
// Rowids are below 2^63. A run has at most 65536 rowids, so that a damaged delta of a few bytes
// cannot ask for unbounded memory.
#include "store/delta.h"

#include <algorithm>
#include <stdexcept>

namespace datahike::store {
namespace {

constexpr uint8_t kCleared = 1, kSchema = 2, kRanges = 4, kRuns = 8, kPlaces = 16;
constexpr uint64_t kRowidEnd = uint64_t{1} << 63;
constexpr uint64_t kMaxRun = 65536;

uint64_t zigzag(uint64_t value, uint64_t base) {
  auto d = static_cast<int64_t>(value - base);
  return static_cast<uint64_t>(d) << 1 ^ static_cast<uint64_t>(d >> 63);
}
uint64_t unzigzag(uint64_t code, uint64_t base) { return base + (code >> 1 ^ (0 - (code & 1))); }

enum Fate : uint64_t { kDeleted = 0, kUpdated = 1, kMoved = 2 };
Fate fate_of(const Removal& removal) {
  if (removal.successor == 0) return kDeleted;
  return removal.successor == kMovedPartition ? kMoved : kUpdated;
}
// The successor of the n-th row of a run that starts with `start`.
uint64_t nth_successor(const Removal& start, uint64_t n) {
  return fate_of(start) == kUpdated ? start.successor + n : start.successor;
}

uint64_t first_added(const TableDelta& table) {
  return table.added.empty() ? 0 : table.added.front().first;
}

// A delta that breaks delta.h's rules must not reach the log, where it would stay for good.
void require(bool holds, const char* rule) {
  if (!holds) throw std::logic_error(std::string("delta: ") + rule);
}
void expect(bool holds, const char* found) {
  if (!holds) throw CorruptError(std::string("delta: ") + found);
}

void write_added(const TableDelta& table, ByteWriter& out) {
  uint64_t end = 0;
  for (size_t i = 0; i < table.added.size(); ++i) {
    const auto& [first, count] = table.added[i];
    require(first >= end && count > 0, "added ranges are not ascending");
    require(first < kRowidEnd && count <= kRowidEnd - first, "rowid out of range");
    out.varint(first - end);
    out.varint((count - 1) << 1 | (i + 1 < table.added.size()));
    end = first + count;
  }
}

// How many removals from `at` on make one run.
size_t run_length(const std::vector<Removal>& removed, size_t at) {
  const Removal& start = removed[at];
  size_t n = 1;
  for (; at + n < removed.size() && n < kMaxRun; ++n) {
    if (removed[at + n] != Removal{start.rowid + n, nth_successor(start, n)}) break;
  }
  return n;
}

void write_removed(const TableDelta& table, ByteWriter& out) {
  uint64_t end = 0, successor_end = first_added(table);
  for (size_t at = 0; at < table.removed.size();) {
    const Removal& start = table.removed[at];
    const size_t n = run_length(table.removed, at);
    require(start.rowid >= end, "removed rowids are not ascending");
    require(std::max(start.rowid, start.successor) < kRowidEnd - n, "rowid out of range");
    out.varint(at == 0 ? zigzag(start.rowid, first_added(table)) : start.rowid - end);
    const bool more = at + n < table.removed.size();
    out.varint((n - 1) << 3 | fate_of(start) << 1 | more);
    if (fate_of(start) == kUpdated) {
      out.varint(zigzag(start.successor, successor_end));
      successor_end = start.successor + n;
    }
    end = start.rowid + n;
    at += n;
  }
}

void write_places(const TableDelta& table, ByteWriter& out) {
  uint64_t skip = 0;
  SegmentPlace previous;
  visit_added(table, [&](uint64_t, uint64_t count, const SegmentPlace* place) {
    if (!place) {
      skip += count;
      return;
    }
    const bool more = place != &table.segments.back();
    out.varint((uint64_t{place->rows} - 1) << 2 | uint64_t{skip > 0} << 1 | more);
    if (skip) out.varint(skip);
    out.varint(zigzag(place->part, previous.part));
    out.varint(zigzag(place->offset,
                      place->part == previous.part ? previous.offset + previous.length : 0));
    out.varint(place->length);
    previous = *place;
    skip = 0;
  });
}

void read_added(ByteReader& in, TableDelta& table) {
  uint64_t end = 0, size;
  do {
    const uint64_t gap = in.varint();
    size = in.varint();
    expect(gap < kRowidEnd - end, "added rowid out of range");
    const uint64_t first = end + gap, count = (size >> 1) + 1;
    expect(count <= kRowidEnd - first, "added rowid out of range");
    table.added.push_back({first, count});
    end = first + count;
  } while (size & 1);
}

void read_removed(ByteReader& in, TableDelta& table) {
  uint64_t end = 0, successor_end = first_added(table), size;
  do {
    const uint64_t gap = in.varint();
    size = in.varint();
    const uint64_t count = (size >> 3) + 1, fate = size >> 1 & 3;
    const uint64_t rowid = table.removed.empty() ? unzigzag(gap, first_added(table)) : end + gap;
    expect(count <= kMaxRun, "removed run too long");
    expect(rowid >= end && rowid < kRowidEnd - count, "removed rowid out of range");
    expect(fate <= kMoved, "unknown fate of removed rows");
    Removal start{rowid, fate == kMoved ? kMovedPartition : 0};
    if (fate == kUpdated) {
      start.successor = unzigzag(in.varint(), successor_end);
      expect(fate_of(start) == kUpdated && start.successor < kRowidEnd - count,
             "successor out of range");
      successor_end = start.successor + count;
    }
    for (uint64_t i = 0; i < count; ++i)
      table.removed.push_back({rowid + i, nth_successor(start, i)});
    end = rowid + count;
  } while (size & 1);
}

// Walks the rowids of the added ranges one after the other.
class AddedWalk {
 public:
  explicit AddedWalk(const std::vector<tree::RowidRange>& ranges) : ranges_(ranges) {}
  // Passes over n rowids; returns the first of them.
  uint64_t pass(uint64_t n) {
    uint64_t start = 0;
    for (bool first = true; n > 0; first = false) {
      expect(range_ < ranges_.size(), "more places than added rows");
      const auto& [begin, count] = ranges_[range_];
      if (first) start = begin + used_;
      const uint64_t step = std::min(n, count - used_);
      n -= step;
      used_ += step;
      if (used_ == count) ++range_, used_ = 0;
    }
    return start;
  }

 private:
  const std::vector<tree::RowidRange>& ranges_;
  size_t range_ = 0;
  uint64_t used_ = 0;
};

void read_places(ByteReader& in, TableDelta& table) {
  AddedWalk walk(table.added);
  SegmentPlace previous;
  uint64_t size;
  do {
    size = in.varint();
    expect(size >> 2 < UINT32_MAX, "place has too many rows");
    if (size & 2) walk.pass(in.varint());
    SegmentPlace place;
    place.rows = static_cast<uint32_t>(size >> 2) + 1;
    place.first_rowid = walk.pass(place.rows);
    const uint64_t part = unzigzag(in.varint(), previous.part);
    expect(part <= UINT32_MAX, "part out of range");
    place.part = static_cast<uint32_t>(part);
    place.offset =
        unzigzag(in.varint(), place.part == previous.part ? previous.offset + previous.length : 0);
    place.length = in.varint();
    expect(place.length <= UINT64_MAX - place.offset, "place out of range");
    table.segments.push_back(place);
    previous = place;
  } while (size & 1);
  visit_added(table, [](uint64_t, uint64_t, const SegmentPlace*) {});
}

void write_table(const TableDelta& table, uint64_t previous_id, bool places, ByteWriter& out) {
  uint8_t flags = 0;
  if (table.cleared) flags |= kCleared;
  if (!table.schema.empty()) flags |= kSchema;
  if (!table.added.empty()) flags |= kRanges;
  if (!table.removed.empty()) flags |= kRuns;
  if (places && !table.segments.empty()) flags |= kPlaces;
  out.fixed(flags);
  out.varint(table.table - previous_id);
  if (flags & kSchema) out.sized(table.schema);
  write_added(table, out);
  write_removed(table, out);
  if (flags & kPlaces) write_places(table, out);
}

void read_table(ByteReader& in, uint64_t previous_id, TableDelta& table) {
  table.schema.clear();
  table.added.clear();
  table.removed.clear();
  table.segments.clear();
  const auto flags = in.fixed<uint8_t>();
  expect(flags <= (kCleared | kSchema | kRanges | kRuns | kPlaces), "unknown flags");
  table.table = previous_id + in.varint();
  expect(table.table >= previous_id, "tables are not ascending");
  table.cleared = flags & kCleared;
  if (flags & kSchema) {
    const ByteView schema = in.sized();
    expect(!schema.empty(), "empty schema");
    table.schema.assign(schema.begin(), schema.end());
  }
  if (flags & kRanges) read_added(in, table);
  if (flags & kRuns) read_removed(in, table);
  if (flags & kPlaces) read_places(in, table);
}

}  // namespace

void visit_added(
    const TableDelta& table,
    const std::function<void(uint64_t first, uint64_t count, const SegmentPlace* place)>& visit) {
  auto place = table.segments.begin();
  for (size_t i = 0; i < table.added.size();) {
    uint64_t at = table.added[i].first, end = at;
    // Adjacent ranges count as one: a place may span them.
    while (i < table.added.size() && table.added[i].first == end) end += table.added[i++].count;
    while (at < end) {
      const bool placed = place != table.segments.end() && place->first_rowid < end;
      const uint64_t next = placed ? place->first_rowid : end;
      expect(next >= at, "places do not match the added rows");
      if (next > at) visit(at, next - at, nullptr);
      at = next;
      if (!placed) continue;
      expect(place->rows > 0 && place->rows <= end - at, "places do not match the added rows");
      visit(at, place->rows, &*place);
      at += place->rows;
      ++place;
    }
  }
  expect(place == table.segments.end(), "places do not match the added rows");
}

void encode_delta(const Delta& delta, WithPlaces places, Bytes& out) {
  ByteWriter writer(out);
  writer.varint(delta.tables.size());
  uint64_t previous_id = 0;
  for (size_t i = 0; i < delta.tables.size(); ++i) {
    const TableDelta& table = delta.tables[i];
    require(i == 0 || table.table > previous_id, "tables are not ascending");
    write_table(table, previous_id, places == WithPlaces::Yes, writer);
    previous_id = table.table;
  }
}

void decode_delta(ByteView bytes, Delta& delta) {
  ByteReader in(bytes, "delta");
  uint64_t previous_id = 0;
  const uint64_t count = in.varint();
  for (uint64_t i = 0; i < count; ++i) {
    if (i == delta.tables.size()) delta.tables.emplace_back();
    TableDelta& table = delta.tables[i];
    read_table(in, previous_id, table);
    expect(i == 0 || table.table > previous_id, "tables are not ascending");
    previous_id = table.table;
  }
  delta.tables.resize(count);
  expect(in.left() == 0, "bytes after its end");
}

Delta decode_delta(ByteView bytes) {
  Delta delta;
  decode_delta(bytes, delta);
  return delta;
}

std::vector<tree::RowidRange> rows_made(const TableDelta& table) {
  std::vector<tree::RowidRange> made;
  auto removed = table.removed.begin();
  for (const tree::RowidRange& range : table.added) {
    uint64_t from = range.first;
    const uint64_t end = range.first + range.count;
    while (removed != table.removed.end() && removed->rowid < from) ++removed;
    for (; removed != table.removed.end() && removed->rowid < end; ++removed) {
      if (removed->rowid > from) append_range(made, from, removed->rowid - from);
      from = removed->rowid + 1;
    }
    if (from < end) append_range(made, from, end - from);
  }
  return made;
}

std::vector<tree::RowidRange> rows_taken(const TableDelta& table) {
  std::vector<tree::RowidRange> taken;
  auto added = table.added.begin();
  for (const Removal& removal : table.removed) {
    while (added != table.added.end() && added->first + added->count <= removal.rowid) ++added;
    const bool own = added != table.added.end() && added->first <= removal.rowid;
    if (!own) append_range(taken, removal.rowid, 1);
  }
  return taken;
}

ChangeCounts count_changes(const TableDelta& delta) {
  ChangeCounts counts;
  uint64_t added = 0;
  for (const auto& range : delta.added) added += range.count;
  for (const Removal& removal : delta.removed)
    ++(fate_of(removal) == kUpdated ? counts.updated : counts.deleted);
  counts.inserted = added - std::min(added, counts.updated);
  return counts;
}

}  // namespace datahike::store
