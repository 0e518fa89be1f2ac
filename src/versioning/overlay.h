// An overlay: a version tree plus the deltas that are not in it yet, applied one after another.
// Plain C++. A view is an overlay and the number of deltas it sees, so later deltas can be applied
// without disturbing views already in use. An overlay can also be computed: its tables are not read
// from a version tree but made when they are first asked for (versioning/computed.h).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <memory_resource>
#include <unordered_map>
#include <vector>

#include "store/delta.h"
#include "store/environment.h"
#include "store/version.h"
#include "tree/live_set.h"
#include "tree/memory_nodes.h"
#include "versioning/added_runs.h"
#include "versioning/removed_rows.h"

namespace datahike::versioning {

// A transaction of the log whose delta lies over the tree. `rows` are the bytes of its part `part`,
// in the overlay's memory, as are those of the delta; other parts are loaded when they are needed.
struct LogTransaction {
  uint64_t xid = 0;
  int32_t branch = 0;
  uint32_t part = 0;
  ByteView delta;
  ByteView rows;
  std::unique_ptr<std::map<uint32_t, Bytes>> loaded;
};

struct PresentRuns;    // present_runs.h
struct PresentStored;  // present_stored.h

// How many rows are live once the deltas up to `sequence` are applied.
struct RowCount {
  uint32_t sequence = 0;
  uint64_t rows = 0;
};

// What the deltas change in one table, and the table's live set in the tree.
struct TableOverlay {
  tree::NodeRef live;  // in the tree
  uint64_t live_rows = 0;
  AddedRuns added;
  std::shared_ptr<PresentRuns> present;  // as a scan has found them last
  std::shared_ptr<PresentStored> present_stored;
  bool removed_again = false;  // some row by more than one delta
  RemovedRows removed;
  std::pmr::vector<RowCount> counts;  // after each delta that touches the table
  Bytes schema;                       // the newest that a delta records
  std::vector<uint32_t> cleared;      // sequences of TRUNCATEs, ascending
  // Decoded containers of the live set; nullptr = empty.
  std::unordered_map<uint64_t, std::unique_ptr<tree::Container>> containers;
  uint64_t last_high = UINT64_MAX;  // the container looked at last
  const tree::Container* last_container = nullptr;
  // Of a table that is computed row by row: whether the row is in it. Until complete() has made the
  // rest of it: scans need that.
  std::function<bool(uint64_t rowid)> contains;
  std::function<void()> make_rest;
  void complete();

  explicit TableOverlay(std::pmr::memory_resource* memory)
      : added(memory), removed(memory), counts(memory) {}
};

class Overlay : public std::enable_shared_from_this<Overlay> {
 public:
  // `env` may be nullptr while the root is empty.
  Overlay(store::Environment* env, tree::NodeRef root)
      : nodes_(env),
        root_(root),
        serial_(next_serial_++),
        tables_(&memory_),
        transactions_(&memory_) {}
  // A computed overlay: one delta over nothing. `make` fills a table that is asked for, with the
  // rows that it sets or adds at sequence 1; it is not kept if `make` throws.
  using MakeTable = std::function<void(uint64_t id, TableOverlay& table, tree::NodeSink& nodes)>;
  explicit Overlay(MakeTable make)
      : nodes_(&own_nodes_),
        make_(std::move(make)),
        serial_(next_serial_++),
        size_(1),
        tables_(&memory_),
        transactions_(&memory_) {}
  Overlay(const Overlay&) = delete;
  Overlay& operator=(const Overlay&) = delete;

  // Applies a delta; the overlay's size grows by one. `content` are the encoded delta, of
  // `delta_bytes`, and behind it of its log rows those of part `part`.
  void apply(uint64_t xid, int32_t branch, const store::Delta& delta, uint32_t part,
             ByteView content, size_t delta_bytes);
  // A commit's delta, whose rows are in the store.
  void apply(const store::Delta& delta) { apply(0, 0, delta, 0, {}, 0); }
  uint32_t size() const { return size_; }
  const tree::NodeRef& root() const { return root_; }
  uint64_t serial() const { return serial_; }          // of this overlay alone in the process
  size_t bytes() const { return bytes_; }              // held by log transactions, about
  uint64_t added_rows() const { return added_rows_; }  // by log transactions
  // Where the nodes of the tables' live sets are. CorruptError when that is a store that is
  // missing.
  tree::NodeSource& nodes() const {
    if (!nodes_) throw CorruptError("the store is missing, but a version in it is needed");
    return *nodes_;
  }

  // As it is after all deltas, and stays so when others are applied.
  TableOverlay& table(uint64_t id) { return table_with(id, size_); }
  // The tables that deltas have touched or that were asked for.
  template <class Visit>
  void each_table(Visit&& visit) {
    if (!looks_at_all_) look_at_all(size_);
    for (const auto& [id, table] : tables_) visit(id, table);
  }
  // Whether the row is live after the first `limit` deltas.
  bool is_live(TableOverlay& table, uint64_t rowid, uint32_t limit);
  // Whether it is live in the tree and the tree's rows still count; ignores removals in deltas, and
  // what has been erased.
  const tree::Container* container(TableOverlay& table, uint64_t high);
  // Sequence of the last TRUNCATE among the first `limit` deltas, 0 if none.
  static uint32_t last_clear(const TableOverlay& table, uint32_t limit);
  // Sequence of the last of them that touches the table, 0 if none.
  static uint32_t last_touch(const TableOverlay& table, uint32_t limit);
  // The added run that holds the rowid, whatever its sequence; end() if none.
  static AddedRuns::iterator find_added(TableOverlay& table, uint64_t rowid);
  // How the row was removed, if a delta removed it.
  static const RemovedRow* find_removed(const TableOverlay& table, uint64_t rowid);
  // Live rows after `limit` deltas.
  static uint64_t count_rows(const TableOverlay& table, uint32_t limit);

 private:
  TableOverlay& table_with(uint64_t id, uint32_t deltas);
  void look_at(const std::vector<uint64_t>& ids, uint32_t deltas);
  void apply_table(TableOverlay& table, const store::TableDelta& delta, uint32_t sequence,
                   LogTransaction* transaction);
  void look_at_all(uint32_t deltas);

  tree::MemoryNodes own_nodes_;
  tree::NodeSource* nodes_;
  MakeTable make_;
  tree::NodeRef root_;
  static inline uint64_t next_serial_ = 1;
  uint64_t serial_;
  uint32_t size_ = 0;
  size_t bytes_ = 0;
  uint64_t added_rows_ = 0;
  // Every commit of every session becomes entries here in each session that reads the branch: they
  // are carved out of large pieces, and go all at once.
  std::pmr::monotonic_buffer_resource memory_{32768};
  // Those that were asked for. Deltas are applied to no others, but are read again for them;
  // before that costs too much, all tables that deltas touch are entered here.
  std::pmr::unordered_map<uint64_t, TableOverlay> tables_;
  bool looks_at_all_ = false;
  uint64_t delta_bytes_ = 0, read_again_ = 0;     // of encoded deltas
  std::pmr::deque<LogTransaction> transactions_;  // one for each delta
};

}  // namespace datahike::versioning
