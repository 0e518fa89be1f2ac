#include "column/vector/first_rows.h"

#include <algorithm>

#include "column/vector/hash.h"

namespace datahike::vector {

namespace {

constexpr uint64_t kSign = uint64_t{1} << 63;

// Words that are ordered, unsigned, as PostgreSQL orders the values: NaN above all others, -0 equal
// to 0. What is NULL comes before all or after all of them, or is equal to the last.
struct Ordered {
  explicit Ordered(const Order& order, const Program& program)
      : real(program.expressions[order.expression].type == Type::Float),
        flip(order.descending ? ~uint64_t{0} : 0),
        nulls_first(order.nulls_first) {}
  uint64_t value(uint64_t word) const {
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
  uint64_t rank(const Vector& v, unsigned i) const {
    return v.any_null && v.null[i] ? (nulls_first ? 0 : 2) : 1;
  }
  bool real;
  uint64_t flip;
  bool nulls_first;
};

}  // namespace

FirstRows::FirstRows(const Program& program)
    : program_(program), terms_(program.order.size()), stride_(terms_ + 2), most_(program.first) {}

void FirstRows::resize(uint32_t groups) {
  counts_.resize(groups);
  entries_.resize(size_t{groups} * most_ * stride_);
  bounds_.resize(groups, ~uint64_t{0});
}

size_t FirstRows::bytes() const {
  return counts_.capacity() * 4 + (entries_.capacity() + bounds_.capacity()) * 8;
}

RowPlace FirstRows::row(uint32_t group, uint32_t number) const {
  const uint64_t place = entries_[(size_t{group} * most_ + number) * stride_];
  return {static_cast<uint32_t>(place >> 32), static_cast<uint32_t>(place)};
}

bool FirstRows::is_before(const uint64_t* a, const uint64_t* b) const {
  for (size_t t = 0; t < terms_; ++t) {
    const uint64_t rank_a = a[1] >> 2 * t & 3, rank_b = b[1] >> 2 * t & 3;
    if (rank_a != rank_b) return rank_a < rank_b;
    if (a[2 + t] != b[2 + t]) return a[2 + t] < b[2 + t];
  }
  return false;
}

// REQUIRES: the row comes after those that have been inserted.
void FirstRows::insert(uint32_t group, const uint64_t* row) {
  uint32_t count = counts_[group];
  if (count == most_) {
    if (!is_before(row, entry(group, count - 1))) return;
    --count;
  }
  uint32_t at = count;
  for (; at > 0 && is_before(row, entry(group, at - 1)); --at)
    std::copy_n(entry(group, at - 1), stride_, entry(group, at));
  std::copy_n(row, stride_, entry(group, at));
  counts_[group] = ++count;
  if (count < most_ || terms_ == 0) return;
  const uint64_t* last = entry(group, most_ - 1);
  // A row with the word of the last, a value, is no earlier, unless there are more terms.
  const bool equal_is_out = terms_ == 1 && last[1] == 1 && last[2] > 0;
  bounds_[group] = last[2] - (equal_is_out ? 1 : 0);
}

void FirstRows::add(Evaluator& rows, const uint32_t* groups) {
  const unsigned n = rows.selected();
  std::vector<Ordered> terms;
  std::vector<const Vector*> values;
  for (const Order& order : program_.order) {
    terms.emplace_back(order, program_);
    values.push_back(&rows.value(order.expression));
  }
  alignas(64) uint64_t first[kChunkRows];
  if (terms_ == 0) {
    std::fill_n(first, n, 0);
  } else {
    for (unsigned i = 0; i < n; ++i) first[i] = terms[0].of(*values[0], i);
  }
  uint64_t row[2 + kMostOrder];
  for (unsigned i = 0; i < n; ++i) {
    const uint32_t group = groups ? groups[i] : 0;
    if (first[i] > bounds_[group]) continue;
    row[0] = uint64_t{rows.piece().number} << 32 | rows.row(i);
    row[1] = 0;
    for (size_t t = 0; t < terms_; ++t) {
      row[1] |= terms[t].rank(*values[t], i) << 2 * t;
      row[2 + t] = terms[t].of(*values[t], i);
    }
    insert(group, row);
  }
}

void FirstRows::merge(State& other, std::span<const uint32_t> to) {
  auto& later = static_cast<FirstRows&>(other);
  for (uint32_t g = 0; g < to.size(); ++g)
    for (uint32_t i = 0; i < later.counts_[g]; ++i) insert(to[g], later.entry(g, i));
}

}  // namespace datahike::vector
