// Moving the horizons of tables whose history is not kept whole: a step of the fold worker, after a
// fold. VACUUM itself must not do it: its transaction is in no snapshot, and only the worker writes
// the store.
#pragma once

#include "pg/log.h"
#include "store/horizon.h"

namespace datahike::pg {

// What the worker remembers from fold to fold. After a restart it looks at every table once.
class Horizons {
 public:
  // A commit with this tx changes the table.
  void touched(uint64_t table, uint64_t tx) { tables_[table].touched = tx; }
  // REQUIRES: within a step of the worker, under the fold lock. `begin` and `commit` are those of
  // the store's one write batch; nothing is written where no horizon moves.
  void advance(Snapshot snapshot, store::WriteBatch& (*begin)(), void (*commit)());

 private:
  struct Table {
    uint64_t touched = UINT64_MAX;  // not known: as if by the newest commit
    uint64_t branches = 0;          // branches_generation_ when its horizon was moved last
    bool known = false;             // `horizon` has been read
    uint64_t horizon = 0;           // tx
  };
  void notice_branches(const std::vector<int32_t>& named);
  bool may_move(Table& table, uint64_t id, const store::FoldMark& mark);

  std::unordered_map<uint64_t, Table> tables_;
  std::vector<int32_t> named_;  // branches that had a name at the last look
  uint64_t branches_generation_ = 1;
};

}  // namespace datahike::pg
