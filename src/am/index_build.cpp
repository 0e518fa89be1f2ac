// Building indexes. One index serves every branch and every commit, so it gets an entry for every
// row version there is: in the store, in the log, and of this transaction.
#include "am/index_build.h"

#include "am/all_versions.h"
#include "am/brin.h"
#include "am/callbacks.h"
#include "am/omitted_rows.h"
#include "am/parallel_scan.h"
#include "am/prepared.h"
#include "am/rewrite.h"
#include "am/rowless.h"
#include "am/sample.h"
#include "am/truncation.h"
#include "pg/branch_ids.h"
#include "pg/catalog.h"
#include "pg/log.h"
#include "pg/snapshot.h"
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

// Uniqueness on the branches other than the session's, whose rows the index's own build does not
// compare: a sort of their live rows raises the same error. Deleted branches do not count. Parallel
// builds are not planned where there are such branches: see builds_in_parallel().
class OtherBranches {
 public:
  OtherBranches(const AllVersions& versions, Relation table, Relation index, IndexInfo* info,
                int32_t session_branch, bool parallel)
      : index_(index) {
    if (!info->ii_Unique || parallel) return;
    std::vector<int32_t> named = pg::named_branches();
    for (const TableView& view : versions.branches()) {
      bool counts = std::find(named.begin(), named.end(), view.view.branch) != named.end();
      if (counts && view.view.branch != session_branch) views_.push_back(&view);
    }
    for (const TableView* view : views_) {
      const char* name = pg::branch_name(view->view.branch);
      names_.push_back(pg::call([=] { return pstrdup(name); }));  // errors outlive this object
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
      name_branch_in_errors(names_[i]);  // where memory is full it sorts
      pg::call([&] { tuplesort_putindextuplevalues(sort, index, &tid, c->values, c->isnull); });
      name_branch_in_errors(nullptr);
    }
  }
  // Raises the unique violation where there is one.
  void finish() {
    for (size_t i = 0; i < sorts_.size(); ++i) {
      Tuplesortstate* sort = sorts_[i];
      name_branch_in_errors(names_[i]);
      pg::call([=] {
        tuplesort_performsort(sort);
        tuplesort_end(sort);
      });
      name_branch_in_errors(nullptr);
    }
  }

 private:
  Relation index_;
  std::vector<const TableView*> views_;
  std::vector<const char*> names_;
  std::vector<Tuplesortstate*> sorts_;
};

// The row versions that an index has no entry for, for they are live on no branch and the index's
// expressions might raise an error, or their key is too large: see omitted_rows.h.
class Omitted {
 public:
  Omitted(const AllVersions& versions, Relation index, const IndexInfo* info) : index_(index) {
    may_fail_ = pg::call([=] { return may_raise_errors(info); });
    measures_ = may_have_large_keys(index);
    if (!may_fail_ && !measures_) return;
    std::vector<int32_t> named = pg::named_branches();
    for (const TableView& view : versions.branches())
      if (std::find(named.begin(), named.end(), view.view.branch) != named.end())
        views_.push_back(&view);
  }
  // Before the columns are evaluated, and after.
  bool applies_to(uint64_t rowid) const { return may_fail_ && is_dead(rowid); }
  bool applies_to(uint64_t rowid, IndexColumns* c) const {
    return measures_ && is_too_large(index_, c->values, c->isnull) && is_dead(rowid);
  }
  void add(uint64_t rowid) { rows_.add(rowid); }
  const tree::RowidSet& rows() const { return rows_; }

 private:
  bool is_dead(uint64_t rowid) const {
    auto sees = [=](const TableView* view) { return view->sees(rowid); };
    return std::none_of(views_.begin(), views_.end(), sees);
  }

  Relation index_;
  bool may_fail_;
  bool measures_;
  std::vector<const TableView*> views_;
  tree::RowidSet rows_;
};

// What a build scans. A caller's own scan means the rows of its snapshot alone: amcheck looks for
// their entries. A parallel scan is PostgreSQL's, for a build by several processes: it has the
// snapshot of CREATE INDEX CONCURRENTLY, which all of them must look with, or none.
struct BuildScan {
  ParallelScan* shared = nullptr;
  Snapshot only = nullptr;   // these rows
  Snapshot state = nullptr;  // the branches as it sees them; nullptr = the newest state
  explicit BuildScan(TableScanDesc scan) {
    if (!scan) return;
    shared = parallel_scan_of(scan);
    if (IsMVCCSnapshot(scan->rs_snapshot)) (shared ? state : only) = scan->rs_snapshot;
  }
};

