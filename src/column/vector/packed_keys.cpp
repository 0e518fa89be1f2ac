#include "column/vector/packed_keys.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "column/bit_packing.h"
#include "column/vector/hash.h"

namespace datahike::vector {

namespace {

constexpr unsigned kWordBits = 64;
constexpr size_t kFirstSlots = 4096;

// Of the codes of a range's values, with NULL's; more than a word's where those are too many.
unsigned bits_of(const KeyRange& r) {
  const uint64_t width = static_cast<uint64_t>(r.high) - static_cast<uint64_t>(r.low);
  return width >= UINT64_MAX - 1 ? kWordBits + 1 : static_cast<unsigned>(std::bit_width(width + 1));
}

bool is_known(const KeyRange& r) { return r.low <= r.high; }

// All values that have codes in as many bits: what is in a range fits in any that contains it.
KeyRange whole(const KeyRange& r) {
  const unsigned bits = bits_of(r);
  if (bits >= kWordBits) return r;
  const auto width = static_cast<int64_t>(column::low_bits(bits) - 1);
  return r.low > INT64_MAX - width ? KeyRange{INT64_MAX - width, INT64_MAX}
                                   : KeyRange{r.low, r.low + width};
}

}  // namespace

bool PackedKeys::set_ranges(std::span<const KeyRange> expected) {
  constexpr unsigned kUnknownBits = 8;  // at most, of a key of which nothing is known
  std::vector<KeyRange> ranges(expected.begin(), expected.end());
  unsigned known = 0, unknown = 0;
  for (const KeyRange& r : ranges)
    if (is_known(r))
      known += bits_of(r);
    else
      ++unknown;
  if (known + unknown > kWordBits) return false;
  const unsigned each = unknown ? std::min(kUnknownBits, (kWordBits - known) / unknown) : 0;
  for (KeyRange& r : ranges)
    if (!is_known(r)) r = {0, (int64_t{1} << each) - 2, 1};
  std::vector<Field> fields;
  unsigned shift = 0;
  for (KeyRange& r : ranges) {
    r = whole(r);
    const unsigned bits = bits_of(r);
    fields.push_back({static_cast<uint64_t>(r.low), column::low_bits(bits), shift, bits});
    shift += bits;
  }
  for (uint32_t g = 0; g < size(); ++g) {
    uint64_t packed = 0;
    for (unsigned k = 0; k < fields.size(); ++k)
      if (!is_null(g, k)) packed |= (word(g, k) - fields[k].low + 1) << fields[k].shift;
    words_[g] = packed;
  }
  fields_ = std::move(fields);
  ranges_ = std::move(ranges);
  if (size() > 0) {
    std::ranges::fill(slots_, Slot{});
    for (uint32_t g = 0; g < size(); ++g) put(words_[g], g + 1);
  }
  return true;
}

bool PackedKeys::widen(std::span<const Vector* const> keys, unsigned n) {
  constexpr unsigned kMoreBits = 2;
  if (fields_[0].bits == kWordBits) return false;
  std::vector<KeyRange> ranges = ranges_, more;
  for (size_t k = 0; k < ranges.size(); ++k) {
    KeyRange& r = ranges[k];
    for (unsigned i = 0; i < n; ++i) {
      if (keys[k]->any_null && keys[k]->null[i]) continue;
      r.low = std::min(r.low, keys[k]->ints()[i]);
      r.high = std::max(r.high, keys[k]->ints()[i]);
    }
    // What goes beyond its range once is likely to do so again, on the same side.
    const bool below = r.low<ranges_[k].low, above = r.high> ranges_[k].high;
    const unsigned bits = bits_of(r) + kMoreBits;
    KeyRange& m = more.emplace_back(r);
    if ((!below && !above) || bits >= kWordBits) continue;
    const auto width = static_cast<int64_t>(column::low_bits(bits) - 1);
    if (above)
      m.high = m.low > INT64_MAX - width ? INT64_MAX : m.low + width;
    else
      m.low = m.high < INT64_MIN + width ? INT64_MIN : m.high - width;
  }
  return set_ranges(more) || set_ranges(ranges);
}

void PackedKeys::reserve(size_t groups) {
  words_.reserve(groups);
  const size_t slots = std::bit_ceil(groups * 2);
  if (slots > slots_.size()) make_table(slots);
}

bool PackedKeys::pack(std::span<const Vector* const> keys, unsigned n, uint64_t* packed) const {
  uint64_t outside = 0;
  for (size_t k = 0; k < fields_.size(); ++k) {
    const Field field = fields_[k];
    const uint64_t* words = keys[k]->words;
    if (k == 0) std::fill_n(packed, n, 0);
    if (keys[k]->any_null) {
      const uint8_t* null = keys[k]->null;
      for (unsigned i = 0; i < n; ++i) {
        const uint64_t distance = words[i] - field.low;
        outside |= null[i] ? 0 : field.outside(distance);
        packed[i] |= null[i] ? 0 : (distance + 1) << field.shift;
      }
    } else if (field.bits == kWordBits) {
      for (unsigned i = 0; i < n; ++i) {
        packed[i] = words[i] - field.low + 1;
        outside |= packed[i] == 0;
      }
    } else {
      const unsigned bits = field.bits, shift = field.shift;
      for (unsigned i = 0; i < n; ++i) {
        const uint64_t distance = words[i] - field.low;
        outside |= (distance | (distance + 1)) >> bits;
        packed[i] |= (distance + 1) << shift;
      }
    }
  }
  return outside == 0;
}

void PackedKeys::append(const uint64_t* words, uint32_t nulls) {
  uint64_t packed = 0;
  for (unsigned k = 0; k < fields_.size(); ++k)
    if (!(nulls >> k & 1)) packed |= (words[k] - fields_[k].low + 1) << fields_[k].shift;
  words_.push_back(packed);
  if (size_t{size()} * 4 > slots_.size() * 3)
    make_table(std::max(kFirstSlots, slots_.size() * 4));
  else
    put(packed, size());
}

void PackedKeys::put(uint64_t word, uint32_t group) {
  const size_t mask = slots_.size() - 1;
  size_t slot = mix(word) & mask;
  while (slots_[slot].group) slot = (slot + 1) & mask;
  slots_[slot] = {word, group};
}

// With all groups.
void PackedKeys::make_table(size_t slots) {
  slots_ = {};
  slots_.resize(slots);
  for (uint32_t g = 0; g < size(); ++g) put(words_[g], g + 1);
}

void PackedKeys::assign(const uint64_t* packed, unsigned n, uint32_t* groups) {
  constexpr unsigned kPart = 64;  // rows whose slots are fetched before the first is looked at
  if (slots_.empty()) make_table(kFirstSlots);
  uint64_t hashes[kPart];
  for (unsigned begin = 0; begin < n; begin += kPart) {
    const unsigned part = std::min(kPart, n - begin);
    for (unsigned i = 0; i < part; ++i) {
      hashes[i] = mix(packed[begin + i]);
      __builtin_prefetch(&slots_[hashes[i] & (slots_.size() - 1)]);
    }
    for (unsigned i = 0; i < part; ++i) {
      const uint64_t word = packed[begin + i];
      size_t slot = hashes[i] & (slots_.size() - 1);
      while (slots_[slot].group && slots_[slot].word != word)
        slot = (slot + 1) & (slots_.size() - 1);
      if (!slots_[slot].group) {
        words_.push_back(word);
        slots_[slot] = {word, size()};
        groups[begin + i] = size() - 1;
        if (size_t{size()} * 4 > slots_.size() * 3) make_table(slots_.size() * 2);
      } else {
        groups[begin + i] = slots_[slot].group - 1;
      }
    }
  }
}

void PackedKeys::find(std::span<const Vector* const> keys, unsigned n, uint32_t none,
                      uint32_t* groups) const {
  if (size() == 0) return static_cast<void>(std::fill_n(groups, n, none));
  alignas(64) uint64_t packed[kChunkRows] = {};
  uint8_t absent[kChunkRows] = {};
  for (size_t k = 0; k < fields_.size(); ++k) {
    const Field& field = fields_[k];
    const Vector& key = *keys[k];
    for (unsigned i = 0; i < n; ++i) {
      const uint64_t distance = key.words[i] - field.low;
      absent[i] |= field.outside(distance) != 0 || (key.any_null && key.null[i]);
      packed[i] |= (distance + 1) << field.shift;
    }
  }
  constexpr unsigned kPart = 64;
  const size_t mask = slots_.size() - 1;
  uint64_t hashes[kPart];
  for (unsigned begin = 0; begin < n; begin += kPart) {
    const unsigned part = std::min(kPart, n - begin);
    for (unsigned i = 0; i < part; ++i) {
      hashes[i] = mix(packed[begin + i]);
      __builtin_prefetch(&slots_[hashes[i] & mask]);
    }
    for (unsigned i = 0; i < part; ++i) {
      size_t slot = hashes[i] & mask;
      while (slots_[slot].group && slots_[slot].word != packed[begin + i]) slot = (slot + 1) & mask;
      const bool found = slots_[slot].group != 0 && !absent[begin + i];
      groups[begin + i] = found ? slots_[slot].group - 1 : none;
    }
  }
}

}  // namespace datahike::vector
