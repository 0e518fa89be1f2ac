// A uniform sample of rows whose number is not known before the last one: Algorithm L (Li 1994),
// which skips over rows that are not taken. What is taken depends only on the seed and the number
// of rows, so that where that number is known the rows can be named without reading any.
#pragma once

#include <algorithm>
#include <vector>

#include "iforest/arithmetic.h"
#include "iforest/random.h"

namespace datahike::iforest {

class Reservoir {
 public:
  static constexpr uint64_t kNone = UINT64_MAX;
  Reservoir(uint64_t capacity, uint64_t seed) : capacity_(capacity), random_(seed, UINT64_MAX) {}

  // The place (0 .. capacity-1) of the next row, where it replaces what is there; kNone = it is not
  // taken.
  uint64_t offer() {
    const uint64_t row = rows_++;
    if (row < capacity_) {
      if (rows_ == capacity_) skip();
      return row;
    }
    if (row != next_) return kNone;
    const uint64_t place = random_.below(capacity_);
    skip();
    return place;
  }
  // How many rows from the next one on are not taken.
  uint64_t idle() const { return rows_ < capacity_ ? 0 : next_ - rows_; }
  void pass(uint64_t rows) { rows_ += rows; }  // REQUIRES: rows <= idle()
  uint64_t rows() const { return rows_; }

  // Which of `rows` rows are taken, by place; without reading any.
  std::vector<uint64_t> draw(uint64_t rows) {
    std::vector<uint64_t> taken;
    while (rows_ < rows) {
      pass(std::min(idle(), rows - rows_));
      if (rows_ == rows) break;
      const uint64_t row = rows_, place = offer();
      if (place == taken.size())
        taken.push_back(row);
      else
        taken[place] = row;
    }
    return taken;
  }

 private:
  // To the next row that is taken: each of the rows in the sample has a random key, and w is the
  // greatest of them; a row is taken if its key is less.
  void skip() {
    const double k = static_cast<double>(capacity_);
    log_w_ += natural_log(random_.open_unit()) / k;
    // ln(1 - w), also where w is so small that 1 - w is 1.
    const double w = log_w_ < -690 ? 0 : power_of_two(log_w_ * 1.4426950408889634);
    const double log_rest = w < 1e-8 ? -w : w >= 1 ? -37 : natural_log(1 - w);
    const double jump = log_rest == 0 ? 1e18 : natural_log(random_.open_unit()) / log_rest;
    next_ = rows_ + (jump > 1e18 ? uint64_t{1000000000000000000} : static_cast<uint64_t>(jump));
  }

  const uint64_t capacity_;
  Random random_;
  double log_w_ = 0;
  uint64_t rows_ = 0, next_ = 0;
};

}  // namespace datahike::iforest
