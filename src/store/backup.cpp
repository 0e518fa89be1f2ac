#include "store/backup.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "store/create_store.h"
#include "store/error.h"
#include "store/maps.h"

namespace datahike::store {

namespace {

constexpr const char* kRefsKey = "refs";
constexpr uint64_t kBatchBytes = 16 << 20;
constexpr uint64_t kSlackBytes = 4 << 20;

Bytes encode_refs(const std::vector<PublishedRef>& refs) {
  Bytes bytes;
  ByteWriter out(bytes);
  for (const PublishedRef& ref : refs) {
    out.fixed(static_cast<uint8_t>(ref.kind));
    out.sized(ref.name);
    out.raw(ref.commit);
  }
  return bytes;
}

// The store that is being made, without its lock file: nobody else has it.
class Target {
 public:
  Target(const std::string& path, const Identity& identity, size_t map_size)
      : lmdb_(path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, map_size, 1),
        maps_(initialise(lmdb_, identity)) {}

  void put(Map map, ByteView key, ByteView value, unsigned flags) {
    if (!txn_) txn_ = begin_transaction(lmdb_, 0);
    MDB_val k = val(key), v = val(value);
    lmdb_.check(mdb_put(txn_.get(), maps_.handle(map), &k, &v, flags), "write an entry");
    bytes_ += key.size() + value.size();
    if (bytes_ >= kBatchBytes) commit();
  }

  void finish() {
    commit();
    // As long as its header says, though the last pages may never have been written.
    const auto end = static_cast<off_t>(lmdb_.committed_bytes() + kSlackBytes);
    if (ftruncate(lmdb_.data_file(), end) != 0) lmdb_.check(errno, "extend its data file");
    lmdb_.check(mdb_env_sync(lmdb_.env(), 1), "sync its data file");
    lmdb_.check(fsync(lmdb_.data_file()) == 0 ? 0 : errno, "sync its data file");
  }

 private:
  void commit() {
    if (txn_) commit_transaction(lmdb_, std::move(txn_), "commit");
    bytes_ = 0;
  }

  Lmdb lmdb_;
  Maps maps_;
  Transaction txn_;
  uint64_t bytes_ = 0;
};

void make_new_directory(const std::string& directory) {
  std::error_code error;
  const bool there = std::filesystem::exists(directory, error);
  if (!error && there && !std::filesystem::is_empty(directory, error))
    throw IoError("store: " + directory + " exists and is not empty");
  if (!there) make_directory(directory);
}

}  // namespace

void backup_store(Environment& env, const std::string& directory, const Identity& identity,
                  const std::vector<PublishedRef>& refs, const std::function<void()>& pause) {
  make_new_directory(directory);
  const std::string staging = directory + "/creating.mdb", path = directory + "/data.mdb";
  {
    Target target(staging, identity, env.statistics().map_bytes);
    for (Map map : {Map::Rows, Map::Nodes, Map::Commits, Map::Txs, Map::Writes, Map::Clears,
                    Map::Lineage, Map::Tombstones})
      env.scan(map, {}, [&](ByteView key, ByteView value) {
        pause();
        target.put(map, key, value, MDB_APPEND);
        return true;
      });
    env.scan(Map::Meta, {}, [&](ByteView key, ByteView value) {
      target.put(Map::Meta, key, value, 0);
      return true;
    });
    const ByteView key = as_bytes(kRefsKey);
    target.put(Map::Meta, key, checked_value(key, encode_refs(refs)), 0);
    target.finish();
  }
  if (rename(staging.c_str(), path.c_str()) != 0)
    throw IoError("store: cannot rename " + staging + ": " + std::strerror(errno));
  sync_directory(directory);
  sync_directory(parent_of(directory));
}

bool are_published(Environment& env, const std::vector<PublishedRef>& refs) {
  const std::optional<Bytes> stored = env.meta(kRefsKey);
  return stored && *stored == encode_refs(refs);
}

void publish_refs(WriteBatch& batch, const std::vector<PublishedRef>& refs) {
  batch.put_meta(kRefsKey, encode_refs(refs));
}

std::vector<PublishedRef> read_published_refs(Environment& env) {
  std::vector<PublishedRef> refs;
  const std::optional<Bytes> stored = env.meta(kRefsKey);
  if (!stored) return refs;
  ByteReader in(*stored, "published refs");
  while (in.left() > 0) {
    PublishedRef& ref = refs.emplace_back();
    ref.kind = static_cast<char>(in.fixed<uint8_t>());
    ref.name = in.string();
    const ByteView commit = in.take(ref.commit.size());
    std::copy(commit.begin(), commit.end(), ref.commit.begin());
  }
  return refs;
}

}  // namespace datahike::store
