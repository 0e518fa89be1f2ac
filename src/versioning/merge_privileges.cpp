// A merge needs the privileges of the statements that it stands for.
#include "versioning/merge.h"
#include "versioning/row_security.h"

extern "C" {
#include "catalog/partition.h"
}

namespace datahike::versioning {

namespace {

// Partitions are reached through their parents' privileges too.
bool may(Relation relation, AclMode mode, const Bitmapset* columns, bool all_columns) {
  Oid user = GetUserId();
  List* tables = list_make1_oid(RelationGetRelid(relation));
  if (relation->rd_rel->relispartition)
    tables = list_concat(tables, get_partition_ancestors(RelationGetRelid(relation)));
  ListCell* cell;
  foreach (cell, tables) {
    Oid table = lfirst_oid(cell);
    if (pg_class_aclcheck(table, user, mode) == ACLCHECK_OK) return true;
    if (mode == ACL_DELETE) continue;
    if (all_columns && pg_attribute_aclcheck_all(table, user, mode, ACLMASK_ALL) == ACLCHECK_OK)
      return true;
    int i = -1;
    bool each = !all_columns;
    while (each && (i = bms_next_member(columns, i)) >= 0) {
      const char* name = NameStr(TupleDescAttr(RelationGetDescr(relation), i)->attname);
      AttrNumber number = get_attnum(table, name);
      each = pg_attribute_aclcheck(table, number, user, mode) == ACLCHECK_OK;
    }
    if (each) return true;
  }
  return false;
}

void require(Relation relation, AclMode mode, const Bitmapset* columns, bool all_columns) {
  if (may(relation, mode, columns, all_columns)) return;
  aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(relation));
}

}  // namespace

void require_readable(Relation relation) {
  refuse_row_security(RelationGetRelid(relation), "merge");
  require(relation, ACL_SELECT, nullptr, true);
}

void require_merge_privileges(TableMerge* t) {
  bool inserts = false, deletes = false;
  Bitmapset* updated = nullptr;
  ListCell* cell;
  foreach (cell, t->changes) {
    auto* c = static_cast<MergeChange*>(lfirst(cell));
    if (c->cancelled) continue;
    inserts |= !c->ours;
    deletes |= !c->values;
    if (!c->ours || !c->values) continue;
    for (int i = 0; i < t->desc->natts; ++i)
      if (t->compared[i] && !same_cell(t, i, c->ours->values, c->ours->nulls, c->values, c->nulls))
        updated = bms_add_member(updated, i);
  }
  if (inserts) require(t->relation, ACL_INSERT, nullptr, true);
  if (deletes) require(t->relation, ACL_DELETE, nullptr, true);
  if (updated) require(t->relation, ACL_UPDATE, updated, false);
}

}  // namespace datahike::versioning
