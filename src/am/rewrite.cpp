#include "am/rewrite.h"

#include "am/added_defaults.h"
#include "am/fetch.h"
#include "am/flatten.h"
#include "am/horizon.h"
#include "am/rowid_blocks.h"
#include "am/rowids.h"
#include "am/sample.h"
#include "am/serializable.h"
#include "am/slot.h"
#include "am/table_difference.h"
#include "pg/branch_ids.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/log.h"

extern "C" {
#include "executor/nodeModifyTable.h"
}

namespace datahike::am {

namespace {

struct Rewrite {
  Oid owner = InvalidOid;  // the table that is rewritten
  uint64_t table = 0;      // its table id, once prepared
  SubTransactionId sub = InvalidSubTransactionId;
  bool to_datahike = false;       // its new access method; the old one is datahike
  bool refresh = false;           // REFRESH MATERIALIZED VIEW: a query fills it, or nothing
  bool scanned = false;           // its scan has begun,
  bool prepared = false;          // has been asked for a row,
  bool complete = false;          // and has returned the last one
  std::vector<int32_t> branches;  // still to be scanned, the last one first
  int32_t branch = -1;            // of the row returned last,
  uint64_t entity = 0;            // and its identity
  uint64_t horizon = 0;           // new rowids begin here; 0: anywhere
  std::map<int32_t, TablePending*> set_aside;  // by branch: own changes as they were before
  bool is_running() const { return prepared && !complete; }
};
std::map<Oid, Rewrite> rewrites;  // by transient relation
const char* named_branch = nullptr;

// Memory of the transaction: an error may leave it set until the transaction's end.
void name_branch(int32_t branch) {
  named_branch = nullptr;
  if (branch != versioning::session_view().branch)
    named_branch = MemoryContextStrdup(TopTransactionContext, pg::branch_name(branch));
}

bool is_datahike(Relation relation) {
  return relation->rd_tableam && relation->rd_tableam->slot_callbacks &&
         relation->rd_tableam->slot_callbacks(relation) == &slot_operations;
}

// What the hook has to know of a relation. Plain PostgreSQL code.
struct Created {
  Oid owner = InvalidOid;
  bool is_datahike = false;
  bool from_datahike = false;
  bool is_view = false;
};
Created look_at(Oid oid) {
  Created c;
  Relation relation = RelationIdGetRelation(oid);
  if (!relation) return c;
  c.owner = relation->rd_rel->relrewrite;
  c.is_datahike = is_datahike(relation);
  RelationClose(relation);
  Relation old = OidIsValid(c.owner) ? RelationIdGetRelation(c.owner) : nullptr;
  if (!old) return c;
  c.from_datahike = is_datahike(old);
  c.is_view = old->rd_rel->relkind == RELKIND_MATVIEW;
  RelationClose(old);
  return c;
}

// Whether the branch has rows of the table, this transaction's included.
bool has_rows(const RelationInfo& info, int32_t branch) {
  const TablePending* own = find_pending(branch, info.table);
  if (own && !own->empty()) return !own->runs.empty() || !own->cleared;
  TableView view = latest_table_view(info, branch);
  return count_rows(view) > 0;
}

void refuse_to_leave_rows(Oid owner) {
  Relation relation = pg::call([=] { return table_open(owner, NoLock); });
  const RelationInfo& info =
      pg::call([=]() -> const RelationInfo& { return relation_info(relation); });
  int32_t session = versioning::session_view().branch;
  bool elsewhere = false;
  for (int32_t branch : pg::named_branches())
    elsewhere |= branch != session && has_rows(info, branch);
  std::string name = RelationGetRelationName(relation);
  pg::call([=] { table_close(relation, NoLock); });
  if (elsewhere)
    throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                       "cannot give table \"" + name +
                           "\" another access method while it has rows on other branches",
                       "Only the rows of one branch can be kept. Delete the table's rows on the "
                       "other branches, or the branches.");
}

bool same_types(TupleDesc before, TupleDesc after) {
  for (int i = 0; i < std::min(before->natts, after->natts); ++i) {
    FormData_pg_attribute* a = TupleDescAttr(before, i);
    FormData_pg_attribute* b = TupleDescAttr(after, i);
    if (a->attisdropped || b->attisdropped) continue;
    if (a->atttypid != b->atttypid || a->atttypmod != b->atttypmod) return false;
  }
  return true;
}

// Before the first row. `before` describes the table as it was.
void prepare(Rewrite& r, Relation relation, const RelationInfo& info, TupleDesc before) {
  r.prepared = true;
  r.table = info.table;
  const versioning::SessionView& session = versioning::session_view();
  versioning::require_writable(session, "rewrite a table");
  save_added_defaults(relation, before);
  r.branches.push_back(session.branch);
  if (!r.to_datahike) return;
  std::vector<int32_t> named = pg::named_branches();
  std::sort(named.begin(), named.end(), std::greater<>());
  std::erase(named, session.branch);
  r.branches.insert(r.branches.begin(), named.begin(), named.end());
  if (same_types(before, RelationGetDescr(relation))) return;
  uint64_t table = info.table;
  r.horizon = pg::call([=] { return begin_block(table); });
}

// Deleted branches keep their rows as they are, as history does.
bool lock_branch(int32_t branch, bool is_session_branch) {
  pg::call([=] { pg::lock_branch_for_write(branch); });
  return is_session_branch || pg::is_named_branch(branch);
}

// The table is emptied, for its rows to be written anew under other rowids.
TablePending* move_rows(const TableView& view, TablePending& pending) {
  bool others_know_some =
      !pending.cleared && versioning::Overlay::count_rows(*view.table, view.view.limit) > 0;
  if (others_know_some) note_moved_rows(pending.table, pending.branch);
  TablePending* before = clear_table(pending, pg::call([] { return GetCurrentCommandId(true); }));
  pending.moved |= others_know_some;
  return before;
}

// Whether the branch has other rows than the transaction's snapshot sees, where all its statements
// have the same one.
bool has_unseen_changes(const RelationInfo& info, int32_t branch) {
  if (!IsolationUsesXactSnapshot()) return false;
  Snapshot snapshot = pg::call([] { return GetTransactionSnapshot(); });
  if (!pg::read_head(branch, snapshot)) return false;  // made since: nobody reads it by this one
  TableView seen = table_view_of_branch(info, branch, snapshot);
  TableView latest = latest_table_view(info, branch);
  return !rows_only_in(seen, latest).empty() || !rows_only_in(latest, seen).empty();
}

// The same where the rows stay what they are. They are the transaction's own then, and it would see
// among them what others have done since its snapshot was taken, as ALTER TABLE lets it on heap.
TablePending* move_same_rows(const RelationInfo& info, const TableView& view,
                             TablePending& pending) {
  bool unseen = pending.moved_unseen || has_unseen_changes(info, view.view.branch);
  TablePending* before = move_rows(view, pending);
  pending.moved_unseen = unseen;
  return before;
}

// To the next branch that has rows of the table. What the transaction has pending there is set
// aside for the scan, and the table is empty for what is inserted.
bool enter_next_branch(Rewrite& r, Relation relation, const RelationInfo& info, Snapshot snapshot,
                       std::unique_ptr<RowCursor>& cursor) {
  int32_t session = versioning::session_view().branch;
  while (!r.branches.empty()) {
    r.branch = r.branches.back();
    r.branches.pop_back();
    if (r.to_datahike && !lock_branch(r.branch, r.branch == session)) continue;
    if (!has_rows(info, r.branch)) continue;
    TableView view = latest_table_view(info, r.branch);
    view.command = snapshot->curcid;
    if (r.to_datahike) {
      TablePending& pending = pending_for(relation, info, r.branch, Purpose::Replace);
      view.set_aside = move_rows(view, pending);
      r.set_aside[r.branch] = view.set_aside;
    }
    cursor = std::make_unique<RowCursor>(view);
    name_branch(r.branch);
    return true;
  }
  return false;
}

uint64_t entity_in(const TupleTableSlot* slot, const TableView& view, uint64_t rowid) {
  const auto* s = reinterpret_cast<const Slot*>(slot);
  return s->table != 0 ? s->segment.entity(s->row) : entity_of(view, rowid);
}

// Rows of one branch, sorted by a btree index; each with its entity in place of its TID.
class SortedRows {
 public:
  SortedRows(Relation relation, Relation index)
      : slot_(pg::call([=] { return table_slot_create(relation, nullptr); })), sort_(pg::call([=] {
          return tuplesort_begin_cluster(RelationGetDescr(relation), index, maintenance_work_mem,
                                         nullptr, TUPLESORT_NONE);
        })) {}
  TupleTableSlot* slot() const { return slot_; }
  void add(uint64_t entity) {
    TupleTableSlot* slot = slot_;
    Tuplesortstate* sort = sort_;
    pg::call([=] {
      HeapTuple tuple = ExecCopySlotHeapTuple(slot);
      tuple->t_self = to_tid(kNoTidBase, entity);
      tuplesort_putheaptuple(sort, tuple);
      heap_freetuple(tuple);
      CHECK_FOR_INTERRUPTS();
    });
  }
  // visit(tuple, entity) in the index's order; the tuple is in the memory of pending rows.
  template <class Visit>
  void finish(Visit&& visit) {
    Tuplesortstate* sort = sort_;
    pg::call([=] { tuplesort_performsort(sort); });
    for (;;) {
      ItemPointerData entity;
      ItemPointerData* out = &entity;
      MinimalTuple tuple = pg::call([=]() -> MinimalTuple {
        CHECK_FOR_INTERRUPTS();
        HeapTuple next = tuplesort_getheaptuple(sort, true);
        if (!next) return nullptr;
        *out = next->t_self;
        MemoryContext old = MemoryContextSwitchTo(pending_memory());
        MinimalTuple copy = minimal_tuple_from_heap_tuple(next);
        MemoryContextSwitchTo(old);
        return copy;
      });
      if (!tuple) break;
      visit(tuple, to_rowid(kNoTidBase, entity));
    }
    TupleTableSlot* slot = slot_;
    pg::call([=] {
      tuplesort_end(sort);
      ExecDropSingleTupleTableSlot(slot);
    });
  }

