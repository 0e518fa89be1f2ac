#include "datom/sql/table_rows.h"

#include "am/relation.h"
#include "datalog/sql/row_lookup.h"
#include "datom/sql/caller.h"
#include "datom/sql/tables_of_method.h"
#include "datom/sql/write.h"
#include "pg/bridge.h"
#include "pg/catalog.h"

extern "C" {
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "commands/defrem.h"
#include "utils/typcache.h"
}

namespace datahike::facts {

namespace {

using datom::Attribute;
using datom::RowDatom;
using datom::RowValue;

// A table, its partitions and children: those that have versioned rows themselves.
std::vector<Oid> leaves_of(Oid table) {
  TableIds all = pg::call([=] {
    List* list = find_all_inheritors(table, AccessShareLock, nullptr);
    TableIds out{0, static_cast<Oid*>(palloc(sizeof(Oid) * static_cast<Size>(list_length(list))))};
    ListCell* cell;
    foreach (cell, list)
      if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_RELATION)
        out.oids[out.count++] = lfirst_oid(cell);
    return out;
  });
  std::vector<Oid> leaves;
  for (int i = 0; i < all.count; ++i)
    if (pg::call([oid = all.oids[i]] { return pg::find_table_id(oid); }) != 0)
      leaves.push_back(all.oids[i]);
  return leaves;
}

// The equality of a type, as SQL names it whatever the search_path; nullptr: it has none.
const char* equality_of(Oid type) {
  TypeCacheEntry* entry = lookup_type_cache(type, TYPECACHE_EQ_OPR);
  if (!OidIsValid(entry->eq_opr)) return nullptr;
  HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(entry->eq_opr));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for operator %u", entry->eq_opr);
  auto* form = reinterpret_cast<Form_pg_operator>(GETSTRUCT(tuple));
  char* name = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
                        NameStr(form->oprname));
  ReleaseSysCache(tuple);
  return name;
}

bool is_own(Oid table) { return get_rel_namespace(table) == pg::extension().schema; }

char* qualified(Oid table) {
  return quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)),
                                    get_rel_name(table));
}

// How attributes of a table's columns begin, as Datalog would have them read.
char* attribute_space(Oid table) {
  if (RelationIsVisible(table)) return get_rel_name(table);
  return psprintf("%s.%s", get_namespace_name(get_rel_namespace(table)), get_rel_name(table));
}

bool has_versioned_rows(Form_pg_class c) { return c->relkind == RELKIND_RELATION; }

void put(int64_t e, const std::string& space, const std::pair<std::string, std::string>& column,
         bool added, std::vector<RowDatom>& out) {
  out.push_back({e, space + "/" + column.first, column.second, added});
}

void put_all(int64_t e, const std::string& space, const RowImage& row, bool added,
             std::vector<RowDatom>& out) {
  for (const auto& column : row.columns) put(e, space, column, added, out);
}

const std::string* value_in(const RowImage& row, const std::string& column) {
  for (const auto& [name, value] : row.columns)
    if (name == column) return &value;
  return nullptr;
}

// What a row is restricted to that a statement names `row`: it is in one of the tables and has one
// of the rowids.
std::string is_at(RowStatement& statement, const std::vector<Oid>& tables,
                  const std::vector<uint64_t>& rowids) {
  std::string condition;
  for (Oid table : tables)
    condition += (condition.empty() ? "" : " OR ") + std::string("(row.ctid") +
                 " OPERATOR(pg_catalog.=) ANY (" + statement.add_rows(table, rowids) +
                 ") AND row.tableoid OPERATOR(pg_catalog.=) ANY (" +
                 statement.add(std::vector<Oid>{table}) + "))";
  return condition.empty() ? " WHERE false" : " WHERE (" + condition + ")";
}

uint64_t rowid_of(const RowImage& row) {
  return am::to_rowid(pg::call([table = row.table] { return am::tid_base(table); }), row.tid);
}

}  // namespace

const Attribute* TableRows::column(std::string_view ident) {
  if (auto known = columns_.find(ident); known != columns_.end())
    return known->second ? &known->second->attribute : nullptr;
  std::optional<Column>& slot = columns_[std::string(ident)];
  auto [space, name] = datom::split_name(ident);
  if (space.empty()) return nullptr;
  const edn::Value keyword = edn::Value::keyword(std::string(ident));
  const query::TableColumn* found = as_caller([&] {
    const query::TableColumn* c = source_.column(keyword);
    if (!c && !reads_schema_flexibly()) source_.refuse(keyword);
    return c && pg::call([relid = c->relid] { return is_own(relid); }) ? nullptr : c;
  });
  if (!found) return nullptr;
  slot.emplace();
  slot->column = *found;
  slot->space = space;
  slot->attribute.ident = ident;
  slot->attribute.id = -static_cast<int64_t>(columns_.size());
  slot->attribute.table =
      tables_.try_emplace(found->relid, static_cast<int64_t>(tables_.size()) + 1).first->second;
  if (found->unique) slot->attribute.unique = datom::Unique::Value;
  by_id_[slot->attribute.id] = &*slot;
  return &slot->attribute;
}

