#include "column/values.h"

namespace datahike::column {

void Values::clear() {
  // A builder lives as long as its backend: it must not keep what one huge value needed.
  constexpr size_t kKeptBytes = 4 << 20;
  if (data_.capacity() > kKeptBytes) data_ = Bytes();
  rows_ = 0;
  nulls_ = 0;
  words_.clear();
  offsets_.resize(std::min<size_t>(offsets_.size(), 1));
  data_.clear();
  null_bits_.clear();
  compressed_bits_.clear();
}

uint32_t Values::first_value() const {
  uint32_t row = 0;
  while (is_null(row)) ++row;
  return row;
}

}  // namespace datahike::column
