// Reading a segment in place. The format is the grammar at the head of segment.cpp.
#include <algorithm>
#include <array>
#include <cassert>
#include <limits>
#include <string>

#include "column/bit_packing.h"
#include "column/decimal.h"
#include "column/decompress.h"
#include "store/segment.h"
#include "store/segment_format.h"

namespace datahike::store {

using namespace segment_format;
using column::Encoded;
using column::is_word;
using column::kEncodings;

namespace {

[[noreturn, gnu::cold]] void corrupt(const std::string& what) {
  throw CorruptError("segment: " + what);
}

[[noreturn, gnu::cold]] void corrupt_width(size_t bytes) {
  corrupt("value of " + std::to_string(bytes) + " bytes in a column of fixed width");
}

ByteView decompressed(const StoredBytes& value, column::Scratch& scratch) {
  if (!value.compressed) return value.bytes;
  Bytes& out = scratch.decompressed;
  out.resize(column::decompressed_size(value.bytes));
  column::decompress(value.bytes, out.data());
  return out;
}

}  // namespace

struct SegmentReader::Entry {
  int16_t number;
  Kind kind;
  uint8_t encoding;
  uint8_t flags;
  uint32_t type;
  Encoded values;
  const uint8_t* optional;  // the first of the optional parts
  const uint8_t* end;
};

SegmentReader::Entry SegmentReader::entry(int column) const {
  assert(column >= 0 && column < columns_);
  const uint8_t* p = data_.data() + kDirectoryAt + static_cast<size_t>(column) * kEntryBytes;
  Entry entry;
  entry.number = load<int16_t>(p);
  entry.kind = static_cast<Kind>(p[2] & 15);
  entry.encoding = p[2] >> 4;
  entry.flags = p[3];
  entry.type = load<uint32_t>(p + 4);
  const uint32_t begin = load<uint32_t>(p - sizeof(uint32_t));
  entry.end = data_.data() + load<uint32_t>(p + kEntryEndAt);
  entry.optional = entry.end - optional_bytes(entry.flags, rows_);
  const uint8_t* values = data_.data() + begin;
  entry.values = {entry.kind, rows_, ByteView(values, entry.optional)};
  return entry;
}

SegmentReader::SegmentReader(ByteView bytes) : data_(bytes) {
  if (bytes.size() < kDirectoryAt) corrupt("of " + std::to_string(bytes.size()) + " bytes only");
  const uint8_t* p = bytes.data();
  if (!std::equal(std::begin(kMagic), std::end(kMagic), p + kMagicAt)) corrupt("no segment magic");
  if (p[kVersionAt] < kOldestVersion || p[kVersionAt] > kNewestVersion) {
    throw FormatError("segment: format version " + std::to_string(p[kVersionAt]) +
                      ", this library knows up to " + std::to_string(kNewestVersion));
  }
  has_holes_ = p[kVersionAt] == kVersionWithHoles || p[kVersionAt] == kVersionCompressedWithHoles;
  first_rowid_ = load<uint64_t>(p + kFirstRowidAt);
  rows_ = load<uint16_t>(p + kRowsAt) + uint32_t{1};
  columns_ = load<uint16_t>(p + kColumnsAt);
  const size_t head = head_bytes(columns_);
  if (head > bytes.size()) corrupt("directory longer than the segment");
  const uint32_t entity_end = load<uint32_t>(p + kEntityEndAt);
  uint32_t end = load<uint32_t>(p + kXidEndAt);
  if (entity_end < head || end < entity_end || p[kEntityEncodingAt] >= column::kEncodingCount ||
      p[kXidEncodingAt] >= column::kEncodingCount)
    corrupt("damaged head");
  int number = std::numeric_limits<int16_t>::min() - 1;
  for (const uint8_t* e = p + kDirectoryAt; e != p + head; e += kEntryBytes) {
    const uint32_t begin = end;
    end = load<uint32_t>(e + kEntryEndAt);
    const uint8_t kind = e[2] & 15;
    if (load<int16_t>(e) <= number || kind < 1 || kind > static_cast<uint8_t>(Kind::Bytes) ||
        e[2] >> 4 >= column::kEncodingCount || end < begin ||
        end - begin < optional_bytes(e[3], rows_))
      corrupt("damaged directory entry of column " + std::to_string(load<int16_t>(e)));
    number = load<int16_t>(e);
  }
  if (end != bytes.size())
    corrupt("of " + std::to_string(bytes.size()) + " bytes where its head says " +
            std::to_string(end));
}

uint64_t SegmentReader::checksum() const { return load<uint64_t>(data_.data()); }

void SegmentReader::verify() const {
  if (load<uint64_t>(data_.data()) != checksum_of(data_))
    corrupt("wrong checksum, first rowid " + std::to_string(first_rowid_));
}

uint64_t SegmentReader::hidden(size_t encoding_at, uint32_t begin, uint32_t end,
                               uint32_t row) const {
  const Encoded values{Kind::Int64, rows_, data_.subspan(begin, end - begin)};
  return kEncodings[data_[encoding_at]]->word(values, row);
}

uint64_t SegmentReader::entity(uint32_t row) const {
  const uint32_t begin = static_cast<uint32_t>(head_bytes(columns_));
  const uint32_t end = load<uint32_t>(data_.data() + kEntityEndAt);
  return first_rowid_ + row - hidden(kEntityEncodingAt, begin, end, row);
}

void SegmentReader::entities(uint32_t first, std::span<uint64_t> out) const {
  const uint32_t begin = static_cast<uint32_t>(head_bytes(columns_));
  const uint32_t end = load<uint32_t>(data_.data() + kEntityEndAt);
  const Encoded values{Kind::Int64, rows_, data_.subspan(begin, end - begin)};
  kEncodings[data_[kEntityEncodingAt]]->words(values, first, out);
  uint64_t rowid = first_rowid_ + first;
  for (uint64_t& e : out) e = rowid++ - e;
}

std::vector<uint64_t> SegmentReader::holes() const {
  if (!has_holes_) return {};
  const uint32_t begin = static_cast<uint32_t>(head_bytes(columns_));
  const uint32_t end = load<uint32_t>(data_.data() + kEntityEndAt);
  const Encoded values{Kind::Int64, rows_, data_.subspan(begin, end - begin)};
  std::vector<uint64_t> bits((rows_ + 63) / 64);
  std::array<uint64_t, 1024> deltas;
  for (uint32_t first = 0; first < rows_; first += deltas.size()) {
    const uint32_t count = std::min<uint32_t>(deltas.size(), rows_ - first);
    kEncodings[data_[kEntityEncodingAt]]->words(values, first, {deltas.data(), count});
    for (uint32_t i = 0; i < count; ++i)
      bits[(first + i) / 64] |= uint64_t{deltas[i] == ~uint64_t{0}} << i % 64;
  }
  return bits;
}

uint64_t SegmentReader::xid(uint32_t row) const {
  const uint32_t begin = load<uint32_t>(data_.data() + kEntityEndAt);
  const uint32_t end = load<uint32_t>(data_.data() + kXidEndAt);
  return hidden(kXidEncodingAt, begin, end, row);
}

ColumnSpec SegmentReader::spec(int column) const {
  const Entry e = entry(column);
  const uint8_t* p = e.optional;
  ColumnSpec spec{.number = e.number, .kind = e.kind, .type = e.type};
  if (e.flags & kHasWidth) {
    spec.width = load<uint16_t>(p);
    p += kWidthBytes;
  }
  if (e.flags & kHasTypmod) spec.typmod = load<int32_t>(p);
  return spec;
}

ColumnReader SegmentReader::column_reader(int column) const {
  const Entry e = entry(column);
  ColumnReader reader;
  reader.spec_ = spec(column);
  reader.encoding_ = kEncodings[e.encoding];
  reader.values_ = e.values;
  reader.all_null_ = e.flags & kAllNull;
  if (e.flags & kHasNulls) reader.null_bitmap_ = e.end - null_bitmap_bytes(rows_);
  return reader;
}

StoredBytes ColumnReader::stored(uint32_t row, column::ShortScratch& scratch) const {
  const ByteView value = encoding_->bytes(values_, row, scratch);
  if (spec_.kind == Kind::Fixed && value.size() != spec_.width) corrupt_width(value.size());
  return {value, encoding_->is_compressed && encoding_->is_compressed(values_, row)};
}

ByteView ColumnReader::bytes(uint32_t row, column::Scratch& scratch) const {
  return decompressed(stored(row, scratch.brief), scratch);
}

int SegmentReader::find(int16_t number) const {
  const uint8_t* directory = data_.data() + kDirectoryAt;
  const auto number_of = [=](int column) {
    return load<int16_t>(directory + static_cast<size_t>(column) * kEntryBytes);
  };
  // A table without dropped columns holds number n at n - 1.
  if (number >= 1 && number <= columns_ && number_of(number - 1) == number) return number - 1;
  int low = 0;
  int high = columns_;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (number_of(middle) < number)
      low = middle + 1;
    else
      high = middle;
  }
  return low < columns_ && number_of(low) == number ? low : -1;
}