// What workers leave out is not put together.
[[noreturn]] void refuse_large_key(Relation index) {
  throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                     std::string("a deleted row has a key that is too large for index \"") +
                         RelationGetRelationName(index) + "\"",
                     "SET max_parallel_maintenance_workers = 0 to have it left out.");
}

// Of a row that other branches or commits have.
[[noreturn]] void refuse_dummies(Relation index) {
  throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                     std::string("index \"") + RelationGetRelationName(index) +
                         "\" cannot be emptied in place: it has expressions or a predicate",
                     "TRUNCATE the table by an SQL command.");
}

// The block of a table that a build is to begin with, and those of one range of a BRIN index are
// all that it is to summarise; InvalidBlockNumber: a whole index.
double build(Relation table, Relation index, IndexInfo* info, IndexBuildCallback callback,
             void* state, const BuildScan& scan, BlockNumber start) {
  const RelationInfo& relation = relation_info(table);
  std::optional<BrinRanges> ranges;
  if (index->rd_rel->relam == BRIN_AM_OID) ranges = ranges_to_summarize(index, relation, start);
  int32_t session_branch = scan.shared ? scan.shared->branch : versioning::session_view().branch;
  IndexColumns columns = pg::call([=] { return begin_columns(table, info); });
  IndexColumns* c = &columns;
  AllVersions versions(table, relation, scan.state);
  OtherBranches others(versions, table, index, info, session_branch, scan.shared != nullptr);
  TableView session = scan.state ? table_view_of_branch(relation, session_branch, scan.state)
                                 : latest_table_view(relation, session_branch);
  TableView seen = scan.only ? table_view(relation, scan.only) : session;
  Omitted omitted(versions, index, info);
  std::shared_ptr<const tree::RowidSet> before;
  if (scan.only) before = omitted_rows(RelationGetRelid(index));
  double live = 0;
  const bool by_dummies = pg::call([=] { return is_built_by_dummies(index, info); });
  auto visit = [&](uint64_t rowid) {
    if (by_dummies) refuse_dummies(index);
    if (scan.only && (!seen.sees(rowid) || (before && before->contains(rowid)))) return;
    // A range's summary outlives the transaction that a list of what it lacks would be of.
    bool whole = !scan.only && !scan.shared && start == InvalidBlockNumber;
    if (whole && omitted.applies_to(rowid)) return omitted.add(rowid);
    bool alive = session.sees(rowid);
    live += alive;
    if (!pg::call([=] { return form(*c); })) return;
    if (!scan.only && omitted.applies_to(rowid, c)) {
      if (scan.shared) refuse_large_key(index);
      return omitted.add(rowid);
    }
    ItemPointerData tid = to_tid(relation.tid_base, rowid);
    pg::call([&] { callback(index, &tid, c->values, c->isnull, alive, state); });
    others.add(rowid, tid, c);
  };
  if (ranges && start == InvalidBlockNumber) require_few_ranges(index, *ranges, versions.end());
  if (ranges)
    run_by_ranges(versions, *ranges, relation.tid_base, columns.slot, visit);
  else if (!scan.shared)
    versions.run(0, UINT64_MAX, columns.slot, visit);
  auto first_version = [&](uint64_t from) { return versions.first_version(from); };
  while (auto stretch = scan.shared ? take_stretch(*scan.shared, first_version) : std::nullopt)
    versions.run(stretch->first, stretch->last, columns.slot, visit);
  others.finish();
  pg::call([=] { end_columns(*c); });
  if (start != InvalidBlockNumber) pg::call([=] { serialize_summary(index, state, start); });
  // What CREATE INDEX CONCURRENTLY leaves out is known when all rows have been looked at again; a
  // build by several processes leaves nothing out.
  if (!scan.only && !scan.shared && !info->ii_Concurrent && start == InvalidBlockNumber)
    record_omitted_rows(RelationGetRelid(index), omitted.rows());
  return live;
}

