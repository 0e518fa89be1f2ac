// What tables are called in the results of functions, and whether the caller may know of them.
#pragma once

#include <string>

#include "tree/node.h"

namespace datahike::versioning {

// As the table is named now, else as the version tree recorded it.
std::string table_name(uint64_t table, const tree::NodeRef& root);
// What a caller may not select from is not told about either; of a table that is gone, only to the
// database's owner.
bool may_see(uint64_t table);

}  // namespace datahike::versioning
