// SQL functions on row versions: which rows two revisions do not share.
#include "am/relation.h"
#include "am/row_cursor.h"
#include "am/table_difference.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "versioning/revision.h"

using namespace datahike;
using namespace datahike::versioning;

namespace {

// Opens a datahike table that the caller may read. May raise a PostgreSQL error.
Relation open_readable(Oid relid) {
  Relation relation = table_open(relid, AccessShareLock);
  if (pg::find_table_id(relid) == 0)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("\"%s\" is not a datahike table", RelationGetRelationName(relation))));
  if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
    aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(relation));
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
    am::TableView view = am::table_view(am::relation_info(relation), GetActiveSnapshot());
    for (am::RowCursor cursor(view); cursor.step(true);)
      put_tid(result, am::to_tid(cursor.rowid()));
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
  am::TableView then = am::table_view_in(info, view_of_commit(without));
  for (const tree::RowidRange& range : am::rows_only_in(now, then))
    for (uint64_t i = 0; i < range.count; ++i) put_tid(result, am::to_tid(range.first + i));
}

}  // namespace

extern "C" {
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
