// The SQL functions q, q_json, explain_q, pull and pull_many.
#if __has_include(<malloc.h>)
#include <malloc.h>
#endif

#include "datalog/run.h"
#include "pg/bridge.h"
#include "datalog/sql/answer.h"
#include "datalog/sql/database.h"
#include "datalog/sql/json.h"
#include "datalog/sql/sql_functions.h"
#include "datalog/sql/values.h"

extern "C" {
#include "executor/spi.h"

PG_FUNCTION_INFO_V1(datahike_q);
PG_FUNCTION_INFO_V1(datahike_q_json);
PG_FUNCTION_INFO_V1(datahike_explain_q);
PG_FUNCTION_INFO_V1(datahike_pull);
PG_FUNCTION_INFO_V1(datahike_given_time);
PG_FUNCTION_INFO_V1(datahike_given_server);
PGDLLEXPORT Datum datahike_q(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_q_json(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_explain_q(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_pull(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_given_time(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_given_server(PG_FUNCTION_ARGS);
}

namespace datahike::query {

namespace {

using datalog::QueryInput;

struct Given {
  bool is_database;
  char *revision, *as_of, *since, *server;
  bool history;
  Cell cell;
};

bool is_database_type(Oid type) {
  Oid schema = get_namespace_oid("datahike", true);
  return get_typtype(type) == TYPTYPE_COMPOSITE &&
         GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("db"),
                         ObjectIdGetDatum(schema)) == type;
}

char* field_text(HeapTupleHeader row, int number) {
  bool isnull;
  Datum value = GetAttributeByNum(row, static_cast<AttrNumber>(number), &isnull);
  if (isnull) return nullptr;
  return TextDatumGetCString(value);
}

Given database_of(Datum value) {
  HeapTupleHeader row = DatumGetHeapTupleHeader(value);
  bool isnull;
  Datum history = GetAttributeByNum(row, 4, &isnull);
  Given g{true,
          field_text(row, 1),
          field_text(row, 2),
          field_text(row, 3),
          field_text(row, 5),
          !isnull && DatumGetBool(history),
          {}};
  return g;
}

Given given_argument(FunctionCallInfo fcinfo, int number) {
  Oid type = get_fn_expr_argtype(fcinfo->flinfo, number);
  bool isnull = PG_ARGISNULL(number);
  if (is_database_type(type)) {
    if (isnull)
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                      errmsg("a database of a query must not be null")));
    return database_of(PG_GETARG_DATUM(number));
  }
  CellType cell_type;
  describe_type(type, &cell_type);
  Given g{};
  g.cell = cell_of(isnull ? 0 : PG_GETARG_DATUM(number), isnull, &cell_type);
  return g;
}

DatabaseValue to_database(const Given& g) {
  auto text = [](const char* t) { return t ? to_utf8(t) : std::string(); };
  return {text(g.revision), text(g.as_of), text(g.since), g.history, text(g.server)};
}

datalog::AnySource source_of(const DatabaseValue& database) {
  return {open_database(database), Value()};
}

// The inputs of a query, as its :in has them: the session's database is $ where none is given.
std::vector<QueryInput> inputs_of(const datalog::Query& query, const Given* given, size_t count) {
  std::vector<QueryInput> inputs;
  bool session = !query.inputs.empty() && query.inputs[0].kind == datalog::Input::Source &&
                 query.inputs[0].name == "$" && count + 1 == query.inputs.size() &&
                 (count == 0 || !given[0].is_database || query.inputs.size() > 1);
  if (session) {
    QueryInput in;
    in.is_source = true;
    in.source = source_of(DatabaseValue());
    inputs.push_back(std::move(in));
  }
  for (size_t i = 0; i < count; ++i) {
    QueryInput in;
    in.is_source = given[i].is_database;
    if (in.is_source) {
      in.source = source_of(to_database(given[i]));
    } else {
      in.value = value_of(given[i].cell);
      size_t at = inputs.size();
      if (at < query.inputs.size()) {
        auto kind = query.inputs[at].kind;
        // Rules and patterns are EDN, whatever type of text they come in.
        if ((kind == datalog::Input::Rules || kind == datalog::Input::Pattern) &&
            in.value.is(Kind::String))
          in.value = edn::read(in.value.text());
      }
    }
    inputs.push_back(std::move(in));
  }
  return inputs;
}

// What a query may hold in memory: what PostgreSQL would give the hash tables of its clauses.
size_t memory_of(const datalog::Query& query) {
  return static_cast<size_t>(work_mem * hash_mem_multiplier * 1024) * (query.where.size() + 2);
}

void interrupted() {
  if (InterruptPending) pg::call([] { CHECK_FOR_INTERRUPTS(); });
}

// A query's text and inputs, taken from the call.
struct Call {
  const char* query;
  const Given* given;
  size_t count;
};

Call call_of(FunctionCallInfo fcinfo) {
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the query must not be null")));
  if (get_fn_expr_variadic(fcinfo->flinfo))
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("inputs of a query cannot be a VARIADIC array"),
                    errhint("Give them one by one; an array is a collection.")));
  auto count = static_cast<size_t>(PG_NARGS() - 1);
  auto* given = static_cast<Given*>(palloc0(sizeof(Given) * Max(count, 1)));
  for (size_t i = 0; i < count; ++i) given[i] = given_argument(fcinfo, static_cast<int>(i) + 1);
  return {text_to_cstring(PG_GETARG_TEXT_PP(0)), given, count};
}

// What a query needs for a moment is kept for the next one instead of being given back to the
// system and zeroed again, page by page, which takes more time than small queries: up to 32 MB.
void keep_freed_memory() {
#ifdef M_TRIM_THRESHOLD  // glibc has these
  static const bool done = mallopt(M_MMAP_THRESHOLD, 16 << 20) &&
                           mallopt(M_TRIM_THRESHOLD, 32 << 20) && mallopt(M_TOP_PAD, 1 << 20);
  (void)done;
#endif
}

Answer answer(const Call& call, std::vector<std::string>* explain = nullptr) {
  keep_freed_memory();
  datalog::Names names;
  Answer a{datalog::parse_query(edn::read(to_utf8(call.query)), names), {}};
  datalog::Budget budget(memory_of(a.query), interrupted);
  SqlFunctions host;
  datalog::Evaluator evaluator(names, budget, host);
  evaluator.explain = explain;
  a.result =
      datalog::run_query(evaluator, a.query, inputs_of(a.query, call.given, call.count), true);
  return a;
}

void put_rows(const Answer& a, ReturnSetInfo* out) {
  TupleDesc desc = out->setDesc;
  AnswerRows rows(a, desc);
  MemoryContext memory = pg::call([] {
    return AllocSetContextCreate(CurrentMemoryContext, "datalog rows", ALLOCSET_DEFAULT_SIZES);
  });
  const auto columns = static_cast<size_t>(desc->natts);
  Datum* values = static_cast<Datum*>(pg::call([=] { return palloc(sizeof(Datum) * columns); }));
  bool* nulls = static_cast<bool*>(pg::call([=] { return palloc(columns); }));
  for (size_t first = 0; first < rows.rows(); first += rows.at_once()) {
    rows.read(first, memory);
    const AnswerRows* r = &rows;
    pg::call([=] {
      for (size_t row = first; row < first + r->count(); ++row) {
        for (size_t c = 0; c < columns; ++c) {
          values[c] = r->value(row, c);
          nulls[c] = r->is_null(row, c);
        }
        tuplestore_putvalues(out->setResult, desc, values, nulls);
      }
    });
    interrupted();
  }
  pg::call([=] { MemoryContextDelete(memory); });
}

char* json_of(const Value& value) {
  std::string text;
  append_json(text, value);
  return from_utf8(text);
}

// An answer's text, which is one value whatever its size.
char* json_of(const Answer& a) {
  if (!a.result.file) return json_of(datalog::to_value(a.result, a.query, true));
  const bool many =
      a.query.shape == datalog::Query::Relation || a.query.shape == datalog::Query::Collection;
  std::string text;
  a.result.each_part([&](const datalog::QueryResult& part) {
    interrupted();
    const Value value = datalog::to_value(part, a.query, true);
    if (!many) return append_json(text, value);
    for (const Value& item : value.items()) {
      text += text.empty() ? "[" : ", ";
      append_json(text, item);
    }
    if (text.size() > MaxAllocSize)
      throw datalog::QueryError("54000", "the answer is larger than a value can be",
                                "datahike.q returns it as rows.");
  });
  if (many) text += text.empty() ? "[]" : "]";
  return from_utf8(text.empty() ? "null" : text);
}

DatabaseValue database_argument(FunctionCallInfo fcinfo, int number) {
  if (PG_ARGISNULL(number)) return {};
  Datum value = PG_GETARG_DATUM(number);
  return to_database(pg::call([=] { return database_of(value); }));
}

// Entities as numbers, as EDN of lookup refs or idents, or arrays of these.
datalog::Values entities_of(const Cell& cell) {
  Value v = value_of(cell);
  datalog::Values entities;
  if (!v.is(Kind::Vector))
    entities.push_back(std::move(v));
  else
    entities.assign(v.items().begin(), v.items().end());
  for (Value& e : entities)
    if (e.is(Kind::String)) e = edn::read(e.text());
  return entities;
}

char* pulled(FunctionCallInfo fcinfo, const char* pattern, const Cell& cell, bool many) {
  datalog::Names names;
  datalog::Query none;
  datalog::Budget budget(memory_of(none) * 4, interrupted);
  SqlFunctions host;
  datalog::Evaluator evaluator(names, budget, host);
  std::shared_ptr<datalog::Source> source = open_database(database_argument(fcinfo, 2));
  datalog::Values found =
      datalog::pull(evaluator, *source, edn::read(to_utf8(pattern)), entities_of(cell));
  if (many) return json_of(Value::vector(std::move(found)));
  return found.empty() || found[0].is_nil() ? nullptr : json_of(found[0]);
}

}  // namespace

Answer answer_of(FunctionCallInfo fcinfo) {
  Call call = pg::call([=] { return call_of(fcinfo); });
  return answer(call);
}

}  // namespace datahike::query

