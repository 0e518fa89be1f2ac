// count(DISTINCT x): how many different values each group has.
#pragma once

#include "column/vector/states.h"

namespace datahike::vector {

// `second` of the accumulator, where values may be NaN.
inline constexpr int kOfDecimals = 2;

std::unique_ptr<State> make_distinct(const Accumulator& accumulator);

}  // namespace datahike::vector
