// The first rows of each group by an order: where they are.
#pragma once

#include <compare>

#include "column/vector/states.h"

namespace datahike::vector {

// What numbers the rows of a group by their order: the `second` of the accumulator.
enum class Ranking : int { RowNumber, Rank, DenseRank };

// A row: the number of its piece (piece.h) and its own in that.
struct RowPlace {
  uint32_t piece, row;
  auto operator<=>(const RowPlace&) const = default;
};

// What is kept of Sum::First.
class ChosenRows : public State {
 public:
  using Visit = std::function<void(RowPlace place, uint32_t number)>;
  // The rows of a group, and their numbers by the program's ranking, from 1.
  virtual void each(uint32_t group, const Visit& visit) const = 0;
};

// By row_number(). Of rows that are equal by the order those that come first in the table are the
// first.
class FirstRows final : public ChosenRows {
 public:
  // REQUIRES: `program` outlives it.
  explicit FirstRows(const Program& program);
  void resize(uint32_t groups) override;
  void add(Evaluator& rows, const uint32_t* groups) override;
  void merge(State& later, std::span<const uint32_t> to) override;
  size_t bytes() const override;
  size_t bytes_of_group() const override { return (size_t{most_} * stride_ + 1) * 8 + 4; }

  void each(uint32_t group, const Visit& visit) const override;

 private:
  // A row is `stride_` words: where it is, two bits for each term of the order (0: NULL that comes
  // first, 1: a value, 2: NULL that comes last), and for each term a word that is the smaller the
  // earlier the row comes.
  uint64_t* entry(uint32_t group, uint32_t number) {
    return &entries_[(size_t{group} * most_ + number) * stride_];
  }
  bool is_before(const uint64_t* a, const uint64_t* b) const;
  void insert(uint32_t group, const uint64_t* row);

  const Program& program_;
  size_t terms_, stride_;
  uint32_t most_;
  std::vector<uint32_t> counts_;
  std::vector<uint64_t> entries_;
  // A row whose first word is above that of its group is not among the group's first ones.
  std::vector<uint64_t> bounds_;
};

}  // namespace datahike::vector
