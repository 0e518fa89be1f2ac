// Run length: words that repeat, once for each run.
//
//   run_length := runs:u32 width:u8 packed(runs, width) nested(runs)
//
// Packed value i is the row after the last one of run i, so the last is the number of rows. A row
// is found by bisection.
#include <bit>

#include "column/bit_packing.h"
#include "column/nested.h"
#include "column/normalise.h"

namespace datahike::column {
namespace {

constexpr size_t kHeadBytes = 5;
constexpr uint8_t kDepth = 1;

// A run must pay for its end, and for reading by bisection: below this share of rows.
constexpr uint32_t kRowsForARun = 4;

bool analyse(const Values& values, const ZoneMap&, Plan& plan) {
  const uint32_t rows = values.rows();
  if (!is_word(values.kind()) || rows < kMinRowsToAnalyse) return false;
  const std::span<const uint64_t> words = values.words();
  uint32_t runs = 1;
  for (uint32_t row = 1; row < rows; ++row) runs += words[row] != words[row - 1];
  const unsigned width = std::bit_width(rows);
  const uint64_t ends = packed_bytes(runs, width);
  if (runs > rows / kRowsForARun || kHeadBytes + ends >= plan.bytes) return false;
  Values distinct(Kind::Int64);
  for (uint32_t row = 0; row < rows; ++row) {
    if (row > 0 && words[row] == words[row - 1]) continue;
    if (row > 0) plan.positions.push_back(row);
    distinct.add_word(words[row]);
  }
  plan.positions.push_back(rows);
  plan.nested = encode_nested(std::move(distinct), kDepth);
  const uint64_t bytes = kHeadBytes + ends + plan.nested->bytes();
  if (bytes >= plan.bytes - plan.bytes / 4) return false;  // it reads slower than most
  plan.bytes = bytes;
  return true;
}

void encode(const Values& values, const ZoneMap&, const Plan& plan, Bytes& out) {
  ByteWriter writer(out);
  const unsigned width = std::bit_width(values.rows());
  writer.fixed<uint32_t>(static_cast<uint32_t>(plan.positions.size()));
  writer.fixed<uint8_t>(static_cast<uint8_t>(width));
  pack(
      plan.positions.size(), width, [&](uint64_t i) { return plan.positions[i]; }, out);
  write_nested(*plan.nested, out);
}

struct Runs {
  uint32_t count;
  unsigned width;
  ByteView ends;
  NestedReader values;
  uint64_t end(uint32_t run) const { return unpack(ends, run, width); }
  // The run that holds `row`.
  uint32_t find(uint32_t row) const {
    uint32_t low = 0;
    uint32_t high = count - 1;
    while (low < high) {
      const uint32_t middle = (low + high) / 2;
      if (end(middle) <= row)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }
};

Runs runs_of(const Encoded& column) {
  if (column.body.size() < kHeadBytes) throw CorruptError("column: truncated runs");
  uint32_t count;
  std::memcpy(&count, column.body.data(), sizeof count);
  const unsigned width = column.body[4];
  const ByteView rest = column.body.subspan(kHeadBytes);
  if (count == 0 || count > column.rows || width > 32 || packed_bytes(count, width) > rest.size())
    throw CorruptError("column: damaged runs");
  const size_t ends = packed_bytes(count, width);
  return {count, width, rest, read_nested(rest.subspan(ends), count, kDepth)};
}

uint64_t read_word(const Encoded& column, uint32_t row) {
  const Runs runs = runs_of(column);
  return normalised(column.kind, runs.values.word(runs.find(row)));
}

void read_words(const Encoded& column, uint32_t first, std::span<uint64_t> out) {
  const Runs runs = runs_of(column);
  uint64_t at = first;
  const uint64_t last = first + out.size();
  constexpr uint32_t kPart = 64;
  uint64_t ends[kPart], words[kPart];
  for (uint32_t run = runs.find(first); at < last && run < runs.count;) {
    const uint32_t n = std::min(kPart, runs.count - run);
    unpack_run(runs.ends, run, runs.width, 0, {ends, n});
    runs.values.words(run, {words, n});
    normalise(column.kind, {words, n});
    for (uint32_t i = 0; i < n && at < last; ++i) {
      const uint64_t end = std::min(ends[i], last);
      for (; at < end; ++at) out[at - first] = words[i];
    }
    run += n;
  }
  if (at < last) throw CorruptError("column: runs end before the rows do");
}

}  // namespace

constinit const Encoding kRunLength = {.analyse = analyse,
                                       .encode = encode,
                                       .word = read_word,
                                       .words = read_words,
                                       .bytes = no_bytes,
                                       .depth = kDepth};

}  // namespace datahike::column
