// relink_rows(): references that a dump has by the names of rows become references to the rows.
#include "datalog/sql/entities.h"
#include "datom/encoding.h"
#include "datom/row_names.h"
#include "datom/sql/ids.h"
#include "datom/sql/keyed_rows.h"
#include "versioning/view.h"

extern "C" {
PG_FUNCTION_INFO_V1(datahike_relink_rows);
PGDLLEXPORT Datum datahike_relink_rows(PG_FUNCTION_ARGS);
}

namespace datahike::facts {

namespace {

// extra: whether the attribute is of cardinality many.
Statement named_references = {
    "SELECT f.e, f.a, f.tx, coalesce(f.v, f.k), CASE WHEN f.u = ''::bytea THEN 0 ELSE 1 END::int8 "
    "FROM datahike.facts f WHERE f.r = -1",
    0,
    {}};
Statement link = {
    "UPDATE datahike.facts SET r = $1, k = $2, v = $3, u = $4 "
    "WHERE e = $5 AND a = $6 AND u = $7 AND k = $8",
    8,
    {INT8OID, BYTEAOID, BYTEAOID, BYTEAOID, INT8OID, INT8OID, BYTEAOID, BYTEAOID}};

using Key = std::vector<std::optional<std::string>>;

struct Entity {
  datom::RowName name;
  int64_t e = 0;  // 0: not found
};

// The names that are of one table and the same columns.
struct Group {
  Oid table = InvalidOid;
  std::vector<std::string> columns;
  std::map<Key, Entity*> rows;
};

class Links {
 public:
  void add(std::string_view encoded_name) {
    auto [at, fresh] = entities_.try_emplace(std::string(encoded_name));
    if (fresh) at->second.name = datom::decode_row_name(encoded_name);
  }

  void find() {
    std::map<std::vector<std::string>, Group> groups;
    for (auto& [encoded, entity] : entities_) {
      const datom::RowName& name = entity.name;
      if (!name.is_known()) {
        entity.e = pg::call([] { return draw_entity(); });
        continue;
      }
      std::vector<std::string> kind = {name.schema, name.table};
      Key key;
      for (const auto& [column, value] : name.key) kind.push_back(column), key.push_back(value);
      Group& group = groups[kind];
      group.columns.assign(kind.begin() + 2, kind.end());
      group.table = find_table_named(name.schema, name.table);
      if (!OidIsValid(group.table)) not_found(name);
      group.rows[key] = &entity;
    }
    for (auto& [kind, group] : groups) find_rows(group);
    for (const auto& [encoded, entity] : entities_)
      if (entity.e == 0) not_found(entity.name);
  }

  std::string linked(std::string_view reference) const {
    if (reference[0] != datom::kRowName) return std::string(reference);
    return datom::encode(datom::Value::ref(entities_.at(std::string(reference)).e));
  }

 private:
  static void find_rows(Group& group) {
    query::RowEntities entities(-1);
    each_keyed_row(group.table, group.columns, [&](const KeyedRow& row) {
      const auto at = group.rows.find(row.key);
      if (at == group.rows.end()) return true;
      if (at->second->e != 0)
        throw datom::FactError("21000", "several rows are " + datom::describe(at->second->name),
                               "Delete or change all but one of them, or give up what refers to "
                               "them: DELETE FROM datahike.facts WHERE r = -1 AND e = ...");
      at->second->e = entities.entity(row.table, row.tid);
      return true;
    });
  }

  [[noreturn]] static void not_found(const datom::RowName& name) {
    throw datom::FactError("02000", "Nothing found for " + datom::describe(name),
                           "Restore the table's rows before, or give up what refers to them: "
                           "DELETE FROM datahike.facts WHERE r = -1 AND e = ...");
  }

  std::map<std::string, Entity> entities_;
};

Datum bytes(const std::string& s) {
  return pg::call([p = &s] { return bytea_datum(p); });
}

void write(const StatementRow& fact, const std::string& value) {
  const std::string key = datom::index_key(value), empty;
  const std::string old = datom::index_key(std::string(fact.value, fact.bytes));
  const bool many = fact.extra != 0, is_whole = datom::is_whole(key);
  Arguments arguments;
  const datom::Value v = datom::decode(value);
  if (v.type == datom::Type::Ref)
    arguments.values[0] = Int64GetDatum(v.integer);
  else
    arguments.nulls[0] = 'n';
  arguments.values[1] = bytes(key);
  if (is_whole)
    arguments.nulls[2] = 'n';
  else
    arguments.values[2] = bytes(value);
  arguments.values[3] = bytes(many ? key : empty);
  arguments.values[4] = Int64GetDatum(fact.e);
  arguments.values[5] = Int64GetDatum(fact.a);
  arguments.values[6] = bytes(many ? old : empty);
  arguments.values[7] = bytes(old);
  const Arguments* a = &arguments;
  if (pg::call([=] { return execute(&link, a, nullptr, false).processed; }) != 1)
    throw pg::SqlError(ERRCODE_T_R_SERIALIZATION_FAILURE,
                       "could not serialize access to facts due to concurrent changes",
                       "Retry the transaction.");
}

uint64_t link_all() {
  const StatementResult facts = pg::call([] {
    const Arguments none;
    return execute(&named_references, &none, nullptr, true);
  });
  Links links;
  for (uint64_t i = 0; i < facts.count; ++i)
    datom::replace_references({facts.rows[i].value, facts.rows[i].bytes},
                              [&](std::string_view reference) {
                                if (reference[0] == datom::kRowName) links.add(reference);
                                return std::string();
                              });
  links.find();
  MemoryContext outer = CurrentMemoryContext;
  MemoryContext context = pg::call(
      [] { return AllocSetContextCreate(CurrentMemoryContext, "links", ALLOCSET_DEFAULT_SIZES); });
  for (uint64_t i = 0; i < facts.count; ++i) {
    const StatementRow& fact = facts.rows[i];
    const std::string value = datom::replace_references(
        {fact.value, fact.bytes}, [&](std::string_view r) { return links.linked(r); });
    MemoryContextSwitchTo(context);
    write(fact, value);
    MemoryContextReset(context);
    MemoryContextSwitchTo(outer);
    pg::call([] { CHECK_FOR_INTERRUPTS(); });
  }
  pg::call([=] { MemoryContextDelete(context); });
  return facts.count;
}

// Nobody writes facts meanwhile.
uint64_t relink_rows() {
  versioning::require_writable(versioning::session_view(), "link facts to rows");
  pg::call([] {
    const Oid facts = fact_relations().facts;
    if (!pg_class_ownercheck(facts, GetUserId()))
      aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, "facts");
    LockRelationOid(facts, ShareRowExclusiveLock);
    PushActiveSnapshot(GetLatestSnapshot());
  });
  const uint64_t linked = with_own_settings([] { return link_all(); });
  pg::call([] { PopActiveSnapshot(); });
  return linked;
}

}  // namespace

}  // namespace datahike::facts

using namespace datahike;

Datum datahike_relink_rows(PG_FUNCTION_ARGS) {
  return pg::guard([] { return Int64GetDatum(static_cast<int64_t>(facts::relink_rows())); });
}
