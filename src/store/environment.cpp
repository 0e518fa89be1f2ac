// A store is one LMDB environment with these maps (integers in keys big-endian, in values
// little-endian, except for the native 64-bit integers that are the keys of MDB_INTEGERKEY maps):
//
//   rows     table:u64 first_rowid:u64         -> segment (segment.cpp)
//   nodes    id:u64 native                     -> tree node (tree/node.cpp)
//   commits  uuid:u8[16]                       -> commit record (commit.cpp)
//   txs      tx:u64 native                     -> uuid:u8[16] of the commit with this number
//   writes   xid:u64 branch:u32                -> checked tx:u64 of the (sub)transaction's commit
//   clears   table:u64 tx:u64                  -> checked nothing: that commit emptied the table
//   lineage  table:u64 rowid:u64 branch:u32    -> checked removal+, the newest first
//            removal := successor:u64 (0 = deleted) xid:u64. One, but for a branch that was set to
//            an older commit and removed the row again
//   tombstones  uuid:u8[16]                    -> checked tx:u64 time:i64 ancestor:uuid*
//                                                 of a collected commit
//   meta     "store/format"                    -> format version:u32
//            "store/identity"                  -> system id:u64 database:u32
//            "store/next_node"                 -> checked id of the next node:u64; absent = 1
//            any other name                    -> checked, what put_meta() was given
//
// What is checked has a checksum at its end (maps.h).
//
// A later format changes the version, which an older library refuses; a store without version is
// not complete and counts as absent.
#include "store/environment.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "store/create_store.h"
#include "store/environment_impl.h"

namespace datahike::store {

namespace {

// LMDB maps the file without looking at its size, so a read behind its end would be a SIGBUS. The
// write batch sees to it that the file is never shorter than the header says (see extend_file()).
void check_length(const Lmdb& lmdb, const std::string& directory) {
  uint64_t needed = lmdb.committed_bytes(), found = lmdb.data_file_bytes();
  if (found >= needed) return;
  throw CorruptError("store " + directory + ": data.mdb has " + std::to_string(found) +
                     " bytes, its header says " + std::to_string(needed) + ": it was cut off");
}

std::string describe(const Identity& identity) {
  return "system " + std::to_string(identity.system_id) + ", database " +
         std::to_string(identity.database);
}

// False if the store has no version yet.
bool check_format(const Lmdb& lmdb, MDB_txn* txn, const Maps& maps, const std::string& directory,
                  const Identity& expected) {
  std::optional<ByteView> format = find(lmdb, txn, maps.meta, val(as_bytes(kFormatKey)));
  if (!format) return false;
  uint32_t version = ByteReader(*format, "store format version").fixed<uint32_t>();
  if (version != kFormatVersion) {
    throw FormatError("store " + directory + ": has format version " + std::to_string(version) +
                      ", this library reads version " + std::to_string(kFormatVersion));
  }
  std::optional<ByteView> stored = find(lmdb, txn, maps.meta, val(as_bytes(kIdentityKey)));
  if (!stored) throw CorruptError("store " + directory + ": does not say whom it belongs to");
  ByteReader in(*stored, "store identity");
  Identity found;
  found.system_id = in.fixed<uint64_t>();
  found.database = in.fixed<uint32_t>();
  if (expected.system_id == 0) return true;  // whosever it is
  if (found.system_id != expected.system_id || found.database != expected.database) {
    throw FormatError("store " + directory + ": belongs to " + describe(found) + ", expected " +
                      describe(expected));
  }
  return true;
}

bool starts_with(ByteView key, ByteView prefix) {
  return key.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), key.begin());
}

