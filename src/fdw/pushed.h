// Which of a foreign scan's conditions become conditions on columns (row_conditions.h).
#pragma once

#include "fdw/scan.h"

namespace datahike::fdw {

// Of a scan's RestrictInfos: a list of (attribute of the foreign table, btree strategy, value). The
// value is a Const, or an expression that is computed before rows are read. Plain PostgreSQL code,
// as all but the last.
List* pushed_conditions(List* restrictions, Index relid);
List* pushed_clauses(List* clauses, Index relid);  // likewise, of clauses themselves
bool can_be_pushed(Node* clause, Index relid);
// A plan keeps the conditions without the expressions, and these by themselves, in their order;
// with their values, as Consts, all values are known.
List* values_to_compute(List* pushed);
List* without_values(List* pushed);
List* with_values(List* pushed, List* values);
// For the columns that a scan has opened. All values are Consts; one that is NULL lets no row pass.
// REQUIRES: in a guard.
void push_conditions(const List* pushed, Scan& scan);

}  // namespace datahike::fdw
