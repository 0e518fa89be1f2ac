// The LMDB environment of one database's store: maps, format check, read transaction, write batch.
// The maps and their keys are the grammar at the head of environment.cpp.
//
// One Environment per process (opening the same store twice in a process breaks LMDB's locks),
// opened after fork. Not thread-safe: one thread uses it. Node and segment bytes point into the map
// and stay valid until release() or refresh(): `generation()` changes then.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "column/bytes.h"
#include "store/segment.h"
#include "tree/node.h"

namespace datahike::store {

using Uuid = std::array<uint8_t, 16>;
struct HashUuid {
  size_t operator()(const Uuid& id) const {
    size_t hash;
    std::memcpy(&hash, id.data(), sizeof hash);  // part of a SHA-256
    return hash;
  }
};

// Whom the store belongs to: a store of another cluster or database is refused with FormatError.
struct Identity {
  uint64_t system_id = 0;  // PostgreSQL's system identifier; who opens with 0 takes any store
  uint32_t database = 0;   // database OID
};

struct Options {
  bool read_only = true;  // false: create the store if absent and allow write batches
  size_t map_size = size_t{16} << 40;
  unsigned max_readers = 1024;
  Identity identity;
};

inline constexpr uint32_t kFormatVersion = 3;

// Where the row with a superseded rowid went on one branch.
struct Lineage {
  uint64_t successor = 0;  // rowid of the next version; 0 = deleted
  uint64_t xid = 0;        // the transaction that removed it
};
Lineage decode_lineage(ByteView key, ByteView value);  // CorruptError

// What is left of a collected commit.
struct Tombstone {
  uint64_t tx = 0;
  int64_t time = 0;
  std::vector<Uuid> ancestors;  // nearest ones that were kept; may have been collected since
};
Tombstone decode_tombstone(ByteView key, ByteView value);  // CorruptError
uint64_t decode_write(ByteView key, ByteView value);       // the tx; CorruptError

// The lineage of a row on one branch.
struct BranchLineage {
  uint32_t branch = 0;
  Lineage lineage;
};

// What a (sub)transaction wrote on one branch became the commit with this tx.
struct WrittenCommit {
  uint32_t branch = 0;
  uint64_t tx = 0;
};

struct Statistics {
  uint64_t map_bytes = 0;   // size of the map
  uint64_t used_bytes = 0;  // pages in use, in bytes
  uint64_t file_bytes = 0;  // disk space of the data file; its length may be more: it has holes
  uint64_t segments = 0, nodes = 0, commits = 0, lineage = 0, tombstones = 0;
  unsigned reader_slots = 0;
  unsigned readers = 0;  // most slots in use at once since the store was first opened
};

struct SegmentKey {
  uint64_t table = 0, first_rowid = 0;
};
inline constexpr size_t kSmallSegmentBytes = 128 << 10;

// The maps, for those that look at everything in them.
enum class Map { Rows, Nodes, Commits, Txs, Writes, Clears, Lineage, Meta, Tombstones };

class WriteBatch;
struct FreePages;
struct Space;

class Environment : public tree::NodeSource {
 public:
  // `directory` holds data.mdb and lock.mdb. Errors: FormatError (other format version or
  // identity), CorruptError (not an LMDB file, shorter than its header says), IoError, FullError.
  // A read-only open of a store that is not there yet returns nullptr.
  static std::unique_ptr<Environment> open(const std::string& directory, const Options& options);
  ~Environment() override;
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  // Read transaction: begun by the first read, kept until release() or refresh().
  void release();               // let go of the snapshot: all views into the map become invalid
  void refresh();               // release and begin again at the newest state
  uint64_t generation() const;  // changes whenever views become invalid
  bool reading() const;

  ByteView node(uint64_t id) override;  // CorruptError when missing
  // The segment that contains this rowid, and not as a hole. Its checksum is verified on first
  // sight by this process.
  std::optional<SegmentReader> segment(uint64_t table, uint64_t rowid);
  // The first segment whose last rowid is >= rowid; the last segment whose first rowid is <= rowid.
  std::optional<SegmentReader> segment_at_or_after(uint64_t table, uint64_t rowid);
  std::optional<SegmentReader> segment_at_or_before(uint64_t table, uint64_t rowid);

