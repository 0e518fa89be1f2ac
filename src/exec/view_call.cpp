#include "exec/view_call.h"

#include "am/slot.h"
#include "fdw/target.h"
#include "pg/bridge.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
}

namespace datahike::exec {

namespace {
constexpr const char* kMark = "datahike view ";
}

void set_view_call(RangeTblEntry* entry, const ViewCall& call) {
  List* parts = list_make4(makeInteger(call.number), makeInteger(static_cast<int>(call.function)),
                           makeInteger(static_cast<int>(call.relation)),
                           makeInteger(static_cast<int>(call.kind)));
  parts = lappend(lappend(parts, call.first), call.second);
  entry->enrname = psprintf("%s%s", kMark, nodeToString(parts));
}

bool is_view_call(const RangeTblEntry* entry) {
  return entry->rtekind == RTE_RELATION && entry->enrname &&
         std::strncmp(entry->enrname, kMark, std::strlen(kMark)) == 0;
}

ViewCall view_call_of(const RangeTblEntry* entry) {
  auto* parts = static_cast<List*>(stringToNode(entry->enrname + std::strlen(kMark)));
  return {intVal(linitial(parts)),
          static_cast<Oid>(intVal(lsecond(parts))),
          static_cast<Oid>(intVal(lthird(parts))),
          static_cast<NamedKind>(intVal(lfourth(parts))),
          static_cast<Node*>(list_nth(parts, 4)),
          static_cast<Node*>(list_nth(parts, 5))};
}

std::optional<versioning::SessionView> view_of_call(NamedKind kind, const char* first,
                                                    const char* second, Snapshot snapshot) {
  if (kind != NamedKind::Server) return versioning::named_view_of(kind, first, second, snapshot);
  const auto server = static_cast<Oid>(std::strtoul(first, nullptr, 10));
  fdw::ServerOptions options = pg::call([=] { return fdw::server_options(server); });
  return versioning::view_of_options(options.view, snapshot);
}

char* argument_text(Datum value, Oid type) {
  switch (type) {
    case TIMESTAMPTZOID: {
      TimestampTz at = DatumGetTimestampTz(value);
      if (TIMESTAMP_IS_NOBEGIN(at)) return pstrdup("-infinity");
      if (TIMESTAMP_IS_NOEND(at)) return pstrdup("infinity");
      return pstrdup(timestamptz_to_str(at));
    }
    case INT8OID:
      return psprintf(INT64_FORMAT, DatumGetInt64(value));
    case UUIDOID:
      return DatumGetCString(DirectFunctionCall1(uuid_out, value));
    default:
      return TextDatumGetCString(value);
  }
}

Oid table_of_type(Oid type) {
  Oid relid = type_is_rowtype(type) ? get_typ_typrelid(type) : InvalidOid;
  char kind = OidIsValid(relid) ? get_rel_relkind(relid) : 0;
  if (kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE) return relid;
  if (kind == RELKIND_VIEW || kind == RELKIND_MATVIEW || kind == RELKIND_FOREIGN_TABLE)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("\"%s\" is not a table with versions of its own", get_rel_name(relid)),
                    errdetail_relkind_not_supported(kind),
                    errhint("SET datahike.commit_id or datahike.as_of, and query it.")));
  ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                  errmsg("type %s is not that of a table's rows", format_type_be(type)),
                  errhint("Name the table by a null value of its type: NULL::table.")));
  pg_unreachable();
}

void require_datahike(Oid relid) {
  Relation relation = RelationIdGetRelation(relid);
  if (!relation) ereport(ERROR, (errmsg("relation %u does not exist", relid)));
  bool partitioned = relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
  bool datahike = relation->rd_tableam && relation->rd_tableam->slot_callbacks &&
                  relation->rd_tableam->slot_callbacks(relation) == &am::slot_operations;
  if (!partitioned && !datahike)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("\"%s\" is not a datahike table", RelationGetRelationName(relation)),
                    errhint("Only tables made USING datahike have versions.")));
  RelationClose(relation);
}

}  // namespace datahike::exec
