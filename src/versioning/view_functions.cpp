// SQL functions on row versions: which rows two revisions do not share, and which commits made and
// removed a row version.
#include "am/relation.h"
#include "am/row_cursor.h"
#include "am/serializable.h"
#include "am/table_difference.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "versioning/revision.h"
#include "versioning/row_origin.h"
#include "versioning/row_security.h"
#include "versioning/sql_values.h"

extern "C" {
#include "catalog/pg_inherits.h"
}

using namespace datahike;
using namespace datahike::versioning;

namespace {

// Opens a datahike table that the caller may read all of. May raise a PostgreSQL error.
Relation open_readable(Oid relid) {
  Relation relation = table_open(relid, AccessShareLock);
  if (pg::find_table_id(relid) == 0)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("\"%s\" is not a datahike table", RelationGetRelationName(relation))));
  if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
    aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(relation));
  refuse_row_security(relid, "compare revisions of");
  return relation;
}

void put_tid(ReturnSetInfo* result, ItemPointerData tid) {
  pg::call([=] {
    bool isnull = false;
    ItemPointerData copy = tid;
    Datum value = PointerGetDatum(&copy);
    tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
    CHECK_FOR_INTERRUPTS();
  });
}

// Every row that a scan under the session view finds.
void scan_under(const SessionView& session, Relation relation, ReturnSetInfo* result) {
  const SessionView* before = use_session_view(&session);
  try {
    const am::RelationInfo& info = am::relation_info(relation);
    am::TableView view = am::table_view(info, GetActiveSnapshot());
    for (am::RowCursor cursor(view); cursor.step(true);)
      put_tid(result, am::to_tid(info.tid_base, cursor.rowid()));
  } catch (...) {
    use_session_view(before);
    throw;
  }
  use_session_view(before);
}

// The rows that this transaction sees on its branch and that are not live at a commit.
void rows_since(const store::Uuid& without, Relation relation, ReturnSetInfo* result) {
  const am::RelationInfo& info = am::relation_info(relation);
  am::TableView now = am::table_view(info, GetActiveSnapshot());
  am::serializable_scan(relation, now, GetActiveSnapshot());
  am::TableView then = am::table_view_in(info, view_of_commit(without));
  for (const tree::RowidRange& range : am::rows_only_in(now, then))
    for (uint64_t i = 0; i < range.count; ++i)
      put_tid(result, am::to_tid(info.tid_base, range.first + i));
}

// What the functions below keep between their calls.
struct OriginResult {
  TupleDesc desc;
  Oid relid;       // asked about last
  Oid parent;      // whose rights counted
  uint64_t table;  // its id
  am::TidBase tid_base;
};

OriginResult* origin_result(FunctionCallInfo fcinfo) {
  if (fcinfo->flinfo->fn_extra) return static_cast<OriginResult*>(fcinfo->flinfo->fn_extra);
  MemoryContext before = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
  auto* result = static_cast<OriginResult*>(palloc0(sizeof(OriginResult)));
  if (get_call_result_type(fcinfo, nullptr, &result->desc) != TYPEFUNC_COMPOSITE)
    ereport(ERROR, (errmsg("the function must return a row")));
  result->desc = BlessTupleDesc(result->desc);
  MemoryContextSwitchTo(before);
  fcinfo->flinfo->fn_extra = result;
  return result;
}

// The id of a datahike table of which the caller may read something, or which is a child of the
// table `parent` of which he may. Row-level security is no matter where a query has read the row
// that it asks about. May raise an error.
uint64_t readable_table(OriginResult* result, Oid relid, Oid parent, bool by_query) {
  if (result->relid == relid && result->parent == parent) return result->table;
  bool through_parent = OidIsValid(parent) && parent != relid &&
                        list_member_oid(find_all_inheritors(parent, NoLock, nullptr), relid);
  Oid readable = through_parent ? parent : relid;
  pg::StoredTable table = pg::find_table(relid);
  if (table.id == 0)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("relation with OID %u is not a datahike table", relid)));
  if (pg_class_aclcheck(readable, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
      pg_attribute_aclcheck_all(readable, GetUserId(), ACL_SELECT, ACLMASK_ANY) != ACLCHECK_OK)
    aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(readable));
  if (!by_query) refuse_row_security(readable, "tell the commits of single rows of");
  result->relid = relid;
  result->parent = parent;
  result->table = table.id;
  result->tid_base = am::TidBase{table.first_rowid};
  return table.id;
}

using FindOrigin = const store::Origin* (*)(const store::Uuid&, uint64_t table, uint64_t rowid);

Datum origin_row(FunctionCallInfo fcinfo, FindOrigin find) {
  OriginResult* result = origin_result(fcinfo);
  uint64_t table =
      readable_table(result, PG_GETARG_OID(0), PG_GETARG_OID(3), is_call_of_query(fcinfo));
  auto* tid = reinterpret_cast<ItemPointer>(PG_GETARG_POINTER(1));
  const am::TidBase tids = result->tid_base;
  pg_uuid_t* uuid = PG_GETARG_UUID_P(2);
  return pg::guard([=] {
    store::Uuid commit;
    std::copy_n(uuid->data, commit.size(), commit.begin());
    const store::Origin* origin =
        am::is_rowid(*tid) ? find(commit, table, am::to_rowid(tids, *tid)) : nullptr;
    return pg::call([=] {
      Datum values[4] = {};
      bool nulls[4] = {true, true, true, true};
      if (origin) {
        values[0] = uuid_datum(origin->commit);
        values[1] = Int64GetDatum(static_cast<int64_t>(origin->tx));
        values[2] = TimestampTzGetDatum(origin->time);
        values[3] = CStringGetTextDatum(origin->author.c_str());
        std::fill_n(nulls, 4, false);
        nulls[3] = origin->author.empty();
      }
      return HeapTupleGetDatum(heap_form_tuple(result->desc, values, nulls));
    });
  });
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(datahike_row_origin);
PG_FUNCTION_INFO_V1(datahike_row_removal);
PGDLLEXPORT Datum datahike_row_origin(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_row_removal(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(datahike_rows_only_in);
PGDLLEXPORT Datum datahike_rows_only_in(PG_FUNCTION_ARGS);
}

Datum datahike_rows_only_in(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                    errmsg("a table and a revision to compare with are needed")));
  Oid relid = PG_GETARG_OID(0);
  char* revision = PG_ARGISNULL(1) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(1));
  char* without = text_to_cstring(PG_GETARG_TEXT_PP(2));
  InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  Relation relation = open_readable(relid);
  pg::guard([=] {
    store::Uuid other = resolve_revision(without);
    if (!revision) return rows_since(other, relation, result);
    SessionView session = view_of_difference(resolve_revision(revision), other);
    scan_under(session, relation, result);
  });
  table_close(relation, AccessShareLock);
  return 0;
}

Datum datahike_row_origin(PG_FUNCTION_ARGS) { return origin_row(fcinfo, row_origin); }

Datum datahike_row_removal(PG_FUNCTION_ARGS) { return origin_row(fcinfo, row_removal); }
