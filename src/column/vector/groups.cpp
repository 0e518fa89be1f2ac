#include "column/vector/groups.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "column/kernels.h"
#include "column/vector/hash.h"

namespace datahike::vector {

using column::kernels;

namespace {

constexpr size_t kFirstSlots = 4096;
constexpr uint64_t kMostPlaces = 1 << 20;  // of the array: 4 MB

uint32_t hash_of(const uint64_t* words, unsigned keys, uint32_t nulls) {
  uint64_t hash = nulls;
  for (unsigned k = 0; k < keys; ++k) hash = mix(hash ^ words[k]) + k;
  return static_cast<uint32_t>(hash);
}

// Places that the range needs, without NULL's.
uint64_t width_of(const KeyRange& r) {
  return (static_cast<uint64_t>(r.high) - static_cast<uint64_t>(r.low)) / r.step + 1;
}

// Distances from the lowest value in steps; what is no multiple of the step becomes larger than
// any distance that an array has places for. By the step's inverse modulo 2^64: whatever it
// multiplies to a small number is a multiple.
class Steps {
 public:
  explicit Steps(const KeyRange& r)
      : low_(static_cast<uint64_t>(r.low)), zeros_(std::countr_zero(r.step)) {
    const uint64_t odd = r.step >> zeros_;
    for (int i = 0; i < 6; ++i) inverse_ *= 2 - odd * inverse_;  // Newton: 1 bit, 2, 4, ... 64
  }
  uint64_t distance(uint64_t word) const { return std::rotr((word - low_) * inverse_, zeros_); }

