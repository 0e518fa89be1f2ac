#include "iforest/sql/model_table.h"

extern "C" {
#include "commands/defrem.h"
#include "storage/lmgr.h"
#include "storage/sinval.h"
#include "utils/inval.h"
}

namespace datahike::anomaly {

namespace {

bool has_model_columns(Relation relation) {
  TupleDesc desc = RelationGetDescr(relation);
  if (relation->rd_rel->relkind != RELKIND_RELATION || desc->natts != 3) return false;
  constexpr Oid kTypes[] = {TEXTOID, TIMESTAMPTZOID, BYTEAOID};
  constexpr const char* kNames[] = {"name", "trained_at", "forest"};
  for (int i = 0; i < 3; ++i) {
    const FormData_pg_attribute* column = TupleDescAttr(desc, i);
    if (column->atttypid != kTypes[i] || column->attisdropped ||
        std::strcmp(NameStr(column->attname), kNames[i]) != 0)
      return false;
  }
  const char* method = get_am_name(relation->rd_rel->relam);
  return method && std::strcmp(method, "datahike") == 0;
}

// Whether using the table evaluates anything that its owner has defined.
bool runs_code(Relation relation) {
  const TupleConstr* constraints = RelationGetDescr(relation)->constr;
  if (constraints && (constraints->num_defval > 0 || constraints->num_check > 0)) return true;
  if (relation->rd_rules || relation->trigdesc || relation->rd_rel->relrowsecurity ||
      relation->rd_rel->relhassubclass || relation->rd_rel->relispartition)
    return true;
  List* indexes = RelationGetIndexList(relation);
  ListCell* cell;
  foreach (cell, indexes)
    if (lfirst_oid(cell) != relation->rd_pkindex) return true;
  list_free(indexes);
  return false;
}

// Of a table that has just been dropped true: who waits for its lock learns what has become of it.
bool has_privilege(Oid relid, AclMode privilege) {
  bool missing = false;
  const AclResult result = pg_class_aclcheck_ext(relid, GetUserId(), privilege, &missing);
  if (missing || result == ACLCHECK_OK) return true;
  return (privilege & ~(ACL_INSERT | ACL_UPDATE)) == 0 &&
         pg_attribute_aclcheck_all(relid, GetUserId(), privilege, ACLMASK_ALL) == ACLCHECK_OK;
}

// What a role must be granted for it, and what that lets it do.
const char* grant_for(AclMode privilege) {
  switch (privilege) {
    case ACL_INSERT:
      return "SELECT, INSERT";
    case ACL_UPDATE:
      return "SELECT, UPDATE";
    case ACL_DELETE:
      return "SELECT, DELETE";
    default:
      return "SELECT";
  }
}
const char* what_is_granted(AclMode privilege) {
  switch (privilege) {
    case ACL_INSERT:
      return "make the model where a branch has none";
    case ACL_UPDATE:
      return "rotate and replace the model";
    case ACL_DELETE:
      return "drop the model";
    default:
      return "use the model";
  }
}

}  // namespace

Oid table_of_model(const char* name) {
  if (std::strlen(name) >= NAMEDATALEN) return InvalidOid;
  Oid schema = get_namespace_oid(kSchema, true);
  return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

namespace {

// The lock is asked for without knowing that the table is still there; where something has been
// invalidated until it is had, the name is looked up again. False: it would have to be waited for.
bool lock_table(const char* name, LOCKMODE mode, AclMode privilege, bool wait, Oid* table) {
  Oid locked = InvalidOid;
  for (;;) {
    const uint64 messages = SharedInvalidMessageCounter;
    *table = table_of_model(name);
    if (OidIsValid(locked)) {
      if (*table == locked) return true;
      UnlockRelationOid(locked, mode);
    }
    if (OidIsValid(*table)) {
      require_privilege(*table, name, privilege);
      if (wait)
        LockRelationOid(*table, mode);
      else if (!ConditionalLockRelationOid(*table, mode))
        return false;
    } else {
      AcceptInvalidationMessages();
    }
    if (messages == SharedInvalidMessageCounter) return true;
    locked = *table;
  }
}

}  // namespace

Oid lock_table_of_model(const char* name, LOCKMODE mode, AclMode privilege) {
  Oid table;
  lock_table(name, mode, privilege, true, &table);
  return table;
}

bool try_lock_table_of_model(const char* name, LOCKMODE mode, AclMode privilege) {
  Oid table;
  return lock_table(name, mode, privilege, false, &table);
}

void require_privilege(Oid relid, const char* name, AclMode privilege) {
  if (privilege == ACL_NO_RIGHTS || has_privilege(relid, privilege)) return;
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                  errmsg("permission denied for model \"%s\"", name),
                  errhint("GRANT %s ON %s lets a role %s.", grant_for(privilege),
                          quote_qualified_identifier(kSchema, name), what_is_granted(privilege))));
}

bool is_model_table(Relation relation) {
  return has_model_columns(relation) && !runs_code(relation);
}

void require_model_table(Relation relation) {
  if (is_model_table(relation)) return;
  ereport(ERROR,
          (errcode(ERRCODE_WRONG_OBJECT_TYPE),
           errmsg("table \"%s\" in schema %s is not a model", RelationGetRelationName(relation),
                  kSchema),
           errhint("Models are made by datahike.create_model(); their tables have no triggers, "
                   "rules, policies, defaults, checks, children or further indexes.")));
}

}  // namespace datahike::anomaly
