// Which table's column an attribute names.
#include "datalog/sql/table_source.h"

#include "pg/bridge.h"
#include "pg/catalog.h"

extern "C" {
#include "catalog/pg_inherits.h"
#include "catalog/pg_statistic.h"
#include "commands/defrem.h"
}

namespace datahike::query {

namespace {

struct Found {
  Oid relid, type, target;
  int16 number;
  int32 typmod;
  char *table, *column, *target_table, *target_column;
  double rows, distinct;
  bool unique, alone, indexed;
  bool plain, hidden;  // why it is none: a table of another kind; a schema without USAGE
};

char* qualified(Oid relid) {
  return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
                                    get_rel_name(relid));
}

void describe_indexes(Relation relation, Found* out) {
  ListCell* cell;
  foreach (cell, RelationGetIndexList(relation)) {
    Relation index = index_open(lfirst_oid(cell), AccessShareLock);
    Form_pg_index form = index->rd_index;
    out->indexed |= form->indkey.values[0] == out->number;
    out->unique |= form->indisunique && form->indnkeyatts == 1 &&
                   form->indkey.values[0] == out->number && !RelationGetIndexPredicate(index);
    index_close(index, AccessShareLock);
  }
  foreach (cell, RelationGetFKeyList(relation)) {
    auto* key = static_cast<ForeignKeyCacheInfo*>(lfirst(cell));
    if (key->nkeys != 1 || key->conkey[0] != out->number) continue;
    out->target = key->confrelid;
    out->target_table = qualified(key->confrelid);
    out->target_column =
        pstrdup(quote_identifier(get_attname(key->confrelid, key->confkey[0], false)));
  }
}

void describe_values(Oid relid, Found* out) {
  HeapTuple tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relid),
                                    Int16GetDatum(out->number), BoolGetDatum(false));
  if (!HeapTupleIsValid(tuple)) return;
  float4 distinct = reinterpret_cast<Form_pg_statistic>(GETSTRUCT(tuple))->stadistinct;
  out->distinct = distinct < 0 ? -distinct * out->rows : distinct;
  ReleaseSysCache(tuple);
}

bool is_readable(Oid relid) {
  return pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
         pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT, ACLMASK_ANY) == ACLCHECK_OK;
}

bool look_up(const char* schema, const char* table, const char* column, Found* out) {
  RangeVar* name = makeRangeVar(schema ? pstrdup(schema) : nullptr, pstrdup(table), -1);
  if (schema) {
    Oid space = get_namespace_oid(schema, true);
    if (!OidIsValid(space)) return false;
    out->hidden = pg_namespace_aclcheck(space, GetUserId(), ACL_USAGE) != ACLCHECK_OK;
    if (out->hidden) return false;
  }
  Oid relid = RangeVarGetRelid(name, NoLock, true);
  if (!OidIsValid(relid)) return false;
  char kind = get_rel_relkind(relid);
  if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_MATVIEW)
    return false;
  out->number = get_attnum(relid, column);
  if (out->number <= 0) return false;
  out->plain =
      kind != RELKIND_PARTITIONED_TABLE && pg::guard([=] { return pg::find_table_id(relid) == 0; });
  if (out->plain) return false;
  out->relid = relid;
  Oid collation;
  get_atttypetypmodcoll(relid, out->number, &out->type, &out->typmod, &collation);
  out->type = getBaseType(out->type);
  out->table = qualified(relid);
  out->column = pstrdup(quote_identifier(column));
  out->rows = 1000;
  out->alone = kind != RELKIND_PARTITIONED_TABLE && !has_subclass(relid);
  if (!is_readable(relid)) return true;  // the query says so
  Relation relation = table_open(relid, AccessShareLock);
  if (kind != RELKIND_PARTITIONED_TABLE) {
    BlockNumber pages;
    double visible;
    estimate_rel_size(relation, nullptr, &pages, &out->rows, &visible);
  }
  describe_indexes(relation, out);
  describe_values(relid, out);
  table_close(relation, AccessShareLock);
  return true;
}

