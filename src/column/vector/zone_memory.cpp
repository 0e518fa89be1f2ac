#include "column/vector/zone_memory.h"

// The declaration of XXH3 with its body.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <mutex>
#include <unordered_map>

namespace datahike::vector {

namespace {

constexpr size_t kMostZones = 16384;  // of some 150 bytes; then all are forgotten

struct Hash {
  size_t operator()(const ZoneKey& key) const {
    return key.checksum ^ key.live[0] ^ static_cast<uint64_t>(key.column) << 48;
  }
};

std::mutex mutex;
std::unordered_map<ZoneKey, ZoneOfRows, Hash>& zones() {
  static std::unordered_map<ZoneKey, ZoneOfRows, Hash> all;
  return all;
}

}  // namespace

std::array<uint64_t, 2> live_hash(const Piece& piece) {
  const XXH128_hash_t live = XXH3_128bits(piece.live.data(), piece.live.size() * sizeof(uint64_t));
  return {live.low64, live.high64};
}

std::optional<ZoneOfRows> remembered_zone(const ZoneKey& key) {
  const std::lock_guard lock(mutex);
  const auto found = zones().find(key);
  if (found == zones().end()) return std::nullopt;
  return found->second;
}

void remember_zone(const ZoneKey& key, const ZoneOfRows& zone) {
  const std::lock_guard lock(mutex);
  if (zones().size() >= kMostZones) zones().clear();
  zones().insert_or_assign(key, zone);
}

}  // namespace datahike::vector
