// The build side of a hash join: rows that a query has read elsewhere, found by their keys. Filled
// by one thread, then read by all.
#pragma once

#include "column/vector/groups.h"
#include "column/vector/text.h"

namespace datahike::vector {

class BuildTable {
 public:
  // `keys`: the columns that are compared with the probe side's.
  BuildTable(std::vector<Type> types, std::vector<int> keys);
  ~BuildTable();
  // A row's values, one column after the other; floats as doubles.
  void add_null(int column);
  void add_word(int column, uint64_t word);
  void add_text(int column, ByteView text);
  // Of the rows so far, with their values below.
  size_t added() const { return columns_[0].words.size(); }
  // No more rows come. Rows with a NULL key go: they match nothing.
  void finish();

  uint32_t rows() const { return first_.empty() ? 0 : first_.back(); }
  size_t bytes() const;
  // What values a column of integers has; after finish().
  const KeyRange& range(int column) const { return columns_[column].range; }

  // After finish() rows with equal keys lie one behind the other: those of key number g from
  // first(g) to first(g + 1). Where no key has two rows, its row's number is the key's.
  const Groups& keys() const { return *keys_; }
  bool is_unique() const { return unique_; }
  uint32_t first(uint32_t key) const { return first_[key]; }
  const TextNumbers& texts(int column) const { return columns_[column].texts; }
  const uint64_t* words(int column) const { return columns_[column].words.data(); }
  const uint8_t* nulls(int column) const { return columns_[column].null.data(); }
  bool any_null(int column) const { return columns_[column].any_null; }

 private:
  struct Data {
    Type type = Type::Int;
    std::vector<uint64_t> words;  // of text: its number
    std::vector<uint8_t> null;
    bool any_null = false;
    KeyRange range;
    TextNumbers texts;
  };
  void find_ranges();
  std::vector<uint32_t> number_rows();

  std::vector<Data> columns_;
  std::vector<int> key_columns_;
  std::unique_ptr<Groups> keys_;
  std::vector<uint32_t> first_;
  bool unique_ = true;
};

}  // namespace datahike::vector
