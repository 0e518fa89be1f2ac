#include "store/maps.h"

namespace datahike::store {

std::optional<Maps> Maps::open(const Lmdb& lmdb, MDB_txn* txn, bool create) {
  Maps maps;
  const struct {
    const char* name;
    unsigned flags;
    MDB_dbi* handle;
  } all[] = {{"rows", 0, &maps.rows},       {"nodes", MDB_INTEGERKEY, &maps.nodes},
             {"commits", 0, &maps.commits}, {"txs", MDB_INTEGERKEY, &maps.txs},
             {"lineage", 0, &maps.lineage}, {"meta", 0, &maps.meta}};
  for (const auto& map : all) {
    unsigned flags = map.flags | (create ? MDB_CREATE : 0u);
    if (!lmdb.found(mdb_dbi_open(txn, map.name, flags, map.handle), "open a map")) {
      return std::nullopt;
    }
  }
  return maps;
}

}  // namespace datahike::store
