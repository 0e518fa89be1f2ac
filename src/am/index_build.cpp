// Building indexes. One index serves every branch and every commit, so it gets an entry for every
// row version there is: in the store, in the log, and of this transaction.
#include "am/callbacks.h"

#include "am/fetch.h"
#include "am/floor.h"
#include "am/sample.h"
#include "am/slot.h"
#include "pg/branch_ids.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/log.h"
#include "pg/store.h"
#include "versioning/collected.h"

namespace datahike::am {

namespace {

// What evaluating an index's columns for a row needs. Plain PostgreSQL objects.
struct IndexColumns {
  IndexInfo* info;
  EState* estate;
  ExprState* predicate;
  TupleTableSlot* slot;
  Datum values[INDEX_MAX_KEYS];
  bool isnull[INDEX_MAX_KEYS];
};

IndexColumns begin_columns(Relation table, IndexInfo* info) {
  IndexColumns c{};
  c.info = info;
  c.estate = CreateExecutorState();
  c.slot = table_slot_create(table, nullptr);
  GetPerTupleExprContext(c.estate)->ecxt_scantuple = c.slot;
  c.predicate = ExecPrepareQual(info->ii_Predicate, c.estate);
  return c;
}

void end_columns(IndexColumns& c) {
  ExecDropSingleTupleTableSlot(c.slot);
  FreeExecutorState(c.estate);
  c.info->ii_ExpressionsState = NIL;
  c.info->ii_PredicateState = nullptr;
}

// False: a partial index leaves the row out. Plain PostgreSQL code.
bool form(IndexColumns& c) {
  ExprContext* context = GetPerTupleExprContext(c.estate);
  MemoryContextReset(context->ecxt_per_tuple_memory);
  MemoryContext old = MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
  bool wanted = !c.predicate || ExecQual(c.predicate, context);
  if (wanted) FormIndexDatum(c.info, c.slot, c.estate, c.values, c.isnull);
  MemoryContextSwitchTo(old);
  return wanted;
}

std::vector<int32_t> all_branches() {
  Snapshot s = pg::call([] { return GetLatestSnapshot(); });
  return pg::branches_with_heads(s);
}

// Every row version of a table at or above its horizon, each once. A fold may move rows from the
// log to the store meanwhile: rows of the log that are met in the store are remembered and not
// visited again.
class AllVersions {
  // Index expressions may run queries, at whose start unused views would be let go of.
  struct InUse {
    InUse() { versioning::begin_using_views(); }
    ~InUse() { versioning::end_using_views(); }
  } in_use_;

 public:
  AllVersions(Relation table, const RelationInfo& info) : table_(table), info_(info) {
    for (int32_t branch : all_branches()) views_.push_back(latest_table_view(info, branch));
  }

  // visit(rowid) finds the row in the slot.
  template <class Visit>
  uint64_t run(TupleTableSlot* slot, Visit&& visit) {
    uint64_t n = visit_store(slot, visit);
    for (const TableView& view : views_) n += visit_log(view, slot, visit);
    for (const TableView& view : views_) n += visit_own(view, slot, visit);
    return n;
  }

  const std::vector<TableView>& branches() const { return views_; }

 private:
  bool in_some_log(uint64_t rowid) const {
    for (const TableView& view : views_)
      if (versioning::Overlay::find_added(*view.table, rowid) != view.table->added.end())
        return true;
    return false;
  }

  template <class Visit>
  uint64_t visit_store(TupleTableSlot* slot, Visit& visit) {
    store::Environment* env = pg::try_store();
    if (!env) return 0;
    env->refresh();
    uint64_t n = 0, from = std::max(info_.horizon, info_.floor);
    if (from == kAllLost) return 0;
    for (;;) {
      std::optional<store::SegmentReader> segment = env->segment_at_or_after(info_.table, from);
      if (!segment) return n;
      uint64_t first = segment->first_rowid(), last = segment->last_rowid();
      for (uint64_t rowid = std::max(first, from); rowid <= last; ++rowid, ++n) {
        if (in_some_log(rowid)) met_in_store_.insert(rowid);
        if (versioning::is_dead_for_all(info_.table, rowid)) continue;
        // The visit may run SQL functions, which may renew the map.
        versioning::FoundRow row = row_in_store(*env, rowid);
        store_row(slot, rowid, row.segment, row.row, true);
        visit(rowid);
      }
      from = last + 1;
      pg::call([] { CHECK_FOR_INTERRUPTS(); });
    }
  }

  versioning::FoundRow row_in_store(store::Environment& env, uint64_t rowid) {
    bool stale = generation_ != env.generation() || rowid < segment_.first_rowid() ||
                 rowid > segment_.last_rowid();
    if (stale) {
      auto segment = env.segment(info_.table, rowid);
      if (!segment)
        throw CorruptError("row " + std::to_string(rowid) + " has vanished from the store");
      segment_ = *segment;
      generation_ = env.generation();
    }
    return {segment_, static_cast<uint32_t>(rowid - segment_.first_rowid()), true};
  }

