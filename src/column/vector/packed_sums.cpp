#include "column/vector/packed_sums.h"

#include <algorithm>
#include <bit>

#include "column/bit_packing.h"

namespace datahike::vector {

namespace {

constexpr unsigned kMostBits = 24, kLeastBits = 12;  // of the number of rows until they are flushed
constexpr unsigned kWidest = 40;                     // bits of a value, so that nothing overflows

}  // namespace

PackedSums::PackedSums(const Program& program, const States& states)
    : program_(program), states_(states), taken_(program.accumulators.size()) {}

// Sums of columns of which no row of the piece is NULL, the smallest values first.
std::vector<PackedSums::Field> PackedSums::candidates(const Evaluator& rows,
                                                      std::span<const char> done) const {
  std::vector<Field> fields;
  for (size_t i = 0; i < program_.accumulators.size(); ++i) {
    const Accumulator& a = program_.accumulators[i];
    if (done[i] || a.filter >= 0 || (a.sum != Sum::Int64 && a.sum != Sum::Int128)) continue;
    const std::optional<column::ZoneMap> zone = rows.zone_of_values(a.argument);
    if (!zone || !zone->ordered || zone->nulls > 0) continue;
    const uint64_t range = static_cast<uint64_t>(zone->max) - static_cast<uint64_t>(zone->min);
    const auto bits = static_cast<unsigned>(std::bit_width(range));
    if (bits <= kWidest) fields.push_back({i, a.argument, zone->min, 0, bits});
  }
  std::ranges::stable_sort(fields, {}, &Field::bits);
  return fields;
}

PackedSums::Layout PackedSums::choose(const Evaluator& rows, std::span<const char> done,
                                      uint32_t groups) const {
  int counter = -1;
  for (size_t i = 0; i < program_.accumulators.size(); ++i)
    if (!done[i] && program_.accumulators[i].sum == Sum::Rows &&
        program_.accumulators[i].filter < 0)
      counter = static_cast<int>(i);
  std::vector<Field> fields = candidates(rows, done);
  const auto fits = [&](size_t n, unsigned row_bits) {
    unsigned bits = row_bits + 1;
    for (size_t i = 0; i < n; ++i) bits += fields[i].bits + row_bits;
    return bits <= 64;
  };
  unsigned row_bits = kMostBits;
  size_t n = fields.size();
  for (; n > 0 && !fits(n, row_bits);)
    if (row_bits > kLeastBits)
      --row_bits;
    else
      row_bits = kMostBits, --n;
  const uint64_t most = uint64_t{1} << row_bits;
  // Flushing goes through all groups, and may have to after each piece.
  const uint32_t live = rows.piece().live_rows;
  if (n + (counter >= 0) < 2 || std::min<uint64_t>(most, live) / 2 < groups) return {};
  fields.resize(n);
  unsigned shift = row_bits + 1;
  for (Field& field : fields) {
    field.shift = shift;
    field.bits += row_bits;
    shift += field.bits;
  }
  return {std::move(fields), counter, row_bits + 1, most};
}

void PackedSums::begin(const Evaluator& rows, std::span<const char> done, uint32_t groups) {
  Layout layout = choose(rows, done, groups);
  if (layout == layout_) return;
  flush();
  layout_ = std::move(layout);
  std::ranges::fill(taken_, 0);
  for (const Field& field : layout_.fields) taken_[field.accumulator] = 1;
  if (layout_.counter >= 0) taken_[layout_.counter] = 1;
}

void PackedSums::add(Evaluator& rows, const uint32_t* groups, uint32_t count) {
  if (layout_.most_rows == 0) return;
  const unsigned n = rows.selected();
  if (rows_ + n > layout_.most_rows) flush();
  rows_ += n;
  if (words_.size() < count) words_.resize(std::max<size_t>(count, words_.size() * 2));
  alignas(64) uint64_t packed[kChunkRows];
  std::fill_n(packed, n, 1);
  for (const Field& field : layout_.fields) {
    const uint64_t* values = rows.value(field.argument).words;
    const auto base = static_cast<uint64_t>(field.base);
    const unsigned shift = field.shift;
    for (unsigned i = 0; i < n; ++i) packed[i] += (values[i] - base) << shift;
  }
  uint64_t* words = words_.data();
  for (unsigned i = 0; i < n; ++i) words[groups[i]] += packed[i];
}

void PackedSums::flush() {
  if (rows_ == 0) return;
  rows_ = 0;
  const unsigned count_bits = layout_.count_bits;
  const uint64_t rows_mask = column::low_bits(count_bits);
  if (layout_.counter >= 0)
    states_[layout_.counter]->add_packed(words_, {0, count_bits, 0, rows_mask});
  for (const Field& f : layout_.fields)
    states_[f.accumulator]->add_packed(words_, {f.shift, f.bits, f.base, rows_mask});
  std::ranges::fill(words_, 0);
}

}  // namespace datahike::vector
