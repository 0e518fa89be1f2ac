// Rows of datahike.branch beyond name and id: whom a branch belongs to, and who may change it.
// Functions here may raise PostgreSQL errors.
#pragma once

#include "pg/pg.h"

namespace datahike::pg {

struct BranchRow {
  int32_t id;
  Oid owner;
  bool is_protected;
  ArrayType* mergers;  // role OIDs, palloc'd; nullptr: none
};
bool find_branch_row(const char* name, BranchRow* row);
bool find_branch_row(int32_t id, BranchRow* row);
bool may_own(const BranchRow& row, Oid role);  // the owner, its members, the database's owner
bool may_merge(const BranchRow& row, Oid role);

// Changes of a row; the other sessions are told. REQUIRES: lock_branch_row() or the exclusive lock.
void lock_branch_row(int32_t id);  // against others that change it, and against deletion
void rename_branch_row(const char* name, const char* new_name);
void set_branch_owner(const char* name, Oid owner);
void set_branch_protection(const char* name, bool is_protected, ArrayType* mergers);

}  // namespace datahike::pg
