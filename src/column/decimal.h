// Byte strings that are PostgreSQL's numerics, as integers.
#pragma once

#include <optional>

#include "column/encoding.h"

namespace datahike::column {

// 10^18 is the largest power of ten in 63 bits, and what is scaled stays below it.
inline constexpr int64_t kLargestDecimal = 1'000'000'000'000'000'000;
inline constexpr unsigned kMostDecimalDigits = 16;  // behind the point

// A numeric as it is stored, without its length word, in the short form (numeric.c: a header of
// sign, digits behind the point and weight, then digits of base 10000): value * 10^scale and scale.
// nullopt for any other bytes: those that scaled_to_numeric() would not give back.
struct ScaledNumeric {
  int64_t value;
  unsigned scale;
};
std::optional<ScaledNumeric> numeric_to_scaled(ByteView numeric);
// The bytes of value / 10^scale with `scale` digits behind the point, in `scratch`.
// REQUIRES: |value| < kLargestDecimal, scale <= kMostDecimalDigits.
ByteView scaled_to_numeric(int64_t value, unsigned scale, ShortScratch& scratch);

// Of the scaled integers, NULL rows left out.
const ZoneMap& decimal_zone(const Plan& plan);

// Digits behind the point of a column in encoding kDecimal, whose word() and words() give
// value * 10^scale.
unsigned decimal_scale(const Encoded& column);

}  // namespace datahike::column