  template <class Visit>
  uint64_t visit_log(const TableView& view, TupleTableSlot* slot, Visit& visit) {
    uint64_t n = 0;
    for (const auto& [first, run] : view.table->added) {
      bool below = first < view.floor;
      if (below || !run.transaction || run.sequence > view.view.limit) continue;
      for (uint64_t rowid = first; rowid < first + run.rows; ++rowid) {
        if (rowid < info_.horizon || met_in_store_.count(rowid)) continue;
        versioning::FoundRow row = versioning::load_row(run, info_.table, rowid);
        store_row(slot, rowid, row.segment, row.row, row.in_store);
        visit(rowid);
        if (++n % 1024 == 0) pg::call([] { CHECK_FOR_INTERRUPTS(); });
      }
    }
    return n;
  }

  // Own rows, those removed again too: a rollback to a savepoint may bring them back.
  template <class Visit>
  uint64_t visit_own(const TableView& view, TupleTableSlot* slot, Visit& visit) {
    TablePending* own = view.pending();
    if (!own) return 0;
    uint64_t n = 0;
    for (const auto& [first, run] : own->runs)
      for (uint64_t i = 0; i < run.count; ++i, ++n) {
        fetch_row(view, table_, info_, first + i, slot);
        visit(first + i);
      }
    return n;
  }

  void store_row(TupleTableSlot* slot, uint64_t rowid, const store::SegmentReader& segment,
                 uint32_t row, bool in_store) {
    store_segment_row(slot, table_, info_, rowid, segment, row, in_store);
  }

  Relation table_;
  const RelationInfo& info_;
  std::vector<TableView> views_;
  std::unordered_set<uint64_t> met_in_store_;
  store::SegmentReader segment_;
  uint64_t generation_ = UINT64_MAX;
};

// Uniqueness on the branches other than the session's, whose rows the index's own build does not
// compare: a sort of their live rows raises the same error. Deleted branches do not count.
class OtherBranches {
 public:
  OtherBranches(const AllVersions& versions, Relation table, Relation index, IndexInfo* info,
                int32_t session_branch)
      : index_(index) {
    if (!info->ii_Unique) return;
    std::vector<int32_t> named = pg::named_branches();
    for (const TableView& view : versions.branches()) {
      bool counts = std::find(named.begin(), named.end(), view.view.branch) != named.end();
      if (counts && view.view.branch != session_branch) views_.push_back(&view);
    }
    int memory = std::max<int>(64, maintenance_work_mem / static_cast<int>(views_.size() + 1));
    for (size_t i = 0; i < views_.size(); ++i)
      sorts_.push_back(pg::call([=] {
        return tuplesort_begin_index_btree(table, index, true, info->ii_NullsNotDistinct, memory,
                                           nullptr, TUPLESORT_NONE);
      }));
  }
  void add(uint64_t rowid, ItemPointerData tid, IndexColumns* c) {
    for (size_t i = 0; i < views_.size(); ++i) {
      if (!views_[i]->sees(rowid)) continue;
      Tuplesortstate* sort = sorts_[i];
      Relation index = index_;
      pg::call([&] { tuplesort_putindextuplevalues(sort, index, &tid, c->values, c->isnull); });
    }
  }
  // Raises the unique violation where there is one.
  void finish() {
    for (Tuplesortstate* sort : sorts_)
      pg::call([=] {
        tuplesort_performsort(sort);
        tuplesort_end(sort);
      });
  }

