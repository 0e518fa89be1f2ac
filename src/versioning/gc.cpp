// datahike.gc() and datahike.compact(): ask the fold worker, and wait for it.
#include "pg/bridge.h"
#include "pg/store.h"
#include "pg/worker.h"

using namespace datahike;

extern "C" {
PG_FUNCTION_INFO_V1(datahike_gc);
PG_FUNCTION_INFO_V1(datahike_compact);
PGDLLEXPORT Datum datahike_gc(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_compact(PG_FUNCTION_ARGS);
}

Datum datahike_compact(PG_FUNCTION_ARGS) {
  return pg::guard([] {
    pg::GcRequest request{};
    request.compact = true;
    return Int64GetDatum(pg::request_gc_and_wait(request).bytes);
  });
}

Datum datahike_gc(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                    errmsg("min_age and dry_run of gc() must not be NULL")));
  TupleDesc desc;
  if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE)
    ereport(ERROR, (errmsg("gc() must return a row")));
  if (DatumGetBool(DirectFunctionCall2(interval_lt, PG_GETARG_DATUM(1),
                                       IntervalPGetDatum(palloc0(sizeof(Interval))))))
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("min_age must not be negative")));
  bool has_date = !PG_ARGISNULL(0);
  TimestampTz older_than = has_date ? PG_GETARG_TIMESTAMPTZ(0) : 0;
  TimestampTz newest = DatumGetTimestampTz(DirectFunctionCall2(
      timestamptz_mi_interval, TimestampTzGetDatum(GetCurrentTimestamp()), PG_GETARG_DATUM(1)));
  bool dry_run = PG_GETARG_BOOL(2);
  return pg::guard([=] {
    pg::GcRequest request{std::nullopt, newest, dry_run};
    if (has_date) request.older_than = older_than;
    const pg::GcAnswer answer = pg::request_gc_and_wait(request);
    const pg::GcAnswer* a = &answer;
    return pg::call([=] {
      Datum values[5] = {Int64GetDatum(a->commits), Int64GetDatum(a->nodes), Int64GetDatum(a->rows),
                         Int64GetDatum(a->bytes), Int64GetDatum(a->kept)};
      bool nulls[5] = {};
      return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
    });
  });
}
