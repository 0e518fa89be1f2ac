#include "am/pending_transaction.h"

#include "am/branch_protection.h"
#include "am/pending_columns.h"
#include "am/rewrite.h"
#include "am/row_locks.h"
#include "am/rowids.h"
#include "am/rowless.h"
#include "am/spilling.h"
#include "pg/bridge.h"
#include "pg/live_snapshots.h"

namespace datahike::am {

Transaction transaction;

namespace {

MemoryContext memory = nullptr;

// Whether the operation has entries in the shared table.
bool is_shared(const Operation& op) {
  return op.kind == Operation::LockRow ||
         (op.kind == Operation::RemoveRow && TransactionIdIsValid(op.xid));
}

bool extends(const Operation& op, const Operation& last) {
  return op.kind == last.kind && op.mode == last.mode && op.branch == last.branch &&
         op.xid == last.xid && op.table == last.table && op.rowid == last.rowid + last.count &&
         last.count < UINT32_MAX;
}

void drop_last_parent(int32_t branch) {
  auto at = transaction.parents.find(branch);
  at->second.pop_back();
  if (at->second.empty()) transaction.parents.erase(at);
}

void undo(Operation& op) {
  switch (op.kind) {
    case Operation::AddRun: {
      auto run = op.table->runs.find(op.rowid);
      if (run == op.table->runs.end()) break;
      if (op.table->last_run == &run->second) op.table->last_run = nullptr;
      stop_spilling(run->second);
      remember_rolled_back(run->second);
      op.table->runs.erase(run);
      break;
    }
    case Operation::RemoveRow:
      for (uint32_t i = 0; i < op.count; ++i) op.table->removed.erase(op.rowid + i);
      if (TransactionIdIsValid(op.xid)) end_removals(op.branch, op.rowid, op.count, op.xid);
      break;
    case Operation::LockRow:
      unlock_rows(op.branch, op.rowid, op.count, op.xid);
      break;
    case Operation::Clear: {
      for (const auto& [first, run] : op.table->runs) stop_spilling(run);
      // The map's nodes move with it, so pointers into `before`'s runs stay good.
      *op.table = std::move(*op.before);
      break;
    }
    case Operation::AddParent: {
      drop_last_parent(op.branch);
      break;
    }
  }
}

}  // namespace

MemoryContext pending_memory() {
  if (!memory)
    memory =
        AllocSetContextCreate(TopMemoryContext, "datahike pending rows", ALLOCSET_DEFAULT_SIZES);
  return memory;
}

// An operation on a row that follows one on the row before is one with it: most statements lock and
// remove rows in order. What is undone is the same whatever the order within a subtransaction, but
// for what came before TRUNCATE.
void note_row(Operation&& op) {
  constexpr size_t kLookBack = 3;  // lock, new version, removal
  auto& operations = transaction.operations;
  size_t begin = transaction.marks.empty() ? 0 : transaction.marks.back().operations;
  size_t at = operations.size();
  for (size_t i = 0; i < kLookBack && at > begin; ++i) {
    Operation& last = operations[--at];
    if (last.kind == Operation::Clear) break;
    if (!extends(op, last)) continue;
    ++last.count;
    return;
  }
  operations.push_back(std::move(op));
}

void remember_row_lock(int32_t branch, uint64_t entity, LockTupleMode mode) {
  note_row({Operation::LockRow, static_cast<uint8_t>(mode), branch, GetCurrentTransactionId(), 1,
            nullptr, entity, nullptr});
}

// Subtransactions are numbered as they begin: one that is open now and was so when the row was
// removed has a number up to `removed`.
bool may_come_back(SubTransactionId written, SubTransactionId removed) {
  return std::any_of(
      transaction.marks.begin(), transaction.marks.end(),
      [=](const Transaction::Mark& mark) { return written < mark.sub && mark.sub <= removed; });
}

void begin_subtransaction(SubTransactionId sub) {
  bool counts = std::any_of(transaction.tables.begin(), transaction.tables.end(),
                            [](const auto& entry) { return entry.second->superseded_own; });
  pg::call([=] { pg::note_subtransaction_start(counts); });
  transaction.marks.push_back({sub, transaction.operations.size()});
}

void commit_subtransaction(SubTransactionId sub) {
  if (!transaction.marks.empty() && transaction.marks.back().sub == sub)
    transaction.marks.pop_back();
}

// One that failed as it began has no mark, and nothing to undo.
void abort_subtransaction(SubTransactionId sub) {
  end_applying_merge_of(sub);
  forget_rewrites_since(sub);
  if (transaction.marks.empty() || transaction.marks.back().sub != sub) return;
  size_t mark = transaction.marks.back().operations;
  transaction.marks.pop_back();
  while (transaction.operations.size() > mark) {
    undo(transaction.operations.back());
    transaction.operations.pop_back();
  }
  // A branch lock taken inside is gone with the subtransaction: take it again when it is needed.
  transaction.locked_branches.clear();
  for (auto at = transaction.tables.begin(); at != transaction.tables.end();) {
    bool drop = at->second->empty();
    if (drop && transaction.last_table == at->second.get()) transaction.last_table = nullptr;
    at = drop ? transaction.tables.erase(at) : std::next(at);
  }
}

void end_pending(Ended how) {
  stop_spilling();
  end_applying_merge();
  for (const Operation& op : transaction.operations) {
    if (is_shared(op)) forget_holder(op.branch, op.rowid, op.count, op.xid);
    if (op.before && how == Ended::RolledBack) remember_rowless(*op.before, false);
  }
  if (how != Ended::Prepared)
    for (auto& [key, table] : transaction.tables) remember_rowless(*table, how == Ended::Committed);
  transaction = Transaction();
  forget_columns();
  end_spilling();
  end_inserts(how == Ended::RolledBack);
  if (memory) MemoryContextReset(memory);
}

std::vector<PendingLock> pending_locks() {
  std::vector<PendingLock> locks;
  for (const Operation& op : transaction.operations) {
    if (is_shared(op))
      locks.push_back({op.kind == Operation::RemoveRow, static_cast<LockTupleMode>(op.mode),
                       op.branch, op.rowid, op.count});
  }
  return locks;
}

void leave_pending() {
  stop_spilling();  // of a run from before TRUNCATE, perhaps, of a table that has been dropped
  transaction.operations.clear();
}

}  // namespace datahike::am
