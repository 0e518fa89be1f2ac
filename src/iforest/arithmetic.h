// Logarithms and powers of our own: those of the C library differ in the last bit between
// processors, and scores must not. Exact to a few units in the last place.
#pragma once

#include <cstdint>

namespace datahike::iforest {

double natural_log(double x);   // REQUIRES: x is finite, positive and normal
double power_of_two(double x);  // 2^x. REQUIRES: -1000 < x < 1000

// The mean path length of an unsuccessful search in a binary search tree of n values:
// c(0) = c(1) = 0, c(2) = 1, else 2(ln(n-1) + 0.5772156649) - 2(n-1)/n.
double average_path(uint64_t n);

}  // namespace datahike::iforest
