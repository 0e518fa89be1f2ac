#include "am/pending.h"

#include "am/branch_protection.h"
#include "am/dead_rows.h"
#include "am/horizon.h"
#include "am/prepared.h"
#include "am/rewrite.h"
#include "am/row_locks.h"
#include "am/rowless.h"
#include "am/rowids.h"
#include "am/spilling.h"
#include "pg/branch_ids.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/live_snapshots.h"
#include "pg/shared.h"

namespace datahike::am {

namespace {

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
  bool written = false;  // PRE_COMMIT has run
};
Transaction transaction;
MemoryContext memory = nullptr;
// The table looked at last: most statements use one.
TablePending* last_table = nullptr;

// Definitions that the branches are known to have recorded, by (branch, table).
std::map<std::pair<int32_t, uint64_t>, uint64_t> recorded;

// REQUIRES: the branch's lock, which resets of it wait for.
void notice_resets() {
  static uint64_t noticed = 0;
  uint64_t count = pg::reset_count();
  if (count == noticed) return;
  noticed = count;
  forget_dead_rows();
  recorded.clear();
}

void lock_branch(int32_t branch) {
  auto& locked = transaction.locked_branches;
  if (std::find(locked.begin(), locked.end(), branch) != locked.end()) return;
  restore_prepared();
  pg::call([=] {
    pg::lock_log_relations();
    pg::lock_branch_for_write(branch);
  });
  notice_resets();
  // Whoever deleted the branch may have committed while this session waited for the lock.
  static uint64_t checked_generation = 0;
  static int32_t checked_branch = -1;
  if (checked_generation == pg::branches_generation() && checked_branch == branch) {
    locked.push_back(branch);
    return;
  }
  if (!pg::is_named_branch(branch))
    throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT, "the branch has been deleted",
                       "RESET datahike.branch returns to the default branch.");
  checked_generation = pg::branches_generation();
  checked_branch = branch;
  locked.push_back(branch);
}

void refuse_when_written() {
  if (!transaction.written) return;
  throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                     "datahike tables cannot be written after the transaction's commit has begun");
}

void describe(TablePending& table, Relation relation, const RelationInfo& info) {
  table.relation =
      is_rewrite_target(relation) ? relation->rd_rel->relrewrite : RelationGetRelid(relation);
  table.stamp = info.stamp;
  auto at = recorded.find({table.branch, table.table});
  bool known = at != recorded.end() && at->second == info.stamp;
  table.schema = known ? Bytes() : describe_schema(relation);
}

bool same_shape(const Shape& shape, const RelationInfo& info) {
  return static_cast<int>(shape.attributes.size()) == info.attributes &&
         std::memcmp(shape.attributes.data(), info.attribute,
                     sizeof(Attribute) * shape.attributes.size()) == 0;
}

const Shape* shape_for(TablePending& table, const RelationInfo& info, TupleDesc desc) {
  if (!table.shapes.empty() && same_shape(*table.shapes.back(), info))
    return table.shapes.back().get();
  auto shape = std::make_unique<Shape>();
  shape->desc = pg::call([=] {
    MemoryContext old = MemoryContextSwitchTo(pending_memory());
    TupleDesc copy = CreateTupleDescCopy(desc);
    MemoryContextSwitchTo(old);
    return copy;
  });
  shape->attributes.assign(info.attribute, info.attribute + info.attributes);
  shape->specs = column_specs(info);
  table.shapes.push_back(std::move(shape));
  return table.shapes.back().get();
}

bool continues(const PendingRun& run, uint64_t rowid, CommandId cid, const Shape* shape) {
  return run.first + run.count == rowid && run.cid == cid && run.shape == shape &&
         run.sub == GetCurrentSubTransactionId() && run.places.empty() && run.bytes < kSpillBytes &&
         run.count < store::kMaxSegmentRows;
}

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

TablePending* find_pending(int32_t branch, uint64_t table) {
  if (last_table && last_table->table == table && last_table->branch == branch) return last_table;
  if (transaction.tables.empty()) return nullptr;
  auto at = transaction.tables.find({branch, table});
  return at == transaction.tables.end() ? nullptr : last_table = at->second.get();
}

bool has_pending() {
  if (!transaction.parents.empty()) return true;
  for (const auto& [key, table] : transaction.tables)
    if (!table->empty()) return true;
  return false;
}

bool has_row_locks() {
  return !transaction.operations.empty() || !transaction.locked_branches.empty();
}

bool has_locked(int32_t branch) {
  const auto& locked = transaction.locked_branches;
  return std::find(locked.begin(), locked.end(), branch) != locked.end();
}

