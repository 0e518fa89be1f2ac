// Which rows of a table a merge has to look at, and which of the three states' rows are the same
// row. What ours has changed is not walked: each row that theirs has changed is looked up there, by
// the primary key's index, else among the rows that ours has and base does not.
#include "versioning/merge.h"

#include "am/horizon.h"
#include "am/pending.h"
#include "pg/bridge.h"
#include "versioning/difference.h"

extern "C" {
#include "access/nbtree.h"
#include "catalog/partition.h"
#include "utils/rls.h"
}

namespace datahike::versioning {

namespace {

// A row that base and theirs do not share.
struct Candidate {
  MergeRow* row;
  bool of_theirs;
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
  return x->of_theirs - y->of_theirs;
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
  uint64_t rowid = am::to_rowid(t->slot->tts_tid);
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

// A row version of base that is still live in ours is the row; it needs no look-up.
MergeRow* find_ours(TableMerge* t, MergeRow* base, MergeRow* theirs) {
  if (base && pg::guard([=] { return t->ours.sees(base->rowid); })) {
    auto* same = static_cast<MergeRow*>(palloc(sizeof(MergeRow)));
    *same = *base;
    return same;
  }
  MergeRow* like = base ? base : theirs;
  return t->key ? find_by_key(t, like) : find_by_entity(t, like->entity);
}

void load_ours_added(TableMerge* t) {
  Rowids rowids = only_in_ours(t->ours, t->base);
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
void join_moved_keys(TableMerge* t, Candidate* candidates, size_t count) {
  auto* gone =
      static_cast<EntityRow*>(palloc_extended(sizeof(EntityRow) * (count + 1), MCXT_ALLOC_HUGE));
  size_t n = 0;
  for (size_t i = 0; i < count; ++i)
    if (!candidates[i].of_theirs) gone[n++] = {candidates[i].row->entity, i};
  qsort(gone, n, sizeof(EntityRow), compare_entities);
  ListCell* cell;
  foreach (cell, t->changes) {
    auto* change = static_cast<MergeChange*>(lfirst(cell));
    if (change->ours || !change->values || change->base) continue;
    EntityRow wanted{change->entity, 0};
    auto* found =
        static_cast<EntityRow*>(bsearch(&wanted, gone, n, sizeof(EntityRow), compare_entities));
    if (!found) continue;
    MergeChange* before = candidates[found->rowid].row->change;
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
Relation open_primary_key(Relation relation) {
  Relation found = nullptr;
  List* indexes = RelationGetIndexList(relation);
  ListCell* cell;
  foreach (cell, indexes) {
    Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);
    bool is_key = index->rd_index->indisprimary && index->rd_index->indisvalid;
    if (is_key && !found)
      found = index;
    else
      index_close(index, NoLock);
  }
  list_free(indexes);
  return found;
}

// Partitions are reached through their parents' privileges too.
bool may(Relation relation, AclMode mode, const Bitmapset* columns, bool all_columns) {
  Oid user = GetUserId();
  List* tables = list_make1_oid(RelationGetRelid(relation));
  if (relation->rd_rel->relispartition)
    tables = list_concat(tables, get_partition_ancestors(RelationGetRelid(relation)));
  ListCell* cell;
  foreach (cell, tables) {
    Oid table = lfirst_oid(cell);
    if (pg_class_aclcheck(table, user, mode) == ACLCHECK_OK) return true;
    if (mode == ACL_DELETE) continue;
    if (all_columns && pg_attribute_aclcheck_all(table, user, mode, ACLMASK_ALL) == ACLCHECK_OK)
      return true;
    int i = -1;
    bool each = !all_columns;
    while (each && (i = bms_next_member(columns, i)) >= 0) {
      const char* name = NameStr(TupleDescAttr(RelationGetDescr(relation), i)->attname);
      AttrNumber number = get_attnum(table, name);
      each = pg_attribute_aclcheck(table, number, user, mode) == ACLCHECK_OK;
    }
    if (each) return true;
  }
  return false;
}

void require(Relation relation, AclMode mode, const Bitmapset* columns, bool all_columns) {
  if (may(relation, mode, columns, all_columns)) return;
  aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(relation));
}

void refuse_row_security(Relation relation) {
  List* tables = list_make1_oid(RelationGetRelid(relation));
  if (relation->rd_rel->relispartition)
    tables = list_concat(tables, get_partition_ancestors(RelationGetRelid(relation)));
  ListCell* cell;
  foreach (cell, tables) {
    if (check_enable_rls(lfirst_oid(cell), InvalidOid, false) != RLS_ENABLED) continue;
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot merge table \"%s\" with row-level security",
                           get_rel_name(lfirst_oid(cell))),
                    errhint("Merge as a role that bypasses the table's policies.")));
  }
}

}  // namespace

