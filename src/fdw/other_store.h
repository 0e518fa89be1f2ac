// Stores that are not this database's: directories of other clusters, or of other databases of this
// one, opened read-only. No server need run on them. What they show is what their fold worker has
// published (store/backup.h), or what a backup holds.
#pragma once

#include <span>

#include "fdw/target.h"
#include "store/version.h"
#include "tree/memory_nodes.h"
#include "tree/rowid_set.h"

namespace datahike::fdw {

// Opened once per process, as LMDB demands, and never closed.
struct OtherStore {
  std::unique_ptr<store::Environment> env;
  std::optional<tree::RowidSet> erased;  // by purge(): live sets still name them
  int scans = 0;                         // that rely on the present read transaction
};
// The newest state of the store that the server names, or while it is being scanned the state that
// is. Errors: 58P01 there is none, 55000 of another format, on a network file system, or nothing
// published yet; XX001 damaged; 58030 not readable; 42501 no right to connect to the database.
OtherStore& open_other_store(const ServerOptions& options, Oid user);
// Ends the read transactions that no scan relies on.
void release_other_stores();
// Around whatever opens other stores: after an error too nothing stays open.
struct OtherStoreLease {
  OtherStoreLease() = default;
  OtherStoreLease(const OtherStoreLease&) = delete;
  OtherStoreLease& operator=(const OtherStoreLease&) = delete;
  ~OtherStoreLease();
};

// A commit of another store, and the tables that it knows.
struct OtherCommit {
  store::CommitState state;
  std::map<std::pair<std::string, std::string>, RecordedTable> tables;
};
// Errors: 42704 no such branch or commit there, 72000 collected.
OtherCommit read_other_commit(OtherStore& store, const ServerOptions& options);

// The live rows of one table there, in the order of their rowids.
class OtherRows {
 public:
  OtherRows(OtherStore& store, const store::CommitState& state, uint64_t table);
  ~OtherRows() { --store_.scans; }
  OtherRows(const OtherRows&) = delete;
  OtherRows& operator=(const OtherRows&) = delete;
  void rewind();
  bool next();
  uint64_t rowid() const { return high_ << 16 | static_cast<uint64_t>(bit_); }
  const store::SegmentReader& segment();  // that holds the row
  void leave_segment();  // the next row is none of the same segment, or of another container
  // By whole containers of the live set instead: a bit for each rowid from container_rowid() on.
  bool next_container() { return load_container(); }
  uint64_t container_rowid() const { return high_ << 16; }
  std::span<const uint64_t> container_words() const { return container_.words; }
  store::SegmentReader segment_of(uint64_t rowid);  // valid while the store's state is kept
  [[noreturn]] void missing(uint64_t rowid) const;
  uint64_t count_all();  // begins anew; without those that purge() has erased, as next() does
  uint64_t count() { return tree::live_count(nodes_, live_); }

 private:
  // The store's nodes, and those of the live set that are made here.
  class Nodes : public tree::NodeSink {
   public:
    explicit Nodes(store::Environment& env) : env_(env) {}
    ByteView node(uint64_t id) override { return id > kOwn ? own_.node(id - kOwn) : env_.node(id); }
    uint64_t put_node(ByteView bytes) override { return kOwn + own_.put_node(bytes); }

   private:
    static constexpr uint64_t kOwn = uint64_t{1} << 62;
    store::Environment& env_;
    tree::MemoryNodes own_;
  };
  bool load_container();

  OtherStore& store_;
  uint64_t table_;
  Nodes nodes_;
  tree::NodeRef live_;
  std::unique_ptr<tree::ContainerCursor> containers_;
  tree::Container container_;
  uint64_t high_ = 0;
  int bit_ = -1;
  bool has_container_ = false;
  std::optional<store::SegmentReader> segment_;
};

}  // namespace datahike::fdw
