// The order of a group's rows, as words.
#pragma once

#include "column/vector/evaluator.h"
#include "column/vector/hash.h"

namespace datahike::vector {

// Of a term of the order: words that are ordered, unsigned, as PostgreSQL orders the values: NaN
// above all others, -0 equal to 0. What is NULL comes before all or after all of them, or is equal
// to the last.
struct OrderedTerm {
  OrderedTerm(const Order& order, const Program& program)
      : real(program.expressions[order.expression].type == Type::Float),
        flip(order.descending ? ~uint64_t{0} : 0),
        nulls_first(order.nulls_first) {}
  uint64_t value(uint64_t word) const {
    constexpr uint64_t kSign = uint64_t{1} << 63;
    if (real) {
      word = normalised(word);
      word ^= word & kSign ? ~uint64_t{0} : kSign;
    } else {
      word ^= kSign;
    }
    return word ^ flip;
  }
  uint64_t of(const Vector& v, unsigned i) const {
    if (v.any_null && v.null[i]) return nulls_first ? 0 : ~uint64_t{0};
    return value(v.words[i]);
  }
  // 0: NULL that comes first, 1: a value, 2: NULL that comes last.
  uint64_t rank(const Vector& v, unsigned i) const {
    return v.any_null && v.null[i] ? (nulls_first ? 0 : 2) : 1;
  }
  bool real;
  uint64_t flip;
  bool nulls_first;
};

// The rows of a chunk.
class RowOrder {
 public:
  RowOrder(const Program& program, Evaluator& rows) {
    for (const Order& order : program.order) {
      terms_.emplace_back(order, program);
      values_.push_back(&rows.value(order.expression));
    }
  }
  size_t terms() const { return terms_.size(); }
  // Of the first term; 0 if there is none.
  uint64_t first(unsigned i) const { return terms_.empty() ? 0 : terms_[0].of(*values_[0], i); }
  // The ranks of all terms, two bits each, and then a word for each. What is_before() compares.
  void put(unsigned i, uint64_t* words) const {
    words[0] = 0;
    for (size_t t = 0; t < terms_.size(); ++t) {
      words[0] |= terms_[t].rank(*values_[t], i) << 2 * t;
      words[1 + t] = terms_[t].of(*values_[t], i);
    }
  }

 private:
  std::vector<OrderedTerm> terms_;
  std::vector<const Vector*> values_;
};

// -1, 0 or 1.
inline int compare_rows(const uint64_t* a, const uint64_t* b, size_t terms) {
  for (size_t t = 0; t < terms; ++t) {
    const uint64_t rank_a = a[0] >> 2 * t & 3, rank_b = b[0] >> 2 * t & 3;
    if (rank_a != rank_b) return rank_a < rank_b ? -1 : 1;
    if (a[1 + t] != b[1 + t]) return a[1 + t] < b[1 + t] ? -1 : 1;
  }
  return 0;
}

}  // namespace datahike::vector