using namespace datahike;

Datum datahike_q(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
  auto* out = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([=] { query::put_rows(query::answer_of(fcinfo), out); });
  return 0;
}

Datum datahike_q_json(PG_FUNCTION_ARGS) {
  query::Call call = query::call_of(fcinfo);
  const query::Call* c = &call;
  char* text = pg::guard([=] {
    query::Answer a = query::answer(*c);
    return query::json_of(a);
  });
  PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

Datum datahike_explain_q(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
  auto* out = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  query::Call call = query::call_of(fcinfo);
  const query::Call* c = &call;
  pg::guard([=] {
    std::vector<std::string> steps;
    query::Answer a = query::answer(*c, &steps);
    steps.push_back(std::to_string(a.result.rows) +
                    (a.result.rows == 1 ? " row found" : " rows found"));
    for (const std::string& step : steps) {
      char* line = query::from_utf8(step);
      pg::call([=] {
        Datum value = CStringGetTextDatum(line);
        bool isnull = false;
        tuplestore_putvalues(out->setResult, out->setDesc, &value, &isnull);
      });
    }
  });
  return 0;
}

Datum datahike_pull(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0) || PG_ARGISNULL(1)) PG_RETURN_NULL();
  char* pattern = text_to_cstring(PG_GETARG_TEXT_PP(0));
  query::CellType type;
  query::describe_type(get_fn_expr_argtype(fcinfo->flinfo, 1), &type);
  query::Cell cell = query::cell_of(PG_GETARG_DATUM(1), false, &type);
  const query::Cell* given = &cell;
  bool many = type.is_array;
  char* text = pg::guard([=] { return query::pulled(fcinfo, pattern, *given, many); });
  if (!text) PG_RETURN_NULL();
  PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

// In a database value NULL and '' stand for no time: they must not come from a time that is
// missing, which would be the present.
Datum datahike_given_time(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                    errmsg("the time of a database value must not be null"),
                    errhint("Give a timestamp, a date or a transaction number.")));
  text* t = PG_GETARG_TEXT_PP(0);
  if (VARSIZE_ANY_EXHDR(t) == 0)
    ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
                    errmsg("the time of a database value must not be empty"),
                    errhint("Give a timestamp, a date or a transaction number.")));
  PG_RETURN_TEXT_P(t);
}

Datum datahike_given_server(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0) || *NameStr(*PG_GETARG_NAME(0)) == 0)
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                    errmsg("the server of a database value must not be null or empty"),
                    errhint("Give the name of a server of the wrapper datahike.")));
  PG_RETURN_TEXT_P(cstring_to_text(NameStr(*PG_GETARG_NAME(0))));
}
