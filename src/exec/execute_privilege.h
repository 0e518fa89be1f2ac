#pragma once

#include "pg/pg.h"

namespace datahike::exec {

// What PostgreSQL's executor does when it prepares expressions: raises 42501 where the user may not
// execute a function in them. For expressions that are computed without it.
void require_execute(Node* expressions);

}  // namespace datahike::exec