  std::optional<Lineage> lineage(uint64_t table, uint64_t rowid, uint32_t branch);
  std::vector<BranchLineage> lineage_on_branches(uint64_t table, uint64_t rowid);
  std::optional<Bytes> commit(const Uuid& id);  // encoded commit record
  // The commits of a (sub)transaction, by branch; of TRUNCATEs of a table, ascending by tx, those
  // with tx > `after`. Both may name a tx that a fold had that never committed: the commit record
  // says.
  std::vector<WrittenCommit> commits_of(uint64_t xid);
  std::vector<uint64_t> clears_of(uint64_t table, uint64_t after);
  std::optional<Uuid> commit_by_tx(uint64_t tx);
  std::optional<Tombstone> tombstone(const Uuid& id);  // of a collected commit, while remembered
  uint64_t next_node();                                // id that the next new node gets
  // Ids that start with the given bytes, ascending, at most `limit`. half_byte: the last byte's
  // high nibble alone counts.
  std::vector<Uuid> commits_with_prefix(ByteView prefix, bool half_byte, size_t limit);
  std::optional<Bytes> meta(const std::string& key);  // CorruptError if it is damaged
  Statistics statistics();

  // Visits the entries of a map as they are stored, in key order, from the first key >= `from` on
  // (all of them where it is empty), until `visit` returns false. It may look up other things, but
  // not let go of the read transaction.
  void scan(Map map, ByteView from, const std::function<bool(ByteView key, ByteView value)>& visit);
  void forget_verified();  // every segment counts as seen for the first time again

  // The only writer; REQUIRES !read_only and no other batch. Never blocks when the caller holds the
  // database's fold lock (LMDB's writer mutex cannot be cancelled).
  std::unique_ptr<WriteBatch> begin_write();
  // Where batches of this process have written small segments since the last call; beyond some ten
  // thousands they are left out.
  std::vector<SegmentKey> small_segments_written();
  void check_readers();  // clears reader slots of dead processes

 private:
  friend class WriteBatch;
  friend bool punch_free_pages(Environment& env, FreePages& progress);
  friend Space free_space(Environment& env);
  friend uint64_t oldest_state_read(Environment& env);
  friend void clear_unused_bytes(Environment& env);
  struct Impl;
  explicit Environment(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// One LMDB write transaction: all of it durable at commit(), or nothing. Reads of its own nodes see
// its writes; what they return is valid until the next put or erase. Every put may throw FullError
// or IoError; the batch is then dead and must be dropped. To be dropped before its Environment.
class WriteBatch : public tree::NodeSink {
 public:
  ~WriteBatch() override;  // aborts unless committed
  ByteView node(uint64_t id) override;
  uint64_t put_node(ByteView bytes) override;
  void put_segment(uint64_t table, ByteView segment);  // overwrites one with the same first rowid
  // As those of Environment, but see this batch's own segments.
  std::optional<SegmentReader> segment(uint64_t table, uint64_t rowid);
  std::optional<SegmentReader> segment_at_or_before(uint64_t table, uint64_t rowid);
  void erase_segment(uint64_t table, uint64_t first_rowid);
  void put_lineage(uint64_t table, uint64_t rowid, uint32_t branch, const Lineage& lineage);
  void put_commit(const Uuid& id, uint64_t tx, ByteView record);
  // The (sub)transaction's changes on the branch are the commit with this tx; the commit with this
  // tx emptied the table.
  void put_write(uint64_t xid, uint32_t branch, uint64_t tx);
  void put_clear(uint64_t table, uint64_t tx);
  std::optional<Bytes> commit_record(const Uuid& id);
  // Forgets commits with tx >= from: orphans of a fold whose PostgreSQL transaction never
  // committed.
  void erase_commits_from(uint64_t tx);
  uint64_t erase_commit(const Uuid& id, uint64_t tx);  // returns how many bytes its record had
  void put_tombstone(const Uuid& id, const Tombstone& tombstone);
  void erase(Map map, ByteView key);  // an entry of any map; no effect where there is none
  void put_meta(const std::string& key, ByteView value);
  std::optional<Bytes> meta(const std::string& key);
  void commit();  // synced to disk when it returns

 private:
  friend class Environment;
  struct Impl;
  explicit WriteBatch(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace datahike::store
