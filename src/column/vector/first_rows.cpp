#include "column/vector/first_rows.h"

#include <algorithm>

#include "column/vector/row_order.h"

namespace datahike::vector {

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

void FirstRows::each(uint32_t group, const Visit& visit) const {
  for (uint32_t i = 0; i < counts_[group]; ++i) {
    const uint64_t place = entries_[(size_t{group} * most_ + i) * stride_];
    visit({static_cast<uint32_t>(place >> 32), static_cast<uint32_t>(place)}, i + 1);
  }
}

bool FirstRows::is_before(const uint64_t* a, const uint64_t* b) const {
  const int order = compare_rows(a + 1, b + 1, terms_);
  return order != 0 ? order < 0 : a[0] < b[0];
}

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
  const RowOrder order(program_, rows);
  alignas(64) uint64_t first[kChunkRows];
  for (unsigned i = 0; i < n; ++i) first[i] = order.first(i);
  uint64_t row[2 + kMostOrder];
  for (unsigned i = 0; i < n; ++i) {
    const uint32_t group = groups ? groups[i] : 0;
    if (first[i] > bounds_[group]) continue;
    row[0] = uint64_t{rows.piece().number} << 32 | rows.row(i);
    order.put(i, row + 1);
    insert(group, row);
  }
}

void FirstRows::merge(State& other, std::span<const uint32_t> to) {
  auto& later = static_cast<FirstRows&>(other);
  for (uint32_t g = 0; g < to.size(); ++g)
    for (uint32_t i = 0; i < later.counts_[g]; ++i) insert(to[g], later.entry(g, i));
}

}  // namespace datahike::vector
