// Sums of quotients of numerics, each rounded as PostgreSQL does.
#pragma once

#include <optional>

#include "column/vector/states.h"

namespace datahike::vector {

// A value of a numeric operand, of which scale and most digits are known.
struct Operand {
  int scale, digits;
};
// The digits behind the point with which quotients are added up: as many as any of them can have.
// nullopt where a quotient, or a sum of so many rows as there may be, has too many digits.
std::optional<int> quotient_scale(Operand dividend, Operand divisor);

// Its decimal() is of quotient_scale(), its integer() the greatest number of digits behind the
// point of any of the quotients. REQUIRES: there is a quotient_scale().
std::unique_ptr<State> make_quotient_sum(const Program& program, int dividend, int divisor);

}  // namespace datahike::vector
