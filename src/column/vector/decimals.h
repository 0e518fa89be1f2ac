// Numerics as integers, scaled by a power of ten.
#pragma once

#include "column/vector/states.h"

namespace datahike::vector {

// A stored numeric, of so many digits behind the point, or kNaNDecimal. CorruptError for others.
int64_t scaled_of(ByteView numeric, int scale);

// What the segment says of the column, whose index there is `at`, as an expression reads it.
column::ZoneMap zone_of(const store::SegmentReader& segment, int at, const Column& column);

std::unique_ptr<State> make_decimal_sum(const Program& program, int argument);
// Of products. REQUIRES: `factor` is no Wide.
std::unique_ptr<State> make_decimal_product_sum(const Program& program, int argument, int factor);

}  // namespace datahike::vector
