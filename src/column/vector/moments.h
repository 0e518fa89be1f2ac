// Moments of one variable, and of two, in the order of the rows, as PostgreSQL accumulates them.
#pragma once

#include <memory>

#include "column/vector/states.h"

namespace datahike::vector {

std::unique_ptr<State> make_moments(int argument);
std::unique_ptr<State> make_co_moments(int y, int x);

}  // namespace datahike::vector
