// Finding segments in the map `rows`.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>

#include "store/lmdb.h"
#include "store/segment.h"

namespace datahike::store {

// The segments this process has verified. Bounded: forgets all of them when there are too many.
class VerifiedSegments {
 public:
  // The segment stored under (table, first_rowid); verified unless that was done before.
  // CorruptError or FormatError naming the segment.
  SegmentReader read(uint64_t table, uint64_t first_rowid, ByteView bytes);
  // To be called when something else is stored under that key.
  void forget(uint64_t table, uint64_t first_rowid) { seen_.erase({table, first_rowid}); }
  void forget_all() { seen_.clear(); }

 private:
  struct Key {
    uint64_t table, first_rowid;
    bool operator==(const Key&) const = default;
  };
  struct HashKey {
    size_t operator()(const Key& k) const {
      return std::hash<uint64_t>()(k.first_rowid ^ k.table * 0x9e3779b97f4a7c15);
    }
  };
  // Their checksums, for another segment may come to have the same place.
  std::unordered_map<Key, uint64_t, HashKey> seen_;
};

// Look-ups through one cursor on `rows`, which must belong to a live transaction.
class SegmentFinder {
 public:
  SegmentFinder(const Lmdb& lmdb, MDB_cursor* rows, VerifiedSegments& verified)
      : lmdb_(lmdb), rows_(rows), verified_(verified) {}
  // The segment of the table that contains the rowid, and not as a hole.
  std::optional<SegmentReader> containing(uint64_t table, uint64_t rowid);
  // The first segment whose last rowid is >= rowid; the last one whose first rowid is <= rowid.
  std::optional<SegmentReader> at_or_after(uint64_t table, uint64_t rowid);
  std::optional<SegmentReader> at_or_before(uint64_t table, uint64_t rowid);

 private:
  // The segment of the table in whose range the rowid is.
  std::optional<SegmentReader> around(uint64_t table, uint64_t rowid);
  // What the cursor is at, if that is a segment of the table.
  std::optional<SegmentReader> current(uint64_t table);
  bool move(MDB_cursor_op op);
  const Lmdb& lmdb_;
  MDB_cursor* rows_;
  VerifiedSegments& verified_;
  MDB_val key_{}, value_{};
};

}  // namespace datahike::store
