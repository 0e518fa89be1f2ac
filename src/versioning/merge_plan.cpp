// Which rows of a table a merge has to look at, and which of the three states' rows are the same
// row. What ours has changed is not walked: each row that theirs has changed is looked up there, by
// the primary key's index, else among the rows that ours has and base does not.
#include "versioning/merge.h"

#include "am/horizon.h"
#include "am/pending.h"
#include "pg/bridge.h"
#include "versioning/difference.h"
#include "versioning/row_security.h"

extern "C" {
#include "access/nbtree.h"
}

namespace datahike::versioning {

namespace {

constexpr int kTheirs = kMostBaseCommits;

// A row that theirs and a commit of the base do not share.
struct Candidate {
  MergeRow* row;
  int side;              // a commit of the base, or kTheirs
  uint32_t only_beside;  // of theirs: the commits of the base that do not have it, as bits
  MergeChange* change;   // what becomes of the row
};
struct Candidates {
  Candidate* item;
  size_t count;
};

struct Rowids {
  uint64_t* rowid;
  size_t count;
};

// A palloc'd copy.
Rowids copy_rowids(const std::vector<tree::RowidRange>& ranges, uint64_t floor) {
  std::vector<uint64_t> rowids;
  for (const tree::RowidRange& range : ranges)
    for (uint64_t i = 0; i < range.count; ++i)
      if (range.first + i >= floor) rowids.push_back(range.first + i);
  size_t bytes = sizeof(uint64_t) * (rowids.size() + 1);
  auto* copy =
      static_cast<uint64_t*>(pg::call([=] { return palloc_extended(bytes, MCXT_ALLOC_HUGE); }));
  std::copy(rowids.begin(), rowids.end(), copy);
  return {copy, rowids.size()};
}

Rowids only_in(const am::TableView& a, const am::TableView& b) {
  return pg::guard([&] {
    return copy_rowids(rows_only_in(a.view, b.view, a.table_id), std::max(a.floor, b.floor));
  });
}

OwnChanges own_changes(const am::TablePending& pending) {
  OwnChanges own;
  own.cleared = pending.cleared;
  for (const auto& [first, run] : pending.runs) append_range(own.added, first, run.count);
  for (const auto& [rowid, removal] : pending.removed) own.removed.push_back(rowid);
  std::sort(own.removed.begin(), own.removed.end());
  return own;
}

// Rows of ours, this transaction's changes included, that are not in the other view.
Rowids only_in_ours(const am::TableView& ours, const am::TableView& other) {
  return pg::guard([&] {
    am::TablePending* pending = ours.pending();
    OwnChanges own = pending ? own_changes(*pending) : OwnChanges();
    return copy_rowids(rows_only_in(Side{ours.view, &own}, Side{other.view}, ours.table_id),
                       ours.floor);
  });
}

MergeRow* read_row(TableMerge* t, const am::TableView& view, uint64_t rowid) {
  auto* row = static_cast<MergeRow*>(palloc0(sizeof(MergeRow)));
  row->rowid = rowid;
  row->entity = pg::guard([=, &view] {
    if (!am::fetch_row(view, t->relation, *t->info, rowid, t->slot))
      throw CorruptError("row " + std::to_string(rowid) + " of table " +
                         RelationGetRelationName(t->relation) + " is live but missing");
    return am::entity_of(view, rowid);
  });
  int n = t->desc->natts;
  MinimalTuple tuple = ExecCopySlotMinimalTuple(t->slot);
  ExecClearTuple(t->slot);
  HeapTupleData heap{};
  heap.t_len = tuple->t_len + MINIMAL_TUPLE_OFFSET;
  heap.t_data =
      reinterpret_cast<HeapTupleHeader>(reinterpret_cast<char*>(tuple) - MINIMAL_TUPLE_OFFSET);
  row->values = static_cast<Datum*>(palloc(sizeof(Datum) * n));
  row->nulls = static_cast<bool*>(palloc(sizeof(bool) * n));
  heap_deform_tuple(&heap, t->desc, row->values, row->nulls);
  CHECK_FOR_INTERRUPTS();
  return row;
}

int compare_entities(const void* a, const void* b) {
  auto x = static_cast<const EntityRow*>(a)->entity, y = static_cast<const EntityRow*>(b)->entity;
  return x < y ? -1 : x > y;
}

// By the order of the primary key's index, else by entity.
int compare_identity(const TableMerge* t, const MergeRow* a, const MergeRow* b) {
  if (!t->key) return a->entity < b->entity ? -1 : a->entity > b->entity;
  for (int k = 0; k < t->key_columns; ++k) {
    int i = t->key_column[k] - 1;
    // A commit from before the table had the key may have NULLs.
    if (a->nulls[i] != b->nulls[i]) return a->nulls[i] ? 1 : -1;
    if (a->nulls[i]) continue;
    int32 order = DatumGetInt32(FunctionCall2Coll(&t->key_order[k], t->key->rd_indcollation[k],
                                                  a->values[i], b->values[i]));
    if (order != 0) return order;
  }
  return 0;
}

int compare_candidates(const void* a, const void* b, void* table) {
  auto *x = static_cast<const Candidate*>(a), *y = static_cast<const Candidate*>(b);
  auto* t = static_cast<const TableMerge*>(table);
  if (int order = compare_identity(t, x->row, y->row)) return order;
  return x->side - y->side;
}

[[noreturn]] void refuse_ambiguous(TableMerge* t, const MergeRow* row) {
  ereport(ERROR,
          (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
           errmsg("cannot merge table \"%s\": several rows have one identity",
                  RelationGetRelationName(t->relation)),
           errdetail("Identity: %s.",
                     JsonbToCString(nullptr, &DatumGetJsonbP(key_jsonb(t, row))->root, 0)),
           errhint("Commits from before the primary key was made may have duplicates; make the "
                   "rows differ on the branch.")));
  pg_unreachable();
}

// The row of ours with the key of `like`.
MergeRow* find_by_key(TableMerge* t, const MergeRow* like) {
  for (int k = 0; k < t->key_columns; ++k) {
    int i = t->key_column[k] - 1;
    if (like->nulls[i]) return nullptr;
    t->key_scan[k].sk_argument = like->values[i];
  }
  index_rescan(t->scan, t->key_scan, t->key_columns, nullptr, 0);
  if (!index_getnext_slot(t->scan, ForwardScanDirection, t->slot)) return nullptr;
  uint64_t rowid = am::to_rowid(am::relation_info(t->relation).tid_base, t->slot->tts_tid);
  if (index_getnext_slot(t->scan, ForwardScanDirection, t->slot)) refuse_ambiguous(t, like);
  return read_row(t, t->ours, rowid);
}

MergeRow* find_by_entity(TableMerge* t, uint64_t entity) {
  EntityRow wanted{entity, 0};
  EntityRow* end = t->ours_added + t->ours_added_rows;
  auto* found = static_cast<EntityRow*>(
      bsearch(&wanted, t->ours_added, t->ours_added_rows, sizeof(EntityRow), compare_entities));
  if (!found) return nullptr;
  MergeRow* row = read_row(t, t->ours, found->rowid);
  bool several = (found > t->ours_added && found[-1].entity == entity) ||
                 (found + 1 < end && found[1].entity == entity);
  if (several) refuse_ambiguous(t, row);
  return row;
}

// The row of ours that `group` is about. One of its versions that is still live needs no look-up.
MergeRow* find_ours(TableMerge* t, const Candidates& group) {
  for (size_t i = 0; i < group.count; ++i) {
    MergeRow* row = group.item[i].row;
    if (!pg::guard([=] { return t->ours.sees(row->rowid); })) continue;
    auto* same = static_cast<MergeRow*>(palloc(sizeof(MergeRow)));
    *same = *row;
    return same;
  }
  MergeRow* like = group.item[0].row;
  return t->key ? find_by_key(t, like) : find_by_entity(t, like->entity);
}

void load_ours_added(TableMerge* t) {
  Rowids rowids = only_in_ours(t->ours, t->base[0]);
  size_t bytes = sizeof(EntityRow) * (rowids.count + 1);
  t->ours_added = static_cast<EntityRow*>(palloc_extended(bytes, MCXT_ALLOC_HUGE));
  t->ours_added_rows = rowids.count;
  for (size_t i = 0; i < rowids.count; ++i) {
    uint64_t rowid = rowids.rowid[i];
    uint64_t entity = pg::guard([=] { return am::entity_of(t->ours, rowid); });
    t->ours_added[i] = {entity, rowid};
    CHECK_FOR_INTERRUPTS();
  }
  qsort(t->ours_added, t->ours_added_rows, sizeof(EntityRow), compare_entities);
}

// Rows of which theirs has given up the key keep their entity under the new key: what would be a
// deletion and an insertion becomes one update, so that who waits for the old version finds the new
// one. Where ours has kept the old one, the row under the new key is a new entity: no two live rows
// are of one.
void join_moved_keys(TableMerge* t, const Candidates& all) {
  auto* gone = static_cast<EntityRow*>(
      palloc_extended(sizeof(EntityRow) * (all.count + 1), MCXT_ALLOC_HUGE));
  size_t n = 0;
  for (size_t i = 0; i < all.count; ++i)
    if (all.item[i].side != kTheirs) gone[n++] = {all.item[i].row->entity, i};
  qsort(gone, n, sizeof(EntityRow), compare_entities);
  ListCell* cell;
  foreach (cell, t->changes) {
    auto* change = static_cast<MergeChange*>(lfirst(cell));
    if (change->ours || !change->values || change->base) continue;
    EntityRow wanted{change->entity, 0};
    auto* found =
        static_cast<EntityRow*>(bsearch(&wanted, gone, n, sizeof(EntityRow), compare_entities));
    if (!found) continue;
    MergeChange* before = all.item[found->rowid].change;
    bool moves = before && before->ours && !before->values && !before->cancelled &&
                 before->ours->entity == change->entity;
    if (!moves) {
      change->entity = 0;
      continue;
    }
    change->ours = before->ours;
    change->base = before->base;
    before->cancelled = true;
  }
}

// btree's own functions for the key's columns.
void describe_key(TableMerge* t) {
  Relation key = t->key;
  int n = t->key_columns = IndexRelationGetNumberOfKeyAttributes(key);
  t->key_column = static_cast<AttrNumber*>(palloc(sizeof(AttrNumber) * n));
  t->key_scan = static_cast<ScanKeyData*>(palloc0(sizeof(ScanKeyData) * n));
  t->key_order = static_cast<FmgrInfo*>(palloc0(sizeof(FmgrInfo) * n));
  for (int k = 0; k < n; ++k) {
    t->key_column[k] = key->rd_index->indkey.values[k];
    Oid type = key->rd_opcintype[k];
    Oid equal = get_opfamily_member(key->rd_opfamily[k], type, type, BTEqualStrategyNumber);
    if (!OidIsValid(equal)) elog(ERROR, "no equality operator for the primary key");
    ScanKeyEntryInitialize(&t->key_scan[k], 0, static_cast<AttrNumber>(k + 1),
                           BTEqualStrategyNumber, InvalidOid, key->rd_indcollation[k],
                           get_opcode(equal), 0);
    fmgr_info_copy(&t->key_order[k], index_getprocinfo(key, k + 1, BTORDER_PROC),
                   CurrentMemoryContext);
  }
}

// The primary key's index, deferrable ones included; nullptr if there is none.
Relation open_primary_key(Relation relation, LOCKMODE lock) {
  Relation found = nullptr;
  List* indexes = RelationGetIndexList(relation);
  ListCell* cell;
  foreach (cell, indexes) {
    Relation index = index_open(lfirst_oid(cell), lock);
    bool is_key = index->rd_index->indisprimary && index->rd_index->indisvalid;
    if (is_key && !found)
      found = index;
    else
      index_close(index, NoLock);
  }
  list_free(indexes);
  return found;
}

TableMerge* open_table(Merge* merge, Oid relation, LOCKMODE lock) {
  auto* t = static_cast<TableMerge*>(palloc0(sizeof(TableMerge)));
  t->merge = merge;
  t->relation = table_open(relation, lock);
  t->info = &am::relation_info(t->relation);
  t->desc = RelationGetDescr(t->relation);
  t->slot = table_slot_create(t->relation, nullptr);
  t->compared = static_cast<bool*>(palloc(sizeof(bool) * t->desc->natts));
  for (int i = 0; i < t->desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(t->desc, i);
    t->compared[i] = !att->attisdropped && !att->attgenerated;
  }
  t->key = open_primary_key(t->relation, lock);
  if (t->key) describe_key(t);
  return t;
}

}  // namespace

TableMerge* open_table_merge(Merge* merge, Oid relation, const View* base, const View& theirs) {
  TableMerge* t = open_table(merge, relation, RowExclusiveLock);
  require_readable(t->relation);
  pg::guard([&] {
    am::refuse_older_rows(t->relation, *t->info, session_view().branch);
    for (int i = 0; i < merge->request->base.commits; ++i)
      t->base[i] = am::table_view_in(*t->info, base[i]);
    t->theirs = am::table_view_in(*t->info, theirs);
    t->ours = am::table_view(*t->info, GetActiveSnapshot());
  });
  if (t->key)
    t->scan = index_beginscan(t->relation, t->key, GetActiveSnapshot(), t->key_columns, 0);
  return t;
}

void close_table_merge(TableMerge* t) {
  if (t->scan) index_endscan(t->scan);
  if (t->key) index_close(t->key, NoLock);
  ExecDropSingleTupleTableSlot(t->slot);
  table_close(t->relation, NoLock);
}

namespace {

struct TheirsRow {
  uint64_t rowid;
  uint32_t only_beside;
};

int compare_rowids(const void* a, const void* b) {
  auto x = static_cast<const TheirsRow*>(a)->rowid, y = static_cast<const TheirsRow*>(b)->rowid;
  return x < y ? -1 : x > y;
}

// Rows of theirs that several commits of the base do not have are one.
size_t unite(TheirsRow* rows, size_t count) {
  qsort(rows, count, sizeof(TheirsRow), compare_rowids);
  size_t n = 0;
  for (size_t i = 0; i < count; ++i) {
    if (n > 0 && rows[n - 1].rowid == rows[i].rowid)
      rows[n - 1].only_beside |= rows[i].only_beside;
    else
      rows[n++] = rows[i];
  }
  return n;
}

// In the order of identities.
Candidates read_candidates(TableMerge* t) {
  int commits = t->merge->request->base.commits;
  Rowids of_theirs[kMostBaseCommits], of_base[kMostBaseCommits];
  size_t theirs = 0, count = 0, n = 0;
  for (int c = 0; c < commits; ++c) {
    of_theirs[c] = only_in(t->theirs, t->base[c]);
    of_base[c] = only_in(t->base[c], t->theirs);
    theirs += of_theirs[c].count;
    count += of_base[c].count;
  }
  auto* rows =
      static_cast<TheirsRow*>(palloc_extended(sizeof(TheirsRow) * (theirs + 1), MCXT_ALLOC_HUGE));
  for (int c = 0; c < commits; ++c)
    for (size_t i = 0; i < of_theirs[c].count; ++i)
      rows[n++] = {of_theirs[c].rowid[i], uint32_t{1} << c};
  theirs = unite(rows, n);
  Candidates all{};
  all.item = static_cast<Candidate*>(
      palloc_extended(sizeof(Candidate) * (theirs + count + 1), MCXT_ALLOC_HUGE));
  for (int c = 0; c < commits; ++c)
    for (size_t i = 0; i < of_base[c].count; ++i)
      all.item[all.count++] = {read_row(t, t->base[c], of_base[c].rowid[i]), c, 0, nullptr};
  for (size_t i = 0; i < theirs; ++i)
    all.item[all.count++] = {read_row(t, t->theirs, rows[i].rowid), kTheirs, rows[i].only_beside,
                             nullptr};
  qsort_arg(all.item, all.count, sizeof(Candidate), compare_candidates, t);
  return all;
}

MergeChange* merge_group(TableMerge* t, const Candidates& group) {
  MergeRow* row[kMostBaseCommits + 1] = {};
  uint32_t only_beside = 0;
  for (size_t i = 0; i < group.count; ++i) {
    const Candidate& c = group.item[i];
    if (row[c.side]) refuse_ambiguous(t, c.row);
    row[c.side] = c.row;
    only_beside |= c.only_beside;
  }
  // A commit that theirs differs from elsewhere has the version that theirs has.
  MergeRow* theirs = row[kTheirs];
  for (int c = 0; c < t->merge->request->base.commits; ++c)
    if (!row[c] && theirs && !(only_beside >> c & 1)) row[c] = theirs;
  return merge_row(t, merge_base_rows(t, row), find_ours(t, group), theirs);
}

}  // namespace

void plan_table_merge(TableMerge* t) {
  Candidates all = read_candidates(t);
  if (all.count == 0) return;
  if (!t->key) load_ours_added(t);
  for (size_t i = 0; i < all.count;) {
    Candidates group{all.item + i, 0};
    while (i < all.count && compare_identity(t, group.item->row, all.item[i].row) == 0) {
      ++group.count;
      ++i;
    }
    MergeChange* change = merge_group(t, group);
    for (size_t k = 0; k < group.count; ++k) group.item[k].change = change;
  }
  if (t->key) join_moved_keys(t, all);
}

void count_differences(Oid relation, const View& from, const View& to, int64* inserted,
                       int64* updated, int64* deleted) {
  MemoryContext memory =
      AllocSetContextCreate(CurrentMemoryContext, "datahike difference", ALLOCSET_DEFAULT_SIZES);
  MemoryContext old = MemoryContextSwitchTo(memory);
  MergeRequest request{};
  request.base.commits = 1;
  Merge merge{};
  merge.request = &request;
  refuse_row_security(relation, "count differences of");
  TableMerge* t = open_table(&merge, relation, AccessShareLock);
  pg::guard([&] {
    t->base[0] = am::table_view_in(*t->info, from);
    t->theirs = am::table_view_in(*t->info, to);
  });
  Candidates all = read_candidates(t);
  for (size_t i = 0; i < all.count;) {
    const Candidate* first = &all.item[i];
    int64 gone = 0, new_ones = 0;
    for (; i < all.count && compare_identity(t, first->row, all.item[i].row) == 0; ++i)
      ++(all.item[i].side == kTheirs ? new_ones : gone);
    if (gone == 1 && new_ones == 1 && same_row(t, first[0].row, first[1].row)) continue;
    *updated += std::min(gone, new_ones);
    *inserted += std::max<int64>(new_ones - gone, 0);
    *deleted += std::max<int64>(gone - new_ones, 0);
  }
  close_table_merge(t);
  MemoryContextSwitchTo(old);
  MemoryContextDelete(memory);
}

}  // namespace datahike::versioning