 private:
  TupleTableSlot* slot_;
  Tuplesortstate* sort_;
};

// Whether REFRESH has come to write rows; not so WITH NO DATA.
bool has_filled(Oid transient, Oid view) {
  uint64_t table = pg::call([=] { return pg::find_table_id(view); });
  const TablePending* pending = find_pending(versioning::session_view().branch, table);
  return pending && pending->rewritten_by == transient;
}

// A table that becomes a heap table is empty for the branches that are made from now on, and so is
// a materialized view WITH NO DATA on the session's branch. The floor goes with the file: what an
// UNLOGGED table had must not come back when it is a datahike table again, which it will be under
// another id.
void clear_left_table(Oid transient, Oid owner) {
  Relation relation = pg::call([=] { return table_open(transient, NoLock); });
  const RelationInfo& info =
      pg::call([=]() -> const RelationInfo& { return relation_info(relation); });
  bool forget = info.floor > 0 || relation->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED;
  TablePending& pending =
      pending_for(relation, info, versioning::session_view().branch, Purpose::Replace);
  clear_table(pending, pg::call([] { return GetCurrentCommandId(true); }));
  pg::call([=] {
    if (forget) pg::forget_table_id(owner);
    table_close(relation, NoLock);
  });
}

// What constraints and generated columns want of a converted row. Plain PostgreSQL code.
struct Checker {
  EState* estate;
  ResultRelInfo* result;
  TupleTableSlot* slot;
};
Checker begin_checking(Relation relation) {
  Checker c{CreateExecutorState(), makeNode(ResultRelInfo), table_slot_create(relation, nullptr)};
  InitResultRelInfo(c.result, relation, 0, nullptr, 0);
  return c;
}
void check(const Checker& c) {
  TupleConstr* constraints = RelationGetDescr(c.result->ri_RelationDesc)->constr;
  if (!constraints) return;
  ResetPerTupleExprContext(c.estate);
  if (constraints->has_generated_stored)
    ExecComputeStoredGenerated(c.result, c.estate, c.slot, CMD_INSERT);
  ExecConstraints(c.result, c.slot, c.estate);
}
void end_checking(const Checker& c) {
  ExecDropSingleTupleTableSlot(c.slot);
  FreeExecutorState(c.estate);
}

}  // namespace

