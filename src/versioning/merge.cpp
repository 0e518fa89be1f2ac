// A merge of two states into the session's branch: plans it table by table, does it in a
// subtransaction, and undoes that where conflicts are left.
#include "versioning/merge.h"

#include "am/callbacks.h"
#include "am/pending.h"
#include "am/slot.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/store.h"
#include "store/version_tree.h"
#include "versioning/difference.h"

namespace datahike::versioning {

namespace {

constexpr int kMostAttempts = 10;
constexpr int kAttemptsForViolations = 3;

void add_tables_of(const store::CommitState& state, std::set<uint64_t>& tables) {
  for (const auto& delta : state.deltas)
    for (const store::TableDelta& table : delta->tables) tables.insert(table.table);
}

}  // namespace

// Tables whose rows may differ between the two commits.
std::set<uint64_t> changed_tables(const store::Uuid& a, const store::Uuid& b) {
  store::Environment& env = pg::open_store();
  store::CommitState x = store::load_state(env, a), y = store::load_state(env, b);
  std::set<uint64_t> tables;
  add_tables_of(x, tables);
  add_tables_of(y, tables);
  tree::diff(env, x.root, y.root, [&](const tree::Difference& d) {
    const Bytes& key = (d.before ? d.before : d.after)->key;
    if (auto table = store::table_of_live_key(key)) tables.insert(*table);
    return true;
  });
  return tables;
}

// Dropped tables and those that have become heap tables have no branches to merge; materialized
// views are REFRESHed.
bool has_rows_to_merge(Oid relation) {
  if (!OidIsValid(relation) || get_rel_relkind(relation) != RELKIND_RELATION) return false;
  Relation opened = try_relation_open(relation, AccessShareLock);
  if (!opened) return false;
  bool ours = opened->rd_tableam && opened->rd_tableam->slot_callbacks &&
              opened->rd_tableam->slot_callbacks(opened) == &am::slot_operations;
  relation_close(opened, NoLock);
  return ours;
}

namespace {

// The relations to merge, as a list of Oid.
List* relations_to_merge(const MergeRequest& request) {
  return pg::guard([&] {
    List* relations = NIL;
    std::set<uint64_t> tables;
    for (int i = 0; i < request.base.commits; ++i)
      tables.merge(changed_tables(request.base.commit[i], request.theirs));
    for (uint64_t table : tables)
      relations = pg::call([=] {
        Oid relation = pg::find_relation(table);
        return has_rows_to_merge(relation) ? lappend_oid(relations, relation) : relations;
      });
    return relations;
  });
}

void plan(Merge* merge) {
  const MergeRequest& request = *merge->request;
  View base[kMostBaseCommits], theirs;
  View *b = base, *t = &theirs;
  pg::guard([=, &request] {
    for (int i = 0; i < request.base.commits; ++i) b[i] = view_of_commit(request.base.commit[i]);
    *t = view_of_commit(request.theirs);
  });
  List* relations = relations_to_merge(request);
  ListCell* cell;
  foreach (cell, relations) {
    TableMerge* table = open_table_merge(merge, lfirst_oid(cell), base, theirs);
    plan_table_merge(table);
    require_merge_privileges(table);
    if (table->changes == NIL)
      close_table_merge(table);
    else
      merge->tables = lappend(merge->tables, table);
  }
}

// A REPEATABLE READ snapshot may be from before another merge that has brought the same rows, which
// no unique index need notice. REQUIRES: the branch is locked against merges.
void refuse_rows_brought_meanwhile(const TableMerge* t) {
  pg::guard([=] {
    am::TableView latest = am::latest_table_view(*t->info, t->ours.view.branch);
    std::set<uint64_t> entities;
    for (const tree::RowidRange& range : rows_only_in(latest.view, t->ours.view, t->ours.table_id))
      for (uint64_t i = 0; i < range.count; ++i)
        entities.insert(am::entity_of(latest, range.first + i));
    if (entities.empty()) return;
    for (int i = 0; i < list_length(t->changes); ++i) {
      auto* c = static_cast<MergeChange*>(list_nth(t->changes, i));
      if (!c->cancelled && !c->ours && entities.count(c->entity))
        throw pg::SqlError(ERRCODE_T_R_SERIALIZATION_FAILURE,
                           "could not serialize access due to a concurrent merge",
                           "Retry the transaction.");
    }
  });
}

// Whether the branch is still in the state that the merge has read.
bool stands_still(const TableMerge* t) {
  return pg::guard([=] {
    View latest = latest_view(t->ours.view.branch);
    return latest.overlay == t->ours.view.overlay && latest.limit == t->ours.view.limit;
  });
}

// Where constraints may be younger than the commit, the merge is made, to be undone, as
// conflicts() does: what it would refuse is not to be brought in by a fast-forward. False: as
// attempt().
bool describe_fast_forward(Merge* merge) {
  bool self_contained = merge->result.unresolved == 0, to_be_checked = false;
  ListCell* cell;
  foreach (cell, merge->tables) {
    auto* t = static_cast<TableMerge*>(lfirst(cell));
    self_contained &= is_self_contained(t);
    to_be_checked |= may_violate_constraints(t);
  }
  if (self_contained && to_be_checked) {
    if (!apply_merge(merge)) return false;
  } else {
    foreach (cell, merge->tables) count_changes(static_cast<TableMerge*>(lfirst(cell)));
  }
  merge->result.self_contained = self_contained && merge->violations == 0;
  return true;
}

// False: rows have changed since they were read.
bool attempt(Merge* merge) {
  CommandCounterIncrement();
  bool fixed = IsolationUsesXactSnapshot();
  PushActiveSnapshot(fixed ? GetTransactionSnapshot() : GetLatestSnapshot());
  plan(merge);
  ListCell* cell;
  if (fixed)
    foreach (cell, merge->tables)
      refuse_rows_brought_meanwhile(static_cast<TableMerge*>(lfirst(cell)));
  // Also where conflicts are left: what it would violate is counted with them.
  bool done = merge->request->fast_forward ? describe_fast_forward(merge) : apply_merge(merge);
  // A violation may be that of a row that somebody has just committed, and that is to be merged.
  // On a branch that never stands still it is reported all the same.
  if (done && merge->violations > 0 && !fixed && merge->attempts < kAttemptsForViolations)
    done = stands_still(static_cast<TableMerge*>(linitial(merge->tables)));
  foreach (cell, merge->tables)
    if (done) close_table_merge(static_cast<TableMerge*>(lfirst(cell)));
  PopActiveSnapshot();
  return done;
}

// What a failed attempt was going to change, in memory that outlives it.
void remember_rows(Merge* merge, MemoryContext memory) {
  MemoryContext old = MemoryContextSwitchTo(memory);
  ListCell* cell;
  foreach (cell, merge->tables) {
    auto* t = static_cast<TableMerge*>(lfirst(cell));
    for (int i = 0; i < list_length(t->changes); ++i) {
      auto* c = static_cast<MergeChange*>(list_nth(t->changes, i));
      if (c->cancelled || !c->ours) continue;
      auto* row = static_cast<RowToLock*>(palloc(sizeof(RowToLock)));
      *row = {RelationGetRelid(t->relation), c->ours->rowid,
              key_changes(t, c) ? LockTupleExclusive : LockTupleNoKeyExclusive};
      merge->to_lock = lappend(merge->to_lock, row);
    }
  }
  MemoryContextSwitchTo(old);
}

// Before the next attempt and outside its subtransaction: locks the newest versions of those rows,
// so that in the end, however busy the branch is, they stand still.
void lock_remembered_rows(Merge* merge) {
  ListCell* cell;
  Snapshot snapshot = GetActiveSnapshot();
  foreach (cell, merge->to_lock) {
    auto* row = static_cast<RowToLock*>(lfirst(cell));
    Relation relation = table_open(row->relation, RowShareLock);
    TupleTableSlot* slot = table_slot_create(relation, nullptr);
    ItemPointerData tid = am::to_tid(am::relation_info(relation).tid_base, row->rowid);
    TM_FailureData failure;
    // Whether it is still there, the next attempt will see.
    table_tuple_lock(relation, &tid, snapshot, slot, GetCurrentCommandId(false), row->mode,
                     LockWaitBlock, TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
    ExecDropSingleTupleTableSlot(slot);
    table_close(relation, NoLock);
  }
  list_free(merge->to_lock);
  merge->to_lock = NIL;
}

// In a subtransaction, which is kept if there is anything to keep. False: as attempt().
bool attempt_in_subtransaction(Merge* merge) {
  ResourceOwner owner = CurrentResourceOwner;
  MemoryContext memory = CurrentMemoryContext;
  volatile bool done = false;
  BeginInternalSubTransaction(nullptr);
  MemoryContextSwitchTo(merge->memory);
  begin_using_views();
  PG_TRY();
  {
    done = attempt(merge);
    if (!done) remember_rows(merge, memory);
    const MergeRequest* request = merge->request;
    if (done && merge->result.unresolved == 0 && !request->dry_run && !request->fast_forward)
      ReleaseCurrentSubTransaction();
    else
      RollbackAndReleaseCurrentSubTransaction();
  }
  PG_CATCH();
  {
    MemoryContextSwitchTo(memory);
    ErrorData* error = CopyErrorData();
    FlushErrorState();
    RollbackAndReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(memory);
    CurrentResourceOwner = owner;
    end_using_views();
    ReThrowError(error);
  }
  PG_END_TRY();
  end_using_views();
  MemoryContextSwitchTo(memory);
  CurrentResourceOwner = owner;
  return done;
}

}  // namespace

MergeResult merge_states(const MergeRequest& request) {
  auto* merge = static_cast<Merge*>(palloc0(sizeof(Merge)));
  merge->request = &request;
  if (request.strategy == MergeStrategy::Resolver) {
    fmgr_info(request.resolver, &merge->resolver);
    merge->resolver_takes_text = request.resolver_takes_text;
  }
  for (merge->attempts = 1;; ++merge->attempts) {
    merge->memory =
        AllocSetContextCreate(CurrentMemoryContext, "datahike merge", ALLOCSET_DEFAULT_SIZES);
    merge->tables = NIL;
    merge->result = {};
    merge->violations = 0;
    if (attempt_in_subtransaction(merge)) break;
    // READ COMMITTED looks again at what is there now.
    if (IsolationUsesXactSnapshot() || merge->attempts == kMostAttempts)
      ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                      errmsg("could not serialize access due to concurrent update"),
                      errhint("Retry the transaction.")));
    if (!request.dry_run) lock_remembered_rows(merge);
    MemoryContextDelete(merge->memory);
  }
  MergeResult result = merge->result;
  if (result.unresolved > 0) result.inserted = result.updated = result.deleted = 0;
  return result;
}

}  // namespace datahike::versioning
