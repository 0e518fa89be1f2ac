// Joins small neighbouring segments of a table, which a trickle of small transactions leaves
// behind.
//
// What is joined has the same columns, and rowids that follow each other but for some that no row
// has (SegmentCopier). The rows stay what they are, and so do commits, whose hashes know nothing of
// segments. Readers keep the state that they read. It is done in bounded steps of one write batch
// each, so a process that dies leaves all as it was, or joined.
//
// In the background (Mode::Tiers) segments are joined that are of about the same size, so a row is
// written some eight times at most until its segment is full. Mode::All joins whatever is not full.
//
// Rowids between two segments may belong to a transaction that runs, or to a session that has not
// used them yet. When their rows come, what they fall into is written again (RowPacker). So in
// the background only rowids behind a settled row are made holes: whoever has gone on from there
// has not for some time.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "store/environment.h"

namespace datahike::store {

struct JoinResult {
  uint64_t before = 0, after = 0;  // how many segments were joined, and what they have become
  uint64_t bytes = 0;              // written
};

class SegmentJoiner {
 public:
  enum class Mode { Tiers, All };
  explicit SegmentJoiner(Mode mode) : mode_(mode) {}

  // Segments around this place are to be joined; all of a table's; all there are.
  void add_place(uint64_t table, uint64_t rowid) { places_[{table, rowid}] = true; }
  void add_table(uint64_t table) { ranges_.push_back({table, 0}); }
  void add_all_tables(Environment& env);
  size_t places() const { return places_.size(); }
  bool done() const { return places_.empty() && ranges_.empty(); }
  void clear();

  // A bounded piece of work. `begin` is called if something is to be written: the batch is to be
  // committed before the next step. `settled`: transactions below this xid have ended some time
  // ago. REQUIRES: `env` reads the newest state, and nobody else writes.
  void step(Environment& env, const std::function<WriteBatch&()>& begin, uint64_t settled);
  const JoinResult& result() const { return result_; }

 private:
  struct Range {
    uint64_t table, next;
  };
  struct Member {
    SegmentReader segment;
    size_t raw;  // bytes of its values, an estimate
    uint64_t end() const { return segment.last_rowid() + 1; }
  };
  struct Run {
    std::vector<Member> members;
    bool cut = false;  // it goes on
  };
  struct Group {
    size_t begin, end;  // of the run's members
  };
  uint64_t start_of(Environment& env, uint64_t table, uint64_t rowid, uint64_t settled) const;
  bool may_join(const SegmentReader& a, const SegmentReader& b, uint64_t rows,
                uint64_t settled) const;
  Run collect(Environment& env, uint64_t table, uint64_t from, uint64_t settled);
  std::vector<Group> groups_of(const Run& run) const;
  std::vector<Group> tiers_of(const Run& run) const;
  std::vector<Group> all_of(const Run& run) const;
  void join(const Run& run, const Group& group, const std::function<WriteBatch&()>& begin);

  Mode mode_;
  // By table and rowid; whether what is to the left of it is to be looked at as well.
  std::map<std::pair<uint64_t, uint64_t>, bool> places_;
  std::deque<Range> ranges_;
  uint64_t table_ = 0;  // of the run
  // In this step: the end of the last run, below which `env` shows what was; how many segments have
  // been looked at, and how much has been copied.
  uint64_t done_table_ = 0, done_to_ = 0;
  size_t looked_at_ = 0, copied_ = 0;
  JoinResult result_;
};

// Whether there are two small neighbours among the table's segments; looks at sizes alone.
bool has_small_neighbours(Environment& env, uint64_t table);

// Finds where small segments are many: for who does not know. Looks at sizes alone, a bounded
// number at a time. To be called again when what it has found is done.
class SegmentSurvey {
 public:
  bool step(Environment& env, SegmentJoiner& joiner);  // false: there is more

 private:
  Bytes next_;  // key
};

}  // namespace datahike::store
