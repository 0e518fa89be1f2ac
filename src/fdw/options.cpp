#include "fdw/options.h"

#include "pg/bridge.h"
#include "pg/settings.h"

extern "C" {
#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "utils/regproc.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(datahike_fdw_validator);
PGDLLEXPORT Datum datahike_fdw_validator(PG_FUNCTION_ARGS);
}

namespace datahike::fdw {

namespace {

struct Option {
  const char* name;
  Oid context;
};
constexpr Option kOptions[] = {
    {"branch", ForeignServerRelationId},  {"commit_id", ForeignServerRelationId},
    {"as_of", ForeignServerRelationId},   {"since", ForeignServerRelationId},
    {"store", ForeignServerRelationId},   {"database", ForeignServerRelationId},
    {"relation", ForeignTableRelationId}, {"namespace", ForeignTableRelationId},
    {"index", ForeignTableRelationId},    {"role", UserMappingRelationId},
    {"attribute", AttributeRelationId},   {"references", AttributeRelationId},
};

const char* find(List* options, const char* name) {
  ListCell* cell;
  foreach (cell, options) {
    auto* option = static_cast<DefElem*>(lfirst(cell));
    if (std::strcmp(option->defname, name) == 0) return defGetString(option);
  }
  return nullptr;
}

void require_known(const char* name, Oid context) {
  StringInfoData known;
  initStringInfo(&known);
  for (const Option& option : kOptions) {
    if (option.context != context) continue;
    if (std::strcmp(option.name, name) == 0) return;
    appendStringInfo(&known, "%s%s", known.len > 0 ? ", " : "", option.name);
  }
  ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
                  known.len > 0 ? errhint("Valid options in this context are: %s", known.data)
                                : errhint("There are no valid options in this context.")));
}

void refuse_both(List* options, const char* one, const char* other) {
  if (!find(options, one) || !find(options, other)) return;
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                  errmsg("options \"%s\" and \"%s\" contradict each other", one, other),
                  errhint("Give one of them.")));
}

void require_time(List* options, const char* name) {
  const char* value = find(options, name);
  pg::AsOf at;
  if (!value || (std::strlen(value) < pg::kMostAsOf && pg::parse_as_of(value, &at))) return;
  ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
                  errmsg("invalid value for option \"%s\": \"%s\"", name, value),
                  errhint("Give a timestamp, a date or a transaction number.")));
}

void require_role(const char* option, Oid role, const char* name) {
  if (has_privs_of_role(GetUserId(), role)) return;
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                  errmsg("permission denied to set option \"%s\"", option),
                  errhint("It takes the privileges of the role %s.", name)));
}

// Privileges of tables elsewhere cannot be looked at from here. So whoever makes the server must be
// one who may read them all, and lends that to those who are granted the server's foreign tables,
// as with COPY's and file_fdw's files.
void check_other_store(List* options) {
  const char* store = find(options, "store");
  if (store) require_role("store", ROLE_PG_READ_SERVER_FILES, "pg_read_server_files");
  if (store && !is_absolute_path(store))
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("option \"store\" has a relative path: \"%s\"", store),
                    errhint("Give an absolute path on the server.")));
  bool database = find(options, "database") != nullptr;
  if (database) require_role("database", ROLE_PG_READ_ALL_DATA, "pg_read_all_data");
  if ((store || database) && find(options, "since"))
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("option \"since\" is not supported for another store"),
                    errhint("Join the table there as it is and as of that time.")));
}

void check_server(List* options) {
  refuse_both(options, "commit_id", "branch");
  refuse_both(options, "commit_id", "as_of");
  refuse_both(options, "store", "database");
  require_time(options, "as_of");
  require_time(options, "since");
  const char* commit = find(options, "commit_id");
  if (commit && !pg::guard([=] { return store::parse_uuid(commit).has_value(); }))
    ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
                    errmsg("invalid value for option \"commit_id\": \"%s\"", commit),
                    errhint("Give a commit's UUID; datahike.log() lists them.")));
  check_other_store(options);
}

