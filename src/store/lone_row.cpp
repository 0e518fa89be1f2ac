// A segment as the grammar at the head of segment.cpp has it. In one row every value is the same as
// all others, so entity, xid and all columns are of encoding `constant` (see choose_encoding()),
// and a column has no zone map and no bitmap of NULLs.
#include "store/lone_row.h"

#include <stdexcept>

#include "column/significant_bytes.h"
#include "store/segment_format.h"

namespace datahike::store {

using namespace segment_format;

namespace {

uint8_t flags_of(const ColumnSpec& spec, const LoneValue& value) {
  return static_cast<uint8_t>((spec.kind == Kind::Fixed ? kHasWidth : 0) |
                              (spec.typmod != -1 ? kHasTypmod : 0) | (value.null ? kAllNull : 0));
}

// Room for the value and for what the flags say follows it.
size_t most_bytes(const LoneValue& value) {
  return value.bytes.size() + sizeof(uint64_t) + kWidthBytes + kTypmodBytes;
}

uint8_t* put_word(uint8_t* to, uint64_t word) {
  // All eight, of which the next value overwrites those that do not count.
  put<uint64_t>(to, word);
  return to + column::significant_bytes(word);
}

uint8_t* put_value(uint8_t* to, const ColumnSpec& spec, const LoneValue& value) {
  if (value.null) return to;
  if (column::is_word(spec.kind)) return put_word(to, column::normalised(spec.kind, value.bits));
  if (spec.kind == Kind::Fixed && value.bytes.size() != spec.width)
    throw std::logic_error("segment: a fixed value of the wrong width");
  if (!value.bytes.empty()) std::memcpy(to, value.bytes.data(), value.bytes.size());
  return to + value.bytes.size();
}

}  // namespace

void encode_lone_row(std::span<const ColumnSpec> columns, std::span<const LoneValue> values,
                     uint64_t rowid, uint64_t entity, uint64_t xid, Bytes& out) {
  if (values.size() != columns.size()) throw std::logic_error("segment: an unfinished row");
  size_t most = head_bytes(columns.size()) + 2 * sizeof(uint64_t);
  for (const LoneValue& value : values) most += most_bytes(value);
  if (most > 2 * kSegmentTargetBytes) throw std::logic_error("segment: a row that is too large");
  const size_t before = out.size();
  out.resize(before + most);
  uint8_t* const start = out.data() + before;
  std::copy(std::begin(kMagic), std::end(kMagic), start + kMagicAt);
  start[kVersionAt] = kVersion;
  put<uint64_t>(start + kFirstRowidAt, rowid);
  put<uint16_t>(start + kRowsAt, 0);
  put<uint16_t>(start + kColumnsAt, static_cast<uint16_t>(columns.size()));
  start[kEntityEncodingAt] = start[kXidEncodingAt] = column::kConstantNumber;
  uint8_t* at = start + head_bytes(columns.size());
  const auto end = [&] { return static_cast<uint32_t>(at - start); };
  at = put_word(at, entity == 0 ? 0 : rowid - entity);
  put<uint32_t>(start + kEntityEndAt, end());
  at = put_word(at, xid);
  put<uint32_t>(start + kXidEndAt, end());
  uint8_t* entry = start + kDirectoryAt;
  for (size_t i = 0; i < columns.size(); ++i, entry += kEntryBytes) {
    const ColumnSpec& spec = columns[i];
    const uint8_t flags = flags_of(spec, values[i]);
    at = put_value(at, spec, values[i]);
    if (flags & kHasWidth) put<uint16_t>(at, spec.width), at += kWidthBytes;
    if (flags & kHasTypmod) put<int32_t>(at, spec.typmod), at += kTypmodBytes;
    put<int16_t>(entry, spec.number);
    entry[2] = static_cast<uint8_t>(static_cast<uint8_t>(spec.kind) | column::kConstantNumber << 4);
    entry[3] = flags;
    put<uint32_t>(entry + 4, spec.type);
    put<uint32_t>(entry + kEntryEndAt, end());
  }
  out.resize(before + end());
  put<uint64_t>(out.data() + before, checksum_of(ByteView(out).subspan(before)));
}

}  // namespace datahike::store
