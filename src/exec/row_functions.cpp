// Functions that the queries of blame() and diff() are made of (compositions.cpp).
#include "am/relation.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/store.h"
#include "versioning/named_view.h"
#include "versioning/row_security.h"

extern "C" {
PG_FUNCTION_INFO_V1(datahike_revision_commit);
PG_FUNCTION_INFO_V1(datahike_row_entity);
PGDLLEXPORT Datum datahike_revision_commit(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_row_entity(PG_FUNCTION_ARGS);
}

namespace datahike::exec {

namespace {

struct KnownTable {
  Oid relid;
  uint64_t table;
  am::TidBase tid_base;
};

void require_readable(Oid relid) {
  if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
    aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(relid));
  versioning::refuse_row_security(relid, "tell the entities of single rows of");
}

const KnownTable& table_of(FunctionCallInfo fcinfo, Oid relid) {
  FmgrInfo* function = fcinfo->flinfo;
  auto* known = static_cast<KnownTable*>(function->fn_extra);
  if (!known)
    function->fn_extra = known =
        static_cast<KnownTable*>(MemoryContextAllocZero(function->fn_mcxt, sizeof(KnownTable)));
  if (known->relid == relid) return *known;
  const pg::StoredTable table = pg::find_table(relid);
  if (table.id == 0)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("relation with OID %u is not a datahike table", relid)));
  if (!versioning::is_call_of_query(fcinfo)) require_readable(relid);
  *known = {relid, table.id, am::TidBase{table.first_rowid}};
  return *known;
}

// Of a row version that some commit has.
std::optional<uint64_t> stored_entity(uint64_t table, uint64_t rowid) {
  store::Environment& env = pg::open_store();
  std::optional<store::SegmentReader> segment = env.segment(table, rowid);
  if (!segment) {
    env.refresh();
    segment = env.segment(table, rowid);
  }
  if (!segment) return std::nullopt;
  return segment->entity(static_cast<uint32_t>(rowid - segment->first_rowid()));
}

}  // namespace

}  // namespace datahike::exec

using namespace datahike;

Datum datahike_revision_commit(PG_FUNCTION_ARGS) {
  char* revision = PG_ARGISNULL(0) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(0));
  auto* uuid = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
  pg::guard([=] {
    versioning::SessionView session =
        revision ? versioning::current_settings() : versioning::session_view();
    store::Uuid commit = versioning::statement_commit(revision, session, GetActiveSnapshot());
    std::memcpy(uuid->data, commit.data(), UUID_LEN);
  });
  PG_RETURN_UUID_P(uuid);
}

Datum datahike_row_entity(PG_FUNCTION_ARGS) {
  const exec::KnownTable table = exec::table_of(fcinfo, PG_GETARG_OID(0));
  auto* tid = reinterpret_cast<ItemPointer>(PG_GETARG_POINTER(1));
  uint64_t entity = 0;
  bool found = pg::guard([table, tid, out = &entity] {
    std::optional<uint64_t> e;
    if (am::is_rowid(*tid))
      e = exec::stored_entity(table.table, am::to_rowid(table.tid_base, *tid));
    *out = e.value_or(0);
    return e.has_value();
  });
  if (!found) PG_RETURN_NULL();
  PG_RETURN_INT64(static_cast<int64>(entity));
}
