#include "versioning/table_names.h"

#include "am/relation.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/store.h"
#include "store/version.h"

namespace datahike::versioning {

std::string table_name(uint64_t table, const tree::NodeRef& root) {
  char* name = pg::call([=]() -> char* {
    Oid relation = pg::find_relation(table);
    if (!OidIsValid(relation) || !get_rel_name(relation)) return nullptr;
    char* space = get_namespace_name(get_rel_namespace(relation));
    return space && std::strcmp(space, "public") != 0
               ? psprintf("%s.%s", space, get_rel_name(relation))
               : get_rel_name(relation);
  });
  if (name) return name;
  if (!root.empty())
    if (auto schema = store::find_schema(pg::open_store(), root, table))
      return am::schema_name(*schema);
  return "table " + std::to_string(table);
}

bool may_see(uint64_t table) {
  return pg::call([=] {
    Oid relation = pg::find_relation(table);
    bool gone = !OidIsValid(relation);
    if (!gone && pg_class_aclcheck_ext(relation, GetUserId(), ACL_SELECT, &gone) == ACLCHECK_OK)
      return true;
    if (gone) return pg_database_ownercheck(MyDatabaseId, GetUserId());
    return pg_attribute_aclcheck_all(relation, GetUserId(), ACL_SELECT, ACLMASK_ANY) == ACLCHECK_OK;
  });
}

}  // namespace datahike::versioning