const TableRows::Column& TableRows::of(const Attribute& a) const { return *by_id_.at(a.id); }

int64_t TableRows::entity_of(const RowImage& row) {
  return query::RowEntities(-1).entity(row.table, row.tid);
}

std::optional<int64_t> TableRows::holder(int64_t id, const edn::Value& value) {
  const Column& c = *by_id_.at(id);
  const char* equals = pg::call([type = c.column.type] { return equality_of(type); });
  if (!equals)
    throw datom::FactError("42883", "values of :" + c.attribute.ident + " have no equality");
  return as_caller([&]() -> std::optional<int64_t> {
    RowStatement s;
    s.sql = "SELECT " + std::string(kRowImage) + " FROM " + c.column.table + " AS row WHERE row." +
            c.column.column + " " + equals + " " + s.add(value, c.column.type, -1) + " LIMIT 1";
    std::vector<RowImage> rows = s.run();
    if (rows.empty()) return std::nullopt;
    return entity_of(rows.front());
  });
}

bool TableRows::is_there(const Place& place, const std::string& name) {
  if (place.rowids.empty()) return false;
  RowStatement s;
  s.sql = "SELECT " + std::string(kRowImage) + " FROM " + name + " AS row" +
          is_at(s, place.tables, place.rowids);
  return !s.run().empty();
}

// By how the versions of the row came from one another; where that is not known, by looking at all
// rows.
TableRows::Place TableRows::place_of(int64_t e, Oid table, const std::string& name) {
  Place place;
  for (Oid leaf : leaves_of(table)) {
    const uint64_t table = pg::call([leaf] { return pg::find_table_id(leaf); });
    auto found = query::rows_of_entities(table, -1, {e});
    if (!found || found->rowids.empty()) continue;
    place.tables.push_back(leaf);
    place.rowids.insert(place.rowids.end(), found->rowids.begin(), found->rowids.end());
  }
  if (is_there(place, name)) return place;
  Oid at;
  if (std::optional<uint64_t> rowid = search(e, leaves_of(table), name, &at)) {
    place.tables = {at};
    place.rowids = {*rowid};
  }
  return place;
}

// Looks at all rows.
std::optional<uint64_t> TableRows::search(int64_t e, const std::vector<Oid>& tables,
                                          const std::string& name, Oid* table) {
  RowStatement all;
  all.sql =
      "SELECT row.tableoid, row.ctid, '{}'::pg_catalog.text[], '{}'::pg_catalog.text[] FROM " +
      name + " AS row WHERE row.tableoid OPERATOR(pg_catalog.=) ANY (" + all.add(tables) + ")";
  query::RowEntities entities(-1);
  for (const RowImage& row : all.run()) {
    if (entities.entity(row.table, row.tid) != e) continue;
    *table = row.table;
    return rowid_of(row);
  }
  return std::nullopt;
}

// A statement has not found the row.
void TableRows::not_found(int64_t e, Oid table, const std::string& name) {
  if (is_there(place_of(e, table, name), name)) throw FactsChanged();
  throw datom::FactError("02000", "Nothing found for entity id " + std::to_string(e),
                         "It is no row of " + name + " that can be seen here.");
}

RowImage TableRows::lock(int64_t e, const Column& c) {
  const Place place = place_of(e, c.column.relid, c.column.table);
  RowStatement s;
  s.sql = "SELECT " + std::string(kRowImage) + " FROM " + c.column.table + " AS row" +
          is_at(s, place.tables, place.rowids) + " FOR UPDATE";
  std::vector<RowImage> rows = s.run();
  if (rows.empty()) not_found(e, c.column.relid, c.column.table);
  return std::move(rows.front());
}

std::optional<int64_t> TableRows::insert(std::span<const RowValue> values,
                                         std::vector<RowDatom>& changed) {
  const Column& first = of(*values.front().column);
  return as_caller([&]() -> std::optional<int64_t> {
    RowStatement s;
    std::string names, parameters;
    for (const RowValue& v : values) {
      const Column& c = of(*v.column);
      names += (names.empty() ? "" : ", ") + c.column.column;
      parameters +=
          (parameters.empty() ? "" : ", ") + s.add(v.value, c.column.type, c.column.typmod);
    }
    s.sql = "INSERT INTO " + first.column.table + " AS row (" + names + ") VALUES (" + parameters +
            ") RETURNING " + kRowImage;
    std::vector<RowImage> rows = s.run();
    if (rows.empty()) return std::nullopt;  // a trigger has kept it
    const int64_t e = entity_of(rows.front());
    put_all(e, first.space, rows.front(), true, changed);
    return e;
  });
}

