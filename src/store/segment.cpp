// The segment format, versions 1 to 5. All integers are little-endian and unaligned.
//
//   segment   := head entity xid column*
//   head      := checksum:u64            XXH3 of all bytes after it
//                "DHS" version:u8
//                first_rowid:u64
//                rows_less_one:u16 columns:u16
//                entity_encoding:u8 xid_encoding:u8
//                entity_end:u32 xid_end:u32
//                entry*                  one for each column, ascending by number
//   entry     := number:i16 layout:u8 flags:u8 type:u32 end:u32
//   layout    := kind (low 4 bits), encoding (high 4 bits)
//   entity    := integers of 64 bits, encoded: the row's rowid less its entity, modulo 2^64; all
//                ones for a hole
//   xid       := integers of 64 bits, encoded
//   column    := values width:u16? typmod:i32? zone? nulls?
//   values    := by encoding, see src/column; empty if all rows are NULL. A NULL row of words
//                holds the first value that is not NULL
//   zone      := min:i64 max:i64 sum:i128
//   nulls     := count:u32 bitmap:byte[(rows + 7) / 8], a bit for each row, 1 is NULL
//
// An `end` counts from the start of the segment; a part begins where the one before it ends, and
// the last ends where the segment ends. That the end of the part before an entry's column is the
// 4 bytes before the entry, also for the first entry, is what readers rely on. The flags say which
// optional parts a column has. A zone map is left out where it is quickly computed (constant
// columns and small segments) and where there is no order (see ZoneMap). The zone map of numerics
// in encoding `decimal` is that of their integers. Version 1 is the same with fewer encodings.
//
// A segment in which values are compressed (encoding `compressed`) is of version 4, or of 5 if it
// has holes, others are of neither.
//
// A segment with holes, rowids that no row of the segment has, is of version 3 or 5. The
// first and the last row are no holes. A hole repeats the row before it, but for byte strings of
// which copies would be long: there it is NULL. So what is in a hole is in a row as well, and it
// makes no zone wider. No row of such a segment is of an entity with the next rowid (a row that
// another session inserted there): it would look like a hole.
#include "store/segment.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <stdexcept>
#include <string>

#include "column/decimal.h"
#include "column/decompress.h"
#include "column/values.h"
#include "store/segment_columns.h"
#include "store/segment_format.h"

