// What this transaction has written and not committed: new row versions, removed rowids, locks;
// with command and subtransaction so that visibility inside the transaction and ROLLBACK TO work.
#pragma once

#include "am/relation.h"
#include "pg/pg.h"
#include "store/delta.h"
#include "store/environment.h"
#include "store/segment_columns.h"

namespace datahike::am {

// How rows were formed: survives changes of the table's definition within the transaction.
struct Shape {
  TupleDesc desc = nullptr;  // its own
  std::vector<Attribute> attributes;
  std::vector<store::ColumnSpec> specs;
  Shape() = default;
  Shape(const Shape&) = delete;
  Shape& operator=(const Shape&) = delete;
  ~Shape() {
    if (desc) FreeTupleDesc(desc);
  }
};

// Rows with consecutive rowids that one command of one subtransaction wrote. Few are tuples, many
// are columns (pending_columns.h): as either they are read, removed and encoded.
struct PendingRun {
  uint64_t first = 0;
  uint64_t count = 0;
  CommandId cid = 0;
  TransactionId xid = InvalidTransactionId;  // of the subtransaction
  SubTransactionId sub = InvalidSubTransactionId;
  const Shape* shape = nullptr;
  std::vector<MinimalTuple> tuples;                // empty: columns, or spilled
  std::unique_ptr<store::SegmentColumns> columns;  // nullptr: tuples, or spilled
  std::vector<uint64_t> entities;                  // empty: every row is its own entity
  size_t bytes = 0;                                // of memory
  bool full = false;                               // takes no more rows, and is to be spilled
  std::vector<store::SegmentPlace> places;         // spilled: where in the log
  uint64_t entity(uint64_t i) const { return entities.empty() ? first + i : entities[i]; }
};

// A row version that this transaction removed; its own or a committed one.
struct PendingRemoval {
  CommandId cid = 0;
  SubTransactionId sub = InvalidSubTransactionId;
  uint64_t successor = 0;  // 0 = deleted
  bool moved_partition = false;
};

struct TablePending {
  uint64_t table = 0;
  int32_t branch = 0;
  Oid relation = InvalidOid;
  bool cleared = false;           // the committed rows are gone,
  CommandId cleared_cid = 0;      // for commands after this one
  bool moved = false;             // and written anew under other rowids,
  bool moved_unseen = false;      // among them some that this transaction must not see
  Oid rewritten_by = InvalidOid;  // transient relation whose rewrite cleared it
  uint64_t first_rowid = 0;       // that rewrite's rows begin here; 0: anywhere
  bool takes_rows = false;        // see omitted_rows.h
  bool fired_triggers = false;    // changed row by row, not by a command that rewrites the table
  bool superseded_own = false;    // perhaps: `removed` has rows that are in `runs`
  uint64_t stamp = 0;             // of the definition that `schema` describes
  Bytes schema;                   // to be recorded; empty = recorded already
  std::vector<std::shared_ptr<const Shape>> shapes;
  std::map<uint64_t, PendingRun> runs;
  std::unordered_map<uint64_t, PendingRemoval> removed;
  PendingRun* last_run = nullptr;  // where the last row went
  bool empty() const { return runs.empty() && removed.empty() && !cleared; }
};

// Pending changes of a table on a branch; nullptr if there are none.
TablePending* find_pending(int32_t branch, uint64_t table);
bool has_pending();
bool has_pending_on(int32_t branch);
// For a row of the table that is not to be found on the branch. Throws 0A000 if this transaction
// has changed the table on another branch: a trigger that was queued there fires while this one is
// set.
void refuse_row_of_other_branch(int32_t branch, uint64_t table);
[[noreturn]] void refuse_check_on_other_branch();
bool has_pending_of(uint64_t table);
bool has_row_locks();
bool has_locked(int32_t branch);  // the branch's lock, by writing or locking rows
// What this session remembers of branches is forgotten: one is at another commit now.
// REQUIRES: this transaction has no pending changes on it.
void branch_was_reset(int32_t branch);
void resets_were_undone() noexcept;
// Makes the entry, and with the first of the transaction takes the branch's lock. Who is going to
// change rows has the table's schema described and needs the right to (42501: branch_protection.h),
// who only locks them has not. Rows from before a column changed its type cannot be changed one by
// one (0A000), but all of them be replaced.
enum class Purpose { Lock, Change, Replace };
TablePending& pending_for(Relation relation, const RelationInfo& info, int32_t branch,
                          Purpose purpose = Purpose::Change);

// The branch's recorded schema of this table is that of definition `stamp`.
void schema_is_recorded(const TablePending& table);

// The commit that the transaction will make on the branch has `commit` as a further parent. Undone
// by ROLLBACK TO. A transaction that has nothing else to commit on the branch commits that.
void add_merge_parent(int32_t branch, const store::Uuid& commit);
std::vector<store::Uuid> merge_parents(int32_t branch);
bool has_merge_parents(int32_t branch);
std::vector<int32_t> branches_with_merge_parents();

struct PendingRow {
  PendingRun* run = nullptr;
  uint64_t index = 0;
  explicit operator bool() const { return run != nullptr; }
};
PendingRow find_pending_row(TablePending& table, uint64_t rowid);

// The tuple (already flattened, in the pending memory context) becomes row `rowid`.
// entity 0 = its own.
void add_pending_row(TablePending& table, uint64_t rowid, MinimalTuple tuple, uint64_t entity,
                     CommandId cid, const RelationInfo& info, TupleDesc desc);
// The run that the row, its own entity, is to be added to as columns, by append_rows() or
// append_row(); nullptr: it is to be a tuple. rows: how many are known to come with it.
PendingRun* columns_for(TablePending& table, uint64_t rowid, uint64_t rows, CommandId cid,
                        const RelationInfo& info, TupleDesc desc);
// How many rows more the run of the last row takes if it goes on, or else a new one, and how many
// bytes of values, of which it takes one row more than fits.
uint64_t rows_in_last_run(const TablePending& table);
size_t bytes_in_last_run(const TablePending& table);
void remove_row(TablePending& table, uint64_t rowid, CommandId cid, uint64_t successor,
                bool moved_partition);
// Whether a rollback to a savepoint may bring a row back that was written by one subtransaction and
// removed by another.
bool may_come_back(SubTransactionId written, SubTransactionId removed);
void drop_pending_row(TablePending& table, uint64_t rowid);  // a failed speculative insertion
// TRUNCATE, or a rewrite. What was pending is kept for ROLLBACK, and for a scan that began before.
TablePending* clear_table(TablePending& table, CommandId cid);
void remember_row_lock(int32_t branch, uint64_t entity, LockTupleMode mode);
MemoryContext pending_memory();

// Visibility of own rows: `command` = InvalidCommandId sees everything done so far.
bool own_row_visible(const TablePending& table, const PendingRun& run, uint64_t rowid,
                     CommandId command);
// Whether this transaction has emptied the table of committed rows before `command`.
bool own_cleared(const TablePending& table, CommandId command);
// Whether this transaction removed the row before `command`.
bool own_removed(const TablePending& table, uint64_t rowid, CommandId command);

// Whether this transaction has removed the row version, of whatever table.
bool own_removed_any(int32_t branch, uint64_t rowid);

// A row of a run that has been written to the log already.
store::SegmentReader read_spilled(const TablePending& table, const PendingRun& run, uint64_t index,
                                  uint32_t* row);

// Transaction callbacks.
void begin_subtransaction(SubTransactionId sub);
void commit_subtransaction(SubTransactionId sub);
void abort_subtransaction(SubTransactionId sub);
void write_pending_to_log();  // PRE_COMMIT
enum class Ended { Committed, RolledBack, Prepared };
void end_pending(Ended how);  // forgets everything, releases locks

// A row lock or removal that counts when the transaction is prepared.
struct PendingLock {
  bool removal;
  LockTupleMode mode;
  int32_t branch;
  uint64_t first, count;  // entities if locked, rowids if removed
};
std::vector<PendingLock> pending_locks();
void leave_pending();  // at PREPARE: locks and removals stay in the shared tables

std::vector<TablePending*> pending_tables();  // those with changes, by branch and table
void mark_written();

// Encoding of runs, shared by spilling and committing (pending_encode.cpp).
void spill(TablePending& table, PendingRun& run);
uint32_t take_part_number(int32_t branch);
inline constexpr size_t kSpillBytes = 4 << 20;  // of a run in memory

}  // namespace datahike::am
