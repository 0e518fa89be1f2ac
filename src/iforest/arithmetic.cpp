#include "iforest/arithmetic.h"

#include <bit>
#include <cmath>

namespace datahike::iforest {

namespace {

constexpr double kLn2 = 0.693147180559945309417232121458176568;

}  // namespace

// x = 2^e * m with m in [sqrt(1/2), sqrt(2)]; ln m = 2 artanh((m-1)/(m+1)), as a series.
double natural_log(double x) {
  const auto bits = std::bit_cast<uint64_t>(x);
  int exponent = static_cast<int>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
  if (m > 1.4142135623730951) {
    m /= 2;
    ++exponent;
  }
  const double z = (m - 1) / (m + 1), square = z * z;  // |z| <= 0.1716
  double sum = 0;
  for (int k = 25; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return 2 * z * sum + exponent * kLn2;
}

// x = n + f with f in [-1/2, 1/2]; 2^f = e^(f ln 2), as a series.
double power_of_two(double x) {
  const double n = std::floor(x + 0.5);
  const double y = (x - n) * kLn2;  // |y| <= 0.3466
  double sum = 1;
  for (int k = 15; k >= 1; --k) sum = 1 + sum * y / k;
  return sum * std::bit_cast<double>(static_cast<uint64_t>(static_cast<int64_t>(n) + 1023) << 52);
}

double average_path(uint64_t n) {
  if (n <= 1) return 0;
  if (n == 2) return 1;
  const auto count = static_cast<double>(n);
  return 2 * (natural_log(count - 1) + 0.5772156649) - 2 * (count - 1) / count;
}

}  // namespace datahike::iforest
