#include "am/omitted_rows.h"

#include "am/horizon.h"
#include "pg/bridge.h"
#include "pg/index_omissions.h"

extern "C" {
#include "access/nbtree.h"
#include "optimizer/clauses.h"
#include "utils/plancache.h"
}

namespace datahike::am {

namespace {

// Where an overlay was found to see none of the rows: later deltas only add new rows to it.
struct Disjoint {
  uint64_t overlay = 0;
  uint32_t limit = 0;
};

struct Omissions {
  std::shared_ptr<const tree::RowidSet> rows;  // nullptr: none
  uint64_t first = 0, last = 0;
  std::array<Disjoint, 8> disjoint;  // overwritten in turn
  size_t next = 0;
};
std::unordered_map<Oid, std::shared_ptr<Omissions>> known;  // by index
constexpr size_t kMostKnown = 4096;

uint64_t generation = 0;  // another one whenever something of `known` was forgotten

void forget(Datum, Oid relation) {
  ++generation;
  if (OidIsValid(relation))
    known.erase(relation);
  else
    known.clear();
}

std::shared_ptr<Omissions> load(Oid index) {
  auto omissions = std::make_shared<Omissions>();
  bytea* bytes = pg::call([=] { return pg::find_omissions(index); });
  if (!bytes) return omissions;
  auto rows = std::make_shared<tree::RowidSet>(tree::decode_rowid_set(
      {reinterpret_cast<const uint8_t*>(VARDATA(bytes)), VARSIZE(bytes) - VARHDRSZ}));
  pfree(bytes);
  if (rows->empty()) return omissions;
  omissions->first = rows->containers().begin()->first << 16;
  omissions->last = rows->containers().rbegin()->first << 16 | 0xffff;
  omissions->rows = std::move(rows);
  return omissions;
}

// Owned by the caller as well: an invalidation may come at any look into the catalogs.
std::shared_ptr<Omissions> find(Oid index) {
  auto at = known.find(index);
  if (at != known.end()) return at->second;
  uint64_t before = generation;
  std::shared_ptr<Omissions> loaded = load(index);
  if (generation != before) return loaded;
  if (known.size() >= kMostKnown) known.clear();
  known[index] = loaded;
  return loaded;
}

// Whether test(rowid) holds for one of the rows that the view may have: in the tree or a delta.
template <class Test>
bool any_in_view(const Omissions& omissions, const TableView& view, Test&& test) {
  const tree::RowidSet& rows = *omissions.rows;
  // A table that is computed row by row has neither yet.
  if (view.table->contains) return rows.any_of(omissions.first, omissions.last, test);
  if (!view.table->live.empty()) {
    tree::NodeSource& nodes = view.view.overlay->nodes();
    for (const auto& [high, container] : rows.containers()) {
      tree::Container live;
      if (!tree::find_container(nodes, view.table->live, high, &live)) continue;
      for (size_t w = 0; w < live.words.size(); ++w) live.words[w] &= container.words[w];
      if (tree::any_bit(high, live.words, test)) return true;
    }
  }
  for (const auto& [first, run] : view.table->added)
    if (first <= omissions.last && first + run.rows > omissions.first &&
        rows.any_of(first, first + run.rows - 1, test))
      return true;
  return false;
}

// Of the rows of other transactions, whatever this one has removed since.
bool sees_committed(Omissions& omissions, const TableView& view) {
  uint64_t overlay = view.view.overlay->serial();
  uint32_t limit = view.view.limit;
  for (const Disjoint& d : omissions.disjoint)
    if (d.overlay == overlay && d.limit <= limit) return false;
  if (any_in_view(omissions, view, [&](uint64_t rowid) {
        return view.view.overlay->is_live(*view.table, rowid, limit);
      }))
    return true;
  omissions.disjoint[omissions.next++ % omissions.disjoint.size()] = {overlay, limit};
  return false;
}

// Own rows, removed again, which a query with an earlier command id still sees.
bool sees_own(const Omissions& omissions, const TableView& view) {
  TablePending* own = view.pending();
  if (!own) return false;
  auto seen = [&](uint64_t rowid) { return view.sees(rowid); };
  for (const auto& [first, run] : own->runs)
    if (first <= omissions.last && first + run.count > omissions.first &&
        omissions.rows->any_of(first, first + run.count - 1, seen))
      return true;
  return false;
}

bool sees_any(Omissions& omissions, const TableView& view) {
  if (sees_own(omissions, view)) return true;
  return sees_committed(omissions, view) &&
         any_in_view(omissions, view, [&](uint64_t rowid) { return view.sees(rowid); });
}

// Indexes that keep rows of the table from being alike.
List* unique_indexes(Relation table) {
  List* found = NIL;
  ListCell* cell;
  foreach (cell, RelationGetIndexList(table)) {
    HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
    if (!HeapTupleIsValid(tuple)) continue;
    auto* form = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
    // CREATE INDEX CONCURRENTLY looks at all rows again before the index counts.
    if (form->indisvalid && (form->indisunique || form->indisexclusion))
      found = lappend_oid(found, lfirst_oid(cell));
    ReleaseSysCache(tuple);
  }
  return found;
}

}  // namespace

bool may_raise_errors(const IndexInfo* info) {
  return contain_leaked_vars(reinterpret_cast<Node*>(info->ii_Expressions)) ||
         contain_leaked_vars(reinterpret_cast<Node*>(info->ii_Predicate));
}

bool may_have_large_keys(Relation index) {
  if (index->rd_rel->relam != BTREE_AM_OID) return false;
  TupleDesc desc = RelationGetDescr(index);
  for (int i = 0; i < desc->natts; ++i)
    if (TupleDescAttr(desc, i)->attlen < 0) return true;
  return false;
}

bool may_lack_rows(Relation index) {
  return !heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, nullptr) ||
         !heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr) ||
         may_have_large_keys(index);
}

