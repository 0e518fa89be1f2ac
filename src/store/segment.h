// A segment: the rows of a range of consecutive rowids, stored as columns. Immutable once built.
// Some of the rowids may be holes, which no row has, but not the first or the last.
// The byte format is the grammar at the head of segment.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "column/bytes.h"
#include "column/encoding.h"
#include "column/kind.h"
#include "column/zone_map.h"

namespace datahike::store {

using column::Kind;
using column::ZoneMap;

// What a segment says about one of its columns.
struct ColumnSpec {
  int16_t number = 0;  // attribute number in the table, from 1
  Kind kind = Kind::Bytes;
  uint16_t width = 0;   // bytes of a Fixed value, else 0
  uint32_t type = 0;    // OID of the SQL type when the row was written
  int32_t typmod = -1;  // its type modifier
  bool operator==(const ColumnSpec&) const = default;
};

inline constexpr uint32_t kMaxSegmentRows = 65536;
inline constexpr size_t kSegmentTargetBytes = 1 << 20;  // when a writer should finish a segment
inline constexpr size_t kLargeValueBytes = 256 << 10;  // a row with such a value is a segment alone

// A value as it is in a segment.
struct StoredBytes {
  ByteView bytes;
  bool compressed = false;  // by PostgreSQL (column/decompress.h)
};

// One column of a segment, found once and read row by row. Holds views of the segment's bytes, as a
// SegmentReader does; no allocation. Made by SegmentReader::column_reader().
class ColumnReader {
 public:
  ColumnReader() = default;
  const ColumnSpec& spec() const { return spec_; }
  // What is read here: see the members of SegmentReader of the same names.
  bool is_null(uint32_t row) const {
    return all_null_ || (null_bitmap_ && (null_bitmap_[row / 8] >> row % 8 & 1));
  }
  uint64_t bits(uint32_t row) const { return encoding_->word(values_, row); }
  void bits(uint32_t first, std::span<uint64_t> out) const {
    encoding_->words(values_, first, out);
  }
  ByteView bytes(uint32_t row, column::Scratch& scratch) const;
  StoredBytes stored(uint32_t row, column::ShortScratch& scratch) const;

 private:
  friend class SegmentReader;
  ColumnSpec spec_;
  const column::Encoding* encoding_ = nullptr;
  column::Encoded values_{};
  const uint8_t* null_bitmap_ = nullptr;  // nullptr: no row is NULL, or all are
  bool all_null_ = false;
};

// Reads a segment in place: holds a view of the caller's bytes, which must outlive it.
// Cheap to construct and to copy; no allocation. Any row of any encoding is reached in O(1).
class SegmentReader {
 public:
  SegmentReader() = default;
  // Checks magic, version and that every column lies within `bytes`: CorruptError otherwise,
  // FormatError for a version this library does not know. Does not read the values: verify() does.
  explicit SegmentReader(ByteView bytes);
  // Recomputes the checksum over all bytes; CorruptError on mismatch.
  void verify() const;
  uint64_t checksum() const;  // as it says itself

  uint64_t first_rowid() const { return first_rowid_; }
  uint32_t rows() const { return rows_; }
  uint64_t last_rowid() const { return first_rowid() + rows() - 1; }
  // rows() counts holes. What else is asked of a hole means nothing.
  bool has_holes() const { return has_holes_; }
  bool is_hole(uint32_t row) const { return has_holes_ && entity(row) == first_rowid_ + row + 1; }
  // One bit for each row, lowest first, set for a hole. Empty: there is none.
  std::vector<uint64_t> holes() const;
  // Rowid of the first version of the row, and the 64-bit id of the transaction that wrote it.
  uint64_t entity(uint32_t row) const;
  // The same for the rows first, first + 1, ... while `out` has room. REQUIRES: as bits().
  void entities(uint32_t first, std::span<uint64_t> out) const;
  uint64_t xid(uint32_t row) const;