void rewrite_begins(Oid created) {
  Created c = pg::call([=] { return look_at(created); });
  if (!c.from_datahike) return;
  if (!c.is_datahike) refuse_to_leave_rows(c.owner);
  Rewrite r;
  r.owner = c.owner;
  r.sub = GetCurrentSubTransactionId();
  r.to_datahike = c.is_datahike;
  r.refresh = c.is_view && c.is_datahike;
  rewrites[created] = r;
}

void rewrite_ends(Oid dropped) {
  auto at = rewrites.find(dropped);
  if (at == rewrites.end()) return;
  Rewrite r = at->second;
  rewrites.erase(at);
  if (r.refresh ? !has_filled(dropped, r.owner) : !r.to_datahike && r.complete)
    clear_left_table(dropped, r.owner);
}

Oid take_rewrite(Relation relation) {
  for (auto& [target, r] : rewrites) {
    if (r.owner != RelationGetRelid(relation) || r.scanned || r.refresh) continue;
    Oid oid = target;
    bool exists = pg::call([=] { return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(oid)); });
    if (!exists) continue;  // of a subtransaction that was rolled back
    r.scanned = true;
    return target;
  }
  return InvalidOid;
}

bool next_row_to_rewrite(Oid target, Relation relation, Snapshot snapshot,
                         std::unique_ptr<RowCursor>& cursor, TupleTableSlot* slot) {
  Rewrite& r = rewrites.at(target);
  const RelationInfo& info =
      pg::call([=]() -> const RelationInfo& { return relation_info(relation); });
  if (!r.prepared) prepare(r, relation, info, slot->tts_tupleDescriptor);
  for (;;) {
    if (!cursor && !enter_next_branch(r, relation, info, snapshot, cursor)) break;
    if (cursor->step(true)) {
      cursor->fetch(relation, info, slot);
      r.entity = entity_in(slot, cursor->view(), cursor->rowid());
      return true;
    }
    cursor.reset();
  }
  r.complete = true;
  named_branch = nullptr;
  return false;
}

