// Aggregating pieces with several threads, with the same result for any number of them.
//
// Pieces are taken together to morsels, by their numbers of rows alone. Each morsel is aggregated
// for itself, in the order of its rows, and the results are merged in the order of the morsels. So
// a sum of floats is made of the morsels' sums, whoever computed them.
#pragma once

#include <functional>

#include "column/vector/aggregation.h"

namespace datahike::vector {

struct Execution {
  unsigned threads = 1;
  bool in_row_order = false;  // one row after the other, whatever it costs
};

// Adds the pieces, whose rows come after those that `total` has. `poll` is called by this thread
// now and then, and may throw: the others stop then. They call neither PostgreSQL nor LMDB, and
// block all signals. Throws what Aggregation::add() does, and InRowOrder.
void aggregate(const Program& program, Aggregation& total, std::span<const Piece> pieces,
               const Execution& execution, const std::function<void()>& poll);

}  // namespace datahike::vector
