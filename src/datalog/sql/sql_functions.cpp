#include "datalog/sql/sql_functions.h"

#include "pg/bridge.h"
#include "datalog/sql/temporary_file.h"
#include "datalog/sql/values.h"

extern "C" {
#include "catalog/pg_proc.h"
#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "utils/plancache.h"
}

namespace datahike::query {

namespace {

constexpr int kMostArguments = 20;

struct Prepared {
  SPIPlanPtr plan;
  CellType result;
};

// "name" or "schema/name", quoted; whether there is such a function at all.
struct FunctionName {
  char* quoted;
  bool exists;
};
FunctionName find_name(const char* schema, const char* name, int arguments) {
  List* parts = schema ? list_make2(makeString(pstrdup(schema)), makeString(pstrdup(name)))
                       : list_make1(makeString(pstrdup(name)));
  if (schema && !OidIsValid(get_namespace_oid(schema, true))) return {nullptr, false};
  FuncCandidateList found = FuncnameGetCandidates(parts, arguments, NIL, true, true, false, true);
  return {pstrdup(quote_qualified_identifier(schema, name)), found != nullptr};
}

// Whether a default that the call leaves to the planner is not IMMUTABLE.
bool has_mutable_defaults(Node* expression) {
  if (!IsA(expression, FuncExpr)) return false;
  auto* call = reinterpret_cast<FuncExpr*>(expression);
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for function %u", call->funcid);
  List* all = expand_function_arguments(call->args, false, call->funcresulttype, tuple);
  ReleaseSysCache(tuple);
  return contain_mutable_functions(reinterpret_cast<Node*>(all));
}

void prepare(const char* quoted, int count, Oid* types, Prepared* out) {
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfo(&text, "SELECT %s(", quoted);
  for (int i = 0; i < count; ++i) appendStringInfo(&text, i ? ", $%d" : "$%d", i + 1);
  appendStringInfoChar(&text, ')');
  out->plan = SPI_prepare(text.data, count, types);
  if (!out->plan) elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
  auto* source = static_cast<CachedPlanSource*>(linitial(SPI_plan_get_plan_sources(out->plan)));
  auto* query = static_cast<Query*>(linitial(source->query_list));
  auto* target = static_cast<TargetEntry*>(linitial(query->targetList));
  bool mutable_function = contain_mutable_functions(reinterpret_cast<Node*>(target->expr)) ||
                          has_mutable_defaults(reinterpret_cast<Node*>(target->expr));
  if (mutable_function || query->hasAggs || query->hasWindowFuncs || query->hasTargetSRFs)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("function %s cannot be called from a query", quoted),
                    errhint("Queries call IMMUTABLE functions that return one value.")));
  describe_type(exprType(reinterpret_cast<Node*>(target->expr)), &out->result);
}

Cell run(Prepared* p, Datum* values, const char* nulls) {
  if (SPI_execute_plan(p->plan, values, nulls, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
    elog(ERROR, "a function of a query returned no row");
  bool isnull;
  Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
  return cell_of(value, isnull, &p->result);
}

}  // namespace

std::unique_ptr<datalog::TemporaryFile> SqlFunctions::make_file() {
  return make_temporary_file(memory_, owner_);
}

std::optional<Column> SqlFunctions::call(const std::string& name,
                                         const std::vector<datalog::Argument>& arguments,
                                         size_t rows) {
  size_t slash = name.find('/');
  bool qualified = slash != std::string::npos && name.size() > 1;
  char* schema = qualified ? from_utf8(name.substr(0, slash)) : nullptr;
  char* bare = from_utf8(qualified ? name.substr(slash + 1) : name);
  int count = static_cast<int>(arguments.size());
  FunctionName function = pg::call([=] { return find_name(schema, bare, count); });
  if (!function.exists || count > kMostArguments) return std::nullopt;
  pg::call([] { SPI_connect(); });
  MemoryContext memory = pg::call([] {
    return AllocSetContextCreate(CurrentMemoryContext, "datalog function", ALLOCSET_DEFAULT_SIZES);
  });
  std::map<std::vector<Oid>, Prepared> plans;
  std::map<std::vector<Value>, Value> known;
  Column results;
  results.reserve(rows);
  for (size_t row = 0; row < rows; ++row) {
    std::vector<Value> given;
    for (const datalog::Argument& a : arguments) given.push_back(a.at(row));
    auto [result, is_new] = known.try_emplace(given);
    if (is_new) {
      MemoryContext before = MemoryContextSwitchTo(memory);
      std::vector<Oid> types;
      Datum values[kMostArguments];
      char nulls[kMostArguments];
      for (int i = 0; i < count; ++i) {
        types.push_back(natural_type(given[i]));
        bool isnull = true;
        values[i] = OidIsValid(types[i]) ? datum_of(given[i], types[i], -1, &isnull) : 0;
        nulls[i] = isnull ? 'n' : ' ';
      }
      auto [plan, unprepared] = plans.try_emplace(types);
      Prepared* p = &plan->second;
      Datum* v = values;
      const char* n = nulls;
      if (unprepared) {
        Oid* t = types.data();
        const char* quoted = function.quoted;
        MemoryContextSwitchTo(before);
        pg::call([=] { prepare(quoted, count, t, p); });
        MemoryContextSwitchTo(memory);
      }
      Cell cell = pg::call([=] { return run(p, v, n); });
      result->second = value_of(cell);
      MemoryContextSwitchTo(before);
      pg::call([=] {
        SPI_freetuptable(SPI_tuptable);
        MemoryContextReset(memory);
      });
    }
    results.push_back(result->second);
  }
  pg::call([] { SPI_finish(); });
  return results;
}

}  // namespace datahike::query