RewrittenRow place_of_rewritten_row(Oid target, const RelationInfo& info) {
  auto at = rewrites.find(target);
  if (at == rewrites.end() || !at->second.scanned) return {};
  Rewrite& r = at->second;
  TablePending* pending = find_pending(r.branch, info.table);
  if (!pending || r.entity == 0)
    throw pg::SqlError(ERRCODE_INTERNAL_ERROR, "a row is inserted that no scan has returned");
  return {pending, std::exchange(r.entity, 0), r.horizon};
}

bool finish_rewrite(Oid target) {
  auto at = rewrites.find(target);
  if (at == rewrites.end() || !at->second.scanned) return false;
  const Rewrite& r = at->second;
  if (!r.complete)
    throw pg::SqlError(ERRCODE_INTERNAL_ERROR,
                       "the table has been rewritten without the rows of all branches");
  if (r.horizon != 0) {
    Oid owner = r.owner;
    uint64_t horizon = r.horizon;
    pg::call([=] { pg::set_horizon(owner, horizon); });
  }
  return true;
}

void forget_rewrite(Oid target) { rewrites.erase(target); }

bool any_rewrite() { return !rewrites.empty(); }

void forget_rewrites() {
  rewrites.clear();
  named_branch = nullptr;
}

// Subtransactions that began later have greater ids.
void forget_rewrites_since(SubTransactionId sub) {
  std::erase_if(rewrites, [=](const auto& entry) { return entry.second.sub >= sub; });
}

