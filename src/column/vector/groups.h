// Numbers groups by their keys: from 0, in the order in which they are met.
//
// Keys within small ranges are looked up in an array, which is made larger while that pays; all
// others in a hash table with open addressing, packed in one word where they fit in it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "column/vector/evaluator.h"
#include "column/vector/key_range.h"
#include "column/vector/large_vector.h"
#include "column/vector/packed_keys.h"

namespace datahike::vector {

class Groups {
 public:
  // `floats`: which of the keys are doubles: -0 and 0 are one key, and all NaNs.
  explicit Groups(std::vector<bool> floats);
  // What values the keys are expected to have; others may come nevertheless.
  void expect(std::span<const KeyRange> ranges);
  // Memory for so many groups, if it should come to that many.
  void reserve(size_t groups);
  // The groups of n rows.
  void assign(std::span<const Vector* const> keys, unsigned n, uint32_t* groups);
  // The groups of n rows of which all keys are known and not NULL; kNone for the others.
  void find(std::span<const Vector* const> keys, unsigned n, uint32_t* groups) const;
  static constexpr uint32_t kNone = ~uint32_t{0};
  // A key of n groups from `begin` on; whether some are NULL.
  bool read(uint32_t begin, unsigned n, unsigned key, uint64_t* words, uint8_t* null) const;

  uint32_t size() const { return count_; }
  bool is_null(uint32_t group, unsigned key) const {
    return is_packed_ ? packed_.is_null(group, key) : nulls_[group] >> key & 1;
  }
  // As in the first row of the group; 0 where NULL.
  uint64_t word(uint32_t group, unsigned key) const {
    if (is_packed_) return packed_.word(group, key);
    return (any_float_ ? shown_ : words_)[size_t{group} * keys_ + key];
  }
  size_t bytes() const;
  static constexpr unsigned kMostKeys = 32;  // bits of the NULL flags

 private:
  struct Slot {
    uint32_t hash;
    uint32_t group;  // its number plus 1; 0: free
  };
  void assign_in_array(std::span<const Vector* const> keys, unsigned n, uint32_t* groups);
  void add_places(std::span<const Vector* const> keys, unsigned n, const uint32_t* place,
                  uint32_t* groups);
  void assign_packed(std::span<const Vector* const> keys, unsigned n, uint32_t* groups);
  bool pack_groups(std::span<const KeyRange> ranges);
  void unpack_groups();
  void assign_by_hash(std::span<const Vector* const> keys, unsigned n, uint32_t* groups);
  template <unsigned Keys>
  void probe(const uint64_t* words, const uint64_t* shown, const uint32_t* nulls,
             const uint32_t* hashes, unsigned n, uint32_t* groups);
  void find_in_array(std::span<const Vector* const> keys, unsigned n, uint32_t* groups) const;
  void take_row(std::span<const Vector* const> keys, unsigned row, uint64_t* words, uint64_t* shown,
                uint32_t* nulls) const;
  uint32_t add(const uint64_t* words, uint32_t nulls, const uint64_t* shown);
  uint64_t place_of(const uint64_t* words, uint32_t nulls) const;
  bool make_array(std::vector<KeyRange> ranges);
  void widen(std::span<const Vector* const> keys, unsigned n);
  void make_table(size_t slots);

  unsigned keys_;
  std::vector<bool> floats_;
  bool any_float_ = false;
  uint32_t count_ = 0;
  LargeVector<uint64_t> words_;  // of each group, by key
  LargeVector<uint64_t> shown_;  // with floats as they were met first
  LargeVector<uint32_t> nulls_;
  LargeVector<Slot> slots_;
  // In an array: by the keys' distances from `low`, with one more place for NULL. Group plus 1.
  bool in_array_ = false;
  std::vector<KeyRange> ranges_;
  std::vector<uint32_t> array_;
  // In words of their own, instead of words_ and nulls_.
  bool is_packed_ = false;
  PackedKeys packed_;
};

}  // namespace datahike::vector
