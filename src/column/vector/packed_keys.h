// Keys of groups, all of one group in one word, and the hash table that finds groups by it: a row
// is looked up by one comparison, and a group needs no more memory than that word and its slot.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "column/vector/evaluator.h"
#include "column/vector/key_range.h"
#include "column/vector/large_vector.h"

namespace datahike::vector {

class PackedKeys {
 public:
  // For keys in these ranges; where none is known, in small ones. False, and nothing is changed,
  // where that is more than a word has bits for. Groups stay what they are. REQUIRES: theirs are in
  // the ranges.
  bool set_ranges(std::span<const KeyRange> ranges);
  // As many ranges as there are keys, so that these rows are within them, too; false likewise.
  bool widen(std::span<const Vector* const> keys, unsigned n);
  // Slots for so many groups, if it should come to that many.
  void reserve(size_t groups);
  // The keys of n rows, one word each; false: some are outside of the ranges.
  bool pack(std::span<const Vector* const> keys, unsigned n, uint64_t* packed) const;
  // A new group, of which it is known that it is none of the others.
  void append(const uint64_t* words, uint32_t nulls);
  // The groups of n rows; those that are new get the next numbers.
  void assign(const uint64_t* packed, unsigned n, uint32_t* groups);
  // The groups of n rows of which all keys are known and not NULL; `none` for the others.
  void find(std::span<const Vector* const> keys, unsigned n, uint32_t none, uint32_t* groups) const;

  uint32_t size() const { return static_cast<uint32_t>(words_.size()); }
  bool is_null(uint32_t group, unsigned key) const { return code(group, key) == 0; }
  // 0 where NULL.
  uint64_t word(uint32_t group, unsigned key) const {
    const uint64_t c = code(group, key);
    return c == 0 ? 0 : c - 1 + fields_[key].low;
  }
  size_t bytes() const { return words_.size() * 8 + slots_.capacity() * sizeof(Slot); }

 private:
  // A key's distance from `low` plus 1; 0 stands for NULL.
  struct Field {
    uint64_t low, mask;
    unsigned shift, bits;
    // A distance has a code in so many bits. Written for the compiler's vectoriser.
    uint64_t outside(uint64_t distance) const {
      return bits == 64 ? distance == UINT64_MAX : (distance | (distance + 1)) >> bits;
    }
  };
  struct Slot {
    uint64_t word;
    uint32_t group;  // its number plus 1; 0: free
  };
  uint64_t code(uint32_t group, unsigned key) const {
    return words_[group] >> fields_[key].shift & fields_[key].mask;
  }
  void make_table(size_t slots);
  void put(uint64_t word, uint32_t group);

  std::vector<Field> fields_;
  std::vector<KeyRange> ranges_;
  LargeVector<uint64_t> words_;  // of each group
  LargeVector<Slot> slots_;
};

}  // namespace datahike::vector
