// Decimal float: doubles that were written with a few digits behind the point, as integers. In the
// spirit of ALP (Afroozeh, Kuffo, Boncz: ALP: Adaptive Lossless floating-Point compression, 2023),
// but by division, which is exact, and with exceptions kept apart for the whole segment.
//
//   decimal_float := digits:u8 exceptions:u32 u32[exceptions] u64[exceptions] nested(rows)
//
// A double is nested value / 10^digits, unless its row is one of the exceptions: those are rows,
// ascending, then their words. The quotient of two integers below 2^53 is rounded once, so it is
// the double nearest to the decimal number, which is what reading "12.34" gives.
#include <algorithm>
#include <bit>
#include <cmath>

#include "column/bit_packing.h"
#include "column/kernels.h"
#include "column/nested.h"

namespace datahike::column {
namespace {

constexpr size_t kHeadBytes = 5;
constexpr size_t kExceptionBytes = 12;
constexpr uint8_t kDepth = 2;
constexpr unsigned kMostDigits = 15;
constexpr double kPowers[] = {1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                              1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
static_assert(std::size(kPowers) == kMostDigits + 1);
constexpr double kLargest = 9007199254740992;  // 2^53
constexpr size_t kSample = 64;

// Whether the double is an integer / 10^digits, bit for bit, and which.
bool scaled(uint64_t word, unsigned digits, int64_t* integer) {
  const double value = std::bit_cast<double>(word);
  const double scaled = std::nearbyint(value * kPowers[digits]);
  if (!(std::abs(scaled) < kLargest)) return false;  // NaN and infinities too
  *integer = static_cast<int64_t>(scaled);
  return std::bit_cast<uint64_t>(static_cast<double>(*integer) / kPowers[digits]) == word;
}

// The fewest digits with which no more of the sample are exceptions than with any others.
unsigned sampled_digits(std::span<const uint64_t> words, size_t* misses) {
  unsigned best = 0;
  *misses = std::numeric_limits<size_t>::max();
  const size_t step = std::max<size_t>(words.size() / kSample, 1);
  for (unsigned digits = 0; digits <= kMostDigits && *misses > 0; ++digits) {
    size_t missed = 0;
    int64_t integer;
    for (size_t at = 0; at < words.size(); at += step)
      missed += !scaled(words[at], digits, &integer);
    if (missed >= *misses) continue;
    best = digits;
    *misses = missed;
  }
  return best;
}

bool analyse(const Values& values, const ZoneMap&, Plan& plan) {
  const uint32_t rows = values.rows();
  if (values.kind() != Kind::Float64 || rows < kMinRowsToAnalyse || plan.bytes <= rows)
    return false;
  size_t misses;
  const std::span<const uint64_t> words = values.words();
  plan.scale = sampled_digits(words, &misses);
  if (misses > kSample / 8) return false;
  Values integers(Kind::Int64);
  int64_t integer = 0;
  for (uint32_t row = 0; row < rows; ++row) {
    int64_t next;
    if (scaled(words[row], plan.scale, &next))
      integer = next;
    else
      plan.positions.push_back(row);  // it repeats the integer before it
    integers.add_word(static_cast<uint64_t>(integer));
  }
  const uint64_t exceptions = kExceptionBytes * plan.positions.size();
  if (kHeadBytes + exceptions >= plan.bytes) return false;
  plan.nested = encode_nested(std::move(integers), kDepth);
  const uint64_t bytes = kHeadBytes + exceptions + plan.nested->bytes();
  if (bytes >= plan.bytes) return false;
  plan.bytes = bytes;
  return true;
}

void encode(const Values& values, const ZoneMap&, const Plan& plan, Bytes& out) {
  ByteWriter writer(out);
  writer.fixed<uint8_t>(static_cast<uint8_t>(plan.scale));
  writer.fixed<uint32_t>(static_cast<uint32_t>(plan.positions.size()));
  for (uint32_t row : plan.positions) writer.fixed<uint32_t>(row);
  for (uint32_t row : plan.positions) writer.fixed<uint64_t>(values.words()[row]);
  write_nested(*plan.nested, out);
}

struct Decimals {
  double power;
  uint32_t exceptions;
  const uint8_t* rows;
  const uint8_t* words;
  NestedReader integers;
  uint32_t exception_row(uint32_t i) const {
    uint32_t row;
    std::memcpy(&row, rows + size_t{4} * i, sizeof row);
    return row;
  }
  // The first exception at or after `row`.
  uint32_t find(uint32_t row) const {
    uint32_t low = 0;
    for (uint32_t high = exceptions; low < high;) {
      const uint32_t middle = low + (high - low) / 2;
      if (exception_row(middle) < row)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }
  uint64_t value(uint64_t integer) const {
    return std::bit_cast<uint64_t>(static_cast<double>(static_cast<int64_t>(integer)) / power);
  }
};

Decimals decimals_of(const Encoded& column) {
  if (column.body.size() < kHeadBytes) throw CorruptError("column: truncated decimal floats");
  const uint8_t* p = column.body.data();
  uint32_t exceptions;
  std::memcpy(&exceptions, p + 1, sizeof exceptions);
  const size_t head = kHeadBytes + size_t{exceptions} * kExceptionBytes;
  if (p[0] > kMostDigits || exceptions > column.rows || head > column.body.size())
    throw CorruptError("column: damaged decimal floats");
  return {kPowers[p[0]], exceptions, p + kHeadBytes, p + kHeadBytes + size_t{4} * exceptions,
          read_nested(column.body.subspan(head), column.rows, kDepth)};
}

uint64_t read_word(const Encoded& column, uint32_t row) {
  const Decimals decimals = decimals_of(column);
  if (decimals.exceptions > 0) {
    const uint32_t at = decimals.find(row);
    if (at < decimals.exceptions && decimals.exception_row(at) == row)
      return load64(decimals.words + size_t{8} * at);
  }
  return decimals.value(decimals.integers.word(row));
}

void read_words(const Encoded& column, uint32_t first, std::span<uint64_t> out) {
  const Decimals decimals = decimals_of(column);
  decimals.integers.words(first, out);
  kernels().to_fraction(reinterpret_cast<const int64_t*>(out.data()), out.size(), decimals.power,
                        reinterpret_cast<double*>(out.data()));
  for (uint32_t at = decimals.find(first); at < decimals.exceptions; ++at) {
    const uint32_t row = decimals.exception_row(at);
    if (row < first || row - first >= out.size()) break;
    out[row - first] = load64(decimals.words + size_t{8} * at);
  }
}

}  // namespace

constinit const Encoding kDecimalFloat = {.analyse = analyse,
                                          .encode = encode,
                                          .word = read_word,
                                          .words = read_words,
                                          .bytes = no_bytes,
                                          .depth = kDepth};

}  // namespace datahike::column
