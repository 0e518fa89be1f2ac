#include "store/maps.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/error.h"

namespace datahike::store {

std::optional<Maps> Maps::open(const Lmdb& lmdb, MDB_txn* txn, bool create) {
  Maps maps;
  const struct {
    const char* name;
    unsigned flags;
    MDB_dbi* handle;
  } all[] = {{"rows", 0, &maps.rows},
             {"nodes", MDB_INTEGERKEY, &maps.nodes},
             {"commits", 0, &maps.commits},
             {"txs", MDB_INTEGERKEY, &maps.txs},
             {"writes", 0, &maps.writes},
             {"clears", 0, &maps.clears},
             {"lineage", 0, &maps.lineage},
             {"meta", 0, &maps.meta},
             {"tombstones", 0, &maps.tombstones}};
  for (const auto& map : all) {
    unsigned flags = map.flags | (create ? MDB_CREATE : 0u);
    if (!lmdb.found(mdb_dbi_open(txn, map.name, flags, map.handle), "open a map")) {
      return std::nullopt;
    }
  }
  return maps;
}

namespace {

uint32_t check_of(ByteView key, ByteView value) {
  const uint64_t seed = XXH3_64bits(key.data(), key.size());
  return static_cast<uint32_t>(XXH3_64bits_withSeed(value.data(), value.size(), seed));
}

}  // namespace

Bytes checked_value(ByteView key, ByteView value) {
  Bytes stored(value.begin(), value.end());
  ByteWriter(stored).fixed(check_of(key, value));
  return stored;
}

ByteView check_value(ByteView key, ByteView stored, const std::string& what) {
  if (stored.size() < sizeof(uint32_t)) throw CorruptError(what + " is damaged: truncated");
  const size_t size = stored.size() - sizeof(uint32_t);
  const ByteView value = stored.first(size);
  if (ByteReader(stored.subspan(size), "checksum").fixed<uint32_t>() != check_of(key, value))
    throw CorruptError(what + " is damaged: its checksum does not match");
  return value;
}

}  // namespace datahike::store