uint32_t branch_after(ByteView key, size_t prefix) {
  if (key.size() != prefix + 4) throw CorruptError("a key with a branch has the wrong length");
  const uint8_t* at = key.data() + prefix;
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

Uuid decode_uuid(ByteView bytes) {
  Uuid id;
  ByteView exact = ByteReader(bytes, "commit id").take(id.size());
  std::ranges::copy(exact, id.begin());
  return id;
}

std::optional<Bytes> copy(std::optional<ByteView> view) {
  if (!view) return std::nullopt;
  return Bytes(view->begin(), view->end());
}

// The removals of a row on a branch, the newest first.
std::vector<Lineage> decode_removals(ByteView key, ByteView value) {
  ByteReader in(check_value(key, value, "a lineage entry"), "lineage");
  std::vector<Lineage> removals;
  do {
    Lineage& removal = removals.emplace_back();
    removal.successor = in.fixed<uint64_t>();
    removal.xid = in.fixed<uint64_t>();
  } while (in.left() > 0);
  return removals;
}

}  // namespace

Lineage decode_lineage(ByteView key, ByteView value) { return decode_removals(key, value).front(); }

uint64_t decode_write(ByteView key, ByteView value) {
  return ByteReader(check_value(key, value, "the commit of a transaction"), "write")
      .fixed<uint64_t>();
}

Tombstone decode_tombstone(ByteView key, ByteView value) {
  ByteReader in(check_value(key, value, "what is left of a collected commit"), "tombstone");
  Tombstone tombstone;
  tombstone.tx = in.fixed<uint64_t>();
  tombstone.time = in.fixed<int64_t>();
  while (in.left() > 0) tombstone.ancestors.push_back(decode_uuid(in.take(sizeof(Uuid))));
  return tombstone;
}

std::optional<Bytes> checked_copy(const std::string& key, std::optional<ByteView> stored) {
  if (!stored) return std::nullopt;
  return copy(check_value(as_bytes(key), *stored, "the entry \"" + key + "\" of map meta"));
}

ByteView require_node(std::optional<ByteView> found, uint64_t id) {
  if (!found) throw CorruptError("node " + std::to_string(id) + ": missing");
  return *found;
}

Environment::Impl::Impl(const std::string& directory, const Options& options)
    : options(options),
      lmdb(directory, options.read_only ? MDB_RDONLY : 0, options.map_size, options.max_readers) {
  check_length(lmdb, directory);
}

MDB_txn* Environment::Impl::read() {
  if (reading) return txn_.get();
  if (txn_) {
    int rc = mdb_txn_renew(txn_.get());
    if (rc == MDB_MAP_RESIZED) {
      rows_.reset();
      txn_.reset();
    } else {
      lmdb.check(rc, "begin a read transaction");
    }
  }
  if (!txn_) txn_ = begin_transaction(lmdb, MDB_RDONLY);
  reading = true;
  return txn_.get();
}

void Environment::Impl::end_read() {
  if (!reading) return;
  mdb_txn_reset(txn_.get());
  reading = false;
  rows_current_ = false;
  ++generation;
}

SegmentFinder Environment::Impl::segments() {
  MDB_txn* txn = read();
  if (!rows_) {
    rows_ = open_cursor(lmdb, txn, maps.rows);
  } else if (!rows_current_) {
    lmdb.check(mdb_cursor_renew(txn, rows_.get()), "renew a cursor");
  }
  rows_current_ = true;
  return SegmentFinder(lmdb, rows_.get(), verified);
}

