#include "store/lmdb.h"

#include <sys/statvfs.h>

#include <cerrno>
#include <string_view>

namespace datahike::store {

namespace {

constexpr unsigned kMaxMaps = 16;

// LMDB's answer to a page that contradicts itself is an assertion, which aborts the process unless
// this function does not return. Throwing through LMDB's frames works where the C ABI has unwind
// tables for every function, as on all 64-bit Linux platforms; the transaction can only be aborted
// afterwards, which is what the owners of its handle do.
void assertion_failed(MDB_env*, const char* message) {
  throw CorruptError(std::string("store: LMDB found its own pages damaged: ") + message);
}

}  // namespace

Lmdb::Lmdb(const std::string& path, unsigned flags, size_t map_size, unsigned max_readers)
    : path_(path), map_size_(map_size) {
  MDB_env* env = nullptr;
  check(mdb_env_create(&env), "create an LMDB environment");
  env_.reset(env);
  check(mdb_env_set_assert(env, assertion_failed), "set the assertion handler");
  check(mdb_env_set_mapsize(env, map_size), "set the map size");
  check(mdb_env_set_maxdbs(env, kMaxMaps), "set the number of maps");
  check(mdb_env_set_maxreaders(env, max_readers), "set the number of readers");
  // Not MDB_NORDAHEAD: segments are contiguous runs of up to 2 MB that are read from end to end.
  check(mdb_env_open(env, path.c_str(), flags | MDB_NOTLS, 0600), "open it");
}

int Lmdb::data_file() const {
  int fd = -1;
  check(mdb_env_get_fd(env(), &fd), "find its data file");
  return fd;
}

struct stat Lmdb::data_file_stat() const {
  struct stat st;
  check(fstat(data_file(), &st) == 0 ? 0 : errno, "find the size of its data file");
  return st;
}

uint64_t Lmdb::data_file_bytes() const { return static_cast<uint64_t>(data_file_stat().st_size); }

uint64_t Lmdb::data_file_disk_bytes() const {
  return static_cast<uint64_t>(data_file_stat().st_blocks) * 512;
}

uint64_t Lmdb::map_bytes() const {
  MDB_envinfo info;
  check(mdb_env_info(env(), &info), "read its header");
  return info.me_mapsize;
}

uint64_t Lmdb::committed_bytes() const {
  MDB_envinfo info;
  MDB_stat stat;
  check(mdb_env_info(env(), &info), "read its header");
  check(mdb_env_stat(env(), &stat), "read its header");
  return (uint64_t{info.me_last_pgno} + 1) * stat.ms_psize;
}

void Lmdb::adopt_map_size() const { check(mdb_env_set_mapsize(env(), 0), "resize the map"); }

void Lmdb::check(int rc, const char* doing) const {
  if (rc != MDB_SUCCESS) fail(rc, doing);
}

bool Lmdb::found(int rc, const char* doing) const {
  if (rc == MDB_NOTFOUND) return false;
  check(rc, doing);
  return true;
}

bool Lmdb::disk_is_full() const {
  struct statvfs fs;
  int fd = -1;
  return env_ && mdb_env_get_fd(env(), &fd) == MDB_SUCCESS && fstatvfs(fd, &fs) == 0 &&
         fs.f_bavail == 0;
}

void Lmdb::fail(int rc, const char* doing) const {
  std::string message = "store " + path_ + ": cannot " + doing + ": " + mdb_strerror(rc);
  // LMDB turns the short write that comes before ENOSPC into EIO.
  if (rc == EIO && disk_is_full()) rc = ENOSPC;
  switch (rc) {
    case MDB_MAP_FULL:
      throw FullError(message + " (the map has " + std::to_string(map_size_) +
                      " bytes: raise datahike.map_size)");
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      throw FullError(message + " (the map of " + std::to_string(map_size_) +
                      " bytes, datahike.map_size, has room, its disk, quota or file size limit has"
                      " not)");
    case ENOMEM:
      throw IoError(message + " (for a map of " + std::to_string(map_size_) +
                    " bytes, datahike.map_size)");
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
      throw CorruptError(message);
    case MDB_VERSION_MISMATCH:
      throw FormatError(message + " (this library reads the format of " + MDB_VERSION_STRING + ")");
    default:
      throw IoError(message);
  }
}

Transaction begin_transaction(const Lmdb& lmdb, unsigned flags, bool may_move_map) {
  MDB_txn* txn = nullptr;
  int rc = mdb_txn_begin(lmdb.env(), nullptr, flags, &txn);
  if (rc == MDB_MAP_RESIZED && may_move_map) {
    lmdb.adopt_map_size();
    rc = mdb_txn_begin(lmdb.env(), nullptr, flags, &txn);
  }
  lmdb.check(rc, "begin a transaction");
  return Transaction(txn);
}

void commit_transaction(const Lmdb& lmdb, Transaction txn, const char* doing) {
  lmdb.check(mdb_txn_commit(txn.release()), doing);
}

Cursor open_cursor(const Lmdb& lmdb, MDB_txn* txn, MDB_dbi map) {
  MDB_cursor* cursor = nullptr;
  lmdb.check(mdb_cursor_open(txn, map, &cursor), "open a cursor");
  return Cursor(cursor);
}

std::optional<ByteView> find(const Lmdb& lmdb, MDB_txn* txn, MDB_dbi map, MDB_val key) {
  MDB_val value;
  if (!lmdb.found(mdb_get(txn, map, &key, &value), "look up a key")) return std::nullopt;
  return view(value);
}

}  // namespace datahike::store