bool SegmentReader::is_null(int column, uint32_t row) const {
  assert(row < rows_);
  const Entry e = entry(column);
  if (!(e.flags & (kHasNulls | kAllNull))) return false;
  if (e.flags & kAllNull) return true;
  const uint8_t* bitmap = e.end - null_bitmap_bytes(rows_);
  return bitmap[row / 8] >> row % 8 & 1;
}

uint64_t SegmentReader::bits(int column, uint32_t row) const {
  assert(row < rows_);
  const Entry e = entry(column);
  return kEncodings[e.encoding]->word(e.values, row);
}

void SegmentReader::bits(int column, uint32_t first, std::span<uint64_t> out) const {
  assert(first + out.size() <= rows_);
  const Entry e = entry(column);
  kEncodings[e.encoding]->words(e.values, first, out);
}

StoredBytes SegmentReader::stored(int column, uint32_t row, column::ShortScratch& scratch) const {
  assert(row < rows_);
  const Entry e = entry(column);
  const column::Encoding* encoding = kEncodings[e.encoding];
  const ByteView value = encoding->bytes(e.values, row, scratch);
  if (e.flags & kHasWidth && value.size() != load<uint16_t>(e.optional))
    corrupt_width(value.size());
  return {value, encoding->is_compressed && encoding->is_compressed(e.values, row)};
}

