// A delta: what one transaction changed on one branch. It travels in the transaction log (with the
// places of its rows) and stays in the commit record (without them).
// The byte format is the grammar at the head of delta.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "column/bytes.h"
#include "tree/live_set.h"

namespace datahike::store {

// Successor of a row that an UPDATE moved to another partition. Rowids begin at 65536.
inline constexpr uint64_t kMovedPartition = 1;

// A row version that is no longer live, and the row version that took its place; 0 = deleted.
struct Removal {
  uint64_t rowid = 0;
  uint64_t successor = 0;
  bool operator==(const Removal&) const = default;
};

// Where the rows of an added range are in the log: bytes [offset, offset + length) of the `rows`
// column of part `part`.
struct SegmentPlace {
  uint64_t first_rowid = 0;
  uint32_t rows = 0;
  uint32_t part = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  bool operator==(const SegmentPlace&) const = default;
};

// live(table) = ((cleared ? {} : live) + added) - removed.
struct TableDelta {
  uint64_t table = 0;
  bool cleared = false;                 // TRUNCATE
  Bytes schema;                         // the table's schema where it is new; empty = unchanged
  std::vector<tree::RowidRange> added;  // ascending, disjoint
  std::vector<Removal> removed;         // ascending by rowid
  // Ascending, within `added`. An added row without a place is adopted: a merge made a row live
  // here that the store already has from another branch.
  std::vector<SegmentPlace> segments;
};

struct Delta {
  std::vector<TableDelta> tables;  // ascending by table
  bool empty() const { return tables.empty(); }
};

// Visits the added rowids in order, as pieces: those of one place, or `place` null for adopted
// rows. CorruptError when the places do not fit the added ranges.
void visit_added(
    const TableDelta& table,
    const std::function<void(uint64_t first, uint64_t count, const SegmentPlace* place)>& visit);

enum class WithPlaces { No, Yes };
void encode_delta(const Delta& delta, WithPlaces places, Bytes& out);
Delta decode_delta(ByteView bytes);  // CorruptError; without places, `segments` are empty
// The same into `delta`, whose memory is used again; after an error its content is undefined.
void decode_delta(ByteView bytes, Delta& delta);

// The rows that a transaction left live, and those of before it that it removed: it may remove its
// own again. Ascending; of no two ranges does one begin where another ends. `cleared` is not looked
// at.
std::vector<tree::RowidRange> rows_made(const TableDelta& table);
std::vector<tree::RowidRange> rows_taken(const TableDelta& table);

// Rows inserted, updated and deleted in one table: an update is a removal with a successor in the
// same table; a row moved to another partition is deleted here and inserted there.
struct ChangeCounts {
  uint64_t inserted = 0, updated = 0, deleted = 0;
};
ChangeCounts count_changes(const TableDelta& delta);

}  // namespace datahike::store
