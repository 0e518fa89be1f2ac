// Strings of a column: read through the codes of its segment where it has such.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "column/vector/large_vector.h"
#include "column/vector/piece.h"
#include "column/vector/program.h"

namespace datahike::vector {

// Numbers strings: equal bytes get the same number, from 0 in the order in which they are met.
// Keeps copies, with room for a header before each, where a reader may put the length in its own
// form: so they need no copying to be values. For one column of one Evaluator.
class TextNumbers {
 public:
  TextNumbers();
  uint32_t number(ByteView text);
  // Memory for so many strings, if it should come to that many.
  void reserve(size_t texts);
  // Of n strings, but for those whose flag in `null` (which may be absent) is set.
  void number_all(const ByteView* texts, unsigned n, const uint8_t* null, uint64_t* numbers);
  // The numbers here of all strings of `other`, by their numbers there.
  void number_texts_of(const TextNumbers& other, std::vector<uint32_t>& numbers);
  // kUnknown where the string has no number.
  uint32_t find(ByteView text) const;
  ByteView text(uint32_t number) const { return texts_[number]; }
  static constexpr size_t kHeaderBytes = 4;
  uint8_t* header(uint32_t number) const {
    return const_cast<uint8_t*>(texts_[number].data()) - kHeaderBytes;
  }
  uint32_t size() const { return static_cast<uint32_t>(texts_.size()); }
  // What the strings need by themselves, in whatever order they came.
  size_t text_bytes() const {
    return length_ + texts_.size() * (sizeof(ByteView) + 2 * sizeof(Slot));
  }
  size_t bytes() const {
    return bytes_ + texts_.size() * sizeof(ByteView) + slots_.capacity() * sizeof(Slot);
  }

  // The numbers of the codes of the segment column at hand, filled as they are asked for. Neither
  // kUnknown nor kAsked is a number.
  static constexpr uint32_t kUnknown = ~uint32_t{0}, kAsked = kUnknown - 1;
  std::vector<uint32_t> of_code;
  uint64_t codes_of = 0;  // the piece's number in its Evaluator

 private:
  struct Slot {
    uint32_t hash;
    uint32_t number;  // plus 1; 0: free
  };
  uint32_t number_of(ByteView text, uint32_t hash);
  void make_table(size_t slots);
  ByteView keep(ByteView text);

  LargeVector<ByteView> texts_;
  LargeVector<Slot> slots_;
  std::vector<LargeBlock> blocks_;
  size_t block_left_ = 0;
  uint8_t* block_at_ = nullptr;
  size_t bytes_ = 0;   // of the blocks
  size_t length_ = 0;  // of all strings
};

uint64_t text_hash(ByteView text);

// Hashes of the codes of the segment column at hand.
struct TextHashes {
  std::vector<uint64_t> of_code;
  uint64_t codes_of = 0;  // the piece's number
};

// A filter's test of a string. Of a segment with codes each code is tested once.
struct TextTest {
  std::vector<char> of_code;
  uint64_t codes_of = 0;  // the piece's number
};

// LIKE '%a%', which is looked for in many strings at once: in n strings that lie one behind the
// other in memory, as a column has them. Sets the bits of those that have it.
bool is_contains(const Filter& filter);
bool are_contiguous(const ByteView* texts, unsigned n);
// The test of each of n strings.
void test_texts(const Filter& filter, const ByteView* texts, unsigned n, char* passed);
void find_in_all(const Filter& filter, const ByteView* texts, unsigned n, uint64_t* found);

// Whether the string passes TextIn, TextNotIn, Like or NotLike.
bool passes(const Filter& filter, ByteView text);
// Characters of UTF-8, as PostgreSQL counts them; bytes if the encoding has one byte for each.
uint32_t character_count(ByteView text, bool utf8);
// The same of n strings.
void count_characters(const ByteView* texts, unsigned n, bool utf8, uint32_t* counts);

}  // namespace datahike::vector
