// Which branches have a name.
#pragma once

#include <vector>

#include "pg/pg.h"

namespace datahike::pg {

// Ids of all branches that have not been deleted, as committed now or made by this transaction.
std::vector<int32_t> named_branches();
// Name of a branch, for messages; "?" if it has none. Palloc'd.
const char* branch_name(int32_t branch);
bool is_named_branch(int32_t branch);

}  // namespace datahike::pg