void check_table(List* options) {
  refuse_both(options, "relation", "namespace");
  refuse_both(options, "relation", "index");
  refuse_both(options, "namespace", "index");
  if (find(options, "namespace")) return;
  if (const char* index = find(options, "index")) {
    for (const char* known : {"eavt", "aevt", "avet", "vaet"})
      if (std::strcmp(index, known) == 0) return;
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no index \"%s\"", index),
             errhint("There are eavt, aevt, avet and vaet.")));
  }
  const char* relation = find(options, "relation");
  if (!relation)
    ereport(ERROR,
            (errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
             errmsg("option \"relation\" is required"),
             errhint("It names the table: OPTIONS (relation 'schema.table'). Tables of facts "
                     "have the option namespace or index.")));
  List* parts = stringToQualifiedNameList(relation);
  if (list_length(parts) > 2)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("option \"relation\" names no table: \"%s\"", relation),
                    errhint("Give a name, with its schema before it unless that is public.")));
}

List* options_of_table(Oid foreign_table) { return GetForeignTable(foreign_table)->options; }

bool names_our_function(Oid function, const char* name) {
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple)) return false;
  auto* proc = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  bool ours = proc->prolang == ClanguageId && std::strcmp(NameStr(proc->proname), name) == 0 &&
              proc->pronamespace == get_namespace_oid("datahike", true);
  ReleaseSysCache(tuple);
  return ours;
}

}  // namespace

ServerOptions server_options(Oid server) {
  List* options = GetForeignServer(server)->options;
  return {{find(options, "branch"), find(options, "commit_id"), find(options, "as_of"),
           find(options, "since")},
          find(options, "store"),
          find(options, "database")};
}

bool is_our_server(Oid server) {
  Oid handler = GetForeignDataWrapper(GetForeignServer(server)->fdwid)->fdwhandler;
  return OidIsValid(handler) && names_our_function(handler, "fdw_handler");
}

const char* table_option(Oid foreign_table, const char* name) {
  return find(options_of_table(foreign_table), name);
}

const char* column_option(Oid foreign_table, AttrNumber column, const char* name) {
  return find(GetForeignColumnOptions(foreign_table, column), name);
}

TableName table_name(Oid foreign_table) {
  const char* relation = find(options_of_table(foreign_table), "relation");
  if (!relation)  // the wrapper may have been given another validator
    ereport(ERROR, (errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
                    errmsg("option \"relation\" is required")));
  List* parts = stringToQualifiedNameList(relation);
  if (list_length(parts) == 1) return {"public", strVal(linitial(parts))};
  return {strVal(linitial(parts)), strVal(lsecond(parts))};
}

char* quoted(const TableName& name) {
  return pstrdup(quote_qualified_identifier(name.space, name.name));
}

Oid reading_role(Oid server, Oid user) {
  HeapTuple tuple =
      SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user), ObjectIdGetDatum(server));
  if (!HeapTupleIsValid(tuple))  // that of PUBLIC
    tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
                            ObjectIdGetDatum(server));
  if (!HeapTupleIsValid(tuple)) return user;
  bool isnull;
  Datum stored =
      SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &isnull);
  const char* name = isnull ? nullptr : find(untransformRelOptions(stored), "role");
  name = name ? pstrdup(name) : nullptr;
  ReleaseSysCache(tuple);
  if (!name) return user;
  Oid role = get_role_oid(name, false);
  // A mapping may take rights away, not lend those of somebody else.
  if (!has_privs_of_role(user, role))
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("role \"%s\" has not the privileges of role \"%s\"",
                           GetUserNameFromId(user, false), name),
                    errhint("A user mapping names a role that its user is a member of.")));
  return role;
}

char* describe_view(const ServerOptions& options) {
  StringInfoData text;
  initStringInfo(&text);
  if (options.store) appendStringInfo(&text, "store %s, ", options.store);
  if (options.database) appendStringInfo(&text, "database %s, ", options.database);
  const versioning::ViewOptions& view = options.view;
  if (view.commit_id)
    appendStringInfo(&text, "commit %s", view.commit_id);
  else
    appendStringInfo(&text, "branch %s", view.branch ? view.branch : "db");
  if (view.as_of) appendStringInfo(&text, ", as of %s", view.as_of);
  if (view.since) appendStringInfo(&text, ", since %s", view.since);
  return text.data;
}

}  // namespace datahike::fdw

Datum datahike_fdw_validator(PG_FUNCTION_ARGS) {
  using namespace datahike::fdw;
  List* options = untransformRelOptions(PG_GETARG_DATUM(0));
  Oid context = PG_GETARG_OID(1);
  ListCell* cell;
  foreach (cell, options) require_known(static_cast<DefElem*>(lfirst(cell))->defname, context);
  if (context == ForeignServerRelationId) check_server(options);
  if (context == ForeignTableRelationId) check_table(options);
  PG_RETURN_VOID();
}
