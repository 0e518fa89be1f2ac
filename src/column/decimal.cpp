// Decimal: numerics with the same number of digits behind the point, as integers.
//
//   decimal := scale:u8 nested(rows)
//
// A row's byte string is the numeric nested value / 10^scale. Whether a byte string is a numeric is
// not asked of the column's type but of the bytes: the encoding fits if each can be made from its
// integer again. NULL rows repeat the integer before them.
#include "column/decimal.h"

#include <algorithm>

#include "column/nested.h"

namespace datahike::column {
namespace {

constexpr uint8_t kDepth = 2;
constexpr unsigned kBaseDigits = 4;
constexpr uint64_t kBase = 10000;
constexpr uint64_t kPowers[] = {1,
                                10,
                                100,
                                1000,
                                10000,
                                100000,
                                1000000,
                                10000000,
                                100000000,
                                1000000000,
                                10000000000,
                                100000000000,
                                1000000000000,
                                10000000000000,
                                100000000000000,
                                1000000000000000,
                                10000000000000000};
static_assert(std::size(kPowers) == kMostDecimalDigits + 1);

// The header of numeric.c's short form.
constexpr uint16_t kShort = 0x8000;
constexpr uint16_t kFormMask = 0xc000;
constexpr uint16_t kNegative = 0x2000;
constexpr unsigned kScaleShift = 7;
constexpr uint16_t kScaleMask = 0x3f;
constexpr uint16_t kWeightSign = 0x0040;
constexpr uint16_t kWeightMask = 0x003f;

// Digits of base 10000: 5 before the point, for 10^18 there, and 4 behind it.
constexpr size_t kMostGroups = 9;
static_assert(2 + 2 * kMostGroups <= std::tuple_size_v<ShortScratch>);

uint16_t load16(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

bool analyse(const Values& values, const ZoneMap&, Plan& plan) {
  const uint32_t rows = values.rows();
  if (values.kind() != Kind::Bytes || rows < kMinRowsToAnalyse) return false;
  Values integers(Kind::Int64);
  const uint32_t first = values.first_value();
  const auto first_value = numeric_to_scaled(values.bytes(first));
  if (!first_value) return false;
  plan.scale = first_value->scale;
  int64_t integer = first_value->value;
  __int128 of_nulls = 0;
  for (uint32_t row = 0; row < rows; ++row) {
    if (values.is_null(row)) {
      of_nulls += integer;
    } else {
      const auto scaled = numeric_to_scaled(values.bytes(row));
      if (!scaled || scaled->scale != plan.scale) return false;
      integer = scaled->value;
    }
    integers.add_word(static_cast<uint64_t>(integer));
  }
  plan.nested = encode_nested(std::move(integers), kDepth);
  plan.nested->zone.sum -= of_nulls;
  plan.nested->zone.nulls = values.nulls();
  const uint64_t bytes = 1 + plan.nested->bytes();
  // Worth a few bytes more than a dictionary: its words are computed with as they are.
  if (bytes >= plan.bytes && bytes - plan.bytes > plan.bytes / 4) return false;
  plan.bytes = bytes;
  return true;
}

void encode(const Values&, const ZoneMap&, const Plan& plan, Bytes& out) {
  out.push_back(static_cast<uint8_t>(plan.scale));
  write_nested(*plan.nested, out);
}

NestedReader integers_of(const Encoded& column) {
  if (column.body.empty() || column.body[0] > kMostDecimalDigits)
    throw CorruptError("column: damaged decimals");
  return read_nested(column.body.subspan(1), column.rows, kDepth);
}

uint64_t read_word(const Encoded& column, uint32_t row) { return integers_of(column).word(row); }

void read_words(const Encoded& column, uint32_t first, std::span<uint64_t> out) {
  integers_of(column).words(first, out);
}

ByteView read_bytes(const Encoded& column, uint32_t row, ShortScratch& scratch) {
  const auto value = static_cast<int64_t>(integers_of(column).word(row));
  if (value >= kLargestDecimal || value <= -kLargestDecimal)
    throw CorruptError("column: decimal of more than 18 digits");
  return scaled_to_numeric(value, column.body[0], scratch);
}

}  // namespace

std::optional<ScaledNumeric> numeric_to_scaled(ByteView numeric) {
  if (numeric.size() < 2 || numeric.size() % 2 != 0 || numeric.size() > 2 + 2 * kMostGroups)
    return std::nullopt;
  const uint16_t header = load16(numeric.data());
  if ((header & kFormMask) != kShort) return std::nullopt;
  const unsigned scale = header >> kScaleShift & kScaleMask;
  if (scale > kMostDecimalDigits) return std::nullopt;
  const auto digits = static_cast<int>(numeric.size() / 2 - 1);
  const int weight = (header & kWeightMask) - (header & kWeightSign ? kWeightMask + 1 : 0);
  // Of the digits after the first `weight + 1` of them, the point stands before.
  const int behind = digits - weight - 1;
  if (behind > static_cast<int>((scale + kBaseDigits - 1) / kBaseDigits) || weight > 4)
    return std::nullopt;
  __int128 value = 0;
  for (int i = 0; i < digits; ++i) value = value * kBase + load16(numeric.data() + 2 + 2 * i);
  int shift = static_cast<int>(scale) - behind * static_cast<int>(kBaseDigits);
  if (shift < 0) {  // digits of the last group that lie behind the scale: they must be 0
    value /= static_cast<int64_t>(kPowers[-shift]);
  } else {
    for (; shift > 0 && value < kLargestDecimal; --shift) value *= 10;
    if (shift > 0 && value != 0) return std::nullopt;
  }
  if (value >= kLargestDecimal) return std::nullopt;
  ScaledNumeric scaled{static_cast<int64_t>(value), scale};
  if (header & kNegative) scaled.value = -scaled.value;
  ShortScratch scratch;
  const ByteView again = scaled_to_numeric(scaled.value, scale, scratch);
  if (again.size() != numeric.size() ||
      std::memcmp(again.data(), numeric.data(), again.size()) != 0)
    return std::nullopt;
  return scaled;
}

ByteView scaled_to_numeric(int64_t value, unsigned scale, ShortScratch& scratch) {
  const uint64_t magnitude =
      value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  uint64_t whole = magnitude / kPowers[scale];
  const unsigned behind = (scale + kBaseDigits - 1) / kBaseDigits;
  uint64_t fraction = magnitude % kPowers[scale] * kPowers[behind * kBaseDigits - scale];
  uint16_t groups[kMostGroups];  // from the end of the array to its front
  size_t from = kMostGroups;
  for (unsigned i = 0; i < behind; ++i, fraction /= kBase)
    groups[--from] = static_cast<uint16_t>(fraction % kBase);
  for (; whole > 0; whole /= kBase) groups[--from] = static_cast<uint16_t>(whole % kBase);
  int weight = static_cast<int>(kMostGroups - from) - static_cast<int>(behind) - 1;
  size_t to = kMostGroups;
  while (to > from && groups[to - 1] == 0) --to;
  for (; from < to && groups[from] == 0; ++from) --weight;
  if (from == to) weight = 0;
  auto header = static_cast<uint16_t>(kShort | scale << kScaleShift | (weight & kWeightMask));
  if (weight < 0) header |= kWeightSign;
  if (value < 0) header |= kNegative;
  std::memcpy(scratch.data(), &header, sizeof header);
  std::memcpy(scratch.data() + 2, groups + from, 2 * (to - from));
  return ByteView(scratch).first(2 + 2 * (to - from));
}

const ZoneMap& decimal_zone(const Plan& plan) { return plan.nested->zone; }

unsigned decimal_scale(const Encoded& column) {
  integers_of(column);
  return column.body[0];
}

constinit const Encoding kDecimal = {.analyse = analyse,
                                     .encode = encode,
                                     .word = read_word,
                                     .words = read_words,
                                     .bytes = read_bytes,
                                     .depth = kDepth};

}  // namespace datahike::column
