// Utility commands: temporary tables go to heap, databases are handled without the fold worker in
// the way, and a table's going is noticed.
#include "am/branch_constraints.h"
#include "am/prepared.h"
#include "am/rewrite.h"
#include "am/rowid_blocks.h"
#include "am/truncation.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/hooks.h"
#include "pg/incarnation.h"
#include "pg/index_omissions.h"
#include "pg/store.h"
#include "pg/template_store.h"
#include "pg/worker.h"
#include "versioning/view.h"

extern "C" {
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "nodes/parsenodes.h"
}

namespace datahike::pg {

namespace {

ProcessUtility_hook_type previous_utility = nullptr;
object_access_hook_type previous_access = nullptr;

// An unqualified name is created in the first schema of the search path, which may be pg_temp.
bool is_in_temporary_schema(const RangeVar* name) {
  if (name->schemaname || name->relpersistence != RELPERSISTENCE_PERMANENT) return false;
  List* path = fetch_search_path(false);
  bool temporary = path != NIL && isTempNamespace(linitial_oid(path));
  list_free(path);
  return temporary;
}

bool is_temporary(const RangeVar* name) {
  return is_in_temporary_schema(name) || name->relpersistence == RELPERSISTENCE_TEMP ||
         (name->schemaname && std::strcmp(name->schemaname, "pg_temp") == 0);
}

bool means_datahike(const char* access_method) {
  return std::strcmp(access_method ? access_method : default_table_access_method, "datahike") == 0;
}

// Rows of temporary tables are of no concern to other sessions or commits.
void use_heap_if_temporary(const RangeVar* name, char** access_method) {
  if (name && is_temporary(name) && means_datahike(*access_method))
    *access_method = pstrdup("heap");
}

void redirect_temporary(Node* statement) {
  if (IsA(statement, CreateStmt)) {
    auto* create = reinterpret_cast<CreateStmt*>(statement);
    if (!create->partspec) use_heap_if_temporary(create->relation, &create->accessMethod);
  } else if (IsA(statement, CreateTableAsStmt)) {
    IntoClause* into = reinterpret_cast<CreateTableAsStmt*>(statement)->into;
    use_heap_if_temporary(into->rel, &into->accessMethod);
  }
}

bool needs_redirecting(Node* statement) {
  if (IsA(statement, CreateStmt))
    return is_temporary(reinterpret_cast<CreateStmt*>(statement)->relation);
  if (IsA(statement, CreateTableAsStmt)) {
    auto* as = reinterpret_cast<CreateTableAsStmt*>(statement);
    return as->into && as->into->rel && is_temporary(as->into->rel);
  }
  return false;
}

bool moves_database(AlterDatabaseStmt* alter) {
  ListCell* cell;
  foreach (cell, alter->options)
    if (std::strcmp(static_cast<DefElem*>(lfirst(cell))->defname, "tablespace") == 0) return true;
  return false;
}

// The database whose fold worker would be in the command's way.
const char* affected_database(Node* statement) {
  const char* name = nullptr;
  switch (nodeTag(statement)) {
    case T_DropdbStmt:
      name = reinterpret_cast<DropdbStmt*>(statement)->dbname;
      break;
    case T_CreatedbStmt: {
      name = "template1";
      ListCell* cell;
      foreach (cell, reinterpret_cast<CreatedbStmt*>(statement)->options) {
        auto* option = static_cast<DefElem*>(lfirst(cell));
        if (std::strcmp(option->defname, "template") == 0 && option->arg)
          name = defGetString(option);
      }
      break;
    }
    case T_RenameStmt: {
      auto* rename = reinterpret_cast<RenameStmt*>(statement);
      if (rename->renameType == OBJECT_DATABASE) name = rename->subname;
      break;
    }
    case T_AlterDatabaseStmt: {
      auto* alter = reinterpret_cast<AlterDatabaseStmt*>(statement);
      if (moves_database(alter)) name = alter->dbname;
      break;
    }
    default:
      break;
  }
  return name;
}

bool is_template(Oid database) {
  HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
  if (!HeapTupleIsValid(tuple)) return false;
  bool result = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple))->datistemplate;
  ReleaseSysCache(tuple);
  return result;
}

// PostgreSQL's own function for this is not public in every minor release.
bool may_create_databases() {
  if (superuser()) return true;
  HeapTuple role = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
  if (!HeapTupleIsValid(role)) return false;
  bool may = reinterpret_cast<Form_pg_authid>(GETSTRUCT(role))->rolcreatedb;
  ReleaseSysCache(role);
  return may;
}

// Whether the command is the user's to run. Where it is not it raises its own error, and must not
// have disturbed the worker before.
bool is_permitted(Node* statement, Oid database) {
  bool owner = pg_database_ownercheck(database, GetUserId());
  if (IsA(statement, CreatedbStmt))
    return may_create_databases() && (owner || is_template(database));
  if (IsA(statement, RenameStmt)) return owner && may_create_databases();
  return owner;
}

struct Command {
  PlannedStmt* planned;
  const char* query;
  bool read_only;
  ProcessUtilityContext context;
  ParamListInfo params;
  QueryEnvironment* environment;
  DestReceiver* destination;
  QueryCompletion* completion;
};

void name_branch(void*) {
  if (const char* branch = am::branch_in_errors()) errcontext("on branch \"%s\"", branch);
}

