#include "am/pending_transaction.h"

#include "am/branch_protection.h"
#include "am/dead_rows.h"
#include "am/horizon.h"
#include "am/pending_columns.h"
#include "am/prepared.h"
#include "am/rewrite.h"
#include "am/row_locks.h"
#include "am/rowless.h"
#include "pg/branch_ids.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/shared.h"

namespace datahike::am {

namespace {

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

std::shared_ptr<const Shape> make_shape(const RelationInfo& info, TupleDesc desc) {
  auto shape = std::make_shared<Shape>();
  shape->attributes.assign(info.attribute, info.attribute + info.attributes);
  shape->specs = column_specs(info);
  shape->desc = pg::call([=] {
    MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
    TupleDesc copy = CreateTupleDescCopy(desc);
    MemoryContextSwitchTo(old);
    return copy;
  });
  return shape;
}

// The newest shape of each table, by its id: kept over transactions while the definition stays.
struct KeptShape {
  uint64_t stamp = 0;
  std::shared_ptr<const Shape> shape;
};
std::unordered_map<uint64_t, KeptShape> kept_shapes;
constexpr size_t kMostKeptShapes = 64;

const Shape* shape_for(TablePending& table, const RelationInfo& info, TupleDesc desc) {
  if (!table.shapes.empty() && same_shape(*table.shapes.back(), info))
    return table.shapes.back().get();
  auto at = kept_shapes.find(info.table);
  if (at == kept_shapes.end() || at->second.stamp != info.stamp) {
    std::shared_ptr<const Shape> shape = make_shape(info, desc);
    if (kept_shapes.size() >= kMostKeptShapes) kept_shapes.clear();
    at = kept_shapes.insert_or_assign(info.table, KeptShape{info.stamp, std::move(shape)}).first;
  }
  table.shapes.push_back(at->second.shape);
  return at->second.shape.get();
}

bool continues(const PendingRun& run, uint64_t rowid, CommandId cid, const Shape* shape) {
  return run.first + run.count == rowid && run.cid == cid && run.shape == shape &&
         run.sub == GetCurrentSubTransactionId() && run.places.empty() && !run.full;
}

// Rows with large values are to be segments of their own: they stay tuples.
bool may_be_columns(const PendingRun& run) {
  return run.bytes < store::kLargeValueBytes && is_small_as_columns(run);
}

// A run that is full is spilled when another one begins.
PendingRun& begin_run(TablePending& table, uint64_t rowid, CommandId cid, const Shape* shape) {
  PendingRun* run = table.last_run;
  if (run && run->full && run->places.empty() && run->sub == GetCurrentSubTransactionId())
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
  return *run;
}

}  // namespace

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

TablePending* find_pending(int32_t branch, uint64_t table) {
  if (transaction.last_table && transaction.last_table->table == table &&
      transaction.last_table->branch == branch)
    return transaction.last_table;
  if (transaction.tables.empty()) return nullptr;
  auto at = transaction.tables.find({branch, table});
  return at == transaction.tables.end() ? nullptr : transaction.last_table = at->second.get();
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
  transaction.last_table = nullptr;
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

TablePending& pending_for(Relation relation, const RelationInfo& info, int32_t branch,
                          Purpose purpose) {
  refuse_when_written();
  if (IsParallelWorker())
    throw pg::SqlError(ERRCODE_INVALID_TRANSACTION_STATE,
                       "cannot change or lock rows of datahike tables in a parallel worker",
                       "Functions that do so must not be marked PARALLEL SAFE.");
  if (purpose == Purpose::Change) require_may_change(branch);
  if (purpose != Purpose::Replace) refuse_changes_during_rewrite(relation, info.table);
  if (TablePending* found = find_pending(branch, info.table)) {
    if (purpose != Purpose::Lock && found->stamp != info.stamp) {
      if (purpose == Purpose::Change) refuse_older_rows(relation, info, branch);
      describe(*found, relation, info);
    }
    return *found;
  }
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

uint64_t rows_in_last_run(const TablePending& table) {
  const PendingRun* run = table.last_run;
  return store::kMaxSegmentRows - (run && !run->full ? run->count : 0);
}

size_t bytes_in_last_run(const TablePending& table) {
  const PendingRun* run = table.last_run;
  return store::kSegmentTargetBytes -
         (run && run->columns && !run->full ? run->columns->raw_bytes : 0);
}

PendingRun* columns_for(TablePending& table, uint64_t rowid, uint64_t rows, CommandId cid,
                        const RelationInfo& info, TupleDesc desc) {
  const Shape* shape = shape_for(table, info, desc);
  PendingRun* run = table.last_run;
  if (run && continues(*run, rowid, cid, shape)) {
    if (!run->entities.empty()) return nullptr;
    if (!run->columns && run->count + rows >= kRowsAsTuples && may_be_columns(*run))
      turn_into_columns(*run);
    return run->columns ? run : nullptr;
  }
  const bool one_of_many = run && run->columns && run->cid == cid && run->entities.empty();
  if (!one_of_many && (rows < kRowsAsTuples || !is_small_as_columns(*shape))) return nullptr;
  run = &begin_run(table, rowid, cid, shape);
  run->columns = take_columns(*shape);
  return run;
}

void add_pending_row(TablePending& table, uint64_t rowid, MinimalTuple tuple, uint64_t entity,
                     CommandId cid, const RelationInfo& info, TupleDesc desc) {
  const Shape* shape = shape_for(table, info, desc);
  PendingRun* run = table.last_run;
  if (!run || !continues(*run, rowid, cid, shape)) run = &begin_run(table, rowid, cid, shape);
  if (entity != 0 && run->entities.empty())
    for (uint64_t i = 0; i < run->count; ++i) run->entities.push_back(run->first + i);
  if (entity != 0 || !run->entities.empty()) run->entities.push_back(entity ? entity : rowid);
  if (run->columns) return append_tuple(*run, tuple);
  run->tuples.push_back(tuple);
  ++run->count;
  run->bytes += tuple->t_len + 16;
  run->full = run->bytes >= kSpillBytes;
  if (run->count == kRowsAsTuples && may_be_columns(*run)) turn_into_columns(*run);
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
  cleared.moved = table.moved;
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
