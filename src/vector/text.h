// Strings of a column: read through the codes of its segment where it has such.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "vector/piece.h"
#include "vector/program.h"

namespace datahike::vector {

// Numbers strings: equal bytes get the same number, from 0 in the order in which they are met.
// Keeps copies. For one column of one Evaluator.
class TextNumbers {
 public:
  TextNumbers();
  uint32_t number(ByteView text);
  ByteView text(uint32_t number) const { return texts_[number]; }
  uint32_t size() const { return static_cast<uint32_t>(texts_.size()); }
  size_t bytes() const { return bytes_; }

  // The numbers of the codes of the segment column at hand, filled as they are asked for.
  static constexpr uint32_t kUnknown = ~uint32_t{0};
  std::vector<uint32_t> of_code;
  uint64_t codes_of = 0;  // the piece's number in its Evaluator

 private:
  void grow();
  ByteView keep(ByteView text);

  std::vector<ByteView> texts_;
  std::vector<uint64_t> hashes_;
  std::vector<uint32_t> slots_;
  std::deque<std::unique_ptr<uint8_t[]>> blocks_;
  size_t block_left_ = 0;
  uint8_t* block_at_ = nullptr;
  size_t bytes_ = 0;
};

// A filter's test of a string. Of a segment with codes each code is tested once.
struct TextTest {
  std::vector<int8_t> of_code;  // -1: not tested yet
  uint64_t codes_of = 0;        // the piece's number
};

// Whether the string passes TextIn, TextNotIn, Like or NotLike.
bool passes(const Filter& filter, ByteView text);
// Characters of UTF-8, as PostgreSQL counts them; bytes if the encoding has one byte for each.
uint32_t character_count(ByteView text, bool utf8);

}  // namespace datahike::vector