 private:
  uint64_t low_, inverse_ = 1;
  int zeros_;
};

// Places of an array for keys in these ranges; more than kMostPlaces where it would be too large.
uint64_t places_of(std::span<const KeyRange> ranges) {
  uint64_t places = 1;
  for (const KeyRange& r : ranges) {
    if (r.low > r.high) continue;
    const uint64_t width = static_cast<uint64_t>(r.high) - static_cast<uint64_t>(r.low);
    if (width / r.step > kMostPlaces || r.step > kMostPlaces) return kMostPlaces + 1;
    places *= width / r.step + 2;
    if (places > kMostPlaces) return kMostPlaces + 1;
  }
  return places;
}

}  // namespace

Groups::Groups(std::vector<bool> floats)
    : keys_(static_cast<unsigned>(floats.size())), floats_(std::move(floats)) {
  for (bool is_float : floats_) any_float_ |= is_float;
}

void Groups::expect(std::span<const KeyRange> ranges) {
  if (count_ > 0 || any_float_ || make_array({ranges.begin(), ranges.end()})) return;
  is_packed_ = packed_.set_ranges(ranges);
}

// What is reserved costs nothing until it is used, but for the slots of the hash table.
void Groups::reserve(size_t groups) {
  if (is_packed_) return packed_.reserve(groups);
  words_.reserve(groups * keys_);
  if (any_float_) shown_.reserve(groups * keys_);
  nulls_.reserve(groups);
  if (!in_array_ && slots_.empty()) make_table(std::max(kFirstSlots, std::bit_ceil(groups * 2)));
}

// False where the array would be too large.
bool Groups::make_array(std::vector<KeyRange> ranges) {
  const uint64_t places = places_of(ranges);
  if (places > kMostPlaces) return false;
  for (KeyRange& r : ranges)
    if (r.low > r.high) r = {0, 0, 1};
  if (places_of(ranges) > kMostPlaces) return false;
  ranges_ = std::move(ranges);
  array_.assign(places_of(ranges_), 0);
  in_array_ = true;
  for (uint32_t g = 0; g < count_; ++g)
    array_[place_of(&words_[size_t{g} * keys_], nulls_[g])] = g + 1;
  return true;
}

// REQUIRES: the keys are within the ranges.
uint64_t Groups::place_of(const uint64_t* words, uint32_t nulls) const {
  uint64_t place = 0;
  for (unsigned k = 0; k < keys_; ++k) {
    const uint64_t width = width_of(ranges_[k]);
    const bool null = nulls >> k & 1;
    place = place * (width + 1) + (null ? width : Steps(ranges_[k]).distance(words[k]));
  }
  return place;
}

void Groups::assign(std::span<const Vector* const> keys, unsigned n, uint32_t* groups) {
  if (in_array_)
    assign_in_array(keys, n, groups);
  else if (is_packed_)
    assign_packed(keys, n, groups);
  else
    assign_by_hash(keys, n, groups);
}

void Groups::take_row(std::span<const Vector* const> keys, unsigned row, uint64_t* words,
                      uint64_t* shown, uint32_t* nulls) const {
  *nulls = 0;
  for (unsigned k = 0; k < keys_; ++k) {
    const bool null = keys[k]->any_null && keys[k]->null[row];
    *nulls |= uint32_t{null} << k;
    words[k] = null ? 0 : keys[k]->words[row];
    if (!any_float_) continue;
    shown[k] = words[k];
    if (floats_[k] && !null) words[k] = normalised(words[k]);
  }
}

void Groups::assign_in_array(std::span<const Vector* const> keys, unsigned n, uint32_t* groups) {
  alignas(64) uint32_t place[kChunkRows] = {};
  bool inside = true;
  for (unsigned k = 0; k < keys_; ++k) {
    const Vector& key = *keys[k];
    const auto low = static_cast<uint64_t>(ranges_[k].low);
    const auto width = static_cast<uint32_t>(width_of(ranges_[k]));  // NULL's place
    if (!key.any_null && ranges_[k].step == 1) {
      inside &= kernels().places(key.words, n, low, width, width + 1, place);
      continue;
    }
    const Steps steps(ranges_[k]);
    alignas(64) uint64_t distances[kChunkRows];
    for (unsigned i = 0; i < n; ++i) distances[i] = steps.distance(key.words[i]);
    if (!key.any_null) {
      inside &= kernels().places(distances, n, 0, width, width + 1, place);
      continue;
    }
    for (unsigned i = 0; i < n; ++i) {
      const uint64_t distance = key.null[i] ? width : distances[i];
      inside &= key.null[i] || distance < width;
      place[i] = place[i] * (width + 1) + static_cast<uint32_t>(distance);
    }
  }
  if (!inside) {
    widen(keys, n);
    return assign(keys, n, groups);
  }
  uint32_t most = 0;
  for (unsigned i = 0; i < n; ++i) {
    groups[i] = array_[place[i]] - 1;
    most = std::max(most, groups[i]);
  }
  if (most == kNone) add_places(keys, n, place, groups);
}

// The groups of the rows that have none yet.
void Groups::add_places(std::span<const Vector* const> keys, unsigned n, const uint32_t* place,
                        uint32_t* groups) {
  for (unsigned i = 0; i < n; ++i) {
    if (groups[i] != kNone) continue;
    uint32_t& group = array_[place[i]];
    if (group == 0) {
      uint64_t words[kMostKeys];
      uint32_t nulls;
      take_row(keys, i, words, nullptr, &nulls);
      group = add(words, nulls, words) + 1;
    }
    groups[i] = group - 1;
  }
}

// Makes the array's ranges hold these rows, too, and some more; or changes to the hash table.
void Groups::widen(std::span<const Vector* const> keys, unsigned n) {
  std::vector<KeyRange> ranges = ranges_;
  for (unsigned k = 0; k < keys_; ++k) {
    KeyRange& r = ranges[k];
    r.step = 1;  // whoever goes beyond what was expected may do so in another step
    const KeyRange before = r;
    for (unsigned i = 0; i < n; ++i) {
      if (keys[k]->any_null && keys[k]->null[i]) continue;
      r.low = std::min(r.low, keys[k]->ints()[i]);
      r.high = std::max(r.high, keys[k]->ints()[i]);
    }
    const uint64_t width = width_of(r);
    if (width > kMostPlaces || (r.low == before.low && r.high == before.high)) continue;
    if (r.high > before.high && r.high < INT64_MAX - static_cast<int64_t>(width))
      r.high += static_cast<int64_t>(width);
  }
  if (make_array(ranges)) return;
  in_array_ = false;
  array_ = {};
  if (!pack_groups(ranges))
    make_table(std::bit_ceil(std::max<size_t>(kFirstSlots, size_t{count_} * 4)));
}

bool Groups::pack_groups(std::span<const KeyRange> ranges) {
  is_packed_ = packed_.set_ranges(ranges);
  if (!is_packed_) return false;
  packed_.reserve(size_t{count_} * 2);
  for (uint32_t g = 0; g < count_; ++g) packed_.append(&words_[size_t{g} * keys_], nulls_[g]);
  words_ = {};
  nulls_ = {};
  return true;
}

void Groups::unpack_groups() {
  words_.reserve(size_t{count_} * keys_);
  nulls_.reserve(count_);
  for (uint32_t g = 0; g < count_; ++g) {
    uint32_t nulls = 0;
    for (unsigned k = 0; k < keys_; ++k) {
      words_.push_back(packed_.word(g, k));
      nulls |= uint32_t{packed_.is_null(g, k)} << k;
    }
    nulls_.push_back(nulls);
  }
  is_packed_ = false;
  packed_ = {};
  make_table(std::bit_ceil(std::max<size_t>(kFirstSlots, size_t{count_} * 4)));
}

void Groups::assign_packed(std::span<const Vector* const> keys, unsigned n, uint32_t* groups) {
  alignas(64) uint64_t packed[kChunkRows];
  if (!packed_.pack(keys, n, packed)) {
    if (!packed_.widen(keys, n)) unpack_groups();
    return assign(keys, n, groups);
  }
  packed_.assign(packed, n, groups);
  count_ = packed_.size();
}

void Groups::make_table(size_t slots) {
  const LargeVector<Slot> old = std::exchange(slots_, LargeVector<Slot>(slots));
  for (const Slot& s : old) {
    if (!s.group) continue;
    size_t slot = s.hash & (slots - 1);
    while (slots_[slot].group) slot = (slot + 1) & (slots - 1);
    slots_[slot] = s;
  }
  if (!old.empty()) return;
  for (uint32_t group = 0; group < count_; ++group) {
    const uint32_t hash = hash_of(&words_[size_t{group} * keys_], keys_, nulls_[group]);
    size_t slot = hash & (slots - 1);
    while (slots_[slot].group) slot = (slot + 1) & (slots - 1);
    slots_[slot] = {hash, group + 1};
  }
}

void Groups::assign_by_hash(std::span<const Vector* const> keys, unsigned n, uint32_t* groups) {
  if (slots_.empty()) make_table(kFirstSlots);
  // All that the rows of a part of the chunk may need is fetched before the first is looked up.
  constexpr unsigned kPart = 128;
  uint64_t words[kPart * kMostKeys], shown[kPart * kMostKeys];
  uint32_t nulls[kPart], hashes[kPart];
  for (unsigned begin = 0; begin < n; begin += kPart) {
    const unsigned part = std::min(kPart, n - begin);
    const size_t mask = slots_.size() - 1;
    if (keys_ == 1 && !any_float_ && !keys[0]->any_null) {
      const uint64_t* key = keys[0]->words + begin;
      for (unsigned i = 0; i < part; ++i) {
        hashes[i] = hash_of(key + i, 1, 0);
        nulls[i] = 0;
        __builtin_prefetch(&slots_[hashes[i] & mask]);
      }
      probe<1>(key, key, nulls, hashes, part, groups + begin);
      continue;
    }
    for (unsigned i = 0; i < part; ++i) {
      take_row(keys, begin + i, words + i * keys_, shown + i * keys_, &nulls[i]);
      hashes[i] = hash_of(words + i * keys_, keys_, nulls[i]);
      __builtin_prefetch(&slots_[hashes[i] & mask]);
    }
    if (keys_ == 1)
      probe<1>(words, shown, nulls, hashes, part, groups + begin);
    else
      probe<0>(words, shown, nulls, hashes, part, groups + begin);
  }
}

// Keys = 0: any number of them.
template <unsigned Keys>
void Groups::probe(const uint64_t* words, const uint64_t* shown, const uint32_t* nulls,
                   const uint32_t* hashes, unsigned n, uint32_t* groups) {
  const unsigned keys = Keys ? Keys : keys_;
  for (unsigned i = 0; i < n; ++i) {  // where the keys of the first candidate are
    const Slot& s = slots_[hashes[i] & (slots_.size() - 1)];
    if (s.group) __builtin_prefetch(&words_[size_t{s.group - 1} * keys]);
  }
  for (unsigned i = 0; i < n; ++i) {
    const uint64_t* row = words + size_t{i} * keys;
    size_t slot = hashes[i] & (slots_.size() - 1);
    uint32_t group = 0;
    for (; (group = slots_[slot].group) != 0; slot = (slot + 1) & (slots_.size() - 1)) {
      if (slots_[slot].hash != hashes[i] || nulls_[group - 1] != nulls[i]) continue;
      if (std::equal(row, row + keys, &words_[size_t{group - 1} * keys])) break;
    }
    if (group == 0) {
      group = add(row, nulls[i], shown + size_t{i} * keys) + 1;
      slots_[slot] = {hashes[i], group};
      if (size_t{count_} * 2 > slots_.size()) make_table(slots_.size() * 2);
    }
    groups[i] = group - 1;
  }
}

void Groups::find(std::span<const Vector* const> keys, unsigned n, uint32_t* groups) const {
  if (in_array_) return find_in_array(keys, n, groups);
  if (is_packed_) return packed_.find(keys, n, kNone, groups);
  if (slots_.empty()) return static_cast<void>(std::fill_n(groups, n, kNone));
  constexpr unsigned kPart = 64;
  uint64_t words[kPart * kMostKeys], shown[kMostKeys];
  uint32_t nulls[kPart], hashes[kPart];
  const size_t mask = slots_.size() - 1;
  for (unsigned begin = 0; begin < n; begin += kPart) {
    const unsigned part = std::min(kPart, n - begin);
    for (unsigned i = 0; i < part; ++i) {
      take_row(keys, begin + i, words + size_t{i} * keys_, shown, &nulls[i]);
      hashes[i] = hash_of(words + size_t{i} * keys_, keys_, nulls[i]);
      __builtin_prefetch(&slots_[hashes[i] & mask]);
    }
    for (unsigned i = 0; i < part; ++i) {
      const uint64_t* row = words + size_t{i} * keys_;
      uint32_t group = 0;
      if (!nulls[i]) {
        for (size_t slot = hashes[i] & mask; (group = slots_[slot].group) != 0;
             slot = (slot + 1) & mask)
          if (slots_[slot].hash == hashes[i] &&
              std::equal(row, row + keys_, &words_[size_t{group - 1} * keys_]))
            break;
      }
      groups[begin + i] = group - 1;
    }
  }
}

// REQUIRES: no group has a NULL, so that NULL's place is free for what is outside.
void Groups::find_in_array(std::span<const Vector* const> keys, unsigned n,
                           uint32_t* groups) const {
  alignas(64) uint32_t place[kChunkRows] = {};
  for (unsigned k = 0; k < keys_; ++k) {
    const auto width = static_cast<uint32_t>(width_of(ranges_[k]));
    kernels().places_or_none(keys[k]->words, n, static_cast<uint64_t>(ranges_[k].low), width,
                             width + 1, place);
  }
  for (unsigned i = 0; i < n; ++i) groups[i] = array_[place[i]] - 1;
  for (unsigned k = 0; k < keys_; ++k) {
    if (!keys[k]->any_null) continue;
    for (unsigned i = 0; i < n; ++i)
      if (keys[k]->null[i]) groups[i] = kNone;
  }
}

bool Groups::read(uint32_t begin, unsigned n, unsigned key, uint64_t* words, uint8_t* null) const {
  uint8_t any = 0;
  for (unsigned i = 0; i < n; ++i) {
    words[i] = word(begin + i, key);
    any |= null[i] = is_null(begin + i, key);
  }
  return any != 0;
}

uint32_t Groups::add(const uint64_t* words, uint32_t nulls, const uint64_t* shown) {
  if (count_ == std::numeric_limits<uint32_t>::max() - 1) throw LimitError("too many groups");
  words_.insert(words_.end(), words, words + keys_);
  if (any_float_) shown_.insert(shown_.end(), shown, shown + keys_);
  nulls_.push_back(nulls);
  return count_++;
}

size_t Groups::bytes() const {
  return (words_.size() + shown_.size()) * 8 + nulls_.size() * 4 +
         slots_.capacity() * sizeof(Slot) + array_.capacity() * 4 + packed_.bytes();
}

}  // namespace datahike::vector
