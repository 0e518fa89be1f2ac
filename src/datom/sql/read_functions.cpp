// The SQL functions that read facts.
#include <compare>

#include "datom/encoding.h"
#include "datom/json.h"
#include "datom/sql/entity_ref.h"
#include "datom/sql/ids.h"

extern "C" {
PG_FUNCTION_INFO_V1(datahike_datoms);
PG_FUNCTION_INFO_V1(datahike_seek_datoms);
PG_FUNCTION_INFO_V1(datahike_index_range);
PG_FUNCTION_INFO_V1(datahike_entity);
PG_FUNCTION_INFO_V1(datahike_schema);
PG_FUNCTION_INFO_V1(datahike_fact_value);
PG_FUNCTION_INFO_V1(datahike_fact_attribute);
PG_FUNCTION_INFO_V1(datahike_commit_tx);
PG_FUNCTION_INFO_V1(datahike_tx_of_commit);
PGDLLEXPORT Datum datahike_datoms(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_seek_datoms(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_index_range(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_entity(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_schema(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_fact_value(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_fact_attribute(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_commit_tx(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_tx_of_commit(PG_FUNCTION_ARGS);
}

namespace datahike::facts {

namespace {

using datom::Attribute;

// ---- Rows of results.

Datum text_datum(const std::string& text) {
  return pg::call([t = text.c_str()] { return CStringGetTextDatum(t); });
}

template <size_t N>
void put_row(ReturnSetInfo* result, std::array<Datum, N>& values, std::array<bool, N>& nulls) {
  Datum* v = values.data();
  bool* n = nulls.data();
  pg::call([=] { tuplestore_putvalues(result->setResult, result->setDesc, v, n); });
}

std::string attribute_name(Reader& reader, int64_t id) {
  const Attribute* a = reader.attribute(id);
  return a ? ":" + a->ident : std::to_string(id);
}

// Rows are made in a memory context of their own.
class DatomWriter {
 public:
  DatomWriter(Reader& reader, ReturnSetInfo* result) : reader_(reader), result_(result) {
    context_ = pg::call([] {
      return AllocSetContextCreate(CurrentMemoryContext, "datoms", ALLOCSET_DEFAULT_SIZES);
    });
  }
  void put(const Datom& d) {
    std::string json;
    datom::write_json(d.v, json);
    const std::string name = attribute_name(reader_, d.a);
    MemoryContext before = MemoryContextSwitchTo(context_);
    std::array<Datum, 5> values = {Int64GetDatum(d.e), text_datum(name), jsonb_datum(json),
                                   Int64GetDatum(d.tx), BoolGetDatum(d.added)};
    std::array<bool, 5> nulls{};
    put_row(result_, values, nulls);
    MemoryContextReset(context_);
    MemoryContextSwitchTo(before);
  }

 private:
  Reader& reader_;
  ReturnSetInfo* result_;
  MemoryContext context_;
};

// ---- Components of an index.

struct IndexName {
  const char* name;
  Order order;
  const char* components;
};
constexpr IndexName kIndexes[] = {{"eavt", Order::Eavt, "eavt"},
                                  {"aevt", Order::Aevt, "aevt"},
                                  {"avet", Order::Avet, "avet"},
                                  {"vaet", Order::Avet, "vaet"}};

const IndexName& index_named(const char* name) {
  for (const IndexName& index : kIndexes)
    if (pg_strcasecmp(name[0] == ':' ? name + 1 : name, index.name) == 0) return index;
  throw pg::SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                     std::string("there is no index \"") + name + "\"",
                     "There are eavt, aevt, avet and vaet.");
}

struct Components {
  std::optional<int64_t> e, a, tx;
  std::optional<datom::Value> v;
  const Attribute* attribute = nullptr;
};

// The arguments behind the index's name; trailing NULLs are as if left out.
Components components_of(Reader& reader, const IndexName& index, FunctionCallInfo call) {
  Components c;
  int count = call->nargs - 1;
  while (count > 0 && call->args[count].isnull) --count;
  if (count > 4)
    throw pg::SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "an index has four components");
  std::array<edn::Value, 4> given;
  for (int i = 0; i < count; ++i) {
    given[static_cast<size_t>(i)] = argument_to_edn(call, i + 1);
    if (call->args[i + 1].isnull)
      throw pg::SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "a component must not be null");
  }
  const auto at = [&](char name) -> const edn::Value* {
    const auto i = static_cast<size_t>(std::strchr(index.components, name) - index.components);
    return i < static_cast<size_t>(count) ? &given[i] : nullptr;
  };
  if (const edn::Value* e = at('e')) c.e = require_entity(reader, *e);
  if (const edn::Value* a = at('a')) {
    c.attribute = &require_attribute(reader, *a);
    c.a = c.attribute->id;
  }
  const edn::Value* v = at('v');
  if (v && index.components[0] == 'v')
    c.v = datom::Value::ref(require_entity(reader, *v));
  else if (v)
    c.v = value_of(reader, *c.attribute, *v);
  if (const edn::Value* tx = at('t')) c.tx = require_entity(reader, *tx);
  return c;
}

void put_datoms(const char* index_name, FunctionCallInfo call, ReturnSetInfo* result) {
  const IndexName& index = index_named(index_name);
  Reader reader;
  const Components c = components_of(reader, index, call);
  Pattern pattern;
  pattern.order = index.order;
  pattern.e = c.e;
  pattern.a = c.a;
  if (c.v && index.components[0] == 'v')
    pattern.target = c.v->integer;
  else if (c.v)
    pattern.from = pattern.to = c.v;
  DatomWriter writer(reader, result);
  reader.scan(pattern, [&](std::span<const Datom> batch) {
    for (const Datom& d : batch)
      if ((!c.tx || d.tx == *c.tx) && (index.components[0] != 'v' || d.v.type == datom::Type::Ref))
        writer.put(d);
    return true;
  });
}

// Whether a datom comes before the components in the index's order.
bool is_before(const Datom& d, const Components& c, const char* order) {
  for (const char* p = order; *p; ++p) {
    if (*p == 'e' && !c.e) return false;
    if (*p == 'a' && !c.a) return false;
    if (*p == 'v' && !c.v) return false;
    if (*p == 't') return c.tx && d.tx < *c.tx;
    const std::strong_ordering order_here = *p == 'e'   ? d.e <=> *c.e
                                            : *p == 'a' ? d.a <=> *c.a
                                                        : datom::compare(d.v, *c.v) <=> 0;
    if (order_here != 0) return order_here < 0;
  }
  return false;
}

// From the components on to the index's end: what shares the first of them, then all behind it.
void put_datoms_from(const char* index_name, FunctionCallInfo call, ReturnSetInfo* result) {
  const IndexName& index = index_named(index_name);
  if (index.components[0] == 'v')
    throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED, "seek_datoms() does not read vaet",
                       "datoms('vaet', entity) lists the references to an entity.");
  Reader reader;
  const Components c = components_of(reader, index, call);
  Pattern first, rest;
  first.order = rest.order = index.order;
  const bool by_entity = index.order == Order::Eavt;
  const bool has_first = by_entity ? c.e.has_value() : c.a.has_value();
  if (by_entity && c.e) {
    first.e = c.e;
    rest.from_e = *c.e + 1;
  } else if (!by_entity && c.a) {
    first.a = c.a;
    if (index.order == Order::Aevt) first.from_e = c.e;
    if (index.order == Order::Avet) first.from = c.v;
    rest.from_a = *c.a + 1;
  }
  DatomWriter writer(reader, result);
  const auto put = [&](std::span<const Datom> batch) {
    for (const Datom& d : batch)
      if (!is_before(d, c, index.components)) writer.put(d);
    return true;
  };
  if (has_first) reader.scan(first, put);
  reader.scan(rest, put);
}

void put_range(const char* attribute, FunctionCallInfo call, ReturnSetInfo* result) {
  Reader reader;
  const Attribute& a = require_attribute(reader, edn::Value::string(attribute));
  Pattern pattern;
  pattern.a = a.id;
  pattern.order = Order::Avet;
  if (!call->args[1].isnull) pattern.from = value_of(reader, a, argument_to_edn(call, 1));
  if (!call->args[2].isnull) pattern.to = value_of(reader, a, argument_to_edn(call, 2));
  DatomWriter writer(reader, result);
  reader.scan(pattern, [&](std::span<const Datom> batch) {
    for (const Datom& d : batch) writer.put(d);
    return true;
  });
}

// ---- entity(): what is true of one, as an object.
std::optional<std::string> entity_json(const edn::Value& name) {
  Reader reader;
  if (reader.is_history())
    throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED, "there are no entities in history",
                       "RESET datahike.history, or use datoms().");
  std::optional<int64_t> e = find_entity(reader, name);
  if (!e) return std::nullopt;
  Pattern pattern;
  pattern.e = *e;
  pattern.order = Order::Eavt;
  const std::vector<Datom> facts = reader.all(pattern);
  if (facts.empty()) return std::nullopt;
  std::string out = "{\":db/id\": " + std::to_string(*e);
  for (size_t i = 0; i < facts.size();) {
    const Attribute* a = reader.attribute(facts[i].a);
    out += ", ";
    datom::write_json_string(attribute_name(reader, facts[i].a), out);
    out += ": ";
    const bool many = a && a->many;
    if (many) out += '[';
    const size_t first = i;
    for (; i < facts.size() && facts[i].a == facts[first].a; ++i) {
      if (i > first) out += ", ";
      datom::write_json(facts[i].v, out);
    }
    if (many) out += ']';
  }
  return out + "}";
}

const char* unique_name(datom::Unique unique) {
  return unique == datom::Unique::Value ? ":db.unique/value" : ":db.unique/identity";
}

void put_schema(ReturnSetInfo* result) {
  Reader reader;
  for (const Attribute* a : reader.attributes()) {
    if (a->type == datom::Type::Nil) continue;
    std::string type = ":db.type/" + std::string(datom::type_name(a->type));
    std::array<Datum, 9> values = {
        Int64GetDatum(a->id),
        text_datum(":" + a->ident),
        text_datum(type),
        text_datum(a->many ? ":db.cardinality/many" : ":db.cardinality/one"),
        a->unique == datom::Unique::No ? 0 : text_datum(unique_name(a->unique)),
        BoolGetDatum(a->index),
        BoolGetDatum(a->component),
        BoolGetDatum(a->no_history),
        a->doc.empty() ? 0 : text_datum(a->doc)};
    std::array<bool, 9> nulls{};
    nulls[4] = a->unique == datom::Unique::No;
    nulls[8] = a->doc.empty();
    put_row(result, values, nulls);
  }
}

}  // namespace

}  // namespace datahike::facts

using namespace datahike;

Datum datahike_datoms(PG_FUNCTION_ARGS) {
  char* index = text_to_cstring(PG_GETARG_TEXT_PP(0));
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([=] { facts::put_datoms(index, fcinfo, result); });
  return 0;
}

Datum datahike_seek_datoms(PG_FUNCTION_ARGS) {
  char* index = text_to_cstring(PG_GETARG_TEXT_PP(0));
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([=] { facts::put_datoms_from(index, fcinfo, result); });
  return 0;
}

Datum datahike_index_range(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("an attribute must be named")));
  char* attribute = text_to_cstring(PG_GETARG_TEXT_PP(0));
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([=] { facts::put_range(attribute, fcinfo, result); });
  return 0;
}

Datum datahike_entity(PG_FUNCTION_ARGS) {
  bool found = false;
  Datum result = pg::guard([fcinfo, f = &found]() -> Datum {
    std::optional<std::string> json = facts::entity_json(facts::argument_to_edn(fcinfo, 0));
    *f = json.has_value();
    return json ? facts::jsonb_datum(*json) : 0;
  });
  if (!found) PG_RETURN_NULL();
  return result;
}

Datum datahike_schema(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([=] { facts::put_schema(result); });
  return 0;
}

// The value that a row of facts holds: v, or k where v is NULL.
Datum datahike_fact_value(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  bytea* stored = PG_ARGISNULL(1) ? PG_GETARG_BYTEA_PP(0) : PG_GETARG_BYTEA_PP(1);
  return pg::guard([=] {
    std::string json;
    datom::write_json(datom::decode({VARDATA_ANY(stored), VARSIZE_ANY_EXHDR(stored)}), json);
    return facts::jsonb_datum(json);
  });
}

Datum datahike_fact_attribute(PG_FUNCTION_ARGS) {
  int64 id = PG_GETARG_INT64(0);
  return pg::guard([=] {
    facts::Reader reader;
    return facts::text_datum(facts::attribute_name(reader, id));
  });
}

// NULL: it is not committed.
Datum datahike_commit_tx(PG_FUNCTION_ARGS) {
  int64 tx = PG_GETARG_INT64(0);
  uint64_t commit = pg::guard(
      [=] { return tx >= datom::kFirstTx ? facts::commit_tx_of(tx) : static_cast<uint64_t>(tx); });
  if (commit == UINT64_MAX) PG_RETURN_NULL();
  PG_RETURN_INT64(static_cast<int64>(commit));
}

Datum datahike_tx_of_commit(PG_FUNCTION_ARGS) {
  int64 tx = PG_GETARG_INT64(0);
  return pg::guard([=] { return Int64GetDatum(facts::tx_of_commit(static_cast<uint64_t>(tx))); });
}