// An entry that is empty may say what the branch had recorded before.
void branch_was_reset(int32_t branch) {
  std::erase_if(transaction.tables, [=](const auto& entry) { return entry.first.first == branch; });
  last_table = nullptr;
  resets_were_undone();
}

void resets_were_undone() noexcept {
  forget_dead_rows();
  recorded.clear();
}

bool has_pending_of(uint64_t table) {
  for (const auto& [key, pending] : transaction.tables)
    if (key.second == table && !pending->empty()) return true;
  return false;
}

bool has_pending_on(int32_t branch) {
  if (transaction.parents.count(branch)) return true;
  for (const auto& [key, table] : transaction.tables)
    if (key.first == branch && !table->empty()) return true;
  return false;
}

void refuse_check_on_other_branch() {
  throw pg::SqlError(
      ERRCODE_FEATURE_NOT_SUPPORTED,
      "deferrable constraints are checked only on the branch that is set at COMMIT",
      "Write their tables on one branch in a transaction, and have that branch set, and nothing "
      "else, at COMMIT and SET CONSTRAINTS.");
}

void refuse_row_of_other_branch(int32_t branch, uint64_t table) {
  for (const auto& [key, pending] : transaction.tables)
    if (key.first != branch && key.second == table && !pending->empty())
      refuse_check_on_other_branch();
}

void add_merge_parent(int32_t branch, const store::Uuid& commit) {
  refuse_when_written();
  lock_branch(branch);
  TransactionId xid = pg::call([] { return GetCurrentTransactionId(); });
  std::vector<store::Uuid> known = merge_parents(branch);
  if (std::find(known.begin(), known.end(), commit) != known.end()) return;
  known.push_back(commit);
  transaction.operations.push_back({Operation::AddParent, 0, branch, xid, 0, nullptr, 0, nullptr});
  try {
    transaction.parents[branch] = std::move(known);
  } catch (...) {
    transaction.operations.pop_back();
    throw;
  }
}

std::vector<store::Uuid> merge_parents(int32_t branch) {
  auto at = transaction.parents.find(branch);
  return at == transaction.parents.end() ? std::vector<store::Uuid>() : at->second;
}

bool has_merge_parents(int32_t branch) { return transaction.parents.count(branch) > 0; }

std::vector<int32_t> branches_with_merge_parents() {
  std::vector<int32_t> branches;
  for (const auto& [branch, parents] : transaction.parents) branches.push_back(branch);
  return branches;
}

TablePending& pending_for(Relation relation, const RelationInfo& info, int32_t branch,
                          Purpose purpose) {
  refuse_when_written();
  if (purpose == Purpose::Change) require_may_change(branch);
  if (purpose != Purpose::Replace) refuse_changes_during_rewrite(relation, info.table);
  if (TablePending* found = find_pending(branch, info.table)) {
    if (purpose != Purpose::Lock && found->stamp != info.stamp) {
      if (purpose == Purpose::Change) refuse_older_rows(relation, info, branch);
      describe(*found, relation, info);
    }
    return *found;
  }
  if (IsParallelWorker())
    throw pg::SqlError(ERRCODE_INVALID_TRANSACTION_STATE,
                       "cannot change or lock rows of datahike tables in a parallel worker",
                       "Functions that do so must not be marked PARALLEL SAFE.");
  lock_branch(branch);
  note_source_of_rowids();
  if (purpose == Purpose::Change) refuse_older_rows(relation, info, branch);
  auto table = std::make_unique<TablePending>();
  table->table = info.table;
  table->branch = branch;
  if (purpose != Purpose::Lock) describe(*table, relation, info);
  TablePending& result = *table;
  transaction.tables[{branch, info.table}] = std::move(table);
  return result;
}

PendingRow find_pending_row(TablePending& table, uint64_t rowid) {
  PendingRun* run = table.last_run;
  if (!run || rowid - run->first >= run->count) {
    auto at = table.runs.upper_bound(rowid);
    if (at == table.runs.begin()) return {};
    run = &(--at)->second;
    if (rowid - run->first >= run->count) return {};
  }
  return {run, rowid - run->first};
}

