// The file is copied as it is, up to the last page that its header knows, under another name; then
// the copy's identity is changed, and it gets its own name.
#include "store/copy_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "store/create_store.h"
#include "store/error.h"

namespace datahike::store {

namespace {

constexpr size_t kChunkBytes = 1 << 20;
constexpr uint64_t kIdentityChangeBytes = 4 << 20;  // pages that changing it may take

struct File {
  File(const std::string& name, int flags) : path(name), fd(::open(name.c_str(), flags, 0600)) {
    if (fd < 0) fail("open");
  }
  ~File() { close(fd); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[noreturn]] void fail(const char* doing) const {
    std::string what = "store: cannot " + std::string(doing) + " " + path + ": " + strerror(errno);
    if (errno == ENOSPC || errno == EDQUOT) throw FullError(what);
    throw IoError(what);
  }
  std::string path;
  int fd;
};

void copy_bytes(const File& from, const File& to, uint64_t bytes,
                const std::function<void()>& interrupted) {
  std::vector<char> chunk(kChunkBytes);
  for (uint64_t at = 0; at < bytes;) {
    interrupted();
    size_t want = std::min<uint64_t>(kChunkBytes, bytes - at);
    ssize_t got = pread(from.fd, chunk.data(), want, static_cast<off_t>(at));
    if (got < 0) from.fail("read");
    if (got == 0) throw CorruptError("store: " + from.path + " was cut off");
    for (ssize_t done = 0; done < got;) {
      ssize_t put = write(to.fd, chunk.data() + done, static_cast<size_t>(got - done));
      if (put < 0) to.fail("write");
      done += put;
    }
    at += static_cast<uint64_t>(got);
  }
}

// The lock file is left alone: the process may have the store open already, and to close it again
// would drop its locks.
constexpr unsigned kAlone = MDB_NOSUBDIR | MDB_NOLOCK;

void check_identity(const Lmdb& lmdb, MDB_txn* txn, const Maps& maps, const Identity& expected) {
  std::optional<ByteView> format = find(lmdb, txn, maps.meta, val(as_bytes(kFormatKey)));
  std::optional<ByteView> identity = find(lmdb, txn, maps.meta, val(as_bytes(kIdentityKey)));
  if (!format || !identity || ByteReader(*format, "format").fixed<uint32_t>() != kFormatVersion ||
      !std::ranges::equal(*identity, encode_identity(expected)))
    throw FormatError("the store to be copied has another format or belongs to another database");
}

void change_identity(const std::string& path, uint64_t bytes, const Identity& before,
                     const Identity& after) {
  Lmdb lmdb(path, kAlone, bytes + kIdentityChangeBytes, 1);
  if (ftruncate(lmdb.data_file(), static_cast<off_t>(bytes + kIdentityChangeBytes)) != 0)
    lmdb.check(errno, "extend its data file");
  Transaction txn = begin_transaction(lmdb, 0);
  std::optional<Maps> maps = Maps::open(lmdb, txn.get(), false);
  if (!maps) throw FormatError("the store to be copied is not complete");
  check_identity(lmdb, txn.get(), *maps, before);
  Bytes identity = encode_identity(after);
  MDB_val key = val(as_bytes(kIdentityKey)), data = val(identity);
  lmdb.check(mdb_put(txn.get(), maps->meta, &key, &data, 0), "write its identity");
  commit_transaction(lmdb, std::move(txn), "change its identity");
}

}  // namespace

void copy_store(const std::string& from, const Identity& from_identity, const std::string& to,
                const Identity& to_identity, const std::function<void()>& interrupted) {
  std::string source = from + "/data.mdb", staging = to + "/creating.mdb";
  uint64_t bytes = Lmdb(source, kAlone | MDB_RDONLY, 0, 1).committed_bytes();
  make_directory(to);
  {
    File in(source, O_RDONLY | O_CLOEXEC);
    File out(staging, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
    copy_bytes(in, out, bytes, interrupted);
  }
  change_identity(staging, bytes, from_identity, to_identity);
  File copy(staging, O_RDWR | O_CLOEXEC);
  if (fsync(copy.fd) != 0) copy.fail("sync");
  std::string target = to + "/data.mdb";
  if (rename(staging.c_str(), target.c_str()) != 0) copy.fail("rename");
  sync_directory(to);
  sync_directory(parent_of(to));
}

}  // namespace datahike::store
