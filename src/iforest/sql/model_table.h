// The tables that hold models: what they look like, who may use them, how they are opened. All of
// it from frames that own nothing with a destructor: PostgreSQL's errors leave them.
#pragma once

#include "pg/pg.h"

namespace datahike::anomaly {

inline constexpr const char* kSchema = "datahike_models";

// The table of the model, InvalidOid where there is none; nothing is checked or locked, so another
// session may drop it at any time.
Oid table_of_model(const char* name);
// The same, locked. Who drops or makes it in another session is waited for, and what the name means
// then is what counts, as in RangeVarGetRelid(). Only who has `privilege` waits: raises 42501.
// `privilege`: ACL_NO_RIGHTS to check none.
Oid lock_table_of_model(const char* name, LOCKMODE mode, AclMode privilege);
// The same without waiting: false where another session is in the way. True, without a lock, where
// there is no table.
bool try_lock_table_of_model(const char* name, LOCKMODE mode, AclMode privilege);

// Raises 42501, "permission denied for model". A privilege on all columns will do for ACL_INSERT
// and ACL_UPDATE, as in statements that write them all.
void require_privilege(Oid relid, const char* name, AclMode privilege);

// Whether the table can hold a model: anybody can make others in the schema.
bool is_model_table(Relation relation);
// Raises 42809 for what is not as create_model() makes it: writing to a table that has triggers,
// rules, defaults, checks or indexes of its owner's would run those as the user who writes.
void require_model_table(Relation relation);

}  // namespace datahike::anomaly
