// Which commits made row versions live and took them away: store/row_origin.h for a table's rows.
#pragma once

#include "store/row_origin.h"
#include "versioning/view.h"

namespace datahike::versioning {

// Remembers what it has looked up, for the commits asked about last. Valid until the next call.
store::RowOrigins& origins_of(const store::Uuid& commit);

// The ancestor of the commit (or itself) that made the row version; nullptr if there is none.
// Results are valid until the next call of a function of this file.
const store::Origin* row_origin(const store::Uuid& commit, uint64_t table, uint64_t rowid);
// The one that took it away; nullptr if it is live at the commit, or was made by none.
const store::Origin* row_removal(const store::Uuid& commit, uint64_t table, uint64_t rowid);

}  // namespace datahike::versioning