  int columns() const { return columns_; }
  ColumnSpec spec(int column) const;
  // For whoever reads a column row by row.
  ColumnReader column_reader(int column) const;
  // Index of the column with this attribute number, or -1. Columns are in ascending number order.
  int find(int16_t number) const;
  bool is_null(int column, uint32_t row) const;
  // REQUIRES: not null, kind <= Float64. Integers are sign-extended to 64 bits.
  uint64_t bits(int column, uint32_t row) const;
  // The same for the rows first, first + 1, ... while `out` has room; much faster than one by one.
  // What it gives for NULL rows means nothing. REQUIRES: first + out.size() <= rows().
  void bits(int column, uint32_t first, std::span<uint64_t> out) const;
  // REQUIRES: not null, kind Fixed or Bytes. Points into the segment, unaligned, or into `scratch`.
  // CorruptError if the stored offsets lead outside the segment.
  ByteView bytes(int column, uint32_t row, column::Scratch& scratch) const;
  // The same, but what is compressed stays so.
  StoredBytes stored(int column, uint32_t row, column::ShortScratch& scratch) const;
  bool may_be_compressed(int column) const;  // some values are
  ZoneMap zone(int column) const;
  // Whether a column of kind Bytes holds numerics, all of the same number of digits behind the
  // point, as integers; if so how many digits. Then bits() gives value * 10^digits, below 10^18 in
  // magnitude unless the segment is damaged, and decimal_zone() the statistics of these.
  std::optional<unsigned> decimal_digits(int column) const;
  ZoneMap decimal_zone(int column) const;
  uint32_t nulls(int column) const;
  // One bit for each of the rows first, first + 1, ..., lowest first, set for NULL; what is behind
  // the last row is not set. REQUIRES: first is a multiple of 8.
  void null_bits(int column, uint32_t first, std::span<uint64_t> out) const;
  // Byte strings by codes (column/encoding.h). How many codes the column has; 0: it has none.
  uint32_t code_count(int column) const;
  void codes(int column, uint32_t first, std::span<uint32_t> out) const;
  ByteView coded(int column, uint32_t code) const;
  ByteView raw() const { return data_; }

  // The canonical form of a row, the same whatever segment and encoding holds it; what commit
  // hashes cover: rowid, entity, then for each column that is not NULL in ascending number order
  // its number, kind and value. Appends to `out`. CorruptError for a hole: the row is missing.
  void canonical_row(uint32_t row, Bytes& out) const;

 private:
  struct Entry;  // of the directory, and where its column lies
  Entry entry(int column) const;
  uint64_t hidden(size_t encoding_at, uint32_t begin, uint32_t end, uint32_t row) const;
  uint32_t nulls(const Entry& entry) const;
  ZoneMap stored_zone(const Entry& entry) const;
  ZoneMap computed_zone(const Entry& entry) const;

  ByteView data_;
  uint64_t first_rowid_ = 0;
  uint32_t rows_ = 0;
  uint16_t columns_ = 0;
  bool has_holes_ = false;
};

std::vector<ColumnSpec> columns_of(const SegmentReader& segment);
bool same_columns(const SegmentReader& a, const SegmentReader& b);

// Collects rows and encodes them, choosing for each column the smallest of the encodings that fit
// (src/column/encoding.h). Reusable after finish().
class SegmentBuilder {
 public:
  // REQUIRES: ascending attribute numbers, no kind but those above; std::invalid_argument
  // otherwise.
  explicit SegmentBuilder(std::vector<ColumnSpec> columns);
  ~SegmentBuilder();
  SegmentBuilder(SegmentBuilder&&) noexcept;
  SegmentBuilder& operator=(SegmentBuilder&&) noexcept;

  // Starts the next row; then exactly one add_* for each column, in column order.
  // entity 0 means "the row's own rowid".
  void begin_row(uint64_t entity, uint64_t xid);
  void add_null();
  void add_bits(uint64_t bits);  // kinds Int8..Float64
  // Kinds Fixed (exactly `width` bytes, std::invalid_argument otherwise) and Bytes. LimitError for
  // a value over 1 GB. After an error the row is unfinished: drop the builder.
  void add_bytes(ByteView value);
  // Kind Bytes: a value as PostgreSQL compressed it.
  void add_compressed(ByteView value);

  // The next so many rowids are holes. REQUIRES: a row before them, and one will come behind them.
  void add_holes(uint32_t count);

  // Appends one row of another segment with the same columns (see same_columns), entity resolved.
  // REQUIRES: it is no hole.
  void append(const SegmentReader& from, uint32_t row);
  bool same_columns(const SegmentReader& other) const;

  uint32_t rows() const;
  // Bytes of the values collected so far, before encoding; more of what is compressed well (see
  // column/decompress.h).
  size_t raw_bytes() const;
  const std::vector<ColumnSpec>& columns() const;
  // Encodes the collected rows as the segment of rowids first_rowid, first_rowid + 1, ...
  // and forgets them. REQUIRES rows() in 1..kMaxSegmentRows and a whole last row, std::logic_error
  // otherwise. LimitError if the segment would be 4 GiB or larger (as LMDB's largest value).
  Bytes finish(uint64_t first_rowid);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace datahike::store
