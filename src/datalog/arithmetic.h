// Arithmetic on numbers of all kinds. Longs stay longs, a double makes the result a double, bigints
// and bigdecs are exact up to 38 digits. QueryError: 22003 what does not fit (nothing is rounded or
// wrapped around), 22012 division by zero, 42804 what is no number.
#pragma once

#include "datalog/relation.h"

namespace datahike::datalog {

Value add(const Value& a, const Value& b);
Value subtract(const Value& a, const Value& b);
Value multiply(const Value& a, const Value& b);
// Of longs: a long where it is whole, else a double. Bigdecs and bigints: a double.
Value divide(const Value& a, const Value& b);
// Towards zero; the remainder has the dividend's sign, the modulus the divisor's.
Value quotient(const Value& a, const Value& b);
Value remainder(const Value& a, const Value& b);
Value modulus(const Value& a, const Value& b);
double to_double(const Value& number);

}  // namespace datahike::datalog
