// Which of a foreign scan's conditions become conditions on columns (row_conditions.h).
#pragma once

#include "fdw/scan.h"

namespace datahike::fdw {

// Of a scan's RestrictInfos: a list of (attribute of the foreign table, btree strategy, Const).
// Plain PostgreSQL code.
List* pushed_conditions(List* restrictions, Index relid);
List* pushed_clauses(List* clauses, Index relid);  // likewise, of clauses themselves
// For the columns that a scan has opened. REQUIRES: in a guard.
void push_conditions(const List* pushed, Scan& scan);

}  // namespace datahike::fdw
