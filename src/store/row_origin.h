// Which commits made a row version live and took it away again, as the ancestors of one commit have
// it. Plain C++.
//
// The rule. A row version was made by the commit of the (sub)transaction that wrote it, if that
// commit added it: a transaction may remove its own rows again. It was taken away by the ancestor
// with the smallest tx among
//   - the commits of the transactions that its lineage names, on whatever branch;
//   - TRUNCATEs of the table by a commit on whose line the row was made;
//   - the merge that brought the commit which made it, where that is on another line: a merge
//     writes row versions of its own.
// Of a branch that was reset, lineage names the last removal of a row alone, which may be on
// another line; and a commit that took a row away may have been collected. So where none of these
// is found, or one of them is not known any more, the line of the asking commit is looked through
// for the oldest commit that does not have the row: of those that are kept, that is.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/ancestry.h"
#include "store/environment.h"
#include "store/version.h"

namespace datahike::store {

// What is remembered of a commit.
struct Origin {
  uint64_t tx = 0;
  int64_t time = 0;
  Uuid commit{};
  uint32_t branch = 0;
  uint64_t xid = 0;
  std::string author;
  std::map<uint64_t, std::vector<tree::RowidRange>> added;  // rows left live, by table
  std::vector<uint64_t> cleared;                            // tables, ascending
  bool is_ancestor = false;                                 // of the commit that is asked about

  // The range of `added` with the row; of no rows if there is none.
  tree::RowidRange range_of(uint64_t table, uint64_t rowid) const;
};

class RowOrigins {
 public:
  // The environment's state must hold the commit; it may be renewed afterwards.
  RowOrigins(Environment& env, const Uuid& commit);

  const Uuid& commit() const { return commit_; }
  // The ancestor that made the row version, which (sub)transaction `xid` wrote; nullptr if none
  // did. Results are valid until the next call.
  const Origin* added(uint64_t table, uint64_t rowid, uint64_t xid);
  // The ancestor that took it away; nullptr: none did. REQUIRES: it is not live at the commit
  // itself. `made_by` is what added() has returned.
  const Origin* removed(uint64_t table, uint64_t rowid, const Origin& made_by);

 private:
  const Origin* origin(uint64_t tx);
  const Origin* written(uint64_t xid, uint32_t branch, uint64_t tx);
  bool has_gaps();
  const std::vector<LineCommit>& line();
  const CommitState& state_of(const Uuid& commit);
  const Origin* gone_on_line(uint64_t table, uint64_t rowid, const Origin& made_by);
  void forget_some();

  Environment& env_;
  Uuid commit_;
  Ancestry ancestry_;
  std::unordered_map<uint64_t, std::unique_ptr<Origin>> known_;      // by tx; null: no such commit
  std::unordered_map<uint64_t, std::vector<WrittenCommit>> writes_;  // by xid
  std::unordered_map<uint64_t, uint64_t>
      brought_by_;  // tx of the merge by that of a commit, or of the first kept after it; 0: none
  std::unordered_map<uint64_t, std::vector<uint64_t>> clears_;  // by table
  std::vector<LineCommit> line_;        // of commit_, ascending; empty: not looked at yet
  std::map<Uuid, CommitState> states_;  // of some commits on it
  std::optional<bool> has_gaps_;        // whether commits of this store have been collected
  size_t ranges_ = 0;                   // in known_
};

}  // namespace datahike::store