ByteView SegmentReader::bytes(int column, uint32_t row, column::Scratch& scratch) const {
  return decompressed(stored(column, row, scratch.brief), scratch);
}

bool SegmentReader::may_be_compressed(int column) const {
  const Entry e = entry(column);
  return !(e.flags & kAllNull) && kEncodings[e.encoding]->is_compressed;
}

uint32_t SegmentReader::nulls(const Entry& e) const {
  if (e.flags & kAllNull) return rows_;
  if (!(e.flags & kHasNulls)) return 0;
  return load<uint32_t>(e.end - null_bitmap_bytes(rows_) - kNullCountBytes);
}

uint32_t SegmentReader::nulls(int column) const { return nulls(entry(column)); }

void SegmentReader::null_bits(int column, uint32_t first, std::span<uint64_t> out) const {
  assert(first % 8 == 0);
  const Entry e = entry(column);
  std::ranges::fill(out, 0);
  const size_t rows = std::min<size_t>(out.size() * 64, rows_ - first);
  if (e.flags & kAllNull) {
    for (size_t i = 0; i < rows; i += 64)
      out[i / 64] =
          rows - i < 64 ? column::low_bits(static_cast<unsigned>(rows - i)) : ~uint64_t{0};
  } else if (e.flags & kHasNulls) {
    const uint8_t* bitmap = e.end - null_bitmap_bytes(rows_);
    std::memcpy(out.data(), bitmap + first / 8, (rows + 7) / 8);
    if (rows % 64) out[rows / 64] &= column::low_bits(rows % 64);
  }
}

