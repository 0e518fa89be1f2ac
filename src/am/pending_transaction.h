// The running transaction behind am/pending.h: what it has done, in order, so that ROLLBACK TO can
// take it back. For the files that pending.h is made of.
#pragma once

#include "am/pending.h"

namespace datahike::am {

// What ROLLBACK TO takes back, newest first.
struct Operation {
  enum Kind : uint8_t { AddRun, RemoveRow, LockRow, Clear, AddParent } kind;
  uint8_t mode;  // LockRow: LockTupleMode
  int32_t branch;
  TransactionId xid;
  uint32_t count;  // RemoveRow, LockRow: of neighbouring rows
  TablePending* table;
  uint64_t rowid;                        // first of the run, or of the rows
  std::unique_ptr<TablePending> before;  // Clear: what there was
};

struct Transaction {
  std::map<std::pair<int32_t, uint64_t>, std::unique_ptr<TablePending>> tables;
  std::vector<Operation> operations;
  struct Mark {
    SubTransactionId sub;
    size_t operations;  // how many there were when it began
  };
  std::vector<Mark> marks;  // one for each open subtransaction whose beginning was noted
  std::vector<int32_t> locked_branches;
  std::map<int32_t, std::vector<store::Uuid>> parents;  // of merges, by branch; no empty ones
  std::map<int32_t, uint32_t> next_part;
  TablePending* last_table = nullptr;  // looked at last: most statements use one
  bool written = false;                // PRE_COMMIT has run
};
extern Transaction transaction;

// An operation on rows or a row lock, as one with its neighbours where it can be.
void note_row(Operation&& op);
// What resets of the branch wait for; with the first of the transaction.
void lock_branch(int32_t branch);
void refuse_when_written();  // 0A000 once the commit has begun

}  // namespace datahike::am
