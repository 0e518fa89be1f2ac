// The maps of a store and their keys, as bytes: the grammar at the head of environment.cpp.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "store/environment.h"
#include "store/lmdb.h"

namespace datahike::store {

struct Maps {
  MDB_dbi rows, nodes, commits, txs, writes, clears, lineage, meta, tombstones;
  // Opens the maps; with `create` makes those that are missing, else nullopt if one is.
  static std::optional<Maps> open(const Lmdb& lmdb, MDB_txn* txn, bool create);
  MDB_dbi handle(Map map) const;
};

// Values of `writes`, `clears`, `lineage` and `meta` have no checksum of their own format: a
// checked value ends with one, over its key and what comes before it.
//
//   checked := bytes check:u32     check: the low half of XXH3-64 of the bytes, seeded with that of
//                                  the key
Bytes checked_value(ByteView key, ByteView value);
// The bytes without the checksum. CorruptError naming `what` when it does not match.
ByteView check_value(ByteView key, ByteView stored, const std::string& what);

inline constexpr std::string_view kFormatKey = "store/format";
inline constexpr std::string_view kIdentityKey = "store/identity";
inline constexpr std::string_view kNextNodeKey = "store/next_node";

using RowKey = std::array<uint8_t, 16>;
inline RowKey row_key(uint64_t table, uint64_t first_rowid) {
  RowKey key;
  put_big_endian(key.data(), table);
  put_big_endian(key.data() + 8, first_rowid);
  return key;
}

using LineageKey = std::array<uint8_t, 20>;
inline LineageKey lineage_key(uint64_t table, uint64_t rowid, uint32_t branch) {
  LineageKey key;
  put_big_endian(key.data(), table);
  put_big_endian(key.data() + 8, rowid);
  for (int i = 0; i < 4; ++i) key[16 + i] = static_cast<uint8_t>(branch >> (24 - 8 * i));
  return key;
}

using WriteKey = std::array<uint8_t, 12>;
inline WriteKey write_key(uint64_t xid, uint32_t branch) {
  WriteKey key;
  put_big_endian(key.data(), xid);
  for (int i = 0; i < 4; ++i) key[8 + i] = static_cast<uint8_t>(branch >> (24 - 8 * i));
  return key;
}

using ClearKey = std::array<uint8_t, 16>;
inline ClearKey clear_key(uint64_t table, uint64_t tx) { return row_key(table, tx); }

}  // namespace datahike::store
