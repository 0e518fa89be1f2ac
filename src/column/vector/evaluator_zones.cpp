// What zone maps say of the piece at hand: which filters all or none of its rows pass, and, with
// the rows that do not count left out, what aggregates of it are.
#include <bit>

#include "column/bit_packing.h"
#include "column/vector/zone_memory.h"

namespace datahike::vector {

using column::low_bits;

bool Evaluator::is_column(int expression) const {
  return program_.expressions[expression].op == Op::Column;
}

std::optional<column::ZoneMap> Evaluator::zone_of_values(int expression) const {
  const Expression& e = program_.expressions[expression];
  if (e.op != Op::Column || program_.columns[e.argument].build >= 0) return std::nullopt;
  if (read_at(e.argument) < 0) return std::nullopt;
  return zone_of_column(e.argument);
}

// Nothing is known of a piece of which many rows do not count: reading it is as fast.
const ZoneOfRows* Evaluator::zone_of(int expression) {
  constexpr uint32_t kLeastForEach = 16;  // rows for each that does not count
  const Expression& e = program_.expressions[expression];
  if (e.op != Op::Column && e.op != Op::Presence) return nullptr;
  if (program_.join.kind != Join::None || read_at(e.argument) < 0) return nullptr;
  const uint32_t rows = piece_->segment.rows(), count = piece_->live_rows;
  if (rows - count > rows / kLeastForEach) return nullptr;
  zones_.resize(program_.columns.size());
  zone_of_.resize(program_.columns.size());
  ZoneOfRows& zone = zones_[e.argument];
  if (zone_of_[e.argument] == pieces_) return &zone;
  zone_of_[e.argument] = pieces_;
  const column::ZoneMap all = zone_of_column(e.argument);
  zone = {.rows = count, .nulls = all.nulls, .min = all.min, .max = all.max, .sum = all.sum};
  zone.ordered = all.ordered && program_.columns[e.argument].type == Type::Int;
  zone.has_min = zone.has_max = zone.ordered;
  if (count == rows) return &zone;
  const ZoneKey key = zone_key(e.argument);
  if (const std::optional<ZoneOfRows> known = remembered_zone(key)) {
    zone = *known;
  } else {
    leave_out_removed(e.argument, zone);
    remember_zone(key, zone);
  }
  return &zone;
}

const ZoneOfRows* Evaluator::exact_zone_of(int expression) {
  const ZoneOfRows* known = zone_of(expression);
  if (!known || !known->ordered || known->all_null() || (known->has_min && known->has_max))
    return known;
  const int column = program_.expressions[expression].argument;
  find_extremes(column, zones_[column]);
  remember_zone(zone_key(column), zones_[column]);
  return known;
}

ZoneKey Evaluator::zone_key(int column) {
  if (live_hash_of_ != pieces_) {
    live_hash_ = live_hash(*piece_);
    live_hash_of_ = pieces_;
  }
  return {.checksum = piece_->segment.checksum(),
          .first_rowid = piece_->segment.first_rowid(),
          .live = {live_hash_[0], live_hash_[1]},
          .column = program_.columns[column].number,
          .decimal = program_.columns[column].decimal};
}

// REQUIRES: some row that counts is not NULL.
void Evaluator::find_extremes(int column, ZoneOfRows& zone) const {
  const store::SegmentReader& segment = piece_->segment;
  const int at = read_at(column);
  const bool nullable = segment.nulls(at) > 0;
  int64_t values[kChunkRows];
  uint64_t nulls[kMaskWords];
  int64_t least = INT64_MAX, greatest = INT64_MIN;
  for (uint32_t base = 0; base < segment.rows(); base += kChunkRows) {
    const uint32_t rows = std::min<uint32_t>(kChunkRows, segment.rows() - base);
    segment.bits(at, base, std::span(reinterpret_cast<uint64_t*>(values), rows));
    if (nullable) segment.null_bits(at, base, nulls);
    for (uint32_t w = 0; w * 64 < rows; ++w) {
      uint64_t counting = piece_->live[base / 64 + w] & (nullable ? ~nulls[w] : ~uint64_t{0});
      for (; counting; counting &= counting - 1) {
        const int64_t value = values[w * 64 + static_cast<uint32_t>(std::countr_zero(counting))];
        least = std::min(least, value);
        greatest = std::max(greatest, value);
      }
    }
  }
  zone.min = least;
  zone.max = greatest;
  zone.has_min = zone.has_max = true;
}

void Evaluator::find_removed() {
  if (removed_of_ == pieces_) return;
  removed_of_ = pieces_;
  removed_.clear();
  const uint32_t rows = piece_->segment.rows();
  for (uint32_t base = 0; base < rows; base += 64) {
    uint64_t word = ~piece_->live[base / 64];
    if (rows - base < 64) word &= low_bits(rows - base);
    for (; word; word &= word - 1)
      removed_.push_back(base + static_cast<unsigned>(std::countr_zero(word)));
  }
}

// The segment's zone map counts holes as well, as the values that are there (store/segment.cpp).
void Evaluator::leave_out_removed(int column, ZoneOfRows& zone) {
  find_removed();
  const store::SegmentReader& segment = piece_->segment;
  const int at = read_at(column);
  const store::ColumnReader values = segment.column_reader(at);
  std::vector<uint32_t> valued;  // if some are NULL
  if (zone.nulls > 0) {
    for (const uint32_t row : removed_)
      if (!values.is_null(row)) valued.push_back(row);
    zone.nulls -= static_cast<uint32_t>(removed_.size() - valued.size());
  }
  if (!zone.ordered) return;
  const std::span<const uint32_t> rows = segment.nulls(at) > 0 ? valued : removed_;
  for (const uint32_t row : rows) {
    const auto value = static_cast<int64_t>(values.bits(row));
    zone.sum -= value;
    zone.has_min &= value != zone.min;
    zone.has_max &= value != zone.max;
  }
}

// False if no row passes; `all` if every row does.
bool Evaluator::test_zone(const Filter& f, bool& all) const {
  if (f.test == Test::Never) return false;
  if (f.test == Test::Any) {
    bool some = false;
    for (const Condition& alternative : f.alternatives) {
      bool of_this = false;
      if (!test_zones(alternative, of_this)) continue;
      some = true;
      all |= of_this;
    }
    return some;
  }
  if (f.test == Test::IsNull || f.test == Test::IsNotNull) {
    if (f.column < 0) return true;
    const int at = read_at(f.column);
    const uint32_t rows = piece_->segment.rows();
    const uint32_t missing = program_.columns[f.column].missing_null ? rows : 0;
    const uint32_t nulls = at < 0 ? missing : piece_->segment.nulls(at);
    const uint32_t passing = f.test == Test::IsNull ? nulls : rows - nulls;
    all = passing == rows;
    return passing > 0;
  }
  if (f.test != Test::Range || !is_column(f.expression)) return true;
  const Expression& e = program_.expressions[f.expression];
  if (read_at(e.argument) < 0) return true;
  const column::ZoneMap zone = zone_of_column(e.argument);
  if (zone.nulls == piece_->segment.rows()) return false;
  if (!zone.ordered) return true;
  if (e.type == Type::Int) {
    all = zone.nulls == 0 && zone.min >= low_of(f) && zone.max <= high_of(f);
    return zone.max >= low_of(f) && zone.min <= high_of(f);
  }
  const double low = std::bit_cast<double>(f.low), high = std::bit_cast<double>(f.high);
  const double min = std::bit_cast<double>(zone.min), max = std::bit_cast<double>(zone.max);
  const auto above = [&](double v) { return !f.has_low || (f.low_open ? v > low : v >= low); };
  const auto below = [&](double v) { return !f.has_high || (f.high_open ? v < high : v <= high); };
  all = zone.nulls == 0 && above(min) && below(max);
  return above(max) && below(min);
}

bool Evaluator::test_zones(const Condition& condition, bool& all) const {
  all = true;
  for (const Filter& filter : condition) {
    bool of_this = false;
    if (!test_zone(filter, of_this)) return false;
    all &= of_this;
  }
  return true;
}

}  // namespace datahike::vector
