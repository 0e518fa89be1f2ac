#include "fdw/target.h"

#include "am/slot.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/store.h"
#include "store/version_tree.h"
#include "tree/ordered_map.h"

namespace datahike::fdw {

namespace {

// The present table of a name; InvalidOid: there is none.
Oid present_table(const TableName& name) {
  Oid space = get_namespace_oid(name.space, true);
  return OidIsValid(space) ? get_relname_relid(name.name, space) : InvalidOid;
}

bool is_datahike_table(Oid relid) {
  Relation relation = RelationIdGetRelation(relid);
  if (!relation) return false;
  bool ours = is_datahike(relation);
  RelationClose(relation);
  return ours;
}

[[noreturn]] void raise_no_such_table(const ServerOptions& options, const TableName& name) {
  ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                  errmsg("there is no table %s at %s", quoted(name), describe_view(options)),
                  errhint("A table is known to a commit once a transaction up to it has changed "
                          "rows of it.")));
  pg_unreachable();
}

void require_datahike(Oid relid) {
  char kind = get_rel_relkind(relid);
  if (kind == RELKIND_PARTITIONED_TABLE)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("foreign tables of partitioned tables are not supported"),
                    errhint("Make foreign tables of the partitions.")));
  if (!is_datahike_table(relid))
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("\"%s\" is not a datahike table", get_rel_name(relid)),
                    errhint("Only tables made USING datahike have versions.")));
}

}  // namespace

bool is_datahike(Relation relation) {
  return relation->rd_tableam && relation->rd_tableam->slot_callbacks &&
         relation->rd_tableam->slot_callbacks(relation) == &am::slot_operations;
}

std::map<uint64_t, Bytes> recorded_schemas(tree::NodeSource& nodes, const tree::NodeRef& root) {
  std::map<uint64_t, Bytes> schemas;
  if (root.empty()) return schemas;
  const Bytes from = store::schema_key(0);
  tree::MapCursor cursor(nodes, root);
  for (cursor.seek(from); cursor.valid() && cursor.key()[0] == from[0]; cursor.next()) {
    const ByteView key = cursor.key();
    if (key.size() != from.size()) throw CorruptError("version tree: key of wrong length");
    schemas[get_big_endian(key.data() + 1)] = cursor.entry().value;
  }
  return schemas;
}

RecordedTables tables_of(const std::map<uint64_t, Bytes>& schemas) {
  RecordedTables tables;
  for (const auto& [id, bytes] : schemas) {  // ids ascend in the order in which tables were made
    am::RecordedSchema schema = am::read_schema(bytes);
    auto name = std::make_pair(schema.space, schema.name);
    tables[name] = {id, std::move(schema)};
  }
  return tables;
}

RecordedTables recorded_tables(const versioning::View& view) {
  std::map<uint64_t, Bytes> schemas;
  if (!view.overlay->root().empty())
    schemas = recorded_schemas(pg::open_store(), view.overlay->root());
  view.overlay->each_table([&](uint64_t id, const versioning::TableOverlay& table) {
    if (!table.schema.empty()) schemas[id] = table.schema;
  });
  return tables_of(schemas);
}

RecordedTable require_table(const RecordedTables& tables, const ServerOptions& options,
                            const TableName& name) {
  auto found = tables.find({name.space, name.name});
  if (found != tables.end()) return found->second;
  const TableName* n = &name;
  const ServerOptions* o = &options;
  pg::call([=] { raise_no_such_table(*o, *n); });
  pg_unreachable();
}

versioning::View view_of_commit_of(const versioning::SessionView& session, Snapshot snapshot) {
  versioning::SessionView whole = session;
  *whole.since = 0;
  NamedSnapshot named(snapshot, whole);
  return versioning::view_for(named.get());
}

Target find_target(const ServerOptions& options, const TableName& name, Snapshot snapshot) {
  Target target;
  target.session = versioning::view_of_options(options.view, snapshot);
  if (target.session.pinned) {
    auto tables = recorded_tables(view_of_commit_of(target.session, snapshot));
    auto found = tables.find({name.space, name.name});
    if (found != tables.end()) {
      target.recorded = true;
      target.table = std::move(found->second);
      const uint64_t id = target.table.id;
      target.relation = pg::call([=] { return pg::find_relation(id); });
      return target;
    }
  }
  const TableName* n = &name;
  const ServerOptions* o = &options;
  target.relation = pg::call([=] {
    Oid relid = present_table(*n);
    if (!OidIsValid(relid)) raise_no_such_table(*o, *n);
    require_datahike(relid);
    return relid;
  });
  return target;
}

}  // namespace datahike::fdw