uint32_t SegmentReader::code_count(int column) const {
  const Entry e = entry(column);
  const auto count = kEncodings[e.encoding]->code_count;
  return count && !is_word(e.kind) ? count(e.values) : 0;
}

void SegmentReader::codes(int column, uint32_t first, std::span<uint32_t> out) const {
  assert(first + out.size() <= rows_);
  const Entry e = entry(column);
  kEncodings[e.encoding]->codes(e.values, first, out);
}

ByteView SegmentReader::coded(int column, uint32_t code) const {
  const Entry e = entry(column);
  return kEncodings[e.encoding]->coded(e.values, code);
}

ZoneMap SegmentReader::zone(int column) const {
  const Entry e = entry(column);
  return e.flags & kHasZone && is_word(e.kind) ? stored_zone(e) : computed_zone(e);
}

std::optional<unsigned> SegmentReader::decimal_digits(int column) const {
  const Entry e = entry(column);
  if (e.kind != Kind::Bytes || e.encoding != column::kDecimalNumber || e.flags & kAllNull)
    return std::nullopt;
  return column::decimal_scale(e.values);
}

ZoneMap SegmentReader::decimal_zone(int column) const {
  const Entry e = entry(column);
  return e.flags & kHasZone ? stored_zone(e) : ZoneMap{.nulls = nulls(e)};
}

ZoneMap SegmentReader::stored_zone(const Entry& e) const {
  const size_t before =
      (e.flags & kHasWidth ? kWidthBytes : 0) + (e.flags & kHasTypmod ? kTypmodBytes : 0);
  const uint8_t* p = e.optional + before;
  return {.nulls = nulls(e),
          .ordered = true,
          .min = load<int64_t>(p),
          .max = load<int64_t>(p + 8),
          .sum = load<__int128>(p + 16)};
}

ZoneMap SegmentReader::computed_zone(const Entry& e) const {
  const ZoneMap unordered{.nulls = nulls(e)};
  if (!is_word(e.kind) || e.flags & kAllNull) return unordered;
  if (e.encoding == column::kConstantNumber) {
    const uint64_t word = kEncodings[e.encoding]->word(e.values, 0);
    ZoneMap zone = column::zone_of(e.kind, {&word, 1}, 0);
    zone.nulls = unordered.nulls;
    zone.sum *= rows_ - unordered.nulls;
    return zone;
  }
  if (rows_ >= kMinRowsForZone) return unordered;
  std::array<uint64_t, kMinRowsForZone> words;
  const std::span<uint64_t> used(words.data(), rows_);
  kEncodings[e.encoding]->words(e.values, 0, used);
  return column::zone_of(e.kind, used, unordered.nulls);
}

void SegmentReader::canonical_row(uint32_t row, Bytes& out) const {
  if (is_hole(row)) corrupt("row " + std::to_string(first_rowid_ + row) + " is missing");
  ByteWriter writer(out);
  column::Scratch scratch;
  writer.fixed<uint64_t>(first_rowid_ + row);
  writer.fixed<uint64_t>(entity(row));
  for (int column = 0; column < columns_; ++column) {
    if (is_null(column, row)) continue;
    const Entry e = entry(column);
    writer.fixed<int16_t>(e.number);
    writer.fixed<uint8_t>(static_cast<uint8_t>(e.kind));
    if (is_word(e.kind))
      writer.fixed<uint64_t>(bits(column, row));
    else
      writer.sized(bytes(column, row, scratch));
  }
}

}  // namespace datahike::store
