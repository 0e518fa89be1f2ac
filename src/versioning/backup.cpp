// datahike.backup(): a copy of the store in a directory of the server. datahike.verify_backup().
#include "store/backup.h"

#include <sys/stat.h>

#include "pg/bridge.h"
#include "pg/published_refs.h"
#include "pg/snapshot.h"
#include "pg/store.h"
#include "versioning/findings.h"
#include "versioning/view.h"
#include "versioning/sql_values.h"

extern "C" {
#include "catalog/pg_authid.h"
}

using namespace datahike;
using namespace datahike::versioning;

namespace {

// The rights that COPY to and from a server's file asks for.
void require_role(Oid role, const char* name) {
  if (pg::call([=] { return has_privs_of_role(GetUserId(), role); })) return;
  throw pg::SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE,
                     "permission denied to use a directory of the server",
                     std::string("It takes the privileges of the role ") + name + ".");
}

void require_absolute(const char* path) {
  if (is_absolute_path(path)) return;
  throw pg::SqlError(ERRCODE_INVALID_NAME, "a relative path is not allowed for a backup",
                     "Give an absolute path on the server.");
}

void refuse_existing(const char* path) {
  struct stat found;
  if (lstat(path, &found) != 0) return;
  throw pg::SqlError(ERRCODE_DUPLICATE_FILE, std::string("\"") + path + "\" exists already",
                     "A backup makes a directory of its own.");
}

int64_t backup(const char* path) {
  require_role(ROLE_PG_WRITE_SERVER_FILES, "pg_write_server_files");
  require_absolute(path);
  refuse_existing(path);
  wait_for_fold();
  store::Environment& env = pg::open_store();
  // Refs first: what they name is in every later state of the store.
  Snapshot snapshot = pg::call([] { return RegisterSnapshot(GetLatestSnapshot()); });
  std::vector<store::PublishedRef> refs = pg::present_refs(snapshot);
  pg::call([=] { UnregisterSnapshot(snapshot); });
  env.refresh();
  store::backup_store(env, path, pg::store_identity(), refs,
                      [] { pg::call([] { CHECK_FOR_INTERRUPTS(); }); });
  struct stat made;
  std::string file = std::string(path) + "/data.mdb";
  if (stat(file.c_str(), &made) != 0) throw IoError("cannot find " + file);
  return int64_t{made.st_blocks} * 512;
}

void verify_backup(const char* path, bool deep, ReturnSetInfo* result) {
  require_role(ROLE_PG_READ_SERVER_FILES, "pg_read_server_files");
  require_absolute(path);
  store::Options options;
  options.identity = pg::store_identity();
  std::unique_ptr<store::Environment> env = store::Environment::open(path, options);
  if (!env)
    throw pg::SqlError(ERRCODE_UNDEFINED_FILE,
                       std::string("there is no store in \"") + path + "\"");
  report_findings(*env, deep, result);
  for (const store::PublishedRef& ref : store::read_published_refs(*env))
    if (!env->commit(ref.commit))
      put_finding(result, {std::nullopt, true, false,
                           "branch \"" + ref.name + "\" names commit " +
                               store::format_uuid(ref.commit) + ", which is missing"});
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(datahike_backup);
PG_FUNCTION_INFO_V1(datahike_verify_backup);
PGDLLEXPORT Datum datahike_backup(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_verify_backup(PG_FUNCTION_ARGS);
}

Datum datahike_backup(PG_FUNCTION_ARGS) {
  char* path = required_text(fcinfo, 0, "the path");
  canonicalize_path(path);
  return pg::guard([=] { return Int64GetDatum(backup(path)); });
}

Datum datahike_verify_backup(PG_FUNCTION_ARGS) {
  char* path = required_text(fcinfo, 0, "the path");
  canonicalize_path(path);
  bool deep = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([=] { verify_backup(path, deep, result); });
  return 0;
}