TablePending* set_aside_by_rewrite(uint64_t table, int32_t branch) {
  for (auto& [target, r] : rewrites) {
    if (!r.is_running() || r.table != table || !r.to_datahike) continue;
    if (r.horizon != 0)
      throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                         "cannot read a table while the types of its columns change",
                         "A function that the command calls reads the table.");
    auto at = r.set_aside.find(branch);
    return at == r.set_aside.end() ? nullptr : at->second;
  }
  return nullptr;
}

void refuse_changes_during_rewrite(Relation relation, uint64_t table) {
  for (auto& [target, r] : rewrites)
    if (r.is_running() && r.table == table)
      throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                         std::string("cannot change table \"") + RelationGetRelationName(relation) +
                             "\" while it is being rewritten",
                         "A function that the command calls changes the table.");
}

const char* branch_in_errors() { return named_branch; }

void name_branch_in_errors(const char* branch) { named_branch = branch; }

bool branch_has_rows(Oid table, int32_t branch) {
  Relation relation = pg::call([=] { return table_open(table, NoLock); });
  const RelationInfo& info =
      pg::call([=]() -> const RelationInfo& { return relation_info(relation); });
  bool found = has_rows(info, branch);
  pg::call([=] { table_close(relation, NoLock); });
  return found;
}

void convert_older_rows(Relation relation) {
  const RelationInfo& info =
      pg::call([=]() -> const RelationInfo& { return relation_info(relation); });
  if (info.horizon == 0) return;
  Checker checker = pg::call([=] { return begin_checking(relation); });
  for (int32_t branch : pg::named_branches()) {
    if (!lock_branch(branch, false)) continue;
    TableView view = latest_table_view(info, branch);
    if (!has_older_rows(view, info)) continue;
    CommandId cid = pg::call([] { return GetCurrentCommandId(true); });
    name_branch(branch);
    TablePending& pending = pending_for(relation, info, branch, Purpose::Replace);
    view.set_aside = move_same_rows(info, view, pending);
    for (RowCursor cursor(view); cursor.step(true);) {
      cursor.fetch(relation, info, checker.slot);
      const Checker* c = &checker;
      const RelationInfo* i = &info;
      MinimalTuple tuple = pg::call([=] {
        check(*c);
        return flatten(relation, c->slot, *i);
      });
      uint64_t rowid = next_rowid(info.table, branch, info.horizon);
      add_pending_row(pending, rowid, tuple, entity_of(view, cursor.rowid()), cid, info,
                      RelationGetDescr(relation));
    }
    named_branch = nullptr;
  }
  const Checker* c = &checker;
  pg::call([=] { end_checking(*c); });
}

void sort_rows(Relation relation, Relation index) {
  const RelationInfo& info =
      pg::call([=]() -> const RelationInfo& { return relation_info(relation); });
  versioning::require_writable(versioning::session_view(), "CLUSTER");
  int32_t session = versioning::session_view().branch;
  for (int32_t branch : pg::named_branches()) {
    if (!lock_branch(branch, branch == session) || !has_rows(info, branch)) continue;
    CommandId cid = pg::call([] { return GetCurrentCommandId(true); });
    name_branch(branch);
    TableView view = latest_table_view(info, branch);
    TablePending& pending = pending_for(relation, info, branch, Purpose::Replace);
    view.set_aside = move_same_rows(info, view, pending);
    SortedRows rows(relation, index);
    for (RowCursor cursor(view); cursor.step(true);) {
      cursor.fetch(relation, info, rows.slot());
      rows.add(entity_in(rows.slot(), view, cursor.rowid()));
    }
    rows.finish([&](MinimalTuple tuple, uint64_t entity) {
      uint64_t rowid = next_rowid(info.table, branch, info.horizon);
      add_pending_row(pending, rowid, tuple, entity, cid, info, RelationGetDescr(relation));
    });
    named_branch = nullptr;
  }
}

}  // namespace datahike::am
