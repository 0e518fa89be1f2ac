#include "store/segment_map.h"

#include <algorithm>
#include <string>

#include "store/maps.h"

namespace datahike::store {

namespace {
constexpr size_t kMaxVerified = 1 << 16;  // at 64 K rows each some 4e9 rows, in about 3 MB
}

SegmentReader VerifiedSegments::read(uint64_t table, uint64_t first_rowid, ByteView bytes) {
  auto named = [&](const Error& e) {
    return "segment of table " + std::to_string(table) + " at rowid " +
           std::to_string(first_rowid) + ": " + e.what();
  };
  try {
    SegmentReader segment(bytes);
    const auto seen = seen_.find({table, first_rowid});
    if (seen != seen_.end() && seen->second == segment.checksum()) return segment;
    segment.verify();
    if (segment.first_rowid() != first_rowid) throw CorruptError("belongs to another rowid");
    if (seen_.size() >= kMaxVerified) seen_.clear();
    seen_[{table, first_rowid}] = segment.checksum();
    return segment;
  } catch (const FormatError& e) {
    throw FormatError(named(e));
  } catch (const CorruptError& e) {
    throw CorruptError(named(e));
  }
}

bool SegmentFinder::move(MDB_cursor_op op) {
  return lmdb_.found(mdb_cursor_get(rows_, &key_, &value_, op), "look up a segment");
}

std::optional<SegmentReader> SegmentFinder::current(uint64_t table) {
  if (key_.mv_size != sizeof(RowKey)) throw CorruptError("store: segment key of wrong length");
  const uint8_t* key = view(key_).data();
  if (get_big_endian(key) != table) return std::nullopt;
  return verified_.read(table, get_big_endian(key + 8), view(value_));
}

std::optional<SegmentReader> SegmentFinder::at_or_before(uint64_t table, uint64_t rowid) {
  RowKey wanted = row_key(table, rowid);
  key_ = val(wanted);
  if (!move(MDB_SET_RANGE)) {
    if (!move(MDB_LAST)) return std::nullopt;
  } else if (!std::ranges::equal(view(key_), wanted)) {
    if (!move(MDB_PREV)) return std::nullopt;
  }
  return current(table);
}

std::optional<SegmentReader> SegmentFinder::around(uint64_t table, uint64_t rowid) {
  std::optional<SegmentReader> segment = at_or_before(table, rowid);
  if (segment && segment->last_rowid() < rowid) segment.reset();
  return segment;
}

std::optional<SegmentReader> SegmentFinder::containing(uint64_t table, uint64_t rowid) {
  std::optional<SegmentReader> segment = around(table, rowid);
  if (segment && segment->is_hole(static_cast<uint32_t>(rowid - segment->first_rowid())))
    segment.reset();
  return segment;
}

std::optional<SegmentReader> SegmentFinder::at_or_after(uint64_t table, uint64_t rowid) {
  if (std::optional<SegmentReader> segment = around(table, rowid)) return segment;
  RowKey wanted = row_key(table, rowid);
  key_ = val(wanted);
  if (!move(MDB_SET_RANGE)) return std::nullopt;
  return current(table);
}

}  // namespace datahike::store
