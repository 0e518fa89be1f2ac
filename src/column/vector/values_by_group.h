// States that are one value for each group.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <type_traits>

#include "column/vector/large_vector.h"
#include "column/vector/states.h"

namespace datahike::vector {

// What overflows when partial results are combined need not do so row by row.
inline void check_finite(const double* v, size_t n) {
  for (size_t i = 0; i < n; ++i)
    if (!std::isfinite(v[i])) throw InRowOrder();
}

// One value of type T for each group, Start at first.
template <class T>
class Values : public State {
 public:
  explicit Values(int argument, T start) : argument_(argument), start_(start) {}
  void resize(uint32_t groups) override { values_.resize(groups, start_); }
  void reserve(size_t groups) override { values_.reserve(groups); }
  size_t bytes() const override { return values_.size() * sizeof(T); }
  void clear() override { std::ranges::fill(values_, start_); }
  size_t bytes_of_group() const override { return sizeof(T); }
  void merge(State& later, std::span<const uint32_t> to) override {
    const LargeVector<T>& from = static_cast<Values&>(later).values_;
    for (size_t g = 0; g < to.size(); ++g) combine(values_[to[g]], from[g]);
  }

 protected:
  // Two groups become one; `later` is of the later rows.
  virtual void combine(T& state, const T& later) {
    if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, __int128>) state += later;
  }
  // body(state of the row's group, row number) for the rows that are not NULL.
  template <class Body>
  void each(const Vector& v, unsigned n, const uint32_t* groups, Body body) {
    T* states = values_.data();
    if (!groups) {
      T state = states[0];
      if (v.any_null) {
        for (unsigned i = 0; i < n; ++i)
          if (!v.null[i]) body(state, i);
      } else {
        for (unsigned i = 0; i < n; ++i) body(state, i);
      }
      states[0] = state;
    } else if (v.any_null) {
      for (unsigned i = 0; i < n; ++i)
        if (!v.null[i]) body(states[groups[i]], i);
    } else {
      for (unsigned i = 0; i < n; ++i) body(states[groups[i]], i);
    }
  }

  int argument_;
  T start_;
  LargeVector<T> values_;
};

}  // namespace datahike::vector