Environment::Environment(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Environment::~Environment() = default;

std::unique_ptr<Environment> Environment::open(const std::string& directory,
                                               const Options& options) {
  if (!options.read_only) {
    create_store(directory, options.identity);
  } else if (!store_exists(directory)) {
    return nullptr;
  }
  auto impl = std::make_unique<Impl>(directory, options);
  Transaction txn = begin_transaction(impl->lmdb, MDB_RDONLY);
  std::optional<Maps> maps = Maps::open(impl->lmdb, txn.get(), false);
  bool complete = maps && check_format(impl->lmdb, txn.get(), *maps, directory, options.identity);
  // Handles opened in a transaction outlive it only if it commits.
  commit_transaction(impl->lmdb, std::move(txn), "open the maps");
  if (!complete) {
    if (options.read_only) return nullptr;
    maps = initialise(impl->lmdb, options.identity);
  }
  impl->maps = *maps;
  std::unique_ptr<Environment> environment(new Environment(std::move(impl)));
  environment->check_readers();
  return environment;
}

void Environment::release() { impl_->end_read(); }

void Environment::refresh() {
  impl_->end_read();
  impl_->read();
}

uint64_t Environment::generation() const { return impl_->generation; }
bool Environment::reading() const { return impl_->reading; }

ByteView Environment::node(uint64_t id) {
  uint64_t key = id;
  return require_node(impl_->lookup(impl_->maps.nodes, integer_key(key)), id);
}

std::optional<SegmentReader> Environment::segment(uint64_t table, uint64_t rowid) {
  return impl_->segments().containing(table, rowid);
}

std::optional<SegmentReader> Environment::segment_at_or_after(uint64_t table, uint64_t rowid) {
  return impl_->segments().at_or_after(table, rowid);
}

std::optional<SegmentReader> Environment::segment_at_or_before(uint64_t table, uint64_t rowid) {
  return impl_->segments().at_or_before(table, rowid);
}

std::optional<Lineage> Environment::lineage(uint64_t table, uint64_t rowid, uint32_t branch) {
  LineageKey key = lineage_key(table, rowid, branch);
  std::optional<ByteView> value = impl_->lookup(impl_->maps.lineage, val(key));
  if (!value) return std::nullopt;
  return decode_lineage(key, *value);
}

std::vector<BranchLineage> Environment::lineage_on_branches(uint64_t table, uint64_t rowid) {
  std::vector<BranchLineage> found;
  const RowKey prefix = row_key(table, rowid);
  scan(Map::Lineage, prefix, [&](ByteView key, ByteView value) {
    if (!starts_with(key, prefix)) return false;
    for (const Lineage& removal : decode_removals(key, value))
      found.push_back({branch_after(key, prefix.size()), removal});
    return true;
  });
  return found;
}

std::vector<WrittenCommit> Environment::commits_of(uint64_t xid) {
  std::vector<WrittenCommit> found;
  std::array<uint8_t, 8> prefix;
  put_big_endian(prefix.data(), xid);
  scan(Map::Writes, prefix, [&](ByteView key, ByteView value) {
    if (!starts_with(key, prefix)) return false;
    found.push_back({branch_after(key, prefix.size()), decode_write(key, value)});
    return true;
  });
  return found;
}

std::vector<uint64_t> Environment::clears_of(uint64_t table, uint64_t after) {
  std::vector<uint64_t> found;
  if (after == UINT64_MAX) return found;
  const ClearKey from = clear_key(table, after + 1);
  scan(Map::Clears, from, [&](ByteView key, ByteView value) {
    if (!starts_with(key, ByteView(from).first(8))) return false;
    check_value(key, value, "what emptied table " + std::to_string(table));
    if (key.size() != from.size()) throw CorruptError("clears: key of wrong length");
    found.push_back(get_big_endian(key.data() + 8));
    return true;
  });
  return found;
}

std::optional<Bytes> Environment::commit(const Uuid& id) {
  return copy(impl_->lookup(impl_->maps.commits, val(id)));
}

std::optional<Uuid> Environment::commit_by_tx(uint64_t tx) {
  std::optional<ByteView> value = impl_->lookup(impl_->maps.txs, integer_key(tx));
  if (!value) return std::nullopt;
  return decode_uuid(*value);
}

std::optional<Tombstone> Environment::tombstone(const Uuid& id) {
  std::optional<ByteView> value = impl_->lookup(impl_->maps.tombstones, val(id));
  if (!value) return std::nullopt;
  return decode_tombstone(id, *value);
}

uint64_t Environment::next_node() {
  std::optional<Bytes> stored = meta(std::string(kNextNodeKey));
  return stored ? ByteReader(*stored, "next node id").fixed<uint64_t>() : 1;
}

std::vector<Uuid> Environment::commits_with_prefix(ByteView prefix, bool half_byte, size_t limit) {
  Uuid from{};
  if (prefix.size() > from.size()) return {};
  std::ranges::copy(prefix, from.begin());
  half_byte = half_byte && !prefix.empty();
  if (half_byte) from[prefix.size() - 1] &= 0xf0;
  auto matches = [&](const Uuid& id) {
    size_t whole = prefix.size() - half_byte;
    return std::equal(from.begin(), from.begin() + static_cast<ptrdiff_t>(whole), id.begin()) &&
           (!half_byte || (id[whole] & 0xf0) == from[whole]);
  };
  std::vector<Uuid> ids;
  Cursor cursor = open_cursor(impl_->lmdb, impl_->read(), impl_->maps.commits);
  MDB_val key = val(from), value;
  MDB_cursor_op op = MDB_SET_RANGE;
  while (ids.size() < limit &&
         impl_->lmdb.found(mdb_cursor_get(cursor.get(), &key, &value, op), "look up commits")) {
    Uuid id = decode_uuid(view(key));
    if (!matches(id)) break;
    ids.push_back(id);
    op = MDB_NEXT;
  }
  return ids;
}

std::optional<Bytes> Environment::meta(const std::string& key) {
  return checked_copy(key, impl_->lookup(impl_->maps.meta, val(as_bytes(key))));
}

MDB_dbi Maps::handle(Map map) const {
  switch (map) {
    case Map::Rows:
      return rows;
    case Map::Nodes:
      return nodes;
    case Map::Commits:
      return commits;
    case Map::Txs:
      return txs;
    case Map::Writes:
      return writes;
    case Map::Clears:
      return clears;
    case Map::Lineage:
      return lineage;
    case Map::Meta:
      return meta;
    case Map::Tombstones:
      return tombstones;
  }
  throw std::logic_error("store: no such map");
}

void Environment::scan(Map map, ByteView from,
                       const std::function<bool(ByteView key, ByteView value)>& visit) {
  Cursor cursor = open_cursor(impl_->lmdb, impl_->read(), impl_->maps.handle(map));
  MDB_val key = val(from), value;
  MDB_cursor_op op = from.empty() ? MDB_FIRST : MDB_SET_RANGE;
  while (impl_->lmdb.found(mdb_cursor_get(cursor.get(), &key, &value, op), "walk a map")) {
    if (!visit(view(key), view(value))) return;
    op = MDB_NEXT;
  }
}

void Environment::forget_verified() { impl_->verified.forget_all(); }

Statistics Environment::statistics() {
  MDB_txn* txn = impl_->read();
  Statistics statistics;
  uint64_t page_bytes = 0;
  uint64_t pages = 2;  // the headers
  auto count = [&](MDB_dbi map) {
    MDB_stat stat;
    impl_->lmdb.check(mdb_stat(txn, map, &stat), "read the statistics of a map");
    page_bytes = stat.ms_psize;
    pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    return uint64_t{stat.ms_entries};
  };
  const Maps& maps = impl_->maps;
  for (MDB_dbi internal : {MDB_dbi{0}, MDB_dbi{1}}) count(internal);  // free list, names of maps
  count(maps.txs);
  count(maps.writes);
  count(maps.clears);
  count(maps.meta);
  statistics.segments = count(maps.rows);
  statistics.nodes = count(maps.nodes);
  statistics.commits = count(maps.commits);
  statistics.lineage = count(maps.lineage);
  statistics.tombstones = count(maps.tombstones);
  statistics.used_bytes = pages * page_bytes;
  statistics.file_bytes = impl_->lmdb.data_file_disk_bytes();
  statistics.map_bytes = impl_->lmdb.map_bytes();
  MDB_envinfo info;
  impl_->lmdb.check(mdb_env_info(impl_->lmdb.env(), &info), "read its statistics");
  statistics.reader_slots = info.me_maxreaders;
  statistics.readers = info.me_numreaders;
  return statistics;
}

std::vector<SegmentKey> Environment::small_segments_written() {
  return std::exchange(impl_->small_segments, {});
}

void Environment::check_readers() {
  int dead = 0;
  impl_->lmdb.check(mdb_reader_check(impl_->lmdb.env(), &dead), "check the reader slots");
}

}  // namespace datahike::store
