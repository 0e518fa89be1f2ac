// min and max of strings by their bytes.
#pragma once

#include "column/vector/states.h"

namespace datahike::vector {

std::unique_ptr<State> make_text_extreme(const Accumulator& accumulator);

}  // namespace datahike::vector
