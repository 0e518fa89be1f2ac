// What an Environment is made of; shared with its write batches.
#pragma once

#include <string>

#include "store/environment.h"
#include "store/lmdb.h"
#include "store/maps.h"
#include "store/ordered_puts.h"
#include "store/segment_map.h"

namespace datahike::store {

struct Environment::Impl {
  Impl(const std::string& directory, const Options& options);

  // Begins the read transaction unless it is there; its handle, valid until end_read().
  MDB_txn* read();
  void end_read();
  SegmentFinder segments();  // through the read transaction
  std::optional<ByteView> lookup(MDB_dbi map, MDB_val key) { return find(lmdb, read(), map, key); }

  const Options options;
  Lmdb lmdb;
  Maps maps{};
  VerifiedSegments verified;
  std::vector<SegmentKey> small_segments;  // see Environment::small_segments_written()
  uint64_t cached_singly = 0;  // bytes of the data file up to which cache_singly() has been asked
  bool writing = false;
  bool reading = false;
  uint64_t generation = 1;

 private:
  // Kept over end_read(): to renew a transaction and a cursor is cheaper than to begin and open.
  Transaction txn_;
  Cursor rows_;
  bool rows_current_ = false;  // rows_ belongs to the present read transaction
};

struct WriteBatch::Impl {
  explicit Impl(Environment::Impl& environment);
  ~Impl();
  void put(MDB_dbi map, MDB_val key, ByteView value, unsigned flags, const char* doing);
  void put_later(OrderedPuts& puts, ByteView key, ByteView value);
  void make_puts();  // those that were put later
  void count_growth(size_t value_bytes);
  // Deletes a key; no effect if it is absent.
  void erase(MDB_dbi map, MDB_val key, const char* doing);
  std::optional<ByteView> lookup(MDB_dbi map, MDB_val key) {
    return find(env.lmdb, txn.get(), map, key);
  }

  Environment::Impl& env;
  std::vector<SegmentKey> small_segments;  // that it has put
  Transaction txn;
  OrderedPuts commits, txs, writes, lineage;  // made before one of these maps is looked at
  uint64_t next_node = 1;
  uint64_t committed_bytes;   // of the data file, when the batch began
  uint64_t growth_bytes = 0;  // by how much it may grow beyond them
};

// An entry of map meta without its checksum, copied.
std::optional<Bytes> checked_copy(const std::string& key, std::optional<ByteView> stored);
// The value of a node that must be there: CorruptError naming it if it is not.
ByteView require_node(std::optional<ByteView> found, uint64_t id);

}  // namespace datahike::store
