#include "datom/sql/database.h"

#include "datom/edn_values.h"
#include "datom/encoding.h"
#include "datom/row_names.h"
#include "datom/sql/ids.h"
#include "datom/sql/call.h"
#include "datom/sql/predicate.h"

namespace datahike::facts {

namespace {

using datom::Attribute;
using datom::Datom;
using datom::Value;

#define DATAHIKE_COLUMNS "f.e, f.a, f.tx, coalesce(f.v, f.k), NULL::int8 FROM datahike.facts f "
Statement of_cell = {
    "SELECT " DATAHIKE_COLUMNS "WHERE f.e = $1 AND f.a = $2", 2, {INT8OID, INT8OID}};
Statement locked_cell = {
    "SELECT " DATAHIKE_COLUMNS "WHERE f.e = $1 AND f.a = $2 FOR UPDATE", 2, {INT8OID, INT8OID}};
Statement of_entity = {"SELECT " DATAHIKE_COLUMNS "WHERE f.e = $1", 1, {INT8OID}};
Statement of_target = {"SELECT " DATAHIKE_COLUMNS "WHERE f.r = $1", 1, {INT8OID}};
Statement of_value = {
    "SELECT " DATAHIKE_COLUMNS "WHERE f.a = $1 AND f.k = $2 LIMIT 1", 2, {INT8OID, BYTEAOID}};
Statement of_attribute = {"SELECT " DATAHIKE_COLUMNS "WHERE f.a = $1", 1, {INT8OID}};
Statement any_of_attribute = {"SELECT " DATAHIKE_COLUMNS "WHERE f.a = $1 LIMIT 1", 1, {INT8OID}};
Statement several_of_attribute = {
    "SELECT g.e, $1, NULL::int8, NULL::bytea, NULL::int8 FROM (SELECT f.e FROM datahike.facts f "
    "WHERE f.a = $1 GROUP BY f.e HAVING count(*) > 1 LIMIT 1) g",
    1,
    {INT8OID}};
#undef DATAHIKE_COLUMNS

StatementResult run(Statement& statement, const Arguments& arguments, Snapshot snapshot = nullptr) {
  Statement* s = &statement;
  const Arguments* a = &arguments;
  return pg::call([=] { return execute(s, a, snapshot, false); });
}

Arguments integers(int64_t first, int64_t second = 0) {
  Arguments arguments;
  arguments.values[0] = Int64GetDatum(first);
  arguments.values[1] = Int64GetDatum(second);
  return arguments;
}

}  // namespace

std::vector<Datom> to_datoms(const StatementResult& result) {
  std::vector<Datom> datoms;
  datoms.reserve(result.count);
  for (uint64_t i = 0; i < result.count; ++i) {
    const StatementRow& row = result.rows[i];
    datoms.push_back({row.e, row.a, datom::decode({row.value, row.bytes}), row.tx, true});
  }
  return datoms;
}

// Under REPEATABLE READ what is written must still go by the schema of now.
PgDatabase::PgDatabase()
    : schema_snapshot_(IsolationUsesXactSnapshot()
                           ? pg::call([] { return RegisterSnapshot(GetLatestSnapshot()); })
                           : nullptr) {}

void PgDatabase::close() {
  if (schema_snapshot_) pg::call([s = schema_snapshot_] { UnregisterSnapshot(s); });
  schema_snapshot_ = nullptr;
}

const Attribute* PgDatabase::load(int64_t id) {
  if (const Attribute* builtin = datom::builtin_attribute(id)) return builtin;
  auto [at, fresh] = by_id_.try_emplace(id);
  std::optional<Attribute>& slot = at->second;  // stays where it is when the map grows
  if (fresh) {
    std::vector<datom::Fact> facts;
    for (Datom& d : to_datoms(run(of_entity, integers(id), schema_snapshot_)))
      facts.push_back({d.a, std::move(d.v)});
    slot = datom::attribute_of_facts(id, facts);
    if (slot && slot->is_composite()) fill_composite(*slot);
  }
  return slot ? &*slot : nullptr;
}

// The elements' types: those of the attributes that it is made of.
void PgDatabase::fill_composite(Attribute& tuple) {
  std::vector<std::string> parts = tuple.tuple_attrs;
  std::vector<datom::Type> types;
  for (const std::string& ident : parts) {
    const Attribute* part = attribute(std::string_view(ident));
    types.push_back(part ? part->type : datom::Type::Nil);
  }
  tuple.tuple_types = std::move(types);
}

const Attribute* PgDatabase::attribute(int64_t id) {
  if (id >= datom::kFirstRow && id < datom::kFirstBuiltin) return nullptr;
  return load(id);
}

const Attribute* PgDatabase::attribute(std::string_view ident) {
  if (const Attribute* builtin = datom::builtin_attribute(ident)) return builtin;
  auto [at, fresh] = by_ident_.try_emplace(std::string(ident), 0);
  if (!fresh) return at->second ? load(at->second) : nullptr;
  const std::string key = datom::index_key(datom::encode(Value::keyword(std::string(ident))));
  Arguments arguments = integers(datom::id_of(datom::Builtin::Ident));
  const std::string* k = &key;
  arguments.values[1] = pg::call([=] { return bytea_datum(k); });
  StatementResult found = run(of_value, arguments, schema_snapshot_);
  if (found.count == 0) return nullptr;
  const int64_t id = found.rows[0].e;
  by_ident_[std::string(ident)] = id;
  return load(id);
}

std::span<const Attribute* const> PgDatabase::composites() {
  if (!composites_) {
    composites_.emplace();
    StatementResult rows =
        run(of_attribute, integers(datom::id_of(datom::Builtin::TupleAttrs)), schema_snapshot_);
    for (uint64_t i = 0; i < rows.count; ++i)
      if (const Attribute* a = load(rows.rows[i].e); a && a->is_composite())
        composites_->push_back(a);
  }
  return *composites_;
}

bool PgDatabase::schema_on_read() { return reads_schema_flexibly(); }

const Attribute* PgDatabase::define(Attribute a) {
  if (a.id == 0) a.id = new_entity();
  if (a.is_composite()) composites();  // as they were before
  by_ident_[a.ident] = a.id;
  auto& slot = by_id_[a.id];
  slot = std::move(a);
  if (slot->is_composite()) composites_->push_back(&*slot);
  return &*slot;
}

const Attribute* PgDatabase::undeclared(const std::string& ident) {
  Attribute a;
  a.ident = ident;
  return define(std::move(a));
}

std::vector<Datom> PgDatabase::facts(int64_t e, int64_t a) {
  return to_datoms(run(of_cell, integers(e, a)));
}

std::vector<Datom> PgDatabase::facts(int64_t e) { return to_datoms(run(of_entity, integers(e))); }

// What a dump has named rows in, and nobody has looked up, may be what is looked for.
void PgDatabase::require_no_row_names() {
  if (has_no_row_names_) return;
  to_datoms(run(of_target, integers(datom::kToRowName)));
  has_no_row_names_ = true;
}

std::vector<Datom> PgDatabase::references_to(int64_t e) {
  if (datom::is_row(e)) require_no_row_names();
  return to_datoms(run(of_target, integers(e)));
}

std::optional<int64_t> PgDatabase::holder(int64_t a, const Value& v) {
  const std::string key = datom::index_key(datom::encode(v));
  auto [at, fresh] = holders_.try_emplace({a, key});
  if (!fresh) return at->second;
  if (a < 0) return at->second = rows_.holder(a, datom::to_edn(v));
  if (datom::may_be_row_name(v)) require_no_row_names();
  const std::string* k = &key;
  Arguments arguments = integers(a);
  arguments.values[1] = pg::call([=] { return bytea_datum(k); });
  StatementResult found = run(of_value, arguments);
  if (found.count > 0) at->second = found.rows[0].e;
  return at->second;
}

bool PgDatabase::has_facts_of(int64_t a) {
  return run(any_of_attribute, integers(a), schema_snapshot_).count > 0;
}

bool PgDatabase::has_several_of(int64_t a) {
  return run(several_of_attribute, integers(a), schema_snapshot_).count > 0;
}

std::vector<Datom> PgDatabase::lock_facts(int64_t e, int64_t a) {
  holders_.clear();  // what others have committed meanwhile is seen from now on
  return to_datoms(run(locked_cell, integers(e, a)));
}

int64_t PgDatabase::new_entity() {
  return pg::call([] { return draw_entity(); });
}

void PgDatabase::claim_entity(int64_t e) {
  if (!pg::call([e] { return claim_entities_up_to(e, datom::kMostExplicit); }))
    throw datom::FactError("22023", "entity id " + std::to_string(e) + " is out of range",
                           "Name new entities by tempids.");
}

int64_t PgDatabase::current_tx() {
  return pg::call([] { return facts::current_tx(); });
}

Value PgDatabase::now() {
  // PostgreSQL counts from 2000-01-01.
  return Value::instant(GetCurrentTransactionStartTimestamp() +
                        (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY);
}

bool PgDatabase::satisfies(const std::string& predicate, const Value& v) {
  return call_predicate(predicate, v);
}

datom::Called PgDatabase::call(const std::string& function, std::span<const edn::Value> arguments) {
  return call_function(function, arguments);
}

const Attribute* PgDatabase::column(std::string_view ident) { return rows_.column(ident); }

std::optional<int64_t> PgDatabase::insert_row(std::span<const datom::RowValue> values,
                                              std::vector<datom::RowDatom>& changed) {
  return rows_.insert(values, changed);
}

void PgDatabase::update_row(int64_t e, std::span<const datom::RowValue> values,
                            std::vector<datom::RowDatom>& changed) {
  rows_.update(e, values, changed);
}

bool PgDatabase::delete_row(int64_t e, std::vector<datom::RowDatom>& changed) {
  return rows_.remove(e, changed);
}

std::optional<std::string> PgDatabase::other_value(int64_t e, const datom::RowValue& expected) {
  return rows_.other_value(e, expected);
}

}  // namespace datahike::facts
