#include "datom/sql/call.h"

#include "datalog/sql/values.h"
#include "datom/json.h"
#include "datom/sql/caller.h"

extern "C" {
#include "executor/spi.h"
}

namespace datahike::facts {

namespace {

struct Result {
  char* text;  // nullptr: NULL
  bool is_json, is_text;
};

Result execute(const char* sql, int count, const Oid* types, const Datum* values) {
  MemoryContext context = CurrentMemoryContext;
  SPI_connect();
  int code = SPI_execute_with_args(sql, count, const_cast<Oid*>(types), const_cast<Datum*>(values),
                                   nullptr, false, 2);
  if (code < 0) elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(code));
  if (SPI_processed > 1)
    ereport(ERROR, (errcode(ERRCODE_CARDINALITY_VIOLATION),
                    errmsg("a function of transaction data returned several rows"),
                    errhint("It returns all of its data as one value.")));
  Result result{nullptr, false, false};
  if (SPI_processed == 1) {
    const Oid type = getBaseType(SPI_gettypeid(SPI_tuptable->tupdesc, 1));
    result.is_json = type == JSONOID || type == JSONBOID;
    result.is_text = type == TEXTOID || type == VARCHAROID;
    if (char* text = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1))
      result.text = MemoryContextStrdup(context, text);
  } else {
    result.is_text = true;
  }
  SPI_finish();
  MemoryContextSwitchTo(context);
  return result;
}

}  // namespace

datom::Called call_function(const std::string& symbol, std::span<const edn::Value> arguments) {
  return as_caller([&]() -> datom::Called {
    auto [space, name] = datom::split_name(symbol);
    char* schema = query::from_utf8(std::string(space.empty() ? "public" : space));
    char* function = query::from_utf8(std::string(name));
    std::string sql = std::string("SELECT ") +
                      pg::call([=] { return quote_qualified_identifier(schema, function); }) + "(";
    std::vector<Oid> types;
    std::vector<Datum> values;
    for (const edn::Value& v : arguments) {
      if (sql.back() != '(') sql += ", ";
      if (v.is_nil()) {
        sql += "NULL";
        continue;
      }
      const Oid type = query::natural_type(v);
      if (!OidIsValid(type))
        throw datom::FactError("42804", "a function cannot be given " + edn::write(v));
      bool isnull;
      values.push_back(query::datum_of(v, type, -1, &isnull));
      types.push_back(type);
      sql += "$" + std::to_string(types.size());
    }
    sql += ")";
    const char* text = sql.c_str();
    const Oid* t = types.data();
    const Datum* d = values.data();
    const auto count = static_cast<int>(types.size());
    const Result result = pg::call([=] { return execute(text, count, t, d); });
    if (!result.is_json && !result.is_text)
      throw datom::FactError("42804", "function " + symbol + " returns no transaction data",
                             "It returns text, which is EDN, or jsonb.");
    if (!result.text) return {edn::Value(), result.is_json};
    const std::string utf8 = query::to_utf8(result.text);
    return {result.is_json ? datom::read_json(utf8) : edn::read(utf8), result.is_json};
  });
}

}  // namespace datahike::facts