TableMerge* open_table_merge(Merge* merge, Oid relation, const View& base, const View& theirs) {
  auto* t = static_cast<TableMerge*>(palloc0(sizeof(TableMerge)));
  t->merge = merge;
  t->relation = table_open(relation, RowExclusiveLock);
  t->info = &am::relation_info(t->relation);
  t->desc = RelationGetDescr(t->relation);
  refuse_row_security(t->relation);
  require(t->relation, ACL_SELECT, nullptr, true);
  pg::guard([&] {
    am::refuse_older_rows(t->relation, *t->info, session_view().branch);
    t->base = am::table_view_in(*t->info, base);
    t->theirs = am::table_view_in(*t->info, theirs);
    t->ours = am::table_view(*t->info, GetActiveSnapshot());
  });
  t->slot = table_slot_create(t->relation, nullptr);
  t->compared = static_cast<bool*>(palloc(sizeof(bool) * t->desc->natts));
  for (int i = 0; i < t->desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(t->desc, i);
    t->compared[i] = !att->attisdropped && !att->attgenerated;
  }
  t->key = open_primary_key(t->relation);
  if (!t->key) return t;
  describe_key(t);
  t->scan = index_beginscan(t->relation, t->key, GetActiveSnapshot(), t->key_columns, 0);
  return t;
}

void close_table_merge(TableMerge* t) {
  if (t->scan) index_endscan(t->scan);
  if (t->key) index_close(t->key, NoLock);
  ExecDropSingleTupleTableSlot(t->slot);
  table_close(t->relation, NoLock);
}

void plan_table_merge(TableMerge* t) {
  Rowids of_theirs = only_in(t->theirs, t->base), of_base = only_in(t->base, t->theirs);
  size_t count = of_theirs.count + of_base.count, n = 0;
  if (count == 0) return;
  if (!t->key) load_ours_added(t);
  auto* candidates =
      static_cast<Candidate*>(palloc_extended(sizeof(Candidate) * count, MCXT_ALLOC_HUGE));
  for (size_t i = 0; i < of_base.count; ++i)
    candidates[n++] = {read_row(t, t->base, of_base.rowid[i]), false};
  for (size_t i = 0; i < of_theirs.count; ++i)
    candidates[n++] = {read_row(t, t->theirs, of_theirs.rowid[i]), true};
  qsort_arg(candidates, count, sizeof(Candidate), compare_candidates, t);
  for (size_t i = 0; i < count;) {
    MergeRow* row[2] = {nullptr, nullptr};
    size_t first = i;
    for (; i < count && compare_identity(t, candidates[first].row, candidates[i].row) == 0; ++i) {
      if (row[candidates[i].of_theirs]) refuse_ambiguous(t, candidates[i].row);
      row[candidates[i].of_theirs] = candidates[i].row;
    }
    merge_row(t, row[0], find_ours(t, row[0], row[1]), row[1]);
  }
  if (t->key) join_moved_keys(t, candidates, count);
}

void require_merge_privileges(TableMerge* t) {
  bool inserts = false, deletes = false;
  Bitmapset* updated = nullptr;
  ListCell* cell;
  foreach (cell, t->changes) {
    auto* c = static_cast<MergeChange*>(lfirst(cell));
    if (c->cancelled) continue;
    inserts |= !c->ours;
    deletes |= !c->values;
    if (!c->ours || !c->values) continue;
    for (int i = 0; i < t->desc->natts; ++i)
      if (t->compared[i] && !same_cell(t, i, c->ours->values, c->ours->nulls, c->values, c->nulls))
        updated = bms_add_member(updated, i);
  }
  if (inserts) require(t->relation, ACL_INSERT, nullptr, true);
  if (deletes) require(t->relation, ACL_DELETE, nullptr, true);
  if (updated) require(t->relation, ACL_UPDATE, updated, false);
}

}  // namespace datahike::versioning
