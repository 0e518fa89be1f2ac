#include "vector/text.h"

#include <algorithm>
#include <cstring>

// The declaration of XXH3 with its body: hashing a short string costs less than a call.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace datahike::vector {

namespace {

constexpr size_t kFirstSlots = 1024;
constexpr size_t kBlockBytes = 256 << 10;

bool same(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace

TextNumbers::TextNumbers() : slots_(kFirstSlots, kUnknown) {}

uint32_t TextNumbers::number(ByteView text) {
  const uint64_t hash = XXH3_64bits(text.data(), text.size());
  size_t slot = hash & (slots_.size() - 1);
  for (; slots_[slot] != kUnknown; slot = (slot + 1) & (slots_.size() - 1)) {
    const uint32_t number = slots_[slot];
    if (hashes_[number] == hash && same(texts_[number], text)) return number;
  }
  const uint32_t number = size();
  if (number == kUnknown) throw LimitError("too many different strings in a query");
  texts_.push_back(keep(text));
  hashes_.push_back(hash);
  slots_[slot] = number;
  if (texts_.size() * 2 > slots_.size()) grow();
  return number;
}

void TextNumbers::grow() {
  slots_.assign(slots_.size() * 4, kUnknown);
  for (uint32_t number = 0; number < hashes_.size(); ++number) {
    size_t slot = hashes_[number] & (slots_.size() - 1);
    while (slots_[slot] != kUnknown) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = number;
  }
}

ByteView TextNumbers::keep(ByteView text) {
  if (text.size() > block_left_) {
    const size_t size = std::max(kBlockBytes, text.size());
    block_at_ = blocks_.emplace_back(new uint8_t[size]).get();
    block_left_ = size;
    bytes_ += size;
  }
  uint8_t* copy = block_at_;
  std::copy(text.begin(), text.end(), copy);
  block_at_ += text.size();
  block_left_ -= text.size();
  return {copy, text.size()};
}

namespace {

// '%a%b%': each piece behind the one before it.
bool contains_in_order(ByteView text, const std::vector<std::string>& pieces) {
  const uint8_t* at = text.data();
  size_t left = text.size();
  for (const std::string& piece : pieces) {
    if (piece.empty()) continue;
    const auto* found = static_cast<const uint8_t*>(memmem(at, left, piece.data(), piece.size()));
    if (!found) return false;
    left -= static_cast<size_t>(found - at) + piece.size();
    at = found + piece.size();
  }
  return true;
}

}  // namespace

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
  // All but the bytes that continue a character.
  uint32_t count = 0;
  for (uint8_t byte : text) count += (byte & 0xc0) != 0x80;
  return count;
}

}  // namespace datahike::vector
