// A world for fold tests: random transactions on branches, what every commit must then contain, and
// the means to fold them into a store and to compare.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "store/fold.h"
#include "store/segment.h"
#include "store/version.h"

namespace datahike::store::test {

struct Row {
  uint64_t entity = 0, xid = 0;
  int64_t number = 0;
  std::optional<std::string> text;
  bool wide = false;  // written under the second schema, with a third column
  bool operator==(const Row&) const = default;
};

// What a reader must see.
struct Contents {
  std::map<uint64_t, std::set<uint64_t>> live;  // by table; no empty sets
  std::map<uint64_t, Bytes> schemas;            // by table
  bool operator==(const Contents&) const = default;
};

struct Transaction {
  uint32_t branch = 0;
  LogEntry entry;
  std::vector<Bytes> parts;
  Contents after;
};

// The segment of `count` rows from `first` on.
Bytes build_segment(const std::map<uint64_t, Row>& rows, uint64_t first, uint32_t count);

// Generates transactions. Several writers take turns, each with rowid runs of its own, so that
// rowids of one table interleave between transactions and branches.
class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}
  Transaction next(uint32_t branch);
  // The branch starts with these contents.
  void start(uint32_t branch, const Contents& contents) { now_[branch] = contents; }
  // Every row ever written, by table.
  const std::map<uint64_t, std::map<uint64_t, Row>>& rows() const { return rows_; }
  uint64_t pick(uint64_t n) { return random_() % n; }

 private:
  static constexpr uint64_t kTables = 3, kWriters = 4;
  struct Run {
    uint64_t next = 0, end = 0;
  };
  uint64_t new_rowid(uint64_t table, uint64_t writer);
  uint64_t new_row(TableDelta& delta, uint64_t writer, uint64_t entity);
  void change(TableDelta& delta, Contents& now);
  void remove_some(TableDelta& delta, uint64_t writer, const std::set<uint64_t>& live);
  void place_rows(TableDelta& delta, std::vector<Bytes>& parts);

  std::mt19937_64 random_;
  uint64_t xid_ = 1000;
  std::map<uint64_t, uint64_t> next_rowid_;            // by table
  std::map<std::pair<uint64_t, uint64_t>, Run> runs_;  // by table and writer
  std::map<uint32_t, Contents> now_;                   // by branch
  std::map<uint64_t, std::map<uint64_t, Row>> rows_;   // by table and rowid
  std::map<uint64_t, bool> wide_;                      // tables of the second schema
};

// A store in a directory of its own, which goes away with it.
class TestStore {
 public:
  TestStore();
  ~TestStore();
  Environment& env() { return *env_; }
  const std::string& directory() const { return directory_; }
  void close() { env_.reset(); }
  void open();
  const Commit& root() const { return root_; }
  // Folds on top of `head` as the worker does: orphans first, one batch, one sync.
  Commit fold(const Uuid& head, uint64_t next_tx, const std::vector<const Transaction*>& entries,
              std::vector<Uuid>* ids = nullptr);

 private:
  std::string directory_;
  std::unique_ptr<Environment> env_;
  Commit root_;
};

// What a commit contains according to the store, by its keyframe and deltas. Also checks the row
// counts of the keyframe.
Contents read_contents(Environment& env, const Uuid& id);
// Claims that segments of each table do not overlap, and that exactly `rows` are stored, as
// written.
void expect_rows(Environment& env, const std::map<uint64_t, std::map<uint64_t, Row>>& rows);
// How many segments a table has.
size_t count_segments(Environment& env, uint64_t table);

}  // namespace datahike::store::test
