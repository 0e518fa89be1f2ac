#include "column/vector/build_table.h"

#include <algorithm>
#include <utility>

namespace datahike::vector {

BuildTable::BuildTable(std::vector<Type> types, std::vector<int> keys)
    : columns_(types.size()), key_columns_(std::move(keys)) {
  for (size_t i = 0; i < types.size(); ++i) columns_[i].type = types[i];
  std::vector<bool> floats;
  for (int key : key_columns_) floats.push_back(columns_[key].type == Type::Float);
  keys_ = std::make_unique<Groups>(std::move(floats));
}

BuildTable::~BuildTable() = default;

void BuildTable::add_null(int column) {
  Data& data = columns_[column];
  data.words.push_back(0);
  data.null.push_back(1);
  data.any_null = true;
}

void BuildTable::add_word(int column, uint64_t word) {
  columns_[column].words.push_back(word);
  columns_[column].null.push_back(0);
}

void BuildTable::add_text(int column, ByteView text) {
  add_word(column, columns_[column].texts.number(text));
}

// Once for all: every part of a query asks for them.
void BuildTable::find_ranges() {
  for (Data& data : columns_)
    for (size_t i = 0; i < data.words.size(); ++i) {
      if (data.null[i]) continue;
      data.range.low = std::min(data.range.low, static_cast<int64_t>(data.words[i]));
      data.range.high = std::max(data.range.high, static_cast<int64_t>(data.words[i]));
    }
}

// The number of each row's key; kNone where it has a NULL.
std::vector<uint32_t> BuildTable::number_rows() {
  std::vector<KeyRange> ranges;
  for (int key : key_columns_) ranges.push_back(range(key));
  keys_->expect(ranges);
  const size_t rows = columns_[0].words.size();
  std::vector<uint32_t> numbers(rows, Groups::kNone);
  std::vector<Vector> part(key_columns_.size());
  std::vector<const Vector*> keys;
  for (const Vector& v : part) keys.push_back(&v);
  uint32_t row[kChunkRows], number[kChunkRows];
  for (size_t at = 0; at < rows;) {
    unsigned n = 0;
    for (; at < rows && n < kChunkRows; ++at) {
      bool null = false;
      for (int key : key_columns_) null |= columns_[key].null[at] != 0;
      if (null) continue;
      for (size_t k = 0; k < part.size(); ++k)
        part[k].words[n] = columns_[key_columns_[k]].words[at];
      row[n++] = static_cast<uint32_t>(at);
    }
    keys_->assign(keys, n, number);
    for (unsigned i = 0; i < n; ++i) numbers[row[i]] = number[i];
  }
  return numbers;
}

void BuildTable::finish() {
  if (columns_[0].words.size() >= Groups::kNone) throw LimitError("too many rows to join with");
  find_ranges();
  const std::vector<uint32_t> numbers = number_rows();
  std::vector<uint32_t> next(size_t{keys_->size()} + 1);
  for (uint32_t number : numbers)
    if (number != Groups::kNone) ++next[number];
  uint32_t total = 0;
  for (uint32_t& count : next) {
    unique_ &= count <= 1;
    total += std::exchange(count, total);
  }
  first_ = next;
  std::vector<uint32_t> to(numbers.size());
  for (size_t row = 0; row < numbers.size(); ++row)
    if (numbers[row] != Groups::kNone) to[row] = next[numbers[row]]++;
  for (Data& data : columns_) {
    std::vector<uint64_t> words(total);
    std::vector<uint8_t> null(total);
    data.any_null = false;
    for (size_t row = 0; row < numbers.size(); ++row) {
      if (numbers[row] == Groups::kNone) continue;
      words[to[row]] = data.words[row];
      null[to[row]] = data.null[row];
      data.any_null |= data.null[row] != 0;
    }
    data.words = std::move(words);
    data.null = std::move(null);
  }
}

size_t BuildTable::bytes() const {
  size_t total = keys_->bytes() + first_.capacity() * 4;
  for (const Data& data : columns_)
    total += data.words.capacity() * 8 + data.null.capacity() + data.texts.bytes();
  return total;
}

}  // namespace datahike::vector
