// Of a branch, the tables are those there are, as they are defined now: definitions are shared by
// all branches. Of a commit they are those that it or an earlier one has recorded, as they were
// then.
#include "fdw/import.h"

#include "fdw/decode.h"
#include "fdw/import_facts.h"
#include "fdw/other_store.h"
#include "fdw/target.h"
#include "pg/bridge.h"
#include "pg/catalog.h"

extern "C" {
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "parser/parse_type.h"
#include "utils/ruleutils.h"
}

namespace datahike::fdw {

namespace {

// One CREATE FOREIGN TABLE command that is being put together.
struct Command {
  StringInfoData text;
  bool first = true;
  const char* table;

  Command(const char* table_name, const char* local_schema) : table(table_name) {
    initStringInfo(&text);
    appendStringInfo(&text, "CREATE FOREIGN TABLE %s (",
                     quote_qualified_identifier(local_schema, table_name));
  }
  void add_column(const char* name, const char* type, Oid collation, Oid type_collation,
                  bool not_null) {
    appendStringInfo(&text, "%s%s %s", first ? "" : ", ", quote_identifier(name), type);
    if (OidIsValid(collation) && collation != type_collation)
      appendStringInfo(&text, " COLLATE %s", generate_collation_name(collation));
    if (not_null) appendStringInfoString(&text, " NOT NULL");
    first = false;
  }
  char* finish(const char* server, const char* space) {
    appendStringInfo(&text, ") SERVER %s OPTIONS (relation %s)", quote_identifier(server),
                     quote_literal_cstr(quote_qualified_identifier(space, table)));
    return text.data;
  }
};

const char* type_name(Oid type, int32_t typmod) {
  return format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

// The type that a column had, by its OID, with the modifier that its recorded name shows: "numeric
// (8,2)". A type of a user may have another name now.
const char* recorded_type(Oid type, const char* recorded, const char* column, const char* table,
                          bool own_types) {
  if (!own_types && type >= FirstNormalObjectId)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("column \"%s\" of table \"%s\" is of type %s, which is the other "
                           "database's own",
                           column, table, recorded),
                    errhint("Types that are not built in cannot be read from another store. Leave "
                            "the table out by EXCEPT, or make the foreign table with the other "
                            "columns.")));
  // The number can be read. An array of them, or a right, has none.
  if (!own_types && names_objects(type) && get_typlen(type) == sizeof(Oid))
    return type_name(OIDOID, -1);
  if (!SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(type)))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                    errmsg("column \"%s\" of table \"%s\" was of type %s, which has been dropped",
                           column, table, recorded),
                    errhint("Leave the table out by EXCEPT, or make the foreign table with the "
                            "other columns.")));
  Oid parsed = InvalidOid;
  int32_t typmod = -1;
  parseTypeString(recorded, &parsed, &typmod, true);
  if (parsed != type) typmod = -1;
  return type_name(type, typmod);
}

// Commits do not record collations: the one that the table's column has now, if it is of that type.
Oid collation_now(Oid relation, int16_t number, Oid type) {
  if (!OidIsValid(relation)) return InvalidOid;
  HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(number));
  if (!HeapTupleIsValid(tuple)) return InvalidOid;
  auto* att = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
  Oid collation = att->atttypid == type ? att->attcollation : InvalidOid;
  ReleaseSysCache(tuple);
  return collation;
}

// Plain PostgreSQL code: `table` is the caller's.
char* command_for_recorded(const RecordedTable* table, const char* local_schema, const char* server,
                           bool own_types) {
  const am::RecordedSchema& schema = table->schema;
  Oid relation = own_types ? pg::find_relation(table->id) : InvalidOid;
  Command command(pstrdup(schema.name.c_str()), local_schema);
  for (const auto& [number, column] : schema.columns) {
    const char* type = recorded_type(column.type_oid, column.type.c_str(), column.name.c_str(),
                                     schema.name.c_str(), own_types);
    Oid collation = collation_now(relation, number, column.type_oid);
    command.add_column(column.name.c_str(), type, collation, get_typcollation(column.type_oid),
                       column.not_null);
  }
  return command.finish(server, schema.space.c_str());
}

