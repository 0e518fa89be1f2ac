// Garbage collection: which commits go, and then what only they held.
//
// The order of a run, each part in bounded pieces between which folds go on and readers read:
//
//   trace    walks the commits reachable from the roots and says which of them stay
//   choose   finds the candidates among all commits
//   trace    again, from those that stay for another reason: they are too young, or somebody reads
//            them. Where their lines part from others, and what their merges name, stays as well
//   collect  erases candidates, in rounds of one write batch each. A commit that stays and whose
//            chain of deltas goes through one that goes becomes a keyframe in the same batch, and
//            what goes leaves a tombstone, by which it is told from one that never was
//   mark     walks the trees of all commits that are left: their nodes, and rows
//   sweep    erases nodes, rows and lineage that were not met
//
// After any batch the store is whole: what is not swept is only in nobody's way. A run that is
// given up is begun anew some time.
//
// What keeps it right while others work. Commits, nodes and rows that come after the run began are
// left alone: by transaction number, by node id, and by note(), which must be told of every delta
// that is folded meanwhile; rows and lineage of transactions that some snapshot may not see as
// ended by their xid. New trees share nodes with those of commits that were there, which are
// marked, for what a commit is made from is not collected (the caller's part, at collect()).
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store/environment.h"
#include "store/id_set.h"
#include "store/version.h"

namespace datahike::store {

struct GcOptions {
  std::optional<int64_t> older_than;  // commits of an earlier time go although they are reachable
  int64_t newest = INT64_MAX;         // commits of a later time stay in any case
  bool dry_run = false;               // counts, and changes nothing
  uint64_t next_tx = 0;               // commits from this number on are not looked at
  uint64_t xmin = 0;                  // what transactions from this xid on did stays
};

struct GcResult {
  uint64_t commits = 0, nodes = 0, rows = 0, bytes = 0;  // that went; bytes: of values
  uint64_t kept = 0;                                     // commits
};

class Collector {
 public:
  // What is reachable from `roots` stays, but for what `older_than` says; they themselves do.
  Collector(Environment& env, const GcOptions& options, const std::vector<Uuid>& roots);

  // Each does some work and returns whether its part is done. To be called in this order, and
  // trace() again after choose() and whenever spare_from() says so.
  bool trace(Environment& env);
  bool choose(Environment& env);

  // These stay after all.
  // True: one of them would have been collected.
  bool spare(const std::vector<Uuid>& ids);
  // Candidates from this number on stay, for somebody reads some of them. True: there are any, and
  // trace() is to be called.
  bool spare_from(uint64_t limit);
  uint64_t next_tx() const { return options_.next_tx; }  // no later commit is looked at
  // Whether there are candidates left, all of which have numbers below `limit`.
  bool has_candidates(uint64_t limit) const;
  // A round. REQUIRES: spare_from(limit) is false, and no candidate with a tx below it is read,
  // named as a root, or made a branch from, from before this call until the batch is durable.
  void collect(Environment& env, WriteBatch& batch, uint64_t limit);

  bool mark(Environment& env);
  // REQUIRES, unless it is a dry run, that the batch is committed before the next call.
  bool sweep(Environment& env, WriteBatch* batch);
  // A delta that is being folded.
  void note(const Delta& delta);

  const GcResult& result() const { return result_; }

 private:
  struct Traced {
    Commit commit;
    bool keep = false;  // a root, a fork, what merges name, the last one before `older_than`
  };
  struct Candidate {
    uint64_t tx;
    Uuid id;
  };
  struct PendingNode {
    enum Kind { Version, Live, Plain } kind;
    uint64_t id;
    uint64_t table;  // of a live set
  };

  void reach(Environment& env, const Uuid& id, bool keep);
  void stay(const Commit& commit);
  void trace_one(Environment& env);
  bool is_candidate(const Commit& commit) const;
  void note_dependent(const Commit& commit, const Uuid* before);
  void bury(Environment& env, WriteBatch& batch, const Commit& commit,
            std::map<Uuid, Tombstone>& buried);
  std::vector<Uuid> cut_from(Environment& env, const std::map<Uuid, Tombstone>& buried) const;
  void make_keyframe(Environment& env, WriteBatch& batch, const Uuid& id);
  void mark_commit(Environment& env, const Uuid& id);
  void name_tombstone(Environment& env, const Uuid& id);
  void mark_horizons(Environment& env);
  void mark_node(Environment& env, const PendingNode& node);
  void push(PendingNode::Kind kind, const tree::NodeRef& ref, uint64_t table);

  bool sweep_nodes(Environment& env, WriteBatch* batch);
  bool sweep_rows(Environment& env, WriteBatch* batch);
  bool sweep_lineage(Environment& env, WriteBatch* batch);
  bool sweep_commit_numbers(Environment& env, WriteBatch* batch, Map map);
  bool sweep_tombstones(Environment& env, WriteBatch* batch);
  bool is_garbage(uint64_t table, uint64_t rowid, uint64_t xid);
  void sweep_segment(WriteBatch* batch, uint64_t table, const SegmentReader& segment);

  GcOptions options_;
  uint64_t next_node_;  // nodes from this id on are not swept
  GcResult result_;

  std::map<uint64_t, Traced, std::greater<>> frontier_;  // by tx
  IdSet traced_;                                         // tx of commits that it has been to
  IdSet stay_;                                           // tx of commits that it keeps
  std::vector<Candidate> spared_;                        // to be traced from, ascending by tx
  uint64_t chosen_to_ = 0;                               // tx
  bool chosen_ = false;
  std::optional<Uuid> before_;        // the commit just below chosen_to_
  std::deque<Candidate> candidates_;  // ascending by tx
  std::unordered_set<Uuid, HashUuid> candidate_ids_;
  // Commits without a tree of their own whose first parent does not have the number before theirs.
  std::unordered_map<Uuid, std::vector<Uuid>, HashUuid> dependents_;

  uint64_t marked_to_ = 0;  // tx
  bool horizons_marked_ = false;
  std::vector<PendingNode> pending_;
  IdSet nodes_;
  std::unordered_map<uint64_t, IdSet> rows_;     // by table
  std::unordered_map<uint64_t, IdSet> removed_;  // by table: rows removed by commits that stay
  std::unordered_set<Uuid, HashUuid> named_tombstones_;  // by commits that stay

  enum class Part { Nodes, Rows, Lineage, Writes, Clears, Tombstones, Done } part_ = Part::Nodes;
  Bytes swept_to_;             // the key to go on from
  std::set<uint64_t> erased_;  // tables of which rows went
};

}  // namespace datahike::store