void add_pending_row(TablePending& table, uint64_t rowid, MinimalTuple tuple, uint64_t entity,
                     CommandId cid, const RelationInfo& info, TupleDesc desc) {
  const Shape* shape = shape_for(table, info, desc);
  PendingRun* run = table.last_run;
  if (!run || !continues(*run, rowid, cid, shape)) {
    if (run && run->bytes >= kSpillBytes && run->places.empty() && !run->tuples.empty() &&
        run->sub == GetCurrentSubTransactionId())
      spill(table, *run);
    TransactionId xid = pg::call([] { return GetCurrentTransactionId(); });
    transaction.operations.push_back(
        {Operation::AddRun, 0, table.branch, xid, 0, &table, rowid, nullptr});
    run = &table.runs[rowid];
    run->first = rowid;
    run->cid = cid;
    run->xid = xid;
    run->sub = GetCurrentSubTransactionId();
    run->shape = shape;
    table.last_run = run;
  }
  if (entity != 0 && run->entities.empty())
    for (uint64_t i = 0; i < run->count; ++i) run->entities.push_back(run->first + i);
  if (entity != 0 || !run->entities.empty()) run->entities.push_back(entity ? entity : rowid);
  run->tuples.push_back(tuple);
  ++run->count;
  run->bytes += tuple->t_len + 16;
}

void remove_row(TablePending& table, uint64_t rowid, CommandId cid, uint64_t successor,
                bool moved_partition) {
  TransactionId xid = InvalidTransactionId;
  if (!find_pending_row(table, rowid)) {  // other sessions can see a committed row
    xid = pg::call([] { return GetCurrentTransactionId(); });
    int32_t branch = table.branch;
    pg::call([=] { begin_removal(branch, rowid); });
  } else {
    table.superseded_own = true;
  }
  note_row({Operation::RemoveRow, 0, table.branch, xid, 1, &table, rowid, nullptr});
  table.removed[rowid] = {cid, GetCurrentSubTransactionId(), successor, moved_partition};
  table.fired_triggers = true;
}

// Subtransactions are numbered as they begin: one that is open now and was so when the row was
// removed has a number up to `removed`.
bool may_come_back(SubTransactionId written, SubTransactionId removed) {
  return std::any_of(
      transaction.marks.begin(), transaction.marks.end(),
      [=](const Transaction::Mark& mark) { return written < mark.sub && mark.sub <= removed; });
}

void drop_pending_row(TablePending& table, uint64_t rowid) {
  PendingRow row = find_pending_row(table, rowid);
  if (row) remove_row(table, rowid, FirstCommandId, 0, false);
}

bool own_cleared(const TablePending& table, CommandId command) {
  return table.cleared && (command == InvalidCommandId || table.cleared_cid < command);
}

// What may run out of memory comes first: an operation that is done can be undone.
TablePending* clear_table(TablePending& table, CommandId cid) {
  auto before = std::make_unique<TablePending>();
  TablePending cleared;
  cleared.table = table.table;
  cleared.branch = table.branch;
  cleared.relation = table.relation;
  cleared.cleared = true;
  cleared.cleared_cid = cid;
  cleared.stamp = table.stamp;
  cleared.schema = table.schema;
  cleared.fired_triggers = table.fired_triggers;
  TablePending* kept = before.get();
  transaction.operations.push_back(
      {Operation::Clear, 0, table.branch, InvalidTransactionId, 0, &table, 0, std::move(before)});
  *kept = std::move(table);
  table = std::move(cleared);
  return kept;
}

void remember_row_lock(int32_t branch, uint64_t entity, LockTupleMode mode) {
  note_row({Operation::LockRow, static_cast<uint8_t>(mode), branch, GetCurrentTransactionId(), 1,
            nullptr, entity, nullptr});
}

bool own_removed(const TablePending& table, uint64_t rowid, CommandId command) {
  if (table.removed.empty()) return false;
  auto at = table.removed.find(rowid);
  return at != table.removed.end() && (command == InvalidCommandId || at->second.cid < command);
}

bool own_removed_any(int32_t branch, uint64_t rowid) {
  for (auto& [key, table] : transaction.tables)
    if (table->branch == branch && table->removed.count(rowid)) return true;
  return false;
}

bool own_row_visible(const TablePending& table, const PendingRun& run, uint64_t rowid,
                     CommandId command) {
  if (command != InvalidCommandId && run.cid >= command) return false;
  return !own_removed(table, rowid, command);
}

uint32_t take_part_number(int32_t branch) { return transaction.next_part[branch]++; }

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
    if (drop && last_table == at->second.get()) last_table = nullptr;
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
  last_table = nullptr;
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

std::vector<TablePending*> pending_tables() {
  std::vector<TablePending*> tables;
  for (auto& [key, table] : transaction.tables)
    if (!table->empty()) tables.push_back(table.get());
  return tables;
}

void schema_is_recorded(const TablePending& table) {
  if (recorded.size() > 10000) recorded.clear();
  recorded[{table.branch, table.table}] = table.stamp;
}

void mark_written() { transaction.written = true; }

}  // namespace datahike::am
