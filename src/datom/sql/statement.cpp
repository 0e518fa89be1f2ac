#include "datom/sql/statement.h"

extern "C" {
#include "utils/plancache.h"
#include "utils/portal.h"
}

namespace datahike::facts {

namespace {

void copy_rows(StatementResult* out, MemoryContext context) {
  SPITupleTable* table = SPI_tuptable;
  out->count = table->numvals;
  MemoryContext before = MemoryContextSwitchTo(context);
  out->rows = static_cast<StatementRow*>(
      palloc_extended(sizeof(StatementRow) * (out->count + 1), MCXT_ALLOC_HUGE));
  for (uint64_t i = 0; i < out->count; ++i) {
    Datum v[5];
    bool n[5];
    heap_deform_tuple(table->vals[i], table->tupdesc, v, n);
    StatementRow& row = out->rows[i];
    row = {n[0] ? 0 : DatumGetInt64(v[0]),
           n[1] ? 0 : DatumGetInt64(v[1]),
           n[2] ? 0 : DatumGetInt64(v[2]),
           n[4] ? 0 : DatumGetInt64(v[4]),
           !n[4],
           nullptr,
           0};
    if (n[3]) continue;
    bytea* value = DatumGetByteaPCopy(v[3]);
    row.value = VARDATA(value);
    row.bytes = VARSIZE(value) - VARHDRSZ;
  }
  MemoryContextSwitchTo(before);
}

void prepare(Statement* s) {
  if (s->plan) return;
  SPIPlanPtr plan = SPI_prepare_cursor(s->sql, s->parameters, s->types, CURSOR_OPT_GENERIC_PLAN);
  if (!plan) elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
  SPI_keepplan(plan);
  s->plan = plan;
}

}  // namespace

StatementResult execute(Statement* s, const Arguments* arguments, Snapshot snapshot,
                        bool read_only) {
  MemoryContext context = CurrentMemoryContext;
  StatementResult result;
  SPI_connect();
  prepare(s);
  auto* values = const_cast<Datum*>(arguments->values);
  int code = snapshot ? SPI_execute_snapshot(s->plan, values, arguments->nulls, snapshot,
                                             InvalidSnapshot, read_only, false, 0)
                      : SPI_execute_plan(s->plan, values, arguments->nulls, read_only, 0);
  if (code < 0) elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(code));
  result.processed = SPI_processed;
  if (SPI_tuptable) copy_rows(&result, context);
  SPI_finish();
  MemoryContextSwitchTo(context);
  return result;
}

Portal open_cursor(Statement* s, const Datum* values) {
  MemoryContext context = CurrentMemoryContext;
  SPI_connect();
  prepare(s);
  Portal portal = SPI_cursor_open(nullptr, s->plan, const_cast<Datum*>(values), nullptr, true);
  SPI_finish();
  MemoryContextSwitchTo(context);
  return portal;
}

StatementResult fetch(Portal portal, long count) {
  MemoryContext context = CurrentMemoryContext;
  StatementResult result;
  SPI_connect();
  SPI_cursor_fetch(portal, true, count);
  result.processed = SPI_processed;
  if (SPI_tuptable) copy_rows(&result, context);
  SPI_finish();
  MemoryContextSwitchTo(context);
  return result;
}

void close_cursor(Portal portal) { SPI_cursor_close(portal); }

double estimated_rows(const char* sql) {
  MemoryContext context = CurrentMemoryContext;
  SPI_connect();
  SPIPlanPtr plan = SPI_prepare(sql, 0, nullptr);
  if (!plan) elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
  CachedPlan* cached = SPI_plan_get_cached_plan(plan);
  double rows = 1000;
  if (cached) {
    rows = linitial_node(PlannedStmt, cached->stmt_list)->planTree->plan_rows;
    ReleaseCachedPlan(cached, nullptr);  // the plan is not saved, so nobody owns it
  }
  SPI_finish();
  MemoryContextSwitchTo(context);
  return rows;
}

Datum bytea_datum(const std::string* bytes) {
  auto* out = static_cast<bytea*>(palloc(bytes->size() + VARHDRSZ));
  SET_VARSIZE(out, bytes->size() + VARHDRSZ);
  std::memcpy(VARDATA(out), bytes->data(), bytes->size());
  return PointerGetDatum(out);
}

}  // namespace datahike::facts
