// A store is made under another name and linked to its own when complete. Were it made in place, a
// crash could leave a data file that is no longer than a page, which is what a truncated store
// looks like too.
#include "store/create_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace datahike::store {

namespace {

constexpr size_t kCreationMapBytes = 1 << 20;

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  throw IoError("store: cannot " + what + " " + path + ": " + std::strerror(errno));
}

}  // namespace

std::string parent_of(const std::string& path) {
  size_t end = path.find_last_not_of('/');
  size_t slash = path.find_last_of('/', end);
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void make_directory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return;
  if (errno != ENOENT || parent_of(path) == path) fail("create directory", path);
  make_directory(parent_of(path));
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) fail("create directory", path);
}

void sync_directory(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail("open directory", path);
  int rc = fsync(fd);
  int error = errno;
  close(fd);
  errno = error;
  if (rc != 0) fail("sync directory", path);
}

Bytes encode_identity(const Identity& identity) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.fixed(identity.system_id);
  out.fixed(identity.database);
  return bytes;
}

bool store_exists(const std::string& directory) {
  struct stat st;
  std::string path = directory + "/data.mdb";
  if (stat(path.c_str(), &st) == 0) return st.st_size > 0;
  if (errno == ENOENT) return false;
  fail("look for", path);
}

Maps initialise(const Lmdb& lmdb, const Identity& identity) {
  Transaction txn = begin_transaction(lmdb, 0);
  Maps maps = *Maps::open(lmdb, txn.get(), true);
  if (!find(lmdb, txn.get(), maps.meta, val(as_bytes(kFormatKey)))) {
    auto put = [&](std::string_view name, ByteView value) {
      MDB_val key = val(as_bytes(name)), data = val(value);
      lmdb.check(mdb_put(txn.get(), maps.meta, &key, &data, 0), "write its format version");
    };
    Bytes format;
    ByteWriter(format).fixed(kFormatVersion);
    put(kIdentityKey, encode_identity(identity));
    put(kFormatKey, format);
  }
  commit_transaction(lmdb, std::move(txn), "create the maps");
  return maps;
}

void create_store(const std::string& directory, const Identity& identity) {
  if (store_exists(directory)) return;
  make_directory(directory);
  std::string staging = directory + "/creating.mdb", target = directory + "/data.mdb";
  if (unlink(staging.c_str()) != 0 && errno != ENOENT) fail("remove", staging);
  initialise(Lmdb(staging, MDB_NOSUBDIR | MDB_NOLOCK, kCreationMapBytes, 1), identity);
  // link() never replaces a file: should another process have been faster, its store stays.
  if (link(staging.c_str(), target.c_str()) != 0 && errno != EEXIST) fail("create", target);
  if (unlink(staging.c_str()) != 0) fail("remove", staging);
  sync_directory(directory);
  sync_directory(parent_of(directory));
}

}  // namespace datahike::store
