// The selected rows of a chunk as runs of rows that follow each other: where few are left out,
// their values are copied run by run, which is faster than gathering them.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include "column/vector/program.h"

namespace datahike::vector {

struct RowRun {
  uint16_t first, rows;
};

// Those of the rows below `rows` whose bit is set; returns how many runs. `runs` has room for one
// more than there are bits that are not set.
inline unsigned find_runs(const uint64_t* mask, unsigned rows, RowRun* runs) {
  unsigned count = 0, from = 0;
  const auto end = [&](unsigned row) {
    if (row > from)
      runs[count++] = {static_cast<uint16_t>(from), static_cast<uint16_t>(row - from)};
    from = row + 1;
  };
  for (unsigned base = 0; base < rows; base += 64)
    for (uint64_t unset = ~mask[base / 64]; unset; unset &= unset - 1) {
      const unsigned row = base + static_cast<unsigned>(std::countr_zero(unset));
      if (row >= rows) break;
      end(row);
    }
  end(rows);
  return count;
}

// REQUIRES: `out` does not overlap `values`.
template <class T>
void copy_runs(const T* values, std::span<const RowRun> runs, T* out) {
  for (const RowRun& run : runs) {
    std::memcpy(out, values + run.first, run.rows * sizeof(T));
    out += run.rows;
  }
}

// The numbers of the rows.
inline void number_runs(std::span<const RowRun> runs, uint16_t* out) {
  for (const RowRun& run : runs)
    for (unsigned i = 0; i < run.rows; ++i) *out++ = static_cast<uint16_t>(run.first + i);
}

// A byte of 0 or 1 for each bit.
inline void expand_bits(const uint64_t* bits, unsigned words, uint8_t* out) {
  constexpr uint64_t kOnes = 0x0101010101010101, kOwn = 0x8040201008040201, kLow = kOnes * 0x7f;
  for (unsigned i = 0; i < words * 8; ++i) {
    // Each of eight bytes has all eight bits, and keeps its own.
    const uint64_t own = (bits[i / 8] >> i % 8 * 8 & 0xff) * kOnes & kOwn;
    const uint64_t set = (((own & kLow) + kLow) | own) >> 7 & kOnes;
    std::memcpy(out + size_t{i} * 8, &set, sizeof set);
  }
}

}  // namespace datahike::vector
