// The encoded form of a container (integers little-endian):
//
//   container := 1:u8 low:u16[n]             array: members, ascending
//              | 2:u8 (first:u16 more:u16)[n]  runs: members first .. first + more, ascending, with
//                                              at least one stranger between two runs
//              | 3:u8 word:u64[1024]           bitmap: member m is bit m % 64 of word m / 64
//
// The number of members or runs follows from the length. Of the three forms the shortest is used,
// the first named among equals; so the same set always has the same bytes.
#include <algorithm>
#include <bit>

#include "tree/live_set.h"

namespace datahike::tree {

namespace {

enum class Form : uint8_t { Array = 1, Runs = 2, Bitmap = 3 };

constexpr size_t kWords = 1024;

[[noreturn]] void corrupt(const char* what) {
  throw CorruptError(std::string("live set container: ") + what);
}

// Calls f(first, last) for every maximal run of members.
template <class F>
void for_each_run(const Container& c, F f) {
  for (uint32_t at = 0; at < 65536;) {
    uint64_t ones = c.words[at >> 6] >> (at & 63);
    if (ones == 0) {
      at = (at | 63) + 1;
      continue;
    }
    uint32_t first = at + static_cast<uint32_t>(std::countr_zero(ones));
    uint32_t end = first;  // behind the run
    while (end < 65536) {
      int length = std::countr_one(c.words[end >> 6] >> (end & 63));
      end += static_cast<uint32_t>(length);
      if (length == 0 || (end & 63) != 0) break;
    }
    f(first, end - 1);
    at = end;
  }
}

size_t count_runs(const Container& c) {
  size_t runs = 0;
  uint64_t carry = 0;  // the last bit of the previous word
  for (uint64_t word : c.words) {
    runs += static_cast<size_t>(std::popcount(word & ~(word << 1 | carry)));
    carry = word >> 63;
  }
  return runs;
}

void decode_array(ByteView payload, Container& c) {
  ByteReader in(payload, "live set container");
  int previous = -1;
  while (in.left() > 0) {
    uint16_t low = in.fixed<uint16_t>();
    if (low <= previous) corrupt("members out of order");
    previous = low;
    c.words[low >> 6] |= uint64_t{1} << (low & 63);
    ++c.count;
  }
}

uint16_t load_u16(ByteView payload, size_t i) {
  uint16_t v;
  std::memcpy(&v, payload.data() + i * sizeof v, sizeof v);
  return v;
}

// REQUIRES: none of them is set.
void set_new_range(Container& c, uint32_t first, uint32_t last) {
  const uint64_t head = ~uint64_t{0} << (first & 63), tail = ~uint64_t{0} >> (63 - (last & 63));
  const size_t from = first >> 6, to = last >> 6;
  c.count += last - first + 1;
  if (from == to) {
    c.words[from] |= head & tail;
    return;
  }
  c.words[from] |= head;
  for (size_t w = from + 1; w < to; ++w) c.words[w] = ~uint64_t{0};
  c.words[to] |= tail;
}

// REQUIRES: all of them are set; first <= last.
void clear_range(Container& c, uint32_t first, uint32_t last) {
  const uint64_t head = ~uint64_t{0} << (first & 63), tail = ~uint64_t{0} >> (63 - (last & 63));
  const size_t from = first >> 6, to = last >> 6;
  c.count -= last - first + 1;
  if (from == to) {
    c.words[from] &= ~(head & tail);
    return;
  }
  c.words[from] &= ~head;
  for (size_t w = from + 1; w < to; ++w) c.words[w] = 0;
  c.words[to] &= ~tail;
}

// All from the first member to the last is set, and what is between two runs taken out: a set of
// runs mostly has more members than gaps.
void decode_runs(ByteView payload, Container& c) {
  if (payload.empty()) return;
  constexpr size_t kRunBytes = 2 * sizeof(uint16_t);
  if (payload.size() % kRunBytes != 0) corrupt("half a run");
  const size_t last_run = payload.size() / sizeof(uint16_t) - 2;
  const uint32_t end = uint32_t{load_u16(payload, last_run)} + load_u16(payload, last_run + 1);
  const uint32_t begin = load_u16(payload, 0);
  if (end > 65535 || begin > end) corrupt("runs out of order");
  set_new_range(c, begin, end);
  uint32_t last = begin + load_u16(payload, 1);
  for (size_t i = 2; i <= last_run; i += 2) {
    const uint32_t first = load_u16(payload, i);
    if (first <= last + 1 || first > end) corrupt("runs out of order");
    clear_range(c, last + 1, first - 1);
    last = first + load_u16(payload, i + 1);
  }
}

void decode_bitmap(ByteView payload, Container& c) {
  if (payload.size() != sizeof c.words) corrupt("bitmap of wrong size");
  std::memcpy(c.words.data(), payload.data(), sizeof c.words);
  for (uint64_t word : c.words) c.count += static_cast<uint32_t>(std::popcount(word));
}

// Number of `stride`-wide elements whose first u16 is <= low; those are ascending.
size_t count_at_most(ByteView payload, size_t stride, uint16_t low) {
  size_t begin = 0, end = payload.size() / (stride * sizeof(uint16_t));
  while (begin < end) {
    size_t middle = (begin + end) / 2;
    if (load_u16(payload, middle * stride) <= low) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

}  // namespace

void Container::add(uint16_t low) {
  uint64_t bit = uint64_t{1} << (low & 63);
  count += !(words[low >> 6] & bit);
  words[low >> 6] |= bit;
}

void Container::remove(uint16_t low) {
  uint64_t bit = uint64_t{1} << (low & 63);
  count -= !!(words[low >> 6] & bit);
  words[low >> 6] &= ~bit;
}

void Container::add_range(uint16_t first, uint16_t last) {
  for (size_t w = first >> 6; w <= last >> 6; ++w) {
    uint64_t mask = ~uint64_t{0};
    if (w == first >> 6) mask &= ~uint64_t{0} << (first & 63);
    if (w == last >> 6) mask &= ~uint64_t{0} >> (63 - (last & 63));
    const uint64_t fresh = mask & ~words[w];
    count += fresh == ~uint64_t{0} ? 64 : static_cast<uint32_t>(std::popcount(fresh));
    words[w] |= mask;
  }
}

Bytes encode_container(const Container& c) {
  size_t array_bytes = c.count * sizeof(uint16_t);
  size_t run_bytes = count_runs(c) * 2 * sizeof(uint16_t);
  size_t smallest = std::min({array_bytes, run_bytes, sizeof c.words});
  Bytes bytes(1 + smallest);
  uint8_t* out = bytes.data() + 1;
  auto put = [&](uint32_t low) {
    const auto v = static_cast<uint16_t>(low);
    std::memcpy(out, &v, sizeof v);
    out += sizeof v;
  };
  if (array_bytes == smallest) {
    bytes[0] = static_cast<uint8_t>(Form::Array);
    for (uint32_t w = 0; w < kWords; ++w) {
      for (uint64_t word = c.words[w]; word; word &= word - 1) {
        put(w << 6 | static_cast<uint32_t>(std::countr_zero(word)));
      }
    }
  } else if (run_bytes == smallest) {
    bytes[0] = static_cast<uint8_t>(Form::Runs);
    for_each_run(c, [&](uint32_t first, uint32_t last) {
      put(first);
      put(last - first);
    });
  } else {
    bytes[0] = static_cast<uint8_t>(Form::Bitmap);
    std::memcpy(out, c.words.data(), sizeof c.words);
  }
  return bytes;
}

Container decode_container(ByteView bytes) {
  if (bytes.empty()) corrupt("empty");
  Container c;
  ByteView payload = bytes.subspan(1);
  switch (Form{bytes[0]}) {
    case Form::Array:
      decode_array(payload, c);
      return c;
    case Form::Runs:
      decode_runs(payload, c);
      return c;
    case Form::Bitmap:
      decode_bitmap(payload, c);
      return c;
  }
  corrupt("unknown form");
}

bool encoded_container_contains(ByteView bytes, uint16_t low) {
  if (bytes.empty()) corrupt("empty");
  ByteView payload = bytes.subspan(1);
  switch (Form{bytes[0]}) {
    case Form::Array: {
      size_t n = count_at_most(payload, 1, low);
      return n > 0 && load_u16(payload, n - 1) == low;
    }
    case Form::Runs: {
      size_t n = count_at_most(payload, 2, low);
      return n > 0 && low - load_u16(payload, 2 * n - 2) <= load_u16(payload, 2 * n - 1);
    }
    case Form::Bitmap:
      if (payload.size() != kWords * sizeof(uint64_t)) corrupt("bitmap of wrong size");
      return payload[low >> 3] >> (low & 7) & 1;
  }
  corrupt("unknown form");
}

}  // namespace datahike::tree
