// at(), blame(), versions(), diff() and commit_changes() where a call could not be replaced by a
// query of the table (expand.cpp): in a SELECT list, with a revision that comes from another table,
// WITH ORDINALITY. It runs a query whose call is replaced, so rights and answers are the same; the
// rows are gathered before the first is returned.
#include "exec/view_call.h"

#include "pg/bridge.h"

extern "C" {
#include "access/tupconvert.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"

PG_FUNCTION_INFO_V1(datahike_view_function);
PGDLLEXPORT Datum datahike_view_function(PG_FUNCTION_ARGS);
}

namespace datahike::exec {

namespace {

constexpr long kFetchedAtOnce = 1000;

void free_plan(void* plan) { SPI_freeplan(static_cast<SPIPlanPtr>(plan)); }

constexpr int kMostArguments = 3;

// Kept for the next call of the same expression.
SPIPlanPtr prepare(FunctionCallInfo fcinfo) {
  FmgrInfo* function = fcinfo->flinfo;
  if (function->fn_extra) return static_cast<SPIPlanPtr>(function->fn_extra);
  Oid relid = table_of_type(get_fn_expr_argtype(function, 0));
  require_datahike(relid);
  const char* row =
      quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid));
  Oid types[kMostArguments] = {};
  StringInfoData query;
  initStringInfo(&query);
  appendStringInfo(&query, "SELECT * FROM datahike.%s(NULL::%s", get_func_name(function->fn_oid),
                   row);
  for (int i = 1; i < PG_NARGS(); ++i) {
    types[i - 1] = get_fn_expr_argtype(function, i);
    appendStringInfo(&query, ", $%d", i);
  }
  appendStringInfoChar(&query, ')');
  SPIPlanPtr plan = SPI_prepare(query.data, PG_NARGS() - 1, types);
  if (!plan) elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
  auto* callback = static_cast<MemoryContextCallback*>(
      MemoryContextAlloc(function->fn_mcxt, sizeof(MemoryContextCallback)));
  SPI_keepplan(plan);
  callback->func = free_plan;
  callback->arg = plan;
  MemoryContextRegisterResetCallback(function->fn_mcxt, callback);
  function->fn_extra = plan;
  return plan;
}

void put_rows(SPIPlanPtr plan, FunctionCallInfo fcinfo) {
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  Datum values[kMostArguments] = {};
  char nulls[kMostArguments] = {};
  for (int i = 1; i < PG_NARGS(); ++i) {
    values[i - 1] = fcinfo->args[i].value;
    nulls[i - 1] = fcinfo->args[i].isnull ? 'n' : ' ';
  }
  Portal portal = SPI_cursor_open(nullptr, plan, values, nulls, true);
  TupleConversionMap* map = nullptr;
  for (bool first = true;; first = false) {
    SPI_cursor_fetch(portal, true, kFetchedAtOnce);
    if (SPI_processed == 0) break;
    // Dropped columns belong to the function's rows, not to the query's.
    if (first)
      map = convert_tuples_by_position(SPI_tuptable->tupdesc, result->setDesc,
                                       "the table was altered while it was read");
    for (uint64 i = 0; i < SPI_processed; ++i) {
      HeapTuple tuple = SPI_tuptable->vals[i];
      tuplestore_puttuple(result->setResult, map ? execute_attr_map_tuple(tuple, map) : tuple);
    }
    SPI_freetuptable(SPI_tuptable);
    CHECK_FOR_INTERRUPTS();
  }
  SPI_cursor_close(portal);
}

}  // namespace

}  // namespace datahike::exec

Datum datahike_view_function(PG_FUNCTION_ARGS) {
  using namespace datahike::exec;
  table_of_type(get_fn_expr_argtype(fcinfo->flinfo, 0));
  InitMaterializedSRF(fcinfo, 0);
  SPI_connect();
  put_rows(prepare(fcinfo), fcinfo);
  SPI_finish();
  return 0;
}