namespace datahike::store {

using namespace segment_format;
using column::is_word;
using column::kEncodings;

namespace {

constexpr size_t kMaxValueBytes = size_t{1} << 30;
constexpr size_t kMaxSegmentBytes = ~uint32_t{0};
constexpr uint64_t kHole = ~uint64_t{0};  // the row's rowid less its entity
constexpr size_t kMaxCopiedBytes = 64;    // of one byte string, for holes in a row

// A part of the segment that is ready to be encoded.
struct Planned {
  uint8_t flags = 0;
  ZoneMap zone;
  column::Plan plan;
  size_t bytes = 0;
};

Planned plan_column(const ColumnSpec& spec, const column::Values& values, bool with_zone) {
  Planned planned;
  planned.zone.nulls = values.nulls();
  if (spec.kind == Kind::Fixed) planned.flags |= kHasWidth;
  if (spec.typmod != -1) planned.flags |= kHasTypmod;
  if (values.nulls() == values.rows()) {
    planned.flags |= kAllNull;
    planned.plan.bytes = 0;
  } else {
    if (is_word(spec.kind))
      planned.zone = column::zone_of(spec.kind, values.words(), values.nulls());
    if (values.nulls() > 0) planned.flags |= kHasNulls;
    planned.plan = column::choose_encoding(values, planned.zone);
    if (planned.plan.encoding == column::kDecimalNumber)
      planned.zone = column::decimal_zone(planned.plan);
    if (with_zone && planned.zone.ordered && planned.plan.encoding != column::kConstantNumber)
      planned.flags |= kHasZone;
  }
  planned.bytes = planned.plan.bytes + optional_bytes(planned.flags, values.rows());
  return planned;
}

void write_values(const column::Values& values, const Planned& planned, Bytes& out) {
  if (planned.flags & kAllNull) return;
  kEncodings[planned.plan.encoding]->encode(values, planned.zone, planned.plan, out);
}

void write_column(const ColumnSpec& spec, const column::Values& values, const Planned& planned,
                  Bytes& out) {
  write_values(values, planned, out);
  ByteWriter writer(out);
  if (planned.flags & kHasWidth) writer.fixed<uint16_t>(spec.width);
  if (planned.flags & kHasTypmod) writer.fixed<int32_t>(spec.typmod);
  if (planned.flags & kHasZone) {
    writer.fixed<int64_t>(planned.zone.min);
    writer.fixed<int64_t>(planned.zone.max);
    writer.fixed<__int128>(planned.zone.sum);
  }
  if (planned.flags & kHasNulls) {
    writer.fixed<uint32_t>(values.nulls());
    const size_t end = out.size() + null_bitmap_bytes(values.rows());
    writer.raw(values.null_bits());
    out.resize(end);
  }
}

}  // namespace

SegmentColumns::SegmentColumns(std::vector<ColumnSpec> columns) {
  values.reserve(columns.size());
  for (size_t i = 0; i < columns.size(); ++i) {
    const ColumnSpec& spec = columns[i];
    if ((i > 0 && columns[i - 1].number >= spec.number) || spec.kind < Kind::Int8 ||
        spec.kind > Kind::Bytes || i > std::numeric_limits<uint16_t>::max())
      throw std::invalid_argument("segment: columns not ascending, too many, or of unknown kind");
    values.emplace_back(spec.kind, spec.width);
  }
  specs = std::move(columns);
}

struct SegmentBuilder::Impl : SegmentColumns {
  using SegmentColumns::SegmentColumns;
  size_t next_column = 0;  // of the row that is being added
};

SegmentBuilder::SegmentBuilder(std::vector<ColumnSpec> columns)
    : impl_(new Impl(std::move(columns))) {}

SegmentBuilder::~SegmentBuilder() = default;
SegmentBuilder::SegmentBuilder(SegmentBuilder&&) noexcept = default;
SegmentBuilder& SegmentBuilder::operator=(SegmentBuilder&&) noexcept = default;

void SegmentBuilder::begin_row(uint64_t entity, uint64_t xid) {
  assert(impl_->entities.empty() || impl_->next_column == impl_->specs.size());
  impl_->entities.push_back(entity);
  impl_->xids.add_word(xid);
  impl_->next_column = 0;
}

void SegmentBuilder::add_null() {
  assert(impl_->next_column < impl_->specs.size());
  impl_->values[impl_->next_column++].add_null();
}

void SegmentBuilder::add_bits(uint64_t bits) {
  assert(impl_->next_column < impl_->specs.size());
  column::Values& values = impl_->values[impl_->next_column++];
  values.add_word(bits);
  impl_->raw_bytes += column::word_bytes(values.kind());
}

void SegmentBuilder::add_bytes(ByteView value) {
  assert(impl_->next_column < impl_->specs.size());
  if (value.size() > kMaxValueBytes)
    throw LimitError("segment: a value of " + std::to_string(value.size()) +
                     " bytes, at most 1 GB is possible");
  const ColumnSpec& spec = impl_->specs[impl_->next_column];
  if (spec.kind == Kind::Fixed && value.size() != spec.width)
    throw std::invalid_argument("segment: a fixed value of the wrong width");
  impl_->values[impl_->next_column++].add_bytes(value);
  impl_->raw_bytes += value.size();
}

void SegmentBuilder::add_compressed(ByteView value) {
  assert(impl_->next_column < impl_->specs.size());
  impl_->values[impl_->next_column++].add_compressed(value);
  impl_->raw_bytes += column::weight_of_compressed(value);
}

void SegmentBuilder::add_holes(uint32_t count) {
  assert(rows() > 0 && impl_->next_column == impl_->specs.size());
  const uint32_t last = rows() - 1;
  impl_->holes.resize(rows());
  impl_->holes.insert(impl_->holes.end(), count, true);
  impl_->entities.insert(impl_->entities.end(), count, 0);
  const uint64_t xid = impl_->xids.words().back();
  for (uint32_t i = 0; i < count; ++i) impl_->xids.add_word(xid);
  for (column::Values& values : impl_->values) {
    const bool word = is_word(values.kind());
    const bool null =
        values.is_null(last) || values.is_compressed(last) ||
        (values.kind() == Kind::Bytes && values.bytes(last).size() * count > kMaxCopiedBytes);
    const uint64_t bits = word ? values.words().back() : 0;
    Bytes bytes;
    if (!word && !null) bytes.assign(values.bytes(last).begin(), values.bytes(last).end());
    for (uint32_t i = 0; i < count; ++i) {
      if (null)
        values.add_null();
      else if (word)
        values.add_word(bits);
      else
        values.add_bytes(bytes);
    }
  }
}

void SegmentBuilder::append(const SegmentReader& from, uint32_t row) {
  assert(!from.is_hole(row));
  column::ShortScratch scratch;
  begin_row(from.entity(row), from.xid(row));
  for (int column = 0; column < from.columns(); ++column) {
    if (from.is_null(column, row))
      add_null();
    else if (is_word(impl_->specs[static_cast<size_t>(column)].kind))
      add_bits(from.bits(column, row));
    else if (const StoredBytes value = from.stored(column, row, scratch); value.compressed)
      add_compressed(value.bytes);
    else
      add_bytes(value.bytes);
  }
}

std::vector<ColumnSpec> columns_of(const SegmentReader& segment) {
  std::vector<ColumnSpec> columns;
  for (int i = 0; i < segment.columns(); ++i) columns.push_back(segment.spec(i));
  return columns;
}

bool same_columns(const SegmentReader& a, const SegmentReader& b) {
  if (a.columns() != b.columns()) return false;
  for (int i = 0; i < a.columns(); ++i)
    if (a.spec(i) != b.spec(i)) return false;
  return true;
}

bool SegmentBuilder::same_columns(const SegmentReader& other) const {
  if (static_cast<size_t>(other.columns()) != impl_->specs.size()) return false;
  for (int column = 0; column < other.columns(); ++column) {
    if (impl_->specs[static_cast<size_t>(column)] != other.spec(column)) return false;
  }
  return true;
}

uint32_t SegmentBuilder::rows() const { return impl_->rows(); }
size_t SegmentBuilder::raw_bytes() const { return impl_->raw_bytes; }
const std::vector<ColumnSpec>& SegmentBuilder::columns() const { return impl_->specs; }

namespace {

// The hidden column of entities.
column::Values entity_deltas(const SegmentColumns& columns, uint64_t first_rowid) {
  column::Values deltas{Kind::Int64};
  for (size_t row = 0; row < columns.entities.size(); ++row) {
    const uint64_t entity = columns.entities[row];
    const uint64_t delta = entity == 0 ? 0 : first_rowid + row - entity;
    if (delta == kHole && !columns.holes.empty())
      throw std::logic_error("segment: with holes, and an entity of the next rowid");
    deltas.add_word(columns.is_hole(row) ? kHole : delta);
  }
  return deltas;
}

// Chooses all encodings: of entity, xid, and then the columns.
std::vector<Planned> plan(const SegmentColumns& columns, const column::Values& deltas) {
  const ColumnSpec hidden{.number = 0, .kind = Kind::Int64, .width = 0, .type = 0, .typmod = -1};
  std::vector<Planned> parts;
  parts.reserve(2 + columns.specs.size());
  parts.push_back(plan_column(hidden, deltas, false));
  parts.push_back(plan_column(hidden, columns.xids, false));
  for (size_t i = 0; i < columns.specs.size(); ++i) {
    const column::Values& values = columns.values[i];
    parts.push_back(plan_column(columns.specs[i], values, values.rows() >= kMinRowsForZone));
  }
  return parts;
}

uint8_t version_of(const SegmentColumns& columns) {
  const bool compressed = std::ranges::any_of(
      columns.values, [](const column::Values& values) { return values.any_compressed(); });
  if (columns.holes.empty()) return compressed ? kVersionCompressed : kVersion;
  return compressed ? kVersionCompressedWithHoles : kVersionWithHoles;
}

void write_head(const SegmentColumns& columns, uint64_t first_rowid,
                const std::vector<Planned>& parts, Bytes& out) {
  const std::vector<ColumnSpec>& specs = columns.specs;
  out.resize(head_bytes(specs.size()));
  uint8_t* p = out.data();
  std::copy(std::begin(kMagic), std::end(kMagic), p + kMagicAt);
  p[kVersionAt] = version_of(columns);
  put<uint64_t>(p + kFirstRowidAt, first_rowid);
  put<uint16_t>(p + kRowsAt, static_cast<uint16_t>(columns.rows() - 1));
  put<uint16_t>(p + kColumnsAt, static_cast<uint16_t>(specs.size()));
  p[kEntityEncodingAt] = parts[0].plan.encoding;
  p[kXidEncodingAt] = parts[1].plan.encoding;
  uint32_t end = static_cast<uint32_t>(out.size() + parts[0].bytes);
  put<uint32_t>(p + kEntityEndAt, end);
  end += static_cast<uint32_t>(parts[1].bytes);
  put<uint32_t>(p + kXidEndAt, end);
  p += kDirectoryAt;
  for (size_t i = 0; i < specs.size(); ++i, p += kEntryBytes) {
    const Planned& part = parts[i + 2];
    put<int16_t>(p, specs[i].number);
    p[2] = static_cast<uint8_t>(static_cast<uint8_t>(specs[i].kind) | part.plan.encoding << 4);
    p[3] = part.flags;
    put<uint32_t>(p + 4, specs[i].type);
    end += static_cast<uint32_t>(part.bytes);
    put<uint32_t>(p + kEntryEndAt, end);
  }
}

}  // namespace

Bytes SegmentColumns::encode(uint64_t first_rowid) const {
  if (rows() < 1 || rows() > kMaxSegmentRows || is_hole(rows() - 1))
    throw std::logic_error("segment: no row, too many, or a hole at the end");
  const column::Values deltas = entity_deltas(*this, first_rowid);
  const std::vector<Planned> parts = plan(*this, deltas);
  size_t bytes = head_bytes(specs.size());
  for (const Planned& part : parts) bytes += part.bytes;
  if (bytes > kMaxSegmentBytes)
    throw LimitError("segment: " + std::to_string(bytes) + " bytes, less than 4 GiB is possible");
  Bytes out;
  out.reserve(bytes);
  write_head(*this, first_rowid, parts, out);
  write_values(deltas, parts[0], out);
  write_values(xids, parts[1], out);
  for (size_t i = 0; i < specs.size(); ++i) write_column(specs[i], values[i], parts[i + 2], out);
  assert(out.size() == bytes);
  put<uint64_t>(out.data(), checksum_of(out));
  return out;
}

void SegmentColumns::clear() {
  for (column::Values& column : values) column.clear();
  entities.clear();
  xids.clear();
  raw_bytes = 0;
  holes.clear();
}

Bytes SegmentBuilder::finish(uint64_t first_rowid) {
  Impl& impl = *impl_;
  if (impl.next_column != impl.specs.size())
    throw std::logic_error("segment: no row, or an unfinished one");
  Bytes out;
  try {
    out = impl.encode(first_rowid);
  } catch (const LimitError&) {
    impl.clear();
    impl.next_column = 0;
    throw;
  }
  impl.clear();
  impl.next_column = 0;
  return out;
}

}  // namespace datahike::store