namespace {

// As for a leaf page, of which three entries must fit into one.
constexpr Size kMostEntryBytes = MAXALIGN_DOWN(
    (BLCKSZ -
     MAXALIGN(SizeOfPageHeaderData + 3 * sizeof(ItemIdData) + 3 * sizeof(ItemPointerData)) -
     MAXALIGN(sizeof(BTPageOpaqueData))) /
    3);

// Before compression, which makes entries smaller.
Size raw_size(TupleDesc desc, const Datum* values, const bool* isnull) {
  Size size = 0;
  for (int i = 0; i < desc->natts; ++i) {
    int16 length = TupleDescAttr(desc, i)->attlen;
    if (isnull[i]) continue;
    size += MAXIMUM_ALIGNOF;
    size += length > 0     ? static_cast<Size>(length)
            : length == -1 ? VARSIZE_ANY(DatumGetPointer(values[i]))
                           : std::strlen(DatumGetCString(values[i])) + 1;
  }
  return size;
}

// The size that the entry would have; more than any page has where PostgreSQL does not even make
// it.
Size entry_size(TupleDesc desc, Datum* values, bool* isnull) {
  try {
    return pg::call([=] {
      IndexTuple entry = index_form_tuple(desc, values, isnull);
      Size size = IndexTupleSize(entry);
      pfree(entry);
      return size;
    });
  } catch (const pg::PgError& error) {
    if (error.data->sqlerrcode != ERRCODE_PROGRAM_LIMIT_EXCEEDED) throw;
    FreeErrorData(error.data);
    return BLCKSZ;
  }
}

}  // namespace

bool is_too_large(Relation index, Datum* values, bool* isnull) {
  TupleDesc desc = RelationGetDescr(index);
  if (raw_size(desc, values, isnull) < kMostEntryBytes / 2) return false;
  return MAXALIGN(entry_size(desc, values, isnull)) > kMostEntryBytes;
}

void record_omitted_rows(Oid index, const tree::RowidSet& rows) {
  Bytes encoded = tree::encode_rowid_set(rows);
  const Bytes* bytes = &encoded;
  pg::call([=] {
    bytea* value = nullptr;
    if (!bytes->empty()) {
      if (bytes->size() > MaxAllocSize - VARHDRSZ)
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("too many deleted rows to leave out of an index")));
      value = static_cast<bytea*>(palloc(bytes->size() + VARHDRSZ));
      SET_VARSIZE(value, bytes->size() + VARHDRSZ);
      std::memcpy(VARDATA(value), bytes->data(), bytes->size());
    }
    pg::set_omissions(index, value);
  });
}

std::shared_ptr<const tree::RowidSet> omitted_rows(Oid index) { return find(index)->rows; }

bool serves_view(Oid index, const TableView& view) {
  std::shared_ptr<Omissions> omissions = find(index);
  return !omissions->rows || !sees_any(*omissions, view);
}

bool serves_settings(Relation table, Oid index) {
  if (!find(index)->rows) return true;
  std::optional<TableView> view = view_of_settings(table);
  return view && serves_view(index, *view);
}

void refuse_incomplete_index(Relation table, Relation index, Snapshot snapshot) {
  if (!find(RelationGetRelid(index))->rows) return;
  const RelationInfo& info =
      pg::call([=]() -> const RelationInfo& { return relation_info(table); });
  if (serves_view(RelationGetRelid(index), table_view(info, snapshot))) return;
  pg::call([] { ResetPlanCache(); });
  throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                     std::string("index \"") + RelationGetRelationName(index) +
                         "\" has no entries for rows that were deleted when it was built",
                     "The plan was made for another view; run the query again.");
}

// Rows that this transaction has removed count: it may yet roll back to a savepoint.
void refuse_unchecked_uniqueness(Relation table, const RelationInfo& info, TablePending& pending) {
  if (pending.takes_rows || !info.unique_in_part) return;
  List* indexes = pg::call([=] { return unique_indexes(table); });
  ListCell* cell;
  foreach (cell, indexes) {
    Oid index = lfirst_oid(cell);
    std::shared_ptr<Omissions> omissions = find(index);
    if (!omissions->rows || !sees_committed(*omissions, latest_table_view(info, pending.branch)))
      continue;
    const char* name = pg::call([=] { return get_rel_name(index); });
    throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                       std::string("cannot add rows to table \"") + RelationGetRelationName(table) +
                           "\" on a branch with rows that index \"" + (name ? name : "?") +
                           "\" has no entries for",
                       "They were deleted on every branch when it was built; REINDEX it, or delete "
                       "them here as well.");
  }
  list_free(indexes);
  pending.takes_rows = true;
}

void register_omission_callbacks() { CacheRegisterRelcacheCallback(forget, static_cast<Datum>(0)); }

}  // namespace datahike::am
