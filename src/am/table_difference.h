// The difference of two views of a table as a transaction sees them, its own changes included.
#pragma once

#include "am/fetch.h"
#include "tree/live_set.h"

namespace datahike::am {

// The rowids that `a` sees and `b` does not, as ascending ranges of which no two touch; see
// versioning/difference.h for the cost. REQUIRES: both are views of one table, neither computed.
std::vector<tree::RowidRange> rows_only_in(const TableView& a, const TableView& b);

}  // namespace datahike::am
