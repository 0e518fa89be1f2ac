// Puts into one map that are gathered, and made in the order of the keys through one cursor.
//
// A fold's keys come in the order of its transactions, which is none for these maps. In key order
// LMDB descends from the root only where the next key is in another page, and comes to each page
// once, while it is in the processor's caches.
#pragma once

#include <vector>

#include "store/lmdb.h"

namespace datahike::store {

class OrderedPuts {
 public:
  // What makes one put. Puts of the same key come in the order in which they were added.
  using Put = void (*)(const Lmdb& lmdb, MDB_cursor* cursor, ByteView key, ByteView value);

  // REQUIRES: keys of one map have the same length.
  void add(ByteView key, ByteView value);
  bool are_many() const { return bytes_.size() >= kManyBytes; }
  // `ascending`: the keys are added in the map's order, or it does not matter.
  void make(const Lmdb& lmdb, MDB_txn* txn, MDB_dbi map, Put put, bool ascending);

 private:
  static constexpr size_t kManyBytes = 4 << 20;
  struct Entry {
    size_t at;  // in bytes_: key, value
    uint32_t key_bytes, value_bytes;
  };
  ByteView key(const Entry& entry) const {
    return ByteView(bytes_).subspan(entry.at, entry.key_bytes);
  }
  Bytes bytes_;
  std::vector<Entry> entries_;
};

}  // namespace datahike::store
