#include "datalog/arithmetic.h"

#include <algorithm>
#include <cmath>

namespace datahike::datalog {

namespace {

using Wide = __int128;

struct Decimal {
  Wide unscaled = 0;
  int scale = 0;
};

[[noreturn]] void out_of_range() {
  throw QueryError(
      kOutOfRange, "a number is out of range",
      "Longs have 64 bits, bigints and bigdecs are added and multiplied up to 38 digits.");
}
[[noreturn]] void by_zero() { throw QueryError(kDivision, "division by zero"); }

void require_numbers(const Value& a, const Value& b) {
  for (const Value* v : {&a, &b})
    if (!v->is_number())
      throw QueryError(kMismatch, "arithmetic needs numbers, not a " +
                                      std::string(name_of(v->kind())) + ": " +
                                      edn::write(*v).substr(0, 100));
}

Wide checked_multiply(Wide a, Wide b) {
  Wide r;
  if (__builtin_mul_overflow(a, b, &r)) out_of_range();
  return r;
}

Decimal decimal_of(const Value& v) {
  if (v.is(Kind::Long)) return {v.as_integer(), 0};
  Decimal d;
  bool negative = false, fraction = false;
  for (char c : v.text()) {
    if (c == '-') {
      negative = true;
    } else if (c == '.') {
      fraction = true;
    } else {
      d.unscaled = checked_multiply(d.unscaled, 10);
      if (__builtin_add_overflow(d.unscaled, Wide{c - '0'}, &d.unscaled)) out_of_range();
      d.scale += fraction;
    }
  }
  if (negative) d.unscaled = -d.unscaled;
  return d;
}

void align(Decimal& a, Decimal& b) {
  for (; a.scale < b.scale; ++a.scale) a.unscaled = checked_multiply(a.unscaled, 10);
  for (; b.scale < a.scale; ++b.scale) b.unscaled = checked_multiply(b.unscaled, 10);
}

Value value_of(Decimal d, bool decimal) {
  bool negative = d.unscaled < 0;
  auto rest = negative ? -static_cast<unsigned __int128>(d.unscaled)
                       : static_cast<unsigned __int128>(d.unscaled);
  std::string digits;
  for (int i = 0; rest > 0 || i <= d.scale; ++i, rest /= 10) {
    if (i == d.scale && d.scale > 0) digits += '.';
    digits += static_cast<char>('0' + static_cast<int>(rest % 10));
  }
  if (negative) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return decimal ? Value::bigdec(digits) : Value::bigint(digits);
}

bool is_double(const Value& a, const Value& b) { return a.is(Kind::Double) || b.is(Kind::Double); }
bool is_decimal(const Value& a, const Value& b) { return a.is(Kind::BigDec) || b.is(Kind::BigDec); }
bool is_long(const Value& a, const Value& b) { return a.is(Kind::Long) && b.is(Kind::Long); }

struct Divided {
  Value quotient, remainder;
};
Divided divided(const Value& a, const Value& b) {
  require_numbers(a, b);
  if (is_double(a, b)) {
    double x = a.to_double(), y = b.to_double();
    if (y == 0) by_zero();
    return {Value::real(std::trunc(x / y)), Value::real(std::fmod(x, y))};
  }
  if (is_long(a, b)) {
    int64_t x = a.as_integer(), y = b.as_integer();
    if (y == 0) by_zero();
    if (x == INT64_MIN && y == -1) out_of_range();
    return {Value::integer(x / y), Value::integer(x % y)};
  }
  Decimal x = decimal_of(a), y = decimal_of(b);
  if (y.unscaled == 0) by_zero();
  align(x, y);
  bool decimal = is_decimal(a, b);
  return {value_of({x.unscaled / y.unscaled, 0}, decimal),
          value_of({x.unscaled % y.unscaled, x.scale}, decimal)};
}

}  // namespace

double to_double(const Value& number) {
  require_numbers(number, number);
  return number.to_double();
}

Value add(const Value& a, const Value& b) {
  require_numbers(a, b);
  if (is_double(a, b)) return Value::real(a.to_double() + b.to_double());
  if (is_long(a, b)) {
    int64_t r;
    if (__builtin_add_overflow(a.as_integer(), b.as_integer(), &r)) out_of_range();
    return Value::integer(r);
  }
  Decimal x = decimal_of(a), y = decimal_of(b);
  align(x, y);
  if (__builtin_add_overflow(x.unscaled, y.unscaled, &x.unscaled)) out_of_range();
  return value_of(x, is_decimal(a, b));
}

Value subtract(const Value& a, const Value& b) {
  require_numbers(a, b);
  if (is_double(a, b)) return Value::real(a.to_double() - b.to_double());
  if (is_long(a, b)) {
    int64_t r;
    if (__builtin_sub_overflow(a.as_integer(), b.as_integer(), &r)) out_of_range();
    return Value::integer(r);
  }
  Decimal x = decimal_of(a), y = decimal_of(b);
  align(x, y);
  if (__builtin_sub_overflow(x.unscaled, y.unscaled, &x.unscaled)) out_of_range();
  return value_of(x, is_decimal(a, b));
}

Value multiply(const Value& a, const Value& b) {
  require_numbers(a, b);
  if (is_double(a, b)) return Value::real(a.to_double() * b.to_double());
  if (is_long(a, b)) {
    int64_t r;
    if (__builtin_mul_overflow(a.as_integer(), b.as_integer(), &r)) out_of_range();
    return Value::integer(r);
  }
  Decimal x = decimal_of(a), y = decimal_of(b);
  return value_of({checked_multiply(x.unscaled, y.unscaled), x.scale + y.scale}, is_decimal(a, b));
}

Value divide(const Value& a, const Value& b) {
  Divided d = divided(a, b);
  if (is_long(a, b) && d.remainder.as_integer() == 0) return d.quotient;
  return Value::real(a.to_double() / b.to_double());
}

Value quotient(const Value& a, const Value& b) { return divided(a, b).quotient; }
Value remainder(const Value& a, const Value& b) { return divided(a, b).remainder; }

Value modulus(const Value& a, const Value& b) {
  Value r = remainder(a, b), zero = Value::integer(0);
  int sign = r.compare(zero);
  return sign != 0 && (sign < 0) != (b.compare(zero) < 0) ? add(r, b) : r;
}

}  // namespace datahike::datalog
