#include "column/vector/text.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

// The declaration of XXH3 with its body: hashing a short string costs less than a call.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "column/kernels.h"

namespace datahike::vector {

namespace {

constexpr size_t kFirstSlots = 1024;
constexpr size_t kBlockBytes = 256 << 10, kMostBlockBytes = 4 << 20;

bool same(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace

TextNumbers::TextNumbers() : slots_(kFirstSlots) {}

uint32_t TextNumbers::number(ByteView text) {
  return number_of(text, static_cast<uint32_t>(XXH3_64bits(text.data(), text.size())));
}

void TextNumbers::number_all(const ByteView* texts, unsigned n, const uint8_t* null,
                             uint64_t* numbers) {
  // What some strings need is fetched before the first of them is looked up.
  constexpr unsigned kPart = 64;
  uint32_t hashes[kPart];
  for (unsigned begin = 0; begin < n; begin += kPart) {
    const unsigned part = std::min(kPart, n - begin);
    for (unsigned i = 0; i < part; ++i) {
      const ByteView text = texts[begin + i];
      hashes[i] = static_cast<uint32_t>(XXH3_64bits(text.data(), text.size()));
      __builtin_prefetch(&slots_[hashes[i] & (slots_.size() - 1)]);
    }
    for (unsigned i = 0; i < part; ++i) {
      const Slot& s = slots_[hashes[i] & (slots_.size() - 1)];
      if (s.number) __builtin_prefetch(&texts_[s.number - 1]);
    }
    for (unsigned i = 0; i < part; ++i) {
      const Slot& s = slots_[hashes[i] & (slots_.size() - 1)];
      if (s.number) __builtin_prefetch(texts_[s.number - 1].data());
    }
    for (unsigned i = 0; i < part; ++i)
      numbers[begin + i] = null && null[begin + i] ? 0 : number_of(texts[begin + i], hashes[i]);
  }
}

void TextNumbers::number_texts_of(const TextNumbers& other, std::vector<uint32_t>& numbers) {
  uint64_t part[kChunkRows];
  for (size_t at = numbers.size(); at < other.texts_.size(); at = numbers.size()) {
    const auto n = static_cast<unsigned>(std::min<size_t>(kChunkRows, other.texts_.size() - at));
    number_all(&other.texts_[at], n, nullptr, part);
    for (unsigned i = 0; i < n; ++i) numbers.push_back(static_cast<uint32_t>(part[i]));
  }
}

uint64_t text_hash(ByteView text) { return XXH3_64bits(text.data(), text.size()); }

uint32_t TextNumbers::find(ByteView text) const {
  const auto hash = static_cast<uint32_t>(XXH3_64bits(text.data(), text.size()));
  size_t slot = hash & (slots_.size() - 1);
  for (; slots_[slot].number; slot = (slot + 1) & (slots_.size() - 1)) {
    const uint32_t number = slots_[slot].number - 1;
    if (slots_[slot].hash == hash && same(texts_[number], text)) return number;
  }
  return kUnknown;
}

uint32_t TextNumbers::number_of(ByteView text, uint32_t hash) {
  size_t slot = hash & (slots_.size() - 1);
  for (; slots_[slot].number; slot = (slot + 1) & (slots_.size() - 1)) {
    const uint32_t number = slots_[slot].number - 1;
    if (slots_[slot].hash == hash && same(texts_[number], text)) return number;
  }
  const uint32_t number = size();
  if (number == kAsked) throw LimitError("too many different strings in a query");
  texts_.push_back(keep(text));
  slots_[slot] = {hash, number + 1};
  if (texts_.size() * 2 > slots_.size()) make_table(slots_.size() * 4);
  return number;
}

void TextNumbers::reserve(size_t texts) {
  texts_.reserve(texts);
  if (texts * 2 > slots_.size()) make_table(std::bit_ceil(texts * 2));
}

void TextNumbers::make_table(size_t slots) {
  const LargeVector<Slot> old = std::exchange(slots_, LargeVector<Slot>(slots));
  for (const Slot& s : old) {
    if (!s.number) continue;
    size_t slot = s.hash & (slots_.size() - 1);
    while (slots_[slot].number) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = s;
  }
}

ByteView TextNumbers::keep(ByteView text) {
  constexpr size_t kAlignment = kHeaderBytes;
  const size_t needed = (kHeaderBytes + text.size() + kAlignment - 1) / kAlignment * kAlignment;
  if (needed > block_left_) {
    // The larger ones are of huge pages.
    const size_t size = std::max(std::clamp(bytes_, kBlockBytes, kMostBlockBytes), needed);
    block_at_ = blocks_.emplace_back(make_large_block(size)).get();
    block_left_ = size;
    bytes_ += size;
  }
  uint8_t* copy = block_at_ + kHeaderBytes;
  std::copy(text.begin(), text.end(), copy);
  length_ += needed;
  block_at_ += needed;
  block_left_ -= needed;
  return {copy, text.size()};
}

namespace {

// '%a%b%': each piece behind the one before it.
bool contains_in_order(ByteView text, const std::vector<std::string>& pieces) {
  const uint8_t* at = text.data();
  size_t left = text.size();
  for (const std::string& piece : pieces) {
    if (piece.empty()) continue;
    const uint8_t* found = column::kernels().find(at, left, as_bytes(piece).data(), piece.size());
    if (!found) return false;
    left -= static_cast<size_t>(found - at) + piece.size();
    at = found + piece.size();
  }
  return true;
}

}  // namespace

bool is_contains(const Filter& filter) {
  return (filter.test == Test::Like || filter.test == Test::NotLike) && filter.pieces.size() == 1 &&
         !filter.pieces[0].empty();
}

bool are_contiguous(const ByteView* texts, unsigned n) {
  bool contiguous = true;
  for (unsigned i = 1; i < n; ++i)
    contiguous &= texts[i].data() == texts[i - 1].data() + texts[i - 1].size();
  return contiguous;
}

void find_in_all(const Filter& filter, const ByteView* texts, unsigned n, uint64_t* found) {
  const std::string& needle = filter.pieces[0];
  const bool like = filter.test == Test::Like;
  std::fill_n(found, (n + 63) / 64, like ? uint64_t{0} : ~uint64_t{0});
  const uint8_t* at = texts[0].data();
  const uint8_t* end = texts[n - 1].data() + texts[n - 1].size();
  for (unsigned row = 0;;) {
    at = column::kernels().find(at, static_cast<size_t>(end - at), as_bytes(needle).data(),
                                needle.size());
    if (!at) return;
    while (at >= texts[row].data() + texts[row].size()) ++row;
    if (at + needle.size() <= texts[row].data() + texts[row].size()) {
      const uint64_t bit = uint64_t{1} << row % 64;
      found[row / 64] = like ? found[row / 64] | bit : found[row / 64] & ~bit;
      at = texts[row].data() + texts[row].size();
    } else {
      ++at;  // it begins in one string and ends in another
    }
  }
}

void test_texts(const Filter& filter, const ByteView* texts, unsigned n, char* passed) {
  if (is_contains(filter) && are_contiguous(texts, n)) {
    std::vector<uint64_t> found((n + 63) / 64);
    find_in_all(filter, texts, n, found.data());
    for (unsigned i = 0; i < n; ++i) passed[i] = found[i / 64] >> i % 64 & 1;
  } else if (filter.texts.size() == 1 &&
             (filter.test == Test::TextIn || filter.test == Test::TextNotIn)) {
    const ByteView text = as_bytes(filter.texts[0]);
    const bool in = filter.test == Test::TextIn;
    for (unsigned i = 0; i < n; ++i) passed[i] = same(texts[i], text) == in;
  } else {
    for (unsigned i = 0; i < n; ++i) passed[i] = passes(filter, texts[i]);
  }
}

bool passes(const Filter& filter, ByteView text) {
  switch (filter.test) {
    case Test::Like:
      return contains_in_order(text, filter.pieces);
    case Test::NotLike:
      return !contains_in_order(text, filter.pieces);
    default:
      break;
  }
  const bool in = std::any_of(filter.texts.begin(), filter.texts.end(),
                              [&](const std::string& t) { return same(text, as_bytes(t)); });
  return in == (filter.test == Test::TextIn);
}

uint32_t character_count(ByteView text, bool utf8) {
  if (!utf8) return static_cast<uint32_t>(text.size());
  return static_cast<uint32_t>(column::kernels().count_characters(text.data(), text.size()));
}

// Strings one behind the other in memory that have a character for each byte are looked at once.
void count_characters(const ByteView* texts, unsigned n, bool utf8, uint32_t* counts) {
  constexpr unsigned kPart = 64;
  for (unsigned begin = 0; begin < n; begin += kPart) {
    const unsigned part = std::min(kPart, n - begin);
    const ByteView* const of_part = texts + begin;
    bool single = !utf8;
    if (!single && are_contiguous(of_part, part)) {
      const uint8_t* const end = of_part[part - 1].data() + of_part[part - 1].size();
      const ByteView all(of_part->data(), end);
      single = character_count(all, true) == all.size();
    }
    for (unsigned i = 0; i < part; ++i)
      counts[begin + i] =
          single ? static_cast<uint32_t>(of_part[i].size()) : character_count(of_part[i], utf8);
  }
}

}  // namespace datahike::vector
