#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "store/environment_impl.h"

namespace datahike::store {

namespace {

// What a batch may add to the file besides the values it puts: pages of the maps' own trees and of
// the free list.
constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kSlackBytes = 4 << 20;
constexpr uint64_t kPagesAhead = 2 << 20;
constexpr size_t kMostSmallSegments = 1 << 16;

// LMDB never writes pages that were taken and given back within one transaction (a value put twice,
// say). Where those are the last ones, the header ends up naming pages behind the end of the file:
// harmless, but then check_length() could not tell such a file from a truncated one. So the file is
// extended first, by a hole, to where the transaction may lead at most.
void extend_file(const Lmdb& lmdb, uint64_t bytes) {
  bytes = std::min(bytes, lmdb.map_bytes());
  if (lmdb.data_file_bytes() >= bytes) return;
  int rc = ftruncate(lmdb.data_file(), static_cast<off_t>(bytes));
  lmdb.check(rc == 0 ? 0 : errno, "extend its data file");
}

// LMDB writes new pages in runs of up to 64, and Linux caches what is written behind the end of a
// file's pages in units as large as the write. To write a single page of such a unit again, which
// is what most batches do, then costs time for each of the unit's pages. Read as a hole first they
// are cached one by one. Those of a batch that brings more than kPagesAhead are mostly segments,
// which are not written again. Refused, the pages are only slower to write again.
void cache_singly(const Lmdb& lmdb, uint64_t from, uint64_t to) {
  constexpr uint64_t kAtOnce = 128 << 10;  // more than the device's read-ahead would be cut off
  for (; from < to; from += kAtOnce)
    (void)posix_fadvise(lmdb.data_file(), static_cast<off_t>(from),
                        static_cast<off_t>(std::min(kAtOnce, to - from)), POSIX_FADV_WILLNEED);
}

void put_value(const Lmdb& lmdb, MDB_cursor* cursor, ByteView key, ByteView value) {
  MDB_val at = val(key), stored = val(value);
  lmdb.check(mdb_cursor_put(cursor, &at, &stored, 0), "write an entry");
}

using Removal = std::array<uint8_t, 2 * sizeof(uint64_t)>;
Removal encode_removal(const Lineage& lineage) {
  Removal removal;
  std::memcpy(removal.data(), &lineage.successor, sizeof lineage.successor);
  std::memcpy(removal.data() + sizeof lineage.successor, &lineage.xid, sizeof lineage.xid);
  return removal;
}

// A branch that was set to an older commit may remove a row again that it had removed on another
// line: both removals are kept, the newest first. Of one transaction there may be one already, of a
// fold that never committed.
void put_removal(const Lmdb& lmdb, MDB_cursor* cursor, ByteView key, ByteView removal) {
  constexpr const char* kDoing = "write lineage";
  Bytes value = checked_value(key, removal);
  MDB_val at = val(key), stored = val(value);
  const int rc = mdb_cursor_put(cursor, &at, &stored, MDB_NOOVERWRITE);
  if (rc != MDB_KEYEXIST) return lmdb.check(rc, kDoing);
  const ByteView old = check_value(key, view(stored), "a lineage entry");
  if (old.size() % removal.size() != 0) throw CorruptError("lineage: truncated");
  value.assign(removal.begin(), removal.end());
  for (size_t i = 0; i < old.size(); i += removal.size()) {
    const ByteView other = old.subspan(i, removal.size());
    constexpr size_t kXidAt = sizeof(Lineage::successor);
    if (!std::ranges::equal(other.subspan(kXidAt), removal.subspan(kXidAt)))
      ByteWriter(value).raw(other);
  }
  value = checked_value(key, value);
  stored = val(value);
  lmdb.check(mdb_cursor_put(cursor, &at, &stored, 0), kDoing);
}

}  // namespace

WriteBatch::Impl::Impl(Environment::Impl& environment)
    : env(environment),
      txn(begin_transaction(env.lmdb, 0, !env.reading)),
      committed_bytes(env.lmdb.committed_bytes()) {
  if (std::optional<ByteView> stored = lookup(env.maps.meta, val(as_bytes(kNextNodeKey)))) {
    const ByteView value = check_value(as_bytes(kNextNodeKey), *stored, "the next node id");
    next_node = ByteReader(value, "next node id").fixed<uint64_t>();
  }
  env.writing = true;
}

WriteBatch::Impl::~Impl() {
  if (txn) env.writing = false;
}

void WriteBatch::Impl::put(MDB_dbi map, MDB_val key, ByteView value, unsigned flags,
                           const char* doing) {
  MDB_val data = val(value);
  env.lmdb.check(mdb_put(txn.get(), map, &key, &data, flags), doing);
  count_growth(value.size());
}

void WriteBatch::Impl::put_later(OrderedPuts& puts, ByteView key, ByteView value) {
  puts.add(key, value);
  count_growth(value.size());
  if (puts.are_many()) make_puts();
}

void WriteBatch::Impl::make_puts() {
  commits.make(env.lmdb, txn.get(), env.maps.commits, put_value, false);
  txs.make(env.lmdb, txn.get(), env.maps.txs, put_value, true);
  writes.make(env.lmdb, txn.get(), env.maps.writes, put_value, false);
  lineage.make(env.lmdb, txn.get(), env.maps.lineage, put_removal, false);
}

// Twice the value: rounded up to whole pages it has at most that, or shares a page with others.
void WriteBatch::Impl::count_growth(size_t value_bytes) {
  growth_bytes += 2 * value_bytes + kPageBytes;
}

void WriteBatch::Impl::erase(MDB_dbi map, MDB_val key, const char* doing) {
  env.lmdb.found(mdb_del(txn.get(), map, &key, nullptr), doing);
  growth_bytes += kPageBytes;
}

std::unique_ptr<WriteBatch> Environment::begin_write() {
  if (impl_->options.read_only) throw IoError("store: it was opened for reading");
  if (impl_->writing) throw IoError("store: a write batch is open already");
  return std::unique_ptr<WriteBatch>(new WriteBatch(std::make_unique<WriteBatch::Impl>(*impl_)));
}

WriteBatch::WriteBatch(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WriteBatch::~WriteBatch() = default;

ByteView WriteBatch::node(uint64_t id) {
  uint64_t key = id;
  return require_node(impl_->lookup(impl_->env.maps.nodes, integer_key(key)), id);
}

uint64_t WriteBatch::put_node(ByteView bytes) {
  uint64_t id = impl_->next_node;
  impl_->put(impl_->env.maps.nodes, integer_key(id), bytes, MDB_APPEND, "write a node");
  return impl_->next_node++;
}

void WriteBatch::put_segment(uint64_t table, ByteView segment) {
  uint64_t first_rowid = SegmentReader(segment).first_rowid();
  RowKey key = row_key(table, first_rowid);
  impl_->env.verified.forget(table, first_rowid);
  impl_->put(impl_->env.maps.rows, val(key), segment, 0, "write a segment");
  if (segment.size() < kSmallSegmentBytes && impl_->small_segments.size() < kMostSmallSegments)
    impl_->small_segments.push_back({table, first_rowid});
}

std::optional<SegmentReader> WriteBatch::segment(uint64_t table, uint64_t rowid) {
  Cursor rows = open_cursor(impl_->env.lmdb, impl_->txn.get(), impl_->env.maps.rows);
  return SegmentFinder(impl_->env.lmdb, rows.get(), impl_->env.verified).containing(table, rowid);
}

std::optional<SegmentReader> WriteBatch::segment_at_or_before(uint64_t table, uint64_t rowid) {
  Cursor rows = open_cursor(impl_->env.lmdb, impl_->txn.get(), impl_->env.maps.rows);
  return SegmentFinder(impl_->env.lmdb, rows.get(), impl_->env.verified).at_or_before(table, rowid);
}

void WriteBatch::erase_segment(uint64_t table, uint64_t first_rowid) {
  RowKey key = row_key(table, first_rowid);
  impl_->env.verified.forget(table, first_rowid);
  impl_->erase(impl_->env.maps.rows, val(key), "erase a segment");
}

void WriteBatch::put_lineage(uint64_t table, uint64_t rowid, uint32_t branch,
                             const Lineage& lineage) {
  const LineageKey key = lineage_key(table, rowid, branch);
  impl_->put_later(impl_->lineage, key, encode_removal(lineage));
}

void WriteBatch::put_commit(const Uuid& id, uint64_t tx, ByteView record) {
  impl_->put_later(impl_->commits, id, record);
  impl_->put_later(impl_->txs, view(integer_key(tx)), id);
}

void WriteBatch::put_write(uint64_t xid, uint32_t branch, uint64_t tx) {
  Bytes value;
  ByteWriter(value).fixed(tx);
  const WriteKey key = write_key(xid, branch);
  impl_->put_later(impl_->writes, key, checked_value(key, value));
}

void WriteBatch::put_clear(uint64_t table, uint64_t tx) {
  ClearKey key = clear_key(table, tx);
  impl_->put(impl_->env.maps.clears, val(key), checked_value(key, {}), 0,
             "write that a table was emptied");
}

std::optional<Bytes> WriteBatch::commit_record(const Uuid& id) {
  impl_->make_puts();
  std::optional<ByteView> record = impl_->lookup(impl_->env.maps.commits, val(id));
  if (!record) return std::nullopt;
  return Bytes(record->begin(), record->end());
}

void WriteBatch::erase_commits_from(uint64_t tx) {
  impl_->make_puts();
  const Lmdb& lmdb = impl_->env.lmdb;
  Cursor cursor = open_cursor(lmdb, impl_->txn.get(), impl_->env.maps.txs);
  MDB_val key = integer_key(tx), found;
  while (lmdb.found(mdb_cursor_get(cursor.get(), &key, &found, MDB_SET_RANGE), "look up commits")) {
    Bytes id(view(found).begin(), view(found).end());
    impl_->erase(impl_->env.maps.commits, val(id), "erase a commit");
    lmdb.check(mdb_cursor_del(cursor.get(), 0), "erase a commit");
    key = integer_key(tx);
  }
}

uint64_t WriteBatch::erase_commit(const Uuid& id, uint64_t tx) {
  impl_->make_puts();
  const std::optional<ByteView> record = impl_->lookup(impl_->env.maps.commits, val(id));
  const uint64_t bytes = record ? record->size() : 0;
  impl_->erase(impl_->env.maps.commits, val(id), "erase a commit");
  impl_->erase(impl_->env.maps.txs, integer_key(tx), "erase a commit");
  return bytes;
}

void WriteBatch::put_tombstone(const Uuid& id, const Tombstone& tombstone) {
  Bytes value;
  ByteWriter out(value);
  out.fixed(tombstone.tx);
  out.fixed(tombstone.time);
  for (const Uuid& ancestor : tombstone.ancestors) out.raw(ancestor);
  impl_->put(impl_->env.maps.tombstones, val(id), checked_value(id, value), 0,
             "write what is left of a commit");
}

void WriteBatch::erase(Map map, ByteView key) {
  impl_->make_puts();
  impl_->erase(impl_->env.maps.handle(map), val(key), "erase an entry");
}

void WriteBatch::put_meta(const std::string& key, ByteView value) {
  impl_->put(impl_->env.maps.meta, val(as_bytes(key)), checked_value(as_bytes(key), value), 0,
             "write an entry of meta");
}

std::optional<Bytes> WriteBatch::meta(const std::string& key) {
  return checked_copy(key, impl_->lookup(impl_->env.maps.meta, val(as_bytes(key))));
}

void WriteBatch::commit() {
  const Lmdb& lmdb = impl_->env.lmdb;
  impl_->make_puts();
  Bytes next;
  ByteWriter(next).fixed(impl_->next_node);
  impl_->put(impl_->env.maps.meta, val(as_bytes(kNextNodeKey)),
             checked_value(as_bytes(kNextNodeKey), next), 0, "write the next node id");
  extend_file(lmdb, impl_->committed_bytes + impl_->growth_bytes + kSlackBytes);
  uint64_t& cached = impl_->env.cached_singly;
  const uint64_t ahead = impl_->committed_bytes + kPagesAhead;
  cache_singly(lmdb, std::max(cached, impl_->committed_bytes), ahead);
  cached = std::max(cached, ahead);
  impl_->env.writing = false;  // the transaction ends, however it does
  commit_transaction(lmdb, std::move(impl_->txn), "commit");
  std::vector<SegmentKey>& known = impl_->env.small_segments;
  const size_t room = kMostSmallSegments - std::min(known.size(), kMostSmallSegments);
  impl_->small_segments.resize(std::min(impl_->small_segments.size(), room));
  known.insert(known.end(), impl_->small_segments.begin(), impl_->small_segments.end());
  if (lmdb.data_file_bytes() >= lmdb.committed_bytes()) return;
  extend_file(lmdb, lmdb.committed_bytes());
  lmdb.check(fdatasync(lmdb.data_file()) == 0 ? 0 : errno, "sync its data file");
}

}  // namespace datahike::store
