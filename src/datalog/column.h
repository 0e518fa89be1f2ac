// The values of one variable in all rows of a relation. Longs alone are kept as integers, which
// joins hash and compare as such; the first value of another kind makes the column one of values.
#pragma once

#include <iterator>
#include <vector>

#include "datalog/edn.h"

namespace datahike::datalog {

using edn::Kind;
using edn::Value;
using Values = std::vector<Value>;

class Column {
 public:
  Column() = default;
  Column(size_t rows, const Value& value);
  explicit Column(Values values) { append(std::move(values)); }

  size_t size() const { return mixed_ ? values_.size() : integers_.size(); }
  bool empty() const { return size() == 0; }
  void reserve(size_t rows);
  void clear();  // keeps its memory
  Value operator[](size_t row) const {
    return mixed_ ? values_[row] : Value::integer(integers_[row]);
  }
  const Value& at(size_t row) const { return values_[row]; }  // REQUIRES: !is_integers()
  void push_back(Value value) {
    if (!mixed_ && !value.is(Kind::Long)) mix();
    if (mixed_)
      values_.push_back(std::move(value));
    else
      integers_.push_back(value.as_integer());
  }
  void push_integer(int64_t i) {
    if (mixed_)
      values_.push_back(Value::integer(i));
    else
      integers_.push_back(i);
  }
  void append(Values values);
  void append(std::vector<int64_t> integers);
  void append(const Column& other, size_t from, size_t to);  // its rows [from, to)
  void append(Column&& other);

  // Whether all values are longs, which integers() then has. An empty column may be either.
  bool is_integers() const { return !mixed_; }
  const std::vector<int64_t>& integers() const { return integers_; }
  std::vector<int64_t>& integers() { return integers_; }  // REQUIRES: is_integers()

  uint64_t hash(size_t row) const {
    return mixed_ ? values_[row].hash() : Value::integer(integers_[row]).hash();
  }
  bool is_equal(size_t row, const Column& other, size_t other_row) const {
    if (!mixed_ && !other.mixed_) return integers_[row] == other.integers_[other_row];
    if (mixed_ && other.mixed_) return values_[row] == other.values_[other_row];
    return (*this)[row] == other[other_row];
  }
  Column gather(const std::vector<uint32_t>& rows) const;
  size_t bytes() const {
    return values_.capacity() * sizeof(Value) + integers_.capacity() * sizeof(int64_t);
  }
  Values take() &&;  // all of them

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Value;
    using difference_type = ptrdiff_t;
    using pointer = void;
    using reference = Value;
    Iterator(const Column& column, size_t row) : column_(&column), row_(row) {}
    Value operator*() const { return (*column_)[row_]; }
    Iterator& operator++() {
      ++row_;
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++row_;
      return before;
    }
    bool operator==(const Iterator& other) const { return row_ == other.row_; }

   private:
    const Column* column_;
    size_t row_;
  };
  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, size()}; }

 private:
  void mix();
  bool mixed_ = false;
  std::vector<int64_t> integers_;  // until it is mixed
  Values values_;                  // then
};

// Whether no two of the values are equal, as far as that is cheap to tell: false may mean anything.
bool are_distinct_integers(const std::vector<int64_t>& integers);

}  // namespace datahike::datalog
