// What an accumulator keeps for each group.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <vector>

#include "column/vector/evaluator.h"

namespace datahike::vector {

// A sum of 256 bits, which no number of rows overflows, of so many rows, of which some were NaN.
struct DecimalSum {
  unsigned __int128 low = 0;
  __int128 high = 0;
  int64_t nans = 0;
  int64_t rows = 0;  // only counted of products and of different values
  void add(__int128 value) { add(value < 0 ? -1 : 0, static_cast<unsigned __int128>(value)); }
  void add(__int128 upper, unsigned __int128 lower) {
    low += lower;
    high += upper + (low < lower);
  }
};

// Where a sum lies in a group's word (packed_sums.h): each of its rows has added its distance from
// `base`, and 1 to the bits of `rows`.
struct PackedField {
  unsigned shift, bits;
  int64_t base;
  uint64_t rows;
};

class State {
 public:
  virtual ~State() = default;
  // From now on there are this many groups.
  virtual void resize(uint32_t groups) = 0;
  // Memory for so many, if it should come to that many.
  virtual void reserve(size_t) {}
  // The chunk at hand, whose selected rows are of these groups; nullptr: all of group 0.
  // Throws ValueError, Unbounded.
  virtual void add(Evaluator& rows, const uint32_t* groups) = 0;
  // False where add() has nothing to do for the chunk at hand, by the end of which so many groups
  // have been met.
  virtual bool needs(Evaluator&, uint32_t) const { return true; }
  // What these words, of the first groups, have in a field. REQUIRES: a count or a sum of integers.
  virtual void add_packed(std::span<const uint64_t>, const PackedField&) {
    throw std::logic_error("no packed sum");
  }
  // All rows of the evaluator's piece at once, for group 0, from its zone maps; false: they do not
  // say. REQUIRES: all rows of the piece that count pass.
  virtual bool add_zone(Evaluator&) { return false; }
  // What the same accumulator has of later rows: its group g becomes part of group to[g].
  virtual void merge(State& later, std::span<const uint32_t> to) = 0;
  // As before the first row, with as many groups. REQUIRES: is_ordered().
  virtual void clear() {}
  virtual size_t bytes() const = 0;
  // Of these: for each group the same, and what depends on the groups' rows.
  virtual size_t bytes_of_group() const = 0;
  virtual size_t own_bytes() const { return 0; }

  // Results, where the accumulator has such.
  virtual int64_t integer(uint32_t) const { return 0; }
  virtual __int128 wide(uint32_t group) const { return integer(group); }
  virtual double real(uint32_t) const { return 0; }
  virtual DecimalSum decimal(uint32_t) const { return {}; }
  virtual ByteView text(uint32_t) const { return {}; }
  // Of Distinct: the strings. `poll` is called now and then, and may throw.
  virtual std::span<const ByteView> texts(uint32_t, const std::function<void()>&) const {
    return {};
  }
  // Of Values: ordered words (ordered_values.h), in any order; who asks may order them. Likewise.
  virtual std::span<uint64_t> values(uint32_t, const std::function<void()>&) const { return {}; }
  virtual const double* moments(uint32_t) const { return nullptr; }  // 3 or 6 of them
};

// Of each accumulator; nullptr: not of this one.
using States = std::vector<std::unique_ptr<State>>;

// Whether results depend on the order in which rows are added up or partial results are merged.
// (And how much memory those need, as for strings.)
inline bool is_ordered(Sum sum) {
  return sum == Sum::Float || sum == Sum::Bounded || sum == Sum::Moments || sum == Sum::CoMoments ||
         sum == Sum::MinFloat || sum == Sum::MaxFloat || sum == Sum::MinText || sum == Sum::MaxText;
}

// REQUIRES: `program` outlives it.
std::unique_ptr<State> make_state(const Program& program, const Accumulator& accumulator);

}  // namespace datahike::vector