void run(const Command& command) {
  const Command* const c = &command;
  ErrorContextCallback context{error_context_stack, name_branch, nullptr};
  // A command inside a running query's function goes by the settings of now.
  const versioning::SessionView* before = versioning::use_session_view(nullptr);
  const bool around = am::enter_truncate(IsA(c->planned->utilityStmt, TruncateStmt));
  PG_TRY();
  {
    error_context_stack = &context;
    List* constraints = am::note_constraints(c->planned->utilityStmt);
    auto next = previous_utility ? previous_utility : standard_ProcessUtility;
    next(c->planned, c->query, c->read_only, c->context, c->params, c->environment, c->destination,
         c->completion);
    am::check_added_constraints(constraints);
    am::leave_truncate(around);
  }
  PG_CATCH();
  {
    versioning::use_session_view(before);
    am::name_branch_in_errors(nullptr);
    am::leave_truncate_after_error(around);
    PG_RE_THROW();
  }
  PG_END_TRY();
  versioning::use_session_view(before);
}

void let_back(int, Datum database) { let_worker_back(DatumGetObjectId(database)); }

void run_without_worker(const Command& command, Oid database) {
  const Command* const c = &command;
  if (!keep_worker_out(database)) {
    run(*c);
    return;
  }
  // A session that is terminated while it waits exits without passing through PG_CATCH.
  Datum kept_out = ObjectIdGetDatum(database);
  PG_ENSURE_ERROR_CLEANUP(let_back, kept_out);
  {
    wait_until_worker_left(database);
    run(*c);
  }
  PG_END_ENSURE_ERROR_CLEANUP(let_back, kept_out);
  let_worker_back(database);
}

// Another backend ends a prepared transaction, without a callback of its own.
bool is_transaction_command(Node* statement, TransactionStmtKind kind) {
  return IsA(statement, TransactionStmt) &&
         reinterpret_cast<TransactionStmt*>(statement)->kind == kind;
}
bool commits_prepared(Node* statement) {
  return is_transaction_command(statement, TRANS_STMT_COMMIT_PREPARED);
}
bool ends_prepared(Node* statement) {
  return commits_prepared(statement) ||
         is_transaction_command(statement, TRANS_STMT_ROLLBACK_PREPARED);
}

// DROP INDEX CONCURRENTLY wants no xid before it has done its waiting, so what the index lacks is
// forgotten when it is gone.
Oid dropped_concurrently = InvalidOid;

void forget_omissions_of_dropped() {
  Oid index = dropped_concurrently;
  dropped_concurrently = InvalidOid;
  if (!OidIsValid(index) || SearchSysCacheExists1(RELOID, ObjectIdGetDatum(index))) return;
  if (extension_installed()) set_omissions(index, nullptr);
}

void utility(PlannedStmt* planned, const char* query, bool read_only, ProcessUtilityContext context,
             ParamListInfo params, QueryEnvironment* environment, DestReceiver* destination,
             QueryCompletion* completion) {
  Command c{planned, query, read_only, context, params, environment, destination, completion};
  if (needs_redirecting(planned->utilityStmt)) {
    if (read_only) c.planned = static_cast<PlannedStmt*>(copyObjectImpl(planned));
    c.read_only = false;
    redirect_temporary(c.planned->utilityStmt);
  }
  Node* statement = c.planned->utilityStmt;
  const char* name = affected_database(statement);
  Oid database = name ? get_database_oid(name, true) : InvalidOid;
  bool dropping = OidIsValid(database) && IsA(statement, DropdbStmt);
  bool ending = ends_prepared(statement);
  if (commits_prepared(statement) && extension_installed() && !RecoveryInProgress())
    guard([] { am::restore_before_commit_prepared(); });
  bool drops = IsA(statement, DropStmt);
  if (drops) dropped_concurrently = InvalidOid;
  if (OidIsValid(database) && is_permitted(statement, database)) {
    if (IsA(statement, CreatedbStmt)) set_template(database, name);
    run_without_worker(c, database);
    if (IsA(statement, CreatedbStmt)) make_sequences_log();
    set_template(InvalidOid, nullptr);
  } else {
    run(c);
  }
  if (drops) forget_omissions_of_dropped();
  if (dropping) {
    CommandCounterIncrement();
    // Another one, if they were renamed meanwhile.
    bool dropped = !SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(database));
    if (dropped) {  // nothing refers to it any more
      remove_store(database);
      am::forget_blocks_of(database);
    }
  }
  // It may have left log rows to fold and entries in the shared tables to sweep.
  if (ending && extension_installed()) wake_worker();
  if (context == PROCESS_UTILITY_TOPLEVEL) release_store();
}

void on_access(ObjectAccessType access, Oid class_id, Oid object, int sub, void* arg) {
  if (previous_access) previous_access(access, class_id, object, sub, arg);
  if (access == OAT_POST_CREATE && class_id == DatabaseRelationId) copy_template_store(object);
  if (class_id != RelationRelationId || sub != 0) return;
  if (access == OAT_POST_CREATE) guard([=] { am::rewrite_begins(object); });
  if (access != OAT_DROP) return;
  record_last_id(object);
  if (!extension_installed()) return;
  guard([=] { am::rewrite_ends(object); });
  const ExtensionOids& e = extension();
  if (object == e.relation || object == e.relation_key || object == e.table_history ||
      object == e.table_history_key || object == e.index_omissions ||
      object == e.index_omissions_key)
    return;  // the extension itself goes
  char kind = get_rel_relkind(object);
  if (kind == RELKIND_RELATION || kind == RELKIND_MATVIEW) forget_table_id(object);
  if (kind != RELKIND_INDEX) return;
  auto* drop = static_cast<ObjectAccessDrop*>(arg);
  if (drop && (drop->dropflags & PERFORM_DELETION_CONCURRENTLY))
    dropped_concurrently = object;
  else
    set_omissions(object, nullptr);
}

}  // namespace

void install_utility_hook() {
  previous_utility = ProcessUtility_hook;
  ProcessUtility_hook = utility;
  previous_access = object_access_hook;
  object_access_hook = on_access;
  am::install_truncation_hooks();
}

}  // namespace datahike::pg
