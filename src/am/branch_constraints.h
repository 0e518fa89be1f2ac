// Constraints that ALTER TABLE adds to a table that has rows already. PostgreSQL checks the rows of
// the session's branch; here those of the other branches are checked.
#pragma once

#include "pg/pg.h"

namespace datahike::am {

struct TableConstraints;  // palloc'd; what had been checked of a table before a command

// Before the command. NIL where there is nothing to be done after it. Takes no locks.
List* note_constraints(Node* statement);
// After the command. Errors: 23502, 23514, 23503 with the branch's name, as PostgreSQL raises them.
void check_added_constraints(List* before);

}  // namespace datahike::am
