// Three-way merges. `base`, `ours` and `theirs` are three states of the same tables; what has
// changed between base and theirs is done to ours, the branch that the session writes, row by row
// and cell by cell. Rows of the three are the same row if they have the same primary key, in tables
// without one if they are of the same entity. docs/decisions/070 has the rules.
//
// Everything here runs in frames that own nothing with a destructor, so PostgreSQL may raise errors
// anywhere; C++ that owns something is called through pg::guard.
#pragma once

#include "am/fetch.h"
#include "versioning/merge_base.h"
#include "versioning/view.h"

namespace datahike::versioning {

enum class MergeStrategy : uint8_t { Fail, Ours, Theirs, Union, Resolver };

struct MergeRequest {
  MergeBase base;
  store::Uuid theirs;  // a commit
  MergeStrategy strategy;
  Oid resolver;              // of MergeStrategy::Resolver
  bool resolver_takes_text;  // the table's name, not a regclass
  bool dry_run;              // say what would be done, change nothing, and list the conflicts
  bool fast_forward;         // ours is the base: say what setting the branch to theirs would change
};

// One conflict, as datahike.conflicts() shows it. Datums are jsonb; 0 = NULL.
struct MergeConflict {
  Oid relation;
  Datum key;
  const char* column;      // nullptr: the whole row
  const char* kind;        // "cell", "insert/insert", "delete/update", "update/delete",
                           // "unique", "foreign key", "check", "not null", "exclusion"
  const char* constraint;  // of the last five, where it has a name
  Datum base, ours, theirs;
};

struct MergeResult {
  int64 inserted, updated, deleted;
  int64 conflicts;      // those a strategy has resolved included
  int64 unresolved;     // if there are any, nothing has been done
  List* list;           // of MergeConflict*, where they were asked for
  bool self_contained;  // of fast_forward: see is_self_contained()
};

// Does it, in the current transaction, or nothing at all. The session's branch is locked against
// other merges. Errors: 40001 where rows have changed meanwhile, 42501, 0A000 (row security),
// those of the resolver.
MergeResult merge_states(const MergeRequest& request);

// A version of a row in one of the three states.
struct MergeRow {
  uint64_t rowid, entity;
  Datum* values;
  bool* nulls;
  bool* unknown;  // cells of a merged base that its commits do not agree on; nullptr: none
};

// What is done to one row of ours.
struct MergeChange {
  MergeRow *base, *ours, *theirs;  // nullptr: there is none
  Datum* values;                   // what it becomes; nullptr: it is deleted
  bool* nulls;
  uint64_t entity;  // of what it becomes; 0 = a new one
  uint64_t rowid;   // given when it is inserted
  bool cancelled;   // another change does this one's work
  bool failed;      // it violates a constraint
};

struct EntityRow {
  uint64_t entity, rowid;
};

// One table of a merge, open.
struct TableMerge {
  struct Merge* merge;
  Relation relation;
  const am::RelationInfo* info;
  TupleDesc desc;
  am::TableView base[kMostBaseCommits];  // of the base's commits
  am::TableView ours, theirs;
  TupleTableSlot* slot;  // for reading
  bool* compared;        // by attribute: a column of the merge, neither dropped nor generated
  Relation key;          // the primary key's index; nullptr: rows are paired by entity
  int key_columns;
  AttrNumber* key_column;  // from 1
  ScanKeyData* key_scan;
  FmgrInfo* key_order;    // btree's comparison functions
  IndexScanDesc scan;     // over the key in ours
  EntityRow* ours_added;  // without key: rows that ours has and base[0] does not, by entity
  size_t ours_added_rows;
  List* changes;  // of MergeChange*
  TriggerDesc* triggers;
  ResultRelInfo* target;
  TupleTableSlot* target_slot;
  void** domains;  // by attribute: cache of domain_check
};

struct RowToLock {
  Oid relation;
  uint64_t rowid;
  LockTupleMode mode;
};

struct Merge {
  const MergeRequest* request;
  MemoryContext memory;
  FmgrInfo resolver;
  bool resolver_takes_text;  // the table's name, not a regclass
  EState* estate;
  CommandId cid;
  List* tables;  // of TableMerge*, those with changes
  int attempts;
  List* to_lock;     // of RowToLock*: after an attempt that met rows changing
  int64 violations;  // of constraints
  MergeResult result;
};

// merge_rows.cpp: what becomes of one row; added to `changes`. nullptr: it stays as it is.
MergeChange* merge_row(TableMerge* table, MergeRow* base, MergeRow* ours, MergeRow* theirs);
// The row of the base, where that is a merge; `row` are those of the base's commits.
MergeRow* merge_base_rows(TableMerge* table, MergeRow* const* row);
// By what is stored, not by the type's equality: 1.0 and 1.00 differ.
bool same_row(const TableMerge* table, const MergeRow* a, const MergeRow* b);
bool same_cell(const TableMerge* table, int column, const Datum* a, const bool* a_nulls,
               const Datum* b, const bool* b_nulls);

// merge_plan.cpp
TableMerge* open_table_merge(Merge* merge, Oid relation, const View* base, const View& theirs);
void plan_table_merge(TableMerge* table);
void close_table_merge(TableMerge* table);

// Rows of `to` and `from` that are not the same, paired as in a merge.
void count_differences(Oid relation, const View& from, const View& to, int64* inserted,
                       int64* updated, int64* deleted);

// merge_privileges.cpp. Errors: 42501; 0A000 where policies apply to the caller.
void require_readable(Relation relation);
void require_merge_privileges(TableMerge* table);

// merge.cpp. The first owns memory: for C++ frames.
std::set<uint64_t> changed_tables(const store::Uuid& a, const store::Uuid& b);
bool has_rows_to_merge(Oid relation);

// merge_apply.cpp. False: rows have changed since they were read.
bool apply_merge(Merge* merge);
void count_changes(TableMerge* table);
// Whether the table's constraints, which hold where theirs has been committed, are sure to hold
// here: not where heap tables have a part in them, or where one is checked on one branch alone.
bool is_self_contained(const TableMerge* table);
// Whether it has constraints beside the key that pairs its rows: a commit may be older than they
// are.
bool may_violate_constraints(const TableMerge* table);
bool key_changes(TableMerge* table, const MergeChange* change);  // what a foreign key may refer to

// merge_conflicts.cpp
void note_conflict(TableMerge* table, const MergeChange& rows, int column, const char* kind);
void note_violation(TableMerge* table, const MergeChange* change, const ErrorData* error);
Datum key_jsonb(TableMerge* table, const MergeRow* row);
Datum row_jsonb(TableMerge* table, const MergeRow* row);  // 0: no row
Datum cell_jsonb(TableMerge* table, const MergeRow* row, int column);
// What the resolver makes of a conflict, into the columns that its answer names: the one that is
// asked about; `column` < 0: those of a row. False: NULL.
bool ask_resolver(TableMerge* table, const MergeChange& rows, int column, Datum* values,
                  bool* nulls);
bool is_violation(const ErrorData* error);  // of a constraint, as conflicts name them

}  // namespace datahike::versioning
