// Linear: integers as bit-packed distances above a straight line, for values that grow (or fall)
// with the rows: serial numbers, times of arrival, keys of a sorted load.
//
//   linear := base:i64 slope:i64 width:u8 packed(rows, width)
//
// Value i is base + (slope * i >> 16) + packed value i, all modulo 2^64, the shift an arithmetic
// one. The slope has 16 bits behind the point, which is enough for 65536 rows, and its magnitude is
// below 2^46, so slope * i does not overflow.
#include <bit>

#include "column/bit_packing.h"
#include "column/encoding.h"

namespace datahike::column {
namespace {

constexpr size_t kHeadBytes = 17;
constexpr unsigned kFraction = 16;
constexpr int64_t kSteepest = int64_t{1} << 46;
constexpr uint32_t kMostRows = 65536;

uint64_t on_line(int64_t slope, uint64_t row) {
  return static_cast<uint64_t>(slope * static_cast<int64_t>(row) >> kFraction);
}

// What is left above the line through 0; as signed numbers their range decides the width.
struct Residuals {
  int64_t min, max;
  unsigned width() const {
    return std::bit_width(static_cast<uint64_t>(max) - static_cast<uint64_t>(min));
  }
};

Residuals residuals(std::span<const uint64_t> words, int64_t slope) {
  Residuals range{std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()};
  for (size_t i = 0; i < words.size(); ++i) {
    const auto residual = static_cast<int64_t>(words[i] - on_line(slope, i));
    range.min = std::min(range.min, residual);
    range.max = std::max(range.max, residual);
  }
  return range;
}

bool analyse(const Values& values, const ZoneMap&, Plan& plan) {
  const uint32_t rows = values.rows();
  if (!is_integer(values.kind()) || rows < kMinRowsToAnalyse || rows > kMostRows) return false;
  const std::span<const uint64_t> words = values.words();
  const auto rise = static_cast<int64_t>(words[rows - 1] - words[0]);
  if (rise >= kSteepest || rise <= -kSteepest) return false;
  // 46 bits of rise and 16 of fraction; the quotient is steeper than the limit only in few rows.
  const int64_t slope = rise * (int64_t{1} << kFraction) / (rows - 1);
  if (slope == 0 || slope >= kSteepest || slope <= -kSteepest) return false;
  const uint64_t bytes = kHeadBytes + packed_bytes(rows, residuals(words, slope).width());
  if (bytes >= plan.bytes) return false;
  plan.bytes = bytes;
  plan.slope = slope;
  return true;
}

void encode(const Values& values, const ZoneMap&, const Plan& plan, Bytes& out) {
  const std::span<const uint64_t> words = values.words();
  const Residuals range = residuals(words, plan.slope);
  const auto base = static_cast<uint64_t>(range.min);
  ByteWriter writer(out);
  writer.fixed<int64_t>(range.min);
  writer.fixed<int64_t>(plan.slope);
  writer.fixed<uint8_t>(static_cast<uint8_t>(range.width()));
  pack(
      words.size(), range.width(),
      [&](uint64_t i) { return words[i] - on_line(plan.slope, i) - base; }, out);
}

struct Line {
  uint64_t base;
  int64_t slope;
  unsigned width;
  ByteView packed;
};

Line line_of(const Encoded& column) {
  if (column.body.size() < kHeadBytes) throw CorruptError("column: truncated line");
  const uint8_t* p = column.body.data();
  const Line line{load64(p), static_cast<int64_t>(load64(p + 8)), p[16],
                  column.body.subspan(kHeadBytes)};
  if (line.width > 64 || line.slope >= kSteepest || line.slope <= -kSteepest ||
      column.rows > kMostRows)
    throw CorruptError("column: damaged line");
  return line;
}

uint64_t read_word(const Encoded& column, uint32_t row) {
  const Line line = line_of(column);
  return line.base + on_line(line.slope, row) + unpack(line.packed, row, line.width);
}

void read_words(const Encoded& column, uint32_t first, std::span<uint64_t> out) {
  const Line line = line_of(column);
  unpack_run(line.packed, first, line.width, line.base, out);
  for (size_t i = 0; i < out.size(); ++i) out[i] += on_line(line.slope, first + i);
}

}  // namespace

constinit const Encoding kLinear = {analyse, encode, read_word, read_words, no_bytes};

}  // namespace datahike::column
