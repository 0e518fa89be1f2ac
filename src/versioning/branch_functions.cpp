// The SQL functions that make, change and delete branches.
#include "am/pending.h"
#include "pg/branches.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/log.h"
#include "pg/reflog.h"
#include "pg/settings.h"
#include "versioning/pin.h"
#include "versioning/ref_names.h"
#include "versioning/reset.h"
#include "versioning/revision.h"
#include "versioning/sql_values.h"

extern "C" {
#include "commands/dbcommands.h"
}

using namespace datahike;
using namespace datahike::versioning;

namespace {

// Two sessions that make a branch of the same name at once meet at the unique index.
template <class F>
auto with_new_name(const char* name, F&& body) -> decltype(body()) {
  try {
    return pg::call(body);
  } catch (const pg::PgError& e) {
    if (e.data->sqlerrcode != ERRCODE_UNIQUE_VIOLATION) throw;
    throw pg::SqlError(ERRCODE_DUPLICATE_OBJECT,
                       std::string("branch \"") + name + "\" already exists");
  }
}

void note_creation(int32_t branch, const store::Commit& commit) {
  pg::RefMove move;
  move.branch = branch;
  move.operation = "create";
  move.to = commit.id;
  move.to_tx = commit.tx;
  pg::write_ref_move(move);
}

void create_branch(const char* name, const char* from) {
  require_may_create("branch");
  check_ref_name("branch", name);
  require_free_name(name);
  if (!from) refuse_uncommitted("create a branch");
  store::Commit commit = commit_to_name(resolve_revision_or_current(from));
  int32_t branch = with_new_name(name, [=] { return pg::insert_branch(name); });
  pg::write_head(head_at(branch, commit));
  note_creation(branch, commit);
}

pg::BranchRow require_branch(const char* name) {
  pg::BranchRow row{};
  if (!pg::call([&] { return pg::find_branch_row(name, &row); }))
    throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT,
                       std::string("branch \"") + name + "\" does not exist",
                       "datahike.branches() lists the branches.");
  return row;
}

void require_owner(const char* name, const pg::BranchRow& row, const char* what) {
  if (pg::call([&] { return pg::may_own(row, GetUserId()); })) return;
  throw pg::SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE,
                     std::string("permission denied to ") + what + " branch \"" + name + "\"",
                     "Its owner and the database's owner may.");
}

void refuse_protected(const char* name, const pg::BranchRow& row) {
  if (row.is_protected)
    throw pg::SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE,
                       std::string("branch \"") + name + "\" is protected",
                       "datahike.unprotect_branch() ends that.");
}

void refuse_default(const char* name, const char* what) {
  if (std::strcmp(name, pg::kDefaultBranch) == 0)
    throw pg::SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                       std::string("the default branch cannot be ") + what);
}

// The settings would go on naming it.
void refuse_current(const char* name, const char* what) {
  if (std::strcmp(name, pg::setting_branch) == 0)
    throw pg::SqlError(ERRCODE_OBJECT_IN_USE,
                       std::string("cannot ") + what + " the branch that this session uses",
                       "SET datahike.branch to another one, or RESET it, first.");
}

// Of a branch whose lock has just been got: others may have changed it since `before` was read.
pg::BranchRow look_again(const char* name, const pg::BranchRow& before, const char* what) {
  pg::BranchRow row = require_branch(name);
  if (row.id != before.id)
    throw pg::SqlError(ERRCODE_OBJECT_IN_USE,
                       std::string("branch \"") + name + "\" has just been made anew",
                       "Try again if that is the branch that is meant.");
  require_owner(name, row, what);
  return row;
}

