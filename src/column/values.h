// The rows of one column while they are collected, before an encoding is chosen.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

#include "column/bytes.h"
#include "column/kind.h"

namespace datahike::column {

// Invariant: a NULL row of words repeats the first value that is not NULL (0 while there is none),
// so encodings and zone maps of words need not look at NULLs: it widens no range and breaks no
// constant. A NULL row of byte strings is empty, or `width` zeros if Fixed.
class Values {
 public:
  explicit Values(Kind kind, uint16_t width = 0) : kind_(kind), width_(width) {
    if (!is_word(kind)) offsets_.push_back(0);
  }

  void add_null() {
    mark_null();
    if (is_word(kind_)) {
      words_.push_back(words_.empty() ? 0 : words_.front());
    } else {
      data_.resize(data_.size() + width_);
      offsets_.push_back(data_.size());
    }
    ++rows_;
  }
  // REQUIRES: is_word(kind()).
  void add_word(uint64_t bits) {
    assert(is_word(kind_));
    bits = normalised(kind_, bits);
    if (nulls_ == rows_) std::fill(words_.begin(), words_.end(), bits);
    words_.push_back(bits);
    ++rows_;
  }
  // REQUIRES: kind() is Bytes, or Fixed and the value has its width.
  void add_bytes(ByteView value) {
    assert(kind_ == Kind::Bytes || (kind_ == Kind::Fixed && value.size() == width_));
    data_.insert(data_.end(), value.begin(), value.end());
    offsets_.push_back(data_.size());
    ++rows_;
  }
  // Likewise a value of kind Bytes as PostgreSQL compressed it (decompress.h).
  void add_compressed(ByteView value) {
    assert(kind_ == Kind::Bytes);
    compressed_bits_.resize(rows_ / 8 + 1);
    compressed_bits_[rows_ / 8] |= static_cast<uint8_t>(1 << rows_ % 8);
    add_bytes(value);
  }
  // As add_null() or add_bytes() for each i below `count`; value(i) gives the i-th value, or a view
  // of nullptr for NULL. bytes: of all of them, less than which is a std::logic_error.
  template <class Value>
  void add_all_bytes(uint32_t count, size_t bytes, Value&& value) {
    const size_t end = data_.size() + bytes;
    size_t at = data_.size();
    data_.resize(end);
    offsets_.reserve(offsets_.size() + count);
    for (uint32_t i = 0; i < count; ++i) {
      const ByteView view = value(i);
      if (!view.data()) {
        mark_null();
      } else {
        if (view.size() > end - at)
          throw std::logic_error("values: more bytes than were announced");
        std::memcpy(data_.data() + at, view.data(), view.size());
      }
      at += view.data() ? view.size() : width_;
      offsets_.push_back(at);
      ++rows_;
    }
    if (at != end) throw std::logic_error("values: other bytes than were announced");
  }
  void clear();

  Kind kind() const { return kind_; }
  uint32_t rows() const { return rows_; }
  uint32_t nulls() const { return nulls_; }
  bool is_null(uint32_t row) const {
    return row / 8 < null_bits_.size() && (null_bits_[row / 8] >> row % 8 & 1);
  }
  // One bit for each row, lowest first, set for NULL; without the zero bytes at its end.
  ByteView null_bits() const { return null_bits_; }
  // Likewise, set where bytes() is a compressed value.
  ByteView compressed_bits() const { return compressed_bits_; }
  bool any_compressed() const { return !compressed_bits_.empty(); }
  bool is_compressed(uint32_t row) const {
    return row / 8 < compressed_bits_.size() && (compressed_bits_[row / 8] >> row % 8 & 1);
  }
  // The first row that is not NULL. REQUIRES: nulls() < rows().
  uint32_t first_value() const;

  std::span<const uint64_t> words() const { return words_; }
  // Byte string `row` is data()[offsets()[row] .. offsets()[row + 1]).
  std::span<const uint64_t> offsets() const { return offsets_; }
  ByteView data() const { return data_; }
  ByteView bytes(uint32_t row) const {
    return ByteView(data_).subspan(offsets_[row], offsets_[row + 1] - offsets_[row]);
  }

 private:
  void mark_null() {
    null_bits_.resize(rows_ / 8 + 1);
    null_bits_[rows_ / 8] |= static_cast<uint8_t>(1 << rows_ % 8);
    ++nulls_;
  }

  Kind kind_;
  uint16_t width_;
  uint32_t rows_ = 0;
  uint32_t nulls_ = 0;
  std::vector<uint64_t> words_;
  std::vector<uint64_t> offsets_;
  Bytes data_;
  Bytes null_bits_;
  Bytes compressed_bits_;
};

}  // namespace datahike::column
