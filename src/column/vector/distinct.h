// count(DISTINCT x): how many different values each group has.
#pragma once

#include "column/vector/states.h"

namespace datahike::vector {

std::unique_ptr<State> make_distinct(const Accumulator& accumulator);

}  // namespace datahike::vector