// What is true already is not written again: rows are compared as they are written out.
void TableRows::update(int64_t e, std::span<const RowValue> values,
                       std::vector<RowDatom>& changed) {
  const Column& first = of(*values.front().column);
  as_caller([&] {
    const RowImage old = lock(e, first);
    RowStatement s;
    std::string assignments, before, after;
    for (const RowValue& v : values) {
      const Column& c = of(*v.column);
      const std::string parameter = s.add(v.value, c.column.type, c.column.typmod);
      assignments += (assignments.empty() ? "" : ", ") + c.column.column + " = " + parameter;
      before += (before.empty() ? "row." : ", row.") + c.column.column;
      after += (after.empty() ? "" : ", ") + parameter;
    }
    s.sql = "UPDATE " + first.column.table + " AS row SET " + assignments +
            is_at(s, {old.table}, {rowid_of(old)}) + " AND ROW(" + before +
            ")::pg_catalog.text IS DISTINCT FROM ROW(" + after + ")::pg_catalog.text RETURNING " +
            kRowImage;
    const std::vector<RowImage> rows = s.run();
    if (rows.empty()) return;
    const RowImage& now = rows.front();
    const int64_t is = entity_of(now);
    if (is != e) {  // a partition's row has become another's
      put_all(e, first.space, old, false, changed);
      return put_all(is, first.space, now, true, changed);
    }
    for (const auto& column : old.columns)
      if (const std::string* v = value_in(now, column.first); !v || *v != column.second)
        put(e, first.space, column, false, changed);
    for (const auto& column : now.columns)
      if (const std::string* v = value_in(old, column.first); !v || *v != column.second)
        put(e, first.space, column, true, changed);
  });
}

// The table is not named: it is the one that has had the row's first version, or else has the row
// and may be read.
bool TableRows::remove(int64_t e, std::vector<RowDatom>& changed) {
  return as_caller([&] {
    const TableIds all = pg::call([] { return tables_of_method(has_versioned_rows); });
    Oid table = InvalidOid;
    for (int i = 0; i < all.count && !OidIsValid(table); ++i) {
      const uint64_t id = pg::call([oid = all.oids[i]] { return pg::find_table_id(oid); });
      auto found = id ? query::rows_of_entities(id, -1, {e}) : std::nullopt;
      if (found && !found->rowids.empty()) table = all.oids[i];
    }
    for (int i = 0; i < all.count && !OidIsValid(table); ++i) {
      const Oid candidate = all.oids[i];
      Oid at;
      if (pg::call([=] { return pg_class_aclcheck(candidate, GetUserId(), ACL_SELECT); }) ==
              ACLCHECK_OK &&
          search(e, {candidate}, pg::call([=] { return qualified(candidate); }), &at))
        table = candidate;
    }
    if (!OidIsValid(table)) return false;
    const std::string name = pg::call([=] { return qualified(table); });
    const std::string space = query::to_utf8(pg::call([=] { return attribute_space(table); }));
    const Place place = place_of(e, table, name);
    RowStatement s;
    s.sql = "DELETE FROM " + name + " AS row" + is_at(s, place.tables, place.rowids) +
            " RETURNING " + kRowImage;
    const std::vector<RowImage> rows = s.run();
    if (rows.empty()) {
      if (is_there(place_of(e, table, name), name)) throw FactsChanged();
      return false;
    }
    put_all(e, space, rows.front(), false, changed);
    return true;
  });
}

std::optional<std::string> TableRows::other_value(int64_t e, const RowValue& expected) {
  const Column& c = of(*expected.column);
  return as_caller([&]() -> std::optional<std::string> {
    const RowImage row = lock(e, c);
    RowStatement s;
    s.sql = "SELECT " + std::string(kRowImage) + " FROM " + c.column.table + " AS row" +
            is_at(s, {row.table}, {rowid_of(row)}) + " AND row." + c.column.column +
            "::pg_catalog.text IS NOT DISTINCT FROM " +
            s.add(expected.value, c.column.type, c.column.typmod) + "::pg_catalog.text";
    if (!s.run().empty()) return std::nullopt;
    const std::string name(datom::split_name(c.attribute.ident).second);
    const std::string* value = value_in(row, name);
    return value ? *value : "nil";
  });
}

}  // namespace datahike::facts
