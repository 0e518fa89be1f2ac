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
  // not to be computed. REQUIRES: flush() after the piece before.
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
  };
  std::vector<Field> candidates(const Evaluator& rows, std::span<const char> done) const;

  const Program& program_;
  const States& states_;
  std::vector<char> taken_;
  std::vector<Field> fields_;  // of sums; the lowest bits count the rows
  int counter_ = -1;           // the accumulator that wants their number
  unsigned count_bits_ = 0;
  uint64_t most_rows_ = 0, rows_ = 0;
  LargeVector<uint64_t> words_;  // by group
};

}  // namespace datahike::vector
