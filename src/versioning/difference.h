// Which rows are live in one view and not in another. The cost is that of the difference: of the
// trees only what they do not share is read, of the deltas over them what touches the table.
#pragma once

#include <vector>

#include "tree/live_set.h"
#include "versioning/view.h"

namespace datahike::versioning {

// What a transaction has done to a table that is not in its view.
struct OwnChanges {
  bool cleared = false;                 // none of the view's rows are live any more
  std::vector<tree::RowidRange> added;  // ascending, disjoint
  std::vector<uint64_t> removed;        // ascending
};

// One side of a difference. `own` may be null.
struct Side {
  const View& view;
  const OwnChanges* own = nullptr;
};

// The rowids live in `a` and not in `b`, as ascending ranges of which no two touch. Both may be
// commits or branches with unfolded transactions. REQUIRES: neither view is a computed one.
std::vector<tree::RowidRange> rows_only_in(const Side& a, const Side& b, uint64_t table);
inline std::vector<tree::RowidRange> rows_only_in(const View& a, const View& b, uint64_t table) {
  return rows_only_in(Side{a}, Side{b}, table);
}

}  // namespace datahike::versioning
