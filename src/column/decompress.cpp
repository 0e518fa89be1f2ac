#include "column/decompress.h"

#include <lz4.h>

namespace datahike::column {

namespace {

constexpr size_t kHeadBytes = 4;
constexpr unsigned kSizeBits = 30;
enum Method : uint32_t { kPglz = 0, kLz4 = 1 };

struct Head {
  size_t size;
  uint32_t method;
};

[[noreturn, gnu::cold]] void corrupt() { throw CorruptError("column: damaged compressed value"); }

Head head_of(ByteView compressed) {
  uint32_t head;
  if (compressed.size() <= kHeadBytes) corrupt();
  std::memcpy(&head, compressed.data(), sizeof head);
  return {head & ((uint32_t{1} << kSizeBits) - 1), head >> kSizeBits};
}

// pglz (pg_lzcompress.c): a byte of eight flags, lowest first, then what each of them says: 0 a
// byte as it is; 1 a copy of what was written before, of 3 bytes and more:
//
//   copy := [offset / 256:4 bits | length - 3:4 bits] [offset % 256:u8] [length - 18:u8]?
//
// The last byte is there where the length is 18 or more.
constexpr size_t kShortestCopy = 3, kLongCopy = 18;
constexpr size_t kMostOfByte = 8 * (kLongCopy + 255) / (1 + 8 * 3) + 1;  // bytes made of a byte
constexpr size_t kMostOfByteLz4 = 255;
constexpr size_t kSlack = 64;

void decompress_pglz(ByteView in, uint8_t* const out, size_t size) {
  const uint8_t* at = in.data();
  const uint8_t* const end = at + in.size();
  size_t made = 0;
  while (at < end && made < size) {
    unsigned flags = *at++;
    for (int i = 0; i < 8 && at < end && made < size; ++i, flags >>= 1) {
      if (!(flags & 1)) {
        out[made++] = *at++;
        continue;
      }
      if (end - at < 2) corrupt();
      size_t length = (at[0] & 0x0f) + kShortestCopy;
      const size_t offset = size_t{at[0] & 0xf0u} << 4 | at[1];
      at += 2;
      if (length == kLongCopy) {
        if (at == end) corrupt();
        length += *at++;
      }
      if (offset == 0 || offset > made) corrupt();
      length = std::min(length, size - made);
      // What is copied may reach into what the copy itself writes: then it repeats.
      for (const uint8_t* from = out + made - offset; length > 0;) {
        const size_t part = std::min(length, static_cast<size_t>(out + made - from));
        std::memcpy(out + made, from, part);
        made += part;
        length -= part;
      }
    }
  }
  if (at != end || made != size) corrupt();
}

}  // namespace

size_t decompressed_size(ByteView compressed) {
  const Head head = head_of(compressed);
  const size_t bytes = compressed.size() - kHeadBytes;
  if (head.method > kLz4) corrupt();
  // Damaged bytes must not ask for a gigabyte.
  if (head.size > bytes * (head.method == kPglz ? kMostOfByte : kMostOfByteLz4) + kSlack) corrupt();
  return head.size;
}

void decompress(ByteView compressed, uint8_t* out) {
  const Head head = head_of(compressed);
  const ByteView data = compressed.subspan(kHeadBytes);
  if (head.method == kPglz) return decompress_pglz(data, out, head.size);
  if (head.method != kLz4) corrupt();
  const int made =
      LZ4_decompress_safe(reinterpret_cast<const char*>(data.data()), reinterpret_cast<char*>(out),
                          static_cast<int>(data.size()), static_cast<int>(head.size));
  if (made < 0 || static_cast<size_t>(made) != head.size) corrupt();
}

}  // namespace datahike::column
