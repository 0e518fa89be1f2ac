#include "datalog/column.h"

#include <algorithm>

namespace datahike::datalog {

Column::Column(size_t rows, const Value& value) {
  if (value.is(Kind::Long)) {
    integers_.assign(rows, value.as_integer());
  } else {
    mixed_ = true;
    values_.assign(rows, value);
  }
}

void Column::reserve(size_t rows) {
  if (mixed_)
    values_.reserve(rows);
  else
    integers_.reserve(rows);
}

void Column::clear() {
  values_.clear();
  integers_.clear();
  mixed_ = false;
}

void Column::mix() {
  mixed_ = true;
  values_.reserve(std::max(values_.capacity(), integers_.capacity()));
  for (int64_t i : integers_) values_.push_back(Value::integer(i));
  std::vector<int64_t>().swap(integers_);
}

void Column::append(std::vector<int64_t> integers) {
  if (empty() && !mixed_) {
    integers_ = std::move(integers);
    return;
  }
  if (!mixed_) {
    integers_.insert(integers_.end(), integers.begin(), integers.end());
    return;
  }
  for (int64_t i : integers) values_.push_back(Value::integer(i));
}

void Column::append(Values values) {
  if (empty() && !values.empty() && !values.front().is(Kind::Long)) {
    mixed_ = true;
    values_ = std::move(values);
    return;
  }
  for (Value& v : values) push_back(std::move(v));
}

void Column::append(const Column& other, size_t from, size_t to) {
  auto slice = [=](auto& out, const auto& in) {
    out.insert(out.end(), in.begin() + static_cast<ptrdiff_t>(from),
               in.begin() + static_cast<ptrdiff_t>(to));
  };
  if (from == to) return;
  if (other.mixed_ && !mixed_) mix();
  if (mixed_ == other.mixed_)
    return mixed_ ? slice(values_, other.values_) : slice(integers_, other.integers_);
  for (size_t row = from; row < to; ++row) values_.push_back(Value::integer(other.integers_[row]));
}

void Column::append(Column&& other) {
  if (empty())
    *this = std::move(other);
  else if (mixed_ && other.mixed_)
    values_.insert(values_.end(), std::make_move_iterator(other.values_.begin()),
                   std::make_move_iterator(other.values_.end()));
  else
    append(other, 0, other.size());
  other.clear();
}

Column Column::gather(const std::vector<uint32_t>& rows) const {
  Column out;
  out.mixed_ = mixed_;
  out.reserve(rows.size());
  if (mixed_)
    for (uint32_t row : rows) out.values_.push_back(values_[row]);
  else
    for (uint32_t row : rows) out.integers_.push_back(integers_[row]);
  return out;
}

Values Column::take() && {
  if (!mixed_) mix();
  mixed_ = false;
  return std::move(values_);
}

bool are_distinct_integers(const std::vector<int64_t>& integers) {
  if (integers.size() < 2) return true;
  bool ascending = true;
  int64_t least = integers[0], greatest = integers[0];
  for (size_t i = 1; i < integers.size(); ++i) {
    ascending = ascending && integers[i - 1] < integers[i];
    least = std::min(least, integers[i]);
    greatest = std::max(greatest, integers[i]);
  }
  if (ascending) return true;
  uint64_t range = static_cast<uint64_t>(greatest) - static_cast<uint64_t>(least);
  if (range / 32 >= integers.size()) return false;
  std::vector<uint64_t> seen(range / 64 + 1);
  for (int64_t i : integers) {
    uint64_t at = static_cast<uint64_t>(i) - static_cast<uint64_t>(least);
    uint64_t bit = uint64_t{1} << at % 64;
    if (seen[at / 64] & bit) return false;
    seen[at / 64] |= bit;
  }
  return true;
}

}  // namespace datahike::datalog
