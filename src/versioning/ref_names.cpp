#include "versioning/ref_names.h"

#include "am/pending.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/tags.h"

namespace datahike::versioning {

void check_ref_name(const char* kind, const std::string& name) {
  bool bad = name.empty() || name.size() > 255 || name.find_first_of("~@") != std::string::npos;
  for (char c : name) bad |= static_cast<unsigned char>(c) <= ' ' || c == 127;
  if (bad)
    throw pg::SqlError(ERRCODE_INVALID_NAME,
                       "invalid " + std::string(kind) + " name \"" + name + "\"",
                       "A name has 1 to 255 bytes, without white space, ~ and @.");
  bool hex =
      name.size() >= 8 && name.find_first_not_of("0123456789abcdefABCDEF-") == std::string::npos;
  if (hex)
    throw pg::SqlError(ERRCODE_INVALID_NAME,
                       std::string(kind) + " name \"" + name + "\" looks like a commit id",
                       "Use at least one character that is not a hexadecimal digit.");
}

void require_free_name(const char* name) {
  const char* kind = nullptr;
  if (pg::call([=] { return pg::find_branch(name); }) >= 0) kind = "branch";
  if (pg::find_tag(name)) kind = "tag";
  if (kind)
    throw pg::SqlError(ERRCODE_DUPLICATE_OBJECT,
                       std::string(kind) + " \"" + name + "\" already exists");
}

void require_may_create(const char* kind) {
  bool may = pg::call(
      [] { return pg_database_aclcheck(MyDatabaseId, GetUserId(), ACL_CREATE) == ACLCHECK_OK; });
  if (!may)
    throw pg::SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE,
                       std::string("permission denied to create a ") + kind,
                       "It takes the privilege CREATE on the database.");
}

void refuse_uncommitted(const char* what) {
  if (!am::has_pending()) return;
  throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                     std::string("cannot ") + what + " from uncommitted changes",
                     "COMMIT first, or name a revision.");
}

}  // namespace datahike::versioning
