// What pg_dump writes of facts that refer to rows: the rows by their names.
#include <unordered_set>

#include "datalog/sql/entities.h"
#include "datom/encoding.h"
#include "datom/row_names.h"
#include "datom/sql/keyed_rows.h"

extern "C" {
PG_FUNCTION_INFO_V1(datahike_refers_to_rows);
PG_FUNCTION_INFO_V1(datahike_dumped_references);
PGDLLEXPORT Datum datahike_refers_to_rows(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_dumped_references(PG_FUNCTION_ARGS);
}

namespace datahike::facts {

namespace {

// extra: 1 of a unique attribute, 2 of one of cardinality many.
Statement references = {
    "SELECT f.e, f.a, f.tx, coalesce(f.v, f.k), (CASE WHEN f.uq THEN 1 ELSE 0 END + "
    "CASE WHEN f.u = ''::bytea THEN 0 ELSE 2 END)::int8 FROM datahike.facts f "
    "WHERE datahike.refers_to_rows(f.k, f.v)",
    0,
    {}};

using Names = std::unordered_map<int64_t, datom::RowName>;

// Every row of every table is looked at, until all are found: what a row's key is follows from no
// index, and a dump reads the tables anyway.
void find_names(Names& names) {
  size_t left = names.size();
  for (Oid table : dumped_tables()) {
    if (left == 0) return;
    const KeyedTable keyed = keyed_table(table);
    query::RowEntities entities(-1);
    each_keyed_row(table, keyed.columns, [&](const KeyedRow& row) {
      const auto name = names.find(entities.entity(row.table, row.tid));
      if (name == names.end()) return true;
      name->second.schema = keyed.schema;
      name->second.table = keyed.name;
      for (size_t i = 0; i < keyed.columns.size(); ++i)
        name->second.key.emplace_back(keyed.columns[i], row.key[i]);
      return --left > 0;
    });
  }
}

void put(const StatementRow& fact, const std::string& value, ReturnSetInfo* result) {
  const std::string key = datom::index_key(value);
  const bool is_whole = datom::is_whole(key), many = fact.extra & 2;
  const std::string empty, *u = many ? &key : &empty, *k = &key, *v = &value;
  pg::call([=] {
    Datum values[] = {Int64GetDatum(fact.e),
                      Int64GetDatum(fact.a),
                      Int64GetDatum(fact.tx),
                      Int64GetDatum(datom::kToRowName),
                      BoolGetDatum(fact.extra & 1),
                      bytea_datum(u),
                      bytea_datum(k),
                      is_whole ? 0 : bytea_datum(v)};
    bool nulls[] = {false, false, false, false, false, false, false, is_whole};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  });
}

// Those that a dump has brought, and nobody has looked up, stay as they are.
std::string named(const Names& names, std::string_view reference) {
  if (reference[0] == datom::kRowName) return std::string(reference);
  const auto name = names.find(datom::decode(reference).integer);
  return name == names.end() ? std::string(reference) : datom::encode_row_name(name->second);
}

void put_all(ReturnSetInfo* result) {
  const StatementResult facts = with_own_settings([] {
    return pg::call([] {
      const Arguments none;
      return execute(&references, &none, nullptr, true);
    });
  });
  Names names;
  for (uint64_t i = 0; i < facts.count; ++i)
    datom::replace_references(
        {facts.rows[i].value, facts.rows[i].bytes}, [&](std::string_view reference) {
          if (reference[0] != datom::kRowName)
            if (int64_t e = datom::decode(reference).integer; datom::is_row(e)) names[e].entity = e;
          return std::string();
        });
  find_names(names);
  MemoryContext outer = CurrentMemoryContext;
  MemoryContext context = pg::call([] {
    return AllocSetContextCreate(CurrentMemoryContext, "references", ALLOCSET_DEFAULT_SIZES);
  });
  for (uint64_t i = 0; i < facts.count; ++i) {
    const StatementRow& fact = facts.rows[i];
    const std::string value = datom::replace_references(
        {fact.value, fact.bytes}, [&](std::string_view r) { return named(names, r); });
    MemoryContextSwitchTo(context);
    put(fact, value, result);
    MemoryContextReset(context);
    MemoryContextSwitchTo(outer);
  }
  pg::call([=] { MemoryContextDelete(context); });
}

}  // namespace

}  // namespace datahike::facts

using namespace datahike;

Datum datahike_refers_to_rows(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0)) PG_RETURN_BOOL(false);
  bytea* stored = PG_ARGISNULL(1) ? PG_GETARG_BYTEA_PP(0) : PG_GETARG_BYTEA_PP(1);
  return pg::guard([=] {
    return BoolGetDatum(datom::refers_to_rows({VARDATA_ANY(stored), VARSIZE_ANY_EXHDR(stored)}));
  });
}

Datum datahike_dumped_references(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([=] { facts::put_all(result); });
  return 0;
}