// The fold worker has a branch's lock too, for as long as it folds. Plain PostgreSQL code.
bool lock_after_the_worker(int32_t branch) {
  constexpr int kTries = 50;
  for (int i = 0; i < kTries; ++i) {
    if (pg::try_lock_branch_exclusively(branch)) return true;
    CHECK_FOR_INTERRUPTS();
    pg_usleep(20'000);
  }
  return false;
}

// For a change that nobody may be writing beside.
void lock_unused(const char* name, int32_t branch) {
  if (am::has_pending_on(branch) || !pg::call([=] { return lock_after_the_worker(branch); }))
    throw pg::SqlError(ERRCODE_OBJECT_IN_USE,
                       std::string("branch \"") + name + "\" is being written",
                       "Try again when its writers have ended.");
}

void delete_branch(const char* name) {
  pg::BranchRow row = require_branch(name);
  refuse_default(name, "deleted");
  require_owner(name, row, "delete");
  refuse_protected(name, row);
  refuse_current(name, "delete");
  lock_unused(name, row.id);
  refuse_protected(name, look_again(name, row, "delete"));
  pg::call([=] { pg::delete_branch_row(name); });
}

void rename_branch(const char* name, const char* new_name) {
  pg::BranchRow row = require_branch(name);
  refuse_default(name, "renamed");
  require_owner(name, row, "rename");
  refuse_protected(name, row);
  refuse_current(name, "rename");
  check_ref_name("branch", new_name);
  require_free_name(new_name);
  lock_unused(name, row.id);
  refuse_protected(name, look_again(name, row, "rename"));
  with_new_name(new_name, [=] {
    pg::rename_branch_row(name, new_name);
    return 0;
  });
  store::Uuid at = branch_head(row.id);
  uint64_t tx = store::load_known_commit(store_for_reading(), at).tx;
  pg::RefMove move;
  move.branch = row.id;
  move.operation = "rename";
  move.message = std::string(name) + " to " + new_name;
  move.from = move.to = at;
  move.from_tx = move.to_tx = tx;
  pg::write_ref_move(move);
}

store::Uuid force_branch(const char* name, const char* revision, List* parents) {
  pg::BranchRow row = require_branch(name);
  require_owner(name, row, "force");
  refuse_protected(name, row);
  // Who writes the branch is waited for: meanwhile nothing is to be collected.
  store::Uuid commit = pin_named_commit(resolve_revision(revision)).id;
  std::vector<store::Uuid> further;
  ListCell* cell;
  foreach (cell, parents) {
    store::Uuid parent = resolve_revision(static_cast<char*>(lfirst(cell)));
    further.push_back(pin_named_commit(parent).id);
  }
  Reset reset;
  reset.when_locked = [&] { refuse_protected(name, look_again(name, row, "force")); };
  reset_branch(row.id, commit, reset);
  for (const store::Uuid& parent : further) am::add_merge_parent(row.id, parent);
  return commit;
}

void protect_branch(const char* name, bool is_protected, ArrayType* mergers) {
  pg::BranchRow row = require_branch(name);
  const char* what = is_protected ? "protect" : "unprotect";
  require_owner(name, row, what);
  pg::call([=] { pg::lock_branch_row(row.id); });
  look_again(name, row, what);
  pg::call([=] { pg::set_branch_protection(name, is_protected, mergers); });
}

// As ALTER ... OWNER: who gives it away must be able to act as the new owner, who must be able to
// make branches.
void set_branch_owner(const char* name, Oid owner) {
  pg::BranchRow row = require_branch(name);
  const char* what = "change the owner of";
  require_owner(name, row, what);
  bool may = pg::call([=] {
    check_is_member_of_role(GetUserId(), owner);
    return pg_database_aclcheck(MyDatabaseId, owner, ACL_CREATE) == ACLCHECK_OK;
  });
  if (!may)
    throw pg::SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE,
                       "the new owner has no right to create branches",
                       "It takes the privilege CREATE on the database.");
  pg::call([=] { pg::lock_branch_row(row.id); });
  look_again(name, row, what);
  pg::call([=] { pg::set_branch_owner(name, owner); });
}

ArrayType* role_oids(ArrayType* names) {
  ArrayIterator iterator = array_create_iterator(names, 0, nullptr);
  auto* oids = static_cast<Datum*>(
      palloc(sizeof(Datum) * (ArrayGetNItems(ARR_NDIM(names), ARR_DIMS(names)) + 1)));
  int count = 0;
  Datum value;
  bool isnull;
  while (array_iterate(iterator, &value, &isnull)) {
    if (isnull)
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a role must not be null")));
    oids[count++] = ObjectIdGetDatum(get_role_oid(NameStr(*DatumGetName(value)), false));
  }
  return construct_array(oids, count, OIDOID, sizeof(Oid), true, TYPALIGN_INT);
}

