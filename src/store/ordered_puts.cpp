#include "store/ordered_puts.h"

#include <algorithm>
#include <cstring>

namespace datahike::store {

void OrderedPuts::add(ByteView key, ByteView value) {
  entries_.push_back(
      {bytes_.size(), static_cast<uint32_t>(key.size()), static_cast<uint32_t>(value.size())});
  bytes_.insert(bytes_.end(), key.begin(), key.end());
  bytes_.insert(bytes_.end(), value.begin(), value.end());
}

void OrderedPuts::make(const Lmdb& lmdb, MDB_txn* txn, MDB_dbi map, Put put, bool ascending) {
  if (entries_.empty()) return;
  if (!ascending)
    std::ranges::stable_sort(entries_, [this](const Entry& a, const Entry& b) {
      return std::memcmp(key(a).data(), key(b).data(), a.key_bytes) < 0;
    });
  const Cursor cursor = open_cursor(lmdb, txn, map);
  for (const Entry& entry : entries_)
    put(lmdb, cursor.get(), key(entry),
        ByteView(bytes_).subspan(entry.at + entry.key_bytes, entry.value_bytes));
  entries_.clear();
  bytes_.clear();
}

}  // namespace datahike::store