 private:
  Relation index_;
  std::vector<const TableView*> views_;
  std::vector<Tuplesortstate*> sorts_;
};

double build(Relation table, Relation index, IndexInfo* info, IndexBuildCallback callback,
             void* state, Snapshot only) {
  const RelationInfo& relation = relation_info(table);
  int32_t session_branch = versioning::session_view().branch;
  IndexColumns columns = pg::call([=] { return begin_columns(table, info); });
  IndexColumns* c = &columns;
  AllVersions versions(table, relation);
  OtherBranches others(versions, table, index, info, session_branch);
  TableView session = latest_table_view(relation, session_branch);
  TableView seen = only ? table_view(relation, only) : session;
  double live = 0;
  versions.run(columns.slot, [&](uint64_t rowid) {
    if (only && !seen.sees(rowid)) return;
    bool alive = session.sees(rowid);
    live += alive;
    if (!pg::call([=] { return form(*c); })) return;
    ItemPointerData tid = to_tid(rowid);
    pg::call([&] { callback(index, &tid, c->values, c->isnull, alive, state); });
    others.add(rowid, tid, c);
  });
  others.finish();
  pg::call([=] { end_columns(*c); });
  return live;
}

// The rowids that the index has entries for, out of the sort of its TIDs.
std::vector<uint64_t> indexed_rowids(Tuplesortstate* sort) {
  std::vector<uint64_t> rowids;
  for (;;) {
    Datum value;
    bool isnull;
    bool more = pg::call([&] { return tuplesort_getdatum(sort, true, &value, &isnull, nullptr); });
    if (!more) return rowids;
    ItemPointerData tid;
    itemptr_decode(&tid, DatumGetInt64(value));
    rowids.push_back(to_rowid(tid));
  }
}

// Whether the row's writer had committed when `snapshot` was taken. A later one makes the entry
// itself: it is one of those that had to wait until they knew the index.
bool written_before(TupleTableSlot* slot, Snapshot snapshot) {
  bool isnull;
  Datum xmin = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull);
  return !XidInMVCCSnapshot(DatumGetTransactionId(xmin), snapshot);
}

// The entries found in the index were listed after `snapshot` was taken, and writers go on adding
// theirs: only rows from before it can be said to lack one.
void validate(Relation table, Relation index, IndexInfo* info, Snapshot snapshot,
              ValidateIndexState* state) {
  const RelationInfo& relation = relation_info(table);
  std::vector<uint64_t> present = indexed_rowids(state->tuplesort);
  std::sort(present.begin(), present.end());
  IndexColumns columns = pg::call([=] { return begin_columns(table, info); });
  IndexColumns* c = &columns;
  AllVersions versions(table, relation);
  OtherBranches others(versions, table, index, info, versioning::session_view().branch);
  TableView session = latest_table_view(relation, versioning::session_view().branch);
  state->htups += static_cast<double>(versions.run(columns.slot, [&](uint64_t rowid) {
    bool indexed = std::binary_search(present.begin(), present.end(), rowid);
    if (indexed && !info->ii_Unique) return;
    if (!pg::call([=] { return form(*c); })) return;
    ItemPointerData tid = to_tid(rowid);
    others.add(rowid, tid, c);
    if (indexed || !pg::call([=] { return written_before(c->slot, snapshot); })) return;
    bool check = info->ii_Unique && session.sees(rowid);
    pg::call([&] {
      index_insert(index, c->values, c->isnull, &tid, table,
                   check ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, info);
    });
    state->tups_inserted += 1;
  }));
  others.finish();
  pg::call([=] { end_columns(*c); });
}

// A BRIN index is kept without entries: it summarises ranges of blocks, and the rows of a table
// have no blocks of their own here. The planner is not shown it, so nothing ever asks it.
double count_live(Relation table) {
  const RelationInfo& info = relation_info(table);
  return static_cast<double>(
      count_rows(latest_table_view(info, versioning::session_view().branch)));
}

}  // namespace

double index_build_range_scan(Relation table, Relation index, IndexInfo* info, bool, bool, bool,
                              BlockNumber start, BlockNumber blocks, IndexBuildCallback callback,
                              void* state, TableScanDesc scan) {
  if (index->rd_rel->relam == BRIN_AM_OID) {
    double live = pg::guard([=] { return count_live(table); });
    if (scan) table_endscan(scan);
    return live;
  }
  if (start != 0 || blocks != InvalidBlockNumber)
    not_supported("index builds over a range of blocks", "Build the whole index.");
  if (scan && scan->rs_parallel)
    not_supported("parallel index builds", "SET max_parallel_maintenance_workers = 0.");
  // A caller's own scan means the rows of its snapshot alone: amcheck looks for their entries.
  Snapshot only = scan && IsMVCCSnapshot(scan->rs_snapshot) ? scan->rs_snapshot : nullptr;
  if (!scan) pgstat_count_heap_scan(table);
  double live = pg::guard([=] { return build(table, index, info, callback, state, only); });
  if (scan) table_endscan(scan);
  return live;
}

void index_validate_scan(Relation table, Relation index, IndexInfo* info, Snapshot snapshot,
                         ValidateIndexState* state) {
  pg::guard([=] { validate(table, index, info, snapshot, state); });
}

// Entries that a scan has marked are dead for good. Beside them, and where an index is about to
// split a page for new versions of the same rows, all the others are looked at: that takes no
// access to a page of the table.
TransactionId index_delete_tuples(Relation relation, TM_IndexDeleteOp* op) {
  return pg::guard([=] {
    uint64_t table = relation_info(relation).table;
    int dead = 0;
    for (int i = 0; i < op->ndeltids; ++i) {
      TM_IndexStatus& status = op->status[op->deltids[i].id];
      if (!status.knowndeletable)
        status.knowndeletable = versioning::is_dead_for_all(table, to_rowid(op->deltids[i].tid));
      dead += status.knowndeletable;
    }
    if (dead == 0) op->ndeltids = 0;
    store::DeadVersions* versions = versioning::dead_versions(table);
    if (!versions) return InvalidTransactionId;
    return static_cast<TransactionId>(versions->horizon().mark.xmax - 1);
  });
}

}  // namespace datahike::am