char* command_for_present(Oid relid, const char* local_schema, const char* space,
                          const char* server) {
  Relation relation = table_open(relid, AccessShareLock);
  Command command(pstrdup(RelationGetRelationName(relation)), local_schema);
  TupleDesc desc = RelationGetDescr(relation);
  for (int i = 0; i < desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(desc, i);
    if (att->attisdropped) continue;
    command.add_column(NameStr(att->attname), type_name(att->atttypid, att->atttypmod),
                       att->attcollation, get_typcollation(att->atttypid), att->attnotnull);
  }
  table_close(relation, AccessShareLock);
  return command.finish(server, space);
}

[[noreturn]] void no_such_schema(const char* schema, const ServerOptions& options) {
  ereport(ERROR, (errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
                  errmsg("there is no schema \"%s\" at %s", schema, describe_view(options))));
  pg_unreachable();
}

List* import_present(ImportForeignSchemaStmt* statement, const char* server,
                     const ServerOptions& options) {
  Oid space = get_namespace_oid(statement->remote_schema, true);
  if (!OidIsValid(space)) no_such_schema(statement->remote_schema, options);
  Oid method = get_table_am_oid("datahike", false);
  List* commands = NIL;
  Relation classes = table_open(RelationRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(space));
  SysScanDesc scan = systable_beginscan(classes, InvalidOid, false, nullptr, 1, &key);
  for (HeapTuple tuple; HeapTupleIsValid(tuple = systable_getnext(scan));) {
    auto* entry = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    if (entry->relkind != RELKIND_RELATION || entry->relam != method) continue;
    if (!IsImportableForeignTable(NameStr(entry->relname), statement)) continue;
    commands = lappend(commands, command_for_present(entry->oid, statement->local_schema,
                                                     statement->remote_schema, server));
  }
  systable_endscan(scan);
  table_close(classes, AccessShareLock);
  return commands;
}

// Appends the commands for the tables of the schema; false if there is none.
bool add_recorded(const RecordedTables& tables, ImportForeignSchemaStmt* statement,
                  const char* server, bool own_types, List** commands) {
  bool any = false;
  for (const auto& [name, table] : tables) {
    if (name.first != statement->remote_schema) continue;
    any = true;
    const RecordedTable* t = &table;
    pg::call([=] {
      if (!IsImportableForeignTable(t->schema.name.c_str(), statement)) return;
      *commands =
          lappend(*commands, command_for_recorded(t, statement->local_schema, server, own_types));
    });
  }
  return any;
}

List* import_other(ImportForeignSchemaStmt* statement, const char* server,
                   const ServerOptions& options) {
  List* commands = NIL;
  bool found = pg::guard([&] {
    const OtherStoreLease lease;
    OtherStore& store = open_other_store(options, GetUserId());
    const OtherCommit commit = read_other_commit(store, options);
    return add_recorded(commit.tables, statement, server, false, &commands);
  });
  if (!found) no_such_schema(statement->remote_schema, options);
  return commands;
}

List* import_local(ImportForeignSchemaStmt* statement, const char* server,
                   const ServerOptions& options) {
  versioning::SessionView session;
  List* commands = NIL;
  bool found = pg::guard([&] {
    Snapshot snapshot = GetActiveSnapshot();
    session = versioning::view_of_options(options.view, snapshot);
    return !session.pinned || add_recorded(recorded_tables(view_of_commit_of(session, snapshot)),
                                           statement, server, true, &commands);
  });
  if (!found) no_such_schema(statement->remote_schema, options);
  return session.pinned ? commands : import_present(statement, server, options);
}

}  // namespace

List* import_schema(ImportForeignSchemaStmt* statement, Oid server) {
  if (statement->options != NIL)
    ereport(ERROR,
            (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
             errmsg("invalid option \"%s\"", linitial_node(DefElem, statement->options)->defname),
             errhint("IMPORT FOREIGN SCHEMA has no options here.")));
  ServerOptions options = server_options(server);
  const char* name = GetForeignServer(server)->servername;
  bool pushed = !ActiveSnapshotSet();
  if (pushed) PushActiveSnapshot(GetTransactionSnapshot());
  List* commands = std::strcmp(statement->remote_schema, "datahike") == 0
                       ? import_facts(statement, name, options)
                   : options.is_local() ? import_local(statement, name, options)
                                        : import_other(statement, name, options);
  if (pushed) PopActiveSnapshot();
  return commands;
}

}  // namespace datahike::fdw
