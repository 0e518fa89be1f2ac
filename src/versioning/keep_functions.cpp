// SQL functions on how much history a table keeps.
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/keep_history.h"

extern "C" {
PG_FUNCTION_INFO_V1(datahike_set_keep_history);
PG_FUNCTION_INFO_V1(datahike_keep_history);
PGDLLEXPORT Datum datahike_set_keep_history(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_keep_history(PG_FUNCTION_ARGS);
}

namespace datahike::pg {

namespace {

uint64_t table_of(Oid relation) {
  uint64_t table = find_table_id(relation);
  if (table != 0) return table;
  const char* name = get_rel_name(relation);
  ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                  errmsg("\"%s\" is not a datahike table", name ? name : "???"),
                  get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE
                      ? errhint("Set it for each partition.")
                      : 0));
  pg_unreachable();
}

// All, none, or the interval as PostgreSQL writes it.
text* describe(int64_t microseconds) {
  if (microseconds == kKeepAll) return cstring_to_text("all");
  if (microseconds == 0) return cstring_to_text("none");
  Interval interval{};
  interval.day = static_cast<int32>(microseconds / USECS_PER_DAY);
  interval.time = microseconds % USECS_PER_DAY;
  Datum written = DirectFunctionCall1(interval_out, IntervalPGetDatum(&interval));
  return cstring_to_text(DatumGetCString(written));
}

}  // namespace

}  // namespace datahike::pg

using namespace datahike;

// Own no C++ object: PostgreSQL's errors may leave them.
Datum datahike_set_keep_history(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a table must be named")));
  PreventCommandIfReadOnly("set_keep_history()");
  Oid relation = PG_GETARG_OID(0);
  LockRelationOid(relation, AccessShareLock);
  if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)))
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation %u does not exist", relation)));
  if (!pg_class_ownercheck(relation, GetUserId()))
    aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relation)),
                   get_rel_name(relation));
  uint64_t table = pg::table_of(relation);
  char* value = PG_ARGISNULL(1) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(1));
  int64_t microseconds;
  if (value && !pg::parse_keep_history(value, &microseconds))
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("invalid value for how much history is kept: \"%s\"", value),
                    errhint("Give all, none, an interval such as '7 days', or NULL for the setting "
                            "datahike.keep_history.")));
  pg::set_keep_of_table(table, value);
  PG_RETURN_VOID();
}

Datum datahike_keep_history(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a table must be named")));
  uint64_t table = pg::table_of(PG_GETARG_OID(0));
  PG_RETURN_TEXT_P(pg::describe(pg::keep_of_table(table)));
}
