#include "am/relation.h"

#include "am/added_defaults.h"
#include "am/floor.h"
#include "pg/bridge.h"
#include "pg/catalog.h"

namespace datahike::am {

namespace {

using store::Kind;

Kind kind_of(const FormData_pg_attribute& att, Oid base) {
  if (att.attlen == -1) return Kind::Bytes;
  if (!att.attbyval) return Kind::Fixed;
  switch (att.attlen) {
    case 1:
      return Kind::Int8;
    case 2:
      return Kind::Int16;
    case 4:
      return base == FLOAT4OID ? Kind::Float32 : Kind::Int32;
    default:
      return base == FLOAT8OID ? Kind::Float64 : Kind::Int64;
  }
}

// Exclusion constraints compare rows themselves where an index only narrows the search, and ON
// CONFLICT evaluates index expressions on the rows it meets.
// Of a column that may make a key too large.
bool has_column_of_any_length(Relation relation, const FormData_pg_index* index) {
  for (int i = 0; i < index->indnatts; ++i) {
    AttrNumber number = index->indkey.values[i];
    if (number > 0 && TupleDescAttr(RelationGetDescr(relation), number - 1)->attlen < 0)
      return true;
  }
  return false;
}

void describe_uniqueness(Relation relation, RelationInfo* info) {
  info->publishes_rows = info->unique_in_part = false;
  List* indexes = RelationGetIndexList(relation);
  ListCell* cell;
  foreach (cell, indexes) {
    HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
    if (!HeapTupleIsValid(tuple)) continue;
    auto* index = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
    bool computed = !heap_attisnull(tuple, Anum_pg_index_indexprs, nullptr) ||
                    !heap_attisnull(tuple, Anum_pg_index_indpred, nullptr);
    bool published = index->indisexclusion || (index->indisunique && computed);
    info->publishes_rows |= published;
    info->unique_in_part |=
        published || (index->indisunique && has_column_of_any_length(relation, index));
    ReleaseSysCache(tuple);
  }
  list_free(indexes);
}

}  // namespace

void not_supported(const char* feature, const char* hint) {
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("datahike tables do not support %s", feature), errhint("%s", hint)));
  pg_unreachable();
}

Attribute describe_attribute(const FormData_pg_attribute& att) {
  Attribute a{};
  a.number = att.attnum;
  a.dropped = att.attisdropped;
  a.length = att.attlen;
  if (a.dropped) return a;
  if (att.attlen == -2) not_supported("columns of type cstring", "Use text.");
  a.type = att.atttypid;
  a.typmod = att.atttypmod;
  a.kind = kind_of(att, getBaseType(att.atttypid));
  a.width = a.kind == Kind::Fixed ? static_cast<uint16_t>(att.attlen) : 0;
  a.plain_storage = att.attlen == -1 && get_typstorage(att.atttypid) == TYPSTORAGE_PLAIN;
  return a;
}

namespace {

// The relation cache entry holds a pointer into `known`, good while its generation is the present
// one. An invalidation frees the entry's part at any moment; what callers hold stays until the
// transaction's end.
struct Handle {
  RelationInfo* info;
  uint64_t generation;
};
uint64_t generation = 1;
std::unordered_map<Oid, RelationInfo*> known;
std::vector<RelationInfo*> replaced;
constexpr size_t kMostKnown = 4096;

RelationInfo* make_info(Relation relation) {
  bool rewrite = is_rewrite_target(relation);
  Oid owner = rewrite ? relation->rd_rel->relrewrite : RelationGetRelid(relation);
  pg::StoredTable table = pg::find_table(owner);
  if (table.id == 0 && rewrite) {  // SET ACCESS METHOD datahike
    table = pg::make_table(owner);
    CommandCounterIncrement();  // its horizon is set next
  }
  if (table.id == 0)
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("relation \"%s\" has no table id in datahike.relation",
                           RelationGetRelationName(relation))));
  if (rewrite) {
    Relation old = table_open(owner, NoLock);
    carry_floor(old, relation);
    table_close(old, NoLock);
  }
  static uint64_t stamps = 0;
  TupleDesc desc = RelationGetDescr(relation);
  size_t bytes = offsetof(RelationInfo, attribute) + sizeof(Attribute) * desc->natts;
  auto* info = static_cast<RelationInfo*>(MemoryContextAllocZero(TopMemoryContext, bytes));
  info->table = table.id;
  info->tid_base = TidBase{table.first_rowid};
  info->horizon = table.horizon;
  info->added_defaults = load_added_defaults(table.added_defaults);
  info->stamp = ++stamps;
  info->floor = read_floor(relation);
  describe_uniqueness(relation, info);
  info->attributes = desc->natts;
  info->fixed_bytes = MAXALIGN(SizeofHeapTupleHeader + BITMAPLEN(desc->natts));
  for (int i = 0; i < desc->natts; ++i)
    info->fixed_bytes +=
        static_cast<size_t>(std::max<int>(TupleDescAttr(desc, i)->attlen, 0)) + MAXIMUM_ALIGNOF;
  for (int i = 0; i < desc->natts; ++i) {
    info->attribute[i] = describe_attribute(*TupleDescAttr(desc, i));
    if (!info->attribute[i].dropped) ++info->columns;
  }
  return info;
}

void free_info(RelationInfo* info) {
  if (info->added_defaults) pfree(const_cast<AddedDefaults*>(info->added_defaults));
  pfree(info);
}

}  // namespace

TidBase tid_base(Oid relation) {
  pg::StoredTable table = pg::find_table(relation);
  if (table.id == 0)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("relation with OID %u is not a datahike table", relation)));
  return TidBase{table.first_rowid};
}

const RelationInfo& relation_info(Relation relation) {
  auto* handle = static_cast<Handle*>(relation->rd_amcache);
  if (handle && handle->generation == generation) {
    // Another session may have begun anew; whatever else changes the floor gives a new file.
    if (handle->info->floor == kAllLost) handle->info->floor = read_floor(relation);
    return *handle->info;
  }
  RelationInfo* info = make_info(relation);
  RelationInfo*& slot = known[RelationGetRelid(relation)];
  if (slot) replaced.push_back(slot);
  slot = info;
  // The look-ups above may have rebuilt the entry and set it already.
  if (!relation->rd_amcache)
    relation->rd_amcache = MemoryContextAlloc(CacheMemoryContext, sizeof(Handle));
  *static_cast<Handle*>(relation->rd_amcache) = {info, generation};
  return *info;
}

void end_relation_infos() {
  for (RelationInfo* info : replaced) free_info(info);
  replaced.clear();
  if (known.size() <= kMostKnown) return;
  for (auto& [relid, info] : known) free_info(info);
  known.clear();
  ++generation;
}

std::vector<store::ColumnSpec> column_specs(const RelationInfo& info) {
  std::vector<store::ColumnSpec> specs;
  for (int i = 0; i < info.attributes; ++i) {
    const Attribute& a = info.attribute[i];
    if (!a.dropped) specs.push_back({a.number, a.kind, a.width, a.type, a.typmod});
  }
  return specs;
}

}  // namespace datahike::am