// A name that is a function's argument: NULL is none, which is said as an empty one is.
char* branch_name_argument(FunctionCallInfo fcinfo, int arg) {
  if (PG_ARGISNULL(arg))
    ereport(ERROR, (errcode(ERRCODE_INVALID_NAME), errmsg("a branch needs a name")));
  return optional_text(fcinfo, arg);
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(datahike_create_branch);
PG_FUNCTION_INFO_V1(datahike_delete_branch);
PG_FUNCTION_INFO_V1(datahike_rename_branch);
PG_FUNCTION_INFO_V1(datahike_force_branch);
PG_FUNCTION_INFO_V1(datahike_protect_branch);
PG_FUNCTION_INFO_V1(datahike_unprotect_branch);
PG_FUNCTION_INFO_V1(datahike_set_branch_owner);
PGDLLEXPORT Datum datahike_create_branch(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_delete_branch(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_rename_branch(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_force_branch(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_protect_branch(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_unprotect_branch(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_set_branch_owner(PG_FUNCTION_ARGS);
}

Datum datahike_create_branch(PG_FUNCTION_ARGS) {
  char* name = branch_name_argument(fcinfo, 0);
  char* from = optional_text(fcinfo, 1);
  PreventCommandIfReadOnly("create_branch()");
  pg::guard([=] { create_branch(name, from); });
  PG_RETURN_TEXT_P(cstring_to_text(name));
}

Datum datahike_delete_branch(PG_FUNCTION_ARGS) {
  char* name = branch_name_argument(fcinfo, 0);
  PreventCommandIfReadOnly("delete_branch()");
  pg::guard([=] { delete_branch(name); });
  PG_RETURN_TEXT_P(cstring_to_text(name));
}

Datum datahike_rename_branch(PG_FUNCTION_ARGS) {
  char* name = branch_name_argument(fcinfo, 0);
  char* new_name = branch_name_argument(fcinfo, 1);
  PreventCommandIfReadOnly("rename_branch()");
  pg::guard([=] { rename_branch(name, new_name); });
  PG_RETURN_TEXT_P(cstring_to_text(new_name));
}

Datum datahike_force_branch(PG_FUNCTION_ARGS) {
  char* name = branch_name_argument(fcinfo, 0);
  char* revision = required_text(fcinfo, 1, "a revision");
  List* parents = PG_ARGISNULL(2) ? NIL : required_texts(fcinfo, 2, "a parent");
  PreventCommandIfReadOnly("force_branch()");
  PreventCommandIfParallelMode("force_branch()");
  return pg::guard([=] {
    store::Uuid commit = force_branch(name, revision, parents);
    return pg::call([&] { return uuid_datum(commit); });
  });
}

Datum datahike_protect_branch(PG_FUNCTION_ARGS) {
  char* name = branch_name_argument(fcinfo, 0);
  if (PG_ARGISNULL(1))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("roles must not be null")));
  ArrayType* mergers = role_oids(PG_GETARG_ARRAYTYPE_P(1));
  PreventCommandIfReadOnly("protect_branch()");
  pg::guard([=] { protect_branch(name, true, mergers); });
  PG_RETURN_VOID();
}

Datum datahike_unprotect_branch(PG_FUNCTION_ARGS) {
  char* name = branch_name_argument(fcinfo, 0);
  PreventCommandIfReadOnly("unprotect_branch()");
  pg::guard([=] { protect_branch(name, false, nullptr); });
  PG_RETURN_VOID();
}

Datum datahike_set_branch_owner(PG_FUNCTION_ARGS) {
  char* name = branch_name_argument(fcinfo, 0);
  if (PG_ARGISNULL(1))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a role must not be null")));
  Oid owner = get_role_oid(NameStr(*PG_GETARG_NAME(1)), false);
  PreventCommandIfReadOnly("set_branch_owner()");
  pg::guard([=] { set_branch_owner(name, owner); });
  PG_RETURN_VOID();
}
