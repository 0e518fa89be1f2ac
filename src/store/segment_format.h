// Where the parts of a segment lie: shared by its builder and its reader. The format itself is the
// grammar at the head of segment.cpp.
#pragma once

// The declaration of XXH3 with its body: no library to link, and the fast path for short segments.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "column/bytes.h"
#include "column/encoding.h"

namespace datahike::store::segment_format {

inline constexpr uint8_t kMagic[] = {'D', 'H', 'S'};
inline constexpr uint8_t kVersion = 2;
inline constexpr uint8_t kVersionWithHoles = 3;
inline constexpr uint8_t kVersionCompressed = 4;           // some values are
inline constexpr uint8_t kVersionCompressedWithHoles = 5;  // likewise
inline constexpr uint8_t kNewestVersion = kVersionCompressedWithHoles;
inline constexpr uint8_t kOldestVersion = 1;  // which has only the first four encodings

inline constexpr size_t kMagicAt = 8;
inline constexpr size_t kVersionAt = 11;
inline constexpr size_t kFirstRowidAt = 12;
inline constexpr size_t kRowsAt = 20;
inline constexpr size_t kColumnsAt = 22;
inline constexpr size_t kEntityEncodingAt = 24;
inline constexpr size_t kXidEncodingAt = 25;
inline constexpr size_t kEntityEndAt = 26;
inline constexpr size_t kXidEndAt = 30;
inline constexpr size_t kDirectoryAt = 34;

inline constexpr size_t kEntryBytes = 12;
inline constexpr size_t kEntryEndAt = 8;

inline constexpr uint8_t kHasWidth = 1;
inline constexpr uint8_t kHasTypmod = 2;
inline constexpr uint8_t kHasZone = 4;
inline constexpr uint8_t kHasNulls = 8;
inline constexpr uint8_t kAllNull = 16;

inline constexpr size_t kWidthBytes = sizeof(uint16_t);
inline constexpr size_t kTypmodBytes = sizeof(int32_t);
inline constexpr size_t kZoneBytes = 2 * sizeof(int64_t) + sizeof(__int128);
inline constexpr size_t kNullCountBytes = sizeof(uint32_t);

static_assert(column::kEncodingCount <= 16, "an entry has 4 bits for the encoding");

// Below this many rows a zone map is computed faster than its bytes are worth.
inline constexpr uint32_t kMinRowsForZone = 16;

template <class T>
T load(const uint8_t* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
void put(uint8_t* p, T v) {
  std::memcpy(p, &v, sizeof v);
}

inline size_t null_bitmap_bytes(uint32_t rows) { return (rows + 7) / 8; }

inline size_t optional_bytes(uint8_t flags, uint32_t rows) {
  return (flags & kHasWidth ? kWidthBytes : 0) + (flags & kHasTypmod ? kTypmodBytes : 0) +
         (flags & kHasZone ? kZoneBytes : 0) +
         (flags & kHasNulls ? kNullCountBytes + null_bitmap_bytes(rows) : 0);
}

inline size_t head_bytes(size_t columns) { return kDirectoryAt + columns * kEntryBytes; }

inline uint64_t checksum_of(ByteView segment) {
  const ByteView covered = segment.subspan(kMagicAt);
  return XXH3_64bits(covered.data(), covered.size());
}

}  // namespace datahike::store::segment_format
