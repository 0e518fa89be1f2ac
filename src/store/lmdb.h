// A thin layer over LMDB: owning handles, and its return codes as typed exceptions.
#pragma once

#include <lmdb.h>
#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "column/bytes.h"

namespace datahike::store {

inline MDB_val val(ByteView bytes) { return {bytes.size(), const_cast<uint8_t*>(bytes.data())}; }
inline ByteView view(const MDB_val& v) {
  return {static_cast<const uint8_t*>(v.mv_data), v.mv_size};
}

// The key of an MDB_INTEGERKEY map; refers to the variable, which must outlive it.
inline MDB_val integer_key(uint64_t& key) { return {sizeof key, &key}; }

// An open MDB_env.
class Lmdb {
 public:
  // `path`: a directory, or a file with MDB_NOSUBDIR among `flags`. MDB_NOTLS is added.
  Lmdb(const std::string& path, unsigned flags, size_t map_size, unsigned max_readers);

  MDB_env* env() const { return env_.get(); }
  // The descriptor LMDB itself has open. To open and close either file a second time would drop the
  // process's fcntl locks, and with them its reader slots.
  int data_file() const;
  uint64_t data_file_bytes() const;
  uint64_t data_file_disk_bytes() const;  // what it takes on disk, holes not counted
  // Bytes of the data file that the newest committed state may refer to.
  uint64_t committed_bytes() const;
  uint64_t map_bytes() const;
  // Adopts the map size that another process enlarged the map to. REQUIRES no open transaction.
  void adopt_map_size() const;

  // Throws unless rc is MDB_SUCCESS. `doing` completes "cannot ...".
  void check(int rc, const char* doing) const;
  // As check(), false for MDB_NOTFOUND.
  bool found(int rc, const char* doing) const;

 private:
  [[noreturn]] void fail(int rc, const char* doing) const;
  bool disk_is_full() const;
  struct stat data_file_stat() const;

  struct Close {
    void operator()(MDB_env* env) const { mdb_env_close(env); }
  };
  std::unique_ptr<MDB_env, Close> env_;
  std::string path_;
  size_t map_size_;
};

struct AbortTransaction {
  void operator()(MDB_txn* txn) const { mdb_txn_abort(txn); }
};
using Transaction = std::unique_ptr<MDB_txn, AbortTransaction>;

struct CloseCursor {
  void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
};
// In a write transaction a cursor must be closed before the transaction ends.
using Cursor = std::unique_ptr<MDB_cursor, CloseCursor>;

// Follows a map that another process enlarged, unless a transaction of this process has views into
// it.
Transaction begin_transaction(const Lmdb& lmdb, unsigned flags, bool may_move_map = true);
void commit_transaction(const Lmdb& lmdb, Transaction txn, const char* doing);
Cursor open_cursor(const Lmdb& lmdb, MDB_txn* txn, MDB_dbi map);

// The value under a key, in the map; nullopt if there is none.
std::optional<ByteView> find(const Lmdb& lmdb, MDB_txn* txn, MDB_dbi map, MDB_val key);

}  // namespace datahike::store