std::string text_of(const char* text) { return text ? text : ""; }

}  // namespace

const TableColumn* TableSource::find(const Value& attribute) {
  if (!attribute.is(Kind::Keyword)) return nullptr;
  auto [known, is_new] = columns_.try_emplace(attribute.text());
  if (!is_new) return known->second ? &*known->second : nullptr;
  std::string space(attribute.name_space());
  if (space.empty()) return nullptr;
  size_t dot = space.rfind('.');
  char* column = from_utf8(std::string(attribute.name()));
  char* schema = dot == std::string::npos ? nullptr : from_utf8(space.substr(0, dot));
  char* table = from_utf8(dot == std::string::npos ? space : space.substr(dot + 1));
  Found found{};
  Found* out = &found;
  if (!pg::call([=] { return look_up(schema, table, column, out); })) {
    if (found.hidden)
      refusals_.emplace(
          attribute.text(),
          datalog::QueryError("42501", "permission denied for schema " + space.substr(0, dot)));
    if (found.plain)
      refusals_.emplace(attribute.text(),
                        datalog::QueryError("42809",
                                            "table \"" + space.substr(dot + 1) +
                                                "\" is not a datahike table, so its "
                                                "rows are no entities",
                                            "ALTER TABLE ... SET ACCESS METHOD datahike"));
    return nullptr;
  }
  known->second = TableColumn{found.relid,
                              found.number,
                              found.type,
                              found.typmod,
                              text_of(found.table),
                              text_of(found.column),
                              found.rows,
                              found.alone,
                              found.unique,
                              found.indexed,
                              found.distinct,
                              found.target,
                              text_of(found.target_table),
                              text_of(found.target_column)};
  return &*known->second;
}

void TableSource::refuse(const Value& attribute) {
  if (!attribute.is(Kind::Keyword) || find(attribute)) return;
  if (auto refusal = refusals_.find(attribute.text()); refusal != refusals_.end())
    throw refusal->second;
}

namespace {

struct NameList {
  char** names;
  size_t count, room;
};

// Every column of every datahike table of the search path that the caller may read.
void list_columns(NameList* out) {
  out->room = 64;
  out->names = static_cast<char**>(palloc(sizeof(char*) * out->room));
  List* path = fetch_search_path(false);
  Relation classes = table_open(RelationRelationId, AccessShareLock);
  SysScanDesc scan = systable_beginscan(classes, InvalidOid, false, nullptr, 0, nullptr);
  Oid handler = get_am_oid("datahike", true);
  while (HeapTuple tuple = systable_getnext(scan)) {
    auto* c = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    if (c->relam != handler || !list_member_oid(path, c->relnamespace) || !is_readable(c->oid))
      continue;
    if (c->relispartition || !RelationIsVisible(c->oid)) continue;
    for (int16 i = 1; i <= c->relnatts; ++i) {
      HeapTuple attribute = SearchSysCache2(ATTNUM, ObjectIdGetDatum(c->oid), Int16GetDatum(i));
      if (!HeapTupleIsValid(attribute)) continue;
      auto* a = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(attribute));
      if (!a->attisdropped &&
          (pg_class_aclcheck(c->oid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
           pg_attribute_aclcheck(c->oid, i, GetUserId(), ACL_SELECT) == ACLCHECK_OK)) {
        if (out->count == out->room) {
          out->room *= 2;
          out->names = static_cast<char**>(repalloc(out->names, sizeof(char*) * out->room));
        }
        out->names[out->count++] = psprintf("%s/%s", NameStr(c->relname), NameStr(a->attname));
      }
      ReleaseSysCache(attribute);
    }
  }
  systable_endscan(scan);
  table_close(classes, AccessShareLock);
}

}  // namespace

std::vector<Value> TableSource::all_attributes() {
  NameList list{};
  NameList* out = &list;
  pg::call([=] { list_columns(out); });
  std::vector<Value> attributes;
  for (size_t i = 0; i < list.count; ++i)
    attributes.push_back(Value::keyword(to_utf8(list.names[i])));
  return attributes;
}

}  // namespace datahike::query