// The rowids that the index has entries for, out of the sort of its TIDs.
std::vector<uint64_t> indexed_rowids(Tuplesortstate* sort, TidBase base) {
  std::vector<uint64_t> rowids;
  for (;;) {
    Datum value;
    bool isnull;
    bool more = pg::call([&] { return tuplesort_getdatum(sort, true, &value, &isnull, nullptr); });
    if (!more) return rowids;
    ItemPointerData tid;
    itemptr_decode(&tid, DatumGetInt64(value));
    rowids.push_back(to_rowid(base, tid));
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
  std::vector<uint64_t> present = indexed_rowids(state->tuplesort, relation.tid_base);
  std::sort(present.begin(), present.end());
  IndexColumns columns = pg::call([=] { return begin_columns(table, info); });
  IndexColumns* c = &columns;
  AllVersions versions(table, relation, nullptr);
  OtherBranches others(versions, table, index, info, versioning::session_view().branch, false);
  Omitted omitted(versions, index, info);
  TableView session = latest_table_view(relation, versioning::session_view().branch);
  state->htups +=
      static_cast<double>(versions.run(0, UINT64_MAX, columns.slot, [&](uint64_t rowid) {
        bool indexed = std::binary_search(present.begin(), present.end(), rowid);
        if (indexed && !info->ii_Unique) return;
        auto leave_out = [&] {
          if (!indexed && pg::call([=] { return written_before(c->slot, snapshot); }))
            omitted.add(rowid);
        };
        if (omitted.applies_to(rowid)) return leave_out();
        if (!pg::call([=] { return form(*c); })) return;
        if (omitted.applies_to(rowid, c)) return leave_out();
        ItemPointerData tid = to_tid(relation.tid_base, rowid);
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
  record_omitted_rows(RelationGetRelid(index), omitted.rows());
}

// Whether test(index) holds for an index of the table.
template <class Test>
bool any_index(Relation table, Test&& test) {
  bool found = false;
  List* indexes = RelationGetIndexList(table);
  ListCell* cell;
  foreach (cell, indexes) {
    Relation index = RelationIdGetRelation(lfirst_oid(cell));
    if (!index) continue;
    found |= test(index);
    RelationClose(index);
  }
  list_free(indexes);
  return found;
}

bool is_unique(Relation index) { return index->rd_index->indisunique; }

// Whether it is to be built in this transaction, and rows may have to be left out of it: only one
// process can do that.
bool may_be_built_in_part(Relation index) {
  bool is_built = !index->rd_index->indisvalid ||
                  index->rd_createSubid != InvalidSubTransactionId ||
                  index->rd_firstRelfilenodeSubid != InvalidSubTransactionId;
  return is_built && may_raise_errors(BuildIndexInfo(index));
}

}  // namespace

bool builds_in_parallel(Relation table) {
  if (has_pending()) return false;
  if (pg::call([=] { return any_index(table, may_be_built_in_part); })) return false;
  int32_t session_branch = versioning::session_view().branch;
  for (int32_t branch : pg::named_branches())
    if (branch != session_branch) return !pg::call([=] { return any_index(table, is_unique); });
  return true;
}

double index_build_range_scan(Relation table, Relation index, IndexInfo* info, bool, bool, bool,
                              BlockNumber start, BlockNumber blocks, IndexBuildCallback callback,
                              void* state, TableScanDesc scan) {
  bool part = start != 0 || blocks != InvalidBlockNumber;
  if (part && index->rd_rel->relam != BRIN_AM_OID)
    not_supported("index builds over a range of blocks", "Build the whole index.");
  if (!scan) pgstat_count_heap_scan(table);
  double live = pg::guard([=] {
    BuildScan build_scan(scan);
    return build(table, index, info, callback, state, build_scan,
                 part ? start : InvalidBlockNumber);
  });
  if (scan) table_endscan(scan);
  return live;
}

void index_validate_scan(Relation table, Relation index, IndexInfo* info, Snapshot snapshot,
                         ValidateIndexState* state) {
  pg::guard([=] {
    restore_prepared();  // unique checks follow under an index page's lock
    validate(table, index, info, snapshot, state);
  });
}

// Entries that a scan has marked are dead for good. Beside them, and where an index is about to
// split a page for new versions of the same rows, all the others are looked at: that takes no
// access to a page of the table.
TransactionId index_delete_tuples(Relation relation, TM_IndexDeleteOp* op) {
  return pg::guard([=] {
    const RelationInfo& info = relation_info(relation);
    uint64_t table = info.table;
    int dead = 0;
    for (int i = 0; i < op->ndeltids; ++i) {
      TM_IndexStatus& status = op->status[op->deltids[i].id];
      if (!status.knowndeletable)
        status.knowndeletable = is_dead_entry(table, to_rowid(info.tid_base, op->deltids[i].tid));
      dead += status.knowndeletable;
    }
    if (dead == 0) op->ndeltids = 0;
    store::DeadVersions* versions = versioning::dead_versions(table);
    if (!versions) return InvalidTransactionId;
    return static_cast<TransactionId>(versions->horizon().mark.xmax - 1);
  });
}

}  // namespace datahike::am
