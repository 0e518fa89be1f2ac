// Several counts and sums of small integers of a group in one word, so that a row is added to all
// of them by one addition. They go to the states before any of them could overflow into the next.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "column/vector/large_vector.h"
#include "column/vector/states.h"

namespace datahike::vector {

class PackedSums {
 public:
  // REQUIRES: both outlive it.
  PackedSums(const Program& program, const States& states);
  // Takes what it can of the piece that the evaluator has begun; `done`: the accumulators that are
  // not to be computed. REQUIRES: the states have all groups.
  void begin(const Evaluator& rows, std::span<const char> done, uint32_t groups);
  bool has(size_t accumulator) const { return taken_[accumulator] != 0; }
  // The chunk at hand, whose selected rows are of these groups.
  void add(Evaluator& rows, const uint32_t* groups, uint32_t count);
  // Into the states. REQUIRES: those have all groups.
  void flush();

 private:
  struct Field {
    size_t accumulator;
    int argument;
    int64_t base;  // what is summed are distances from it
    unsigned shift, bits;
    bool operator==(const Field&) const = default;
  };
  struct Layout {
    std::vector<Field> fields;  // of sums; the lowest bits count the rows
    int counter = -1;           // the accumulator that wants their number
    unsigned count_bits = 0;
    uint64_t most_rows = 0;  // 0: nothing is packed
    bool operator==(const Layout&) const = default;
  };
  std::vector<Field> candidates(const Evaluator& rows, std::span<const char> done) const;
  Layout choose(const Evaluator& rows, std::span<const char> done, uint32_t groups) const;

  const Program& program_;
  const States& states_;
  std::vector<char> taken_;
  Layout layout_;
  uint64_t rows_ = 0;
  LargeVector<uint64_t> words_;  // by group
};

}  // namespace datahike::vector
