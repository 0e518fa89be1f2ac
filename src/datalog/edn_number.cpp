// Numbers compared exactly across their kinds.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "datalog/edn_node.h"

namespace datahike::edn {

namespace {

// A finite number as decimal digits: (-1)^negative * 0.DIGITS * 10^point, without leading or
// trailing zeros; zero has no digits.
struct Decimal {
  bool negative = false;
  std::string digits;
  int64_t point = 0;
};

Decimal decimal_of_text(std::string_view text) {
  Decimal d;
  if (text[0] == '-') {
    d.negative = true;
    text.remove_prefix(1);
  }
  size_t point = text.find('.');
  d.digits = text.substr(0, point);
  d.point = static_cast<int64_t>(d.digits.size());
  if (point != text.npos) d.digits += text.substr(point + 1);
  size_t zeros = std::min(d.digits.find_first_not_of('0'), d.digits.size());
  d.digits.erase(0, zeros);
  d.point -= static_cast<int64_t>(zeros);
  d.digits.erase(d.digits.find_last_not_of('0') + 1);
  if (d.digits.empty()) d = Decimal();
  return d;
}

Decimal decimal_of(const Value& v) {
  switch (v.kind()) {
    case Kind::Long:
      return decimal_of_text(std::to_string(v.as_integer()));
    case Kind::Double: {
      // A double has at most 309 digits before and 1074 behind the point.
      char text[1500];
      std::snprintf(text, sizeof text, "%.1074f", v.as_real());
      return decimal_of_text(text);
    }
    default:
      return decimal_of_text(v.text());
  }
}

int compare_decimals(const Decimal& a, const Decimal& b) {
  if (a.digits.empty() || b.digits.empty() || a.negative != b.negative) {
    int sa = a.digits.empty() ? 0 : a.negative ? -1 : 1;
    int sb = b.digits.empty() ? 0 : b.negative ? -1 : 1;
    return sa < sb ? -1 : sa > sb ? 1 : 0;
  }
  int c = a.point != b.point ? (a.point < b.point ? -1 : 1) : a.digits.compare(b.digits);
  c = c < 0 ? -1 : c > 0 ? 1 : 0;
  return a.negative ? -c : c;
}

int compare_doubles(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) - std::isnan(b);
  return a < b ? -1 : a > b ? 1 : 0;
}

int compare_integer_with_double(int64_t i, double d) {
  if (std::isnan(d) || d >= 0x1p63) return -1;
  if (d < -0x1p63) return 1;
  auto whole = static_cast<int64_t>(d);
  if (i != whole) return i < whole ? -1 : 1;
  double fraction = d - static_cast<double>(whole);
  return fraction > 0 ? -1 : fraction < 0 ? 1 : 0;
}

// Whether a bigint or bigdec is exactly a double: where it has few digits, by arithmetic.
bool is_double(const Value& v, double d) {
  constexpr size_t kFew = 15;  // digits, so that a double holds them all
  const std::string& text = v.text();
  if (text.size() > kFew) return compare_numbers(v, Value::real(d)) == 0;
  int64_t unscaled = 0, fives = 1;
  bool fraction = false;
  for (char c : text) {
    if (c == '.') fraction = true;
    if (c < '0' || c > '9') continue;
    unscaled = unscaled * 10 + (c - '0');
    if (fraction) fives *= 5;
  }
  return unscaled % fives == 0;  // what is left of the denominator is a power of two
}

bool is_finite(const Value& v) { return !v.is(Kind::Double) || std::isfinite(v.as_real()); }

}  // namespace

double Value::to_double() const {
  switch (kind_) {
    case Kind::Long:
      return static_cast<double>(u_.i);
    case Kind::Double:
      return u_.d;
    default:
      return std::strtod(text().c_str(), nullptr);
  }
}

int compare_numbers(const Value& a, const Value& b) {
  Kind ka = a.kind(), kb = b.kind();
  if (ka == Kind::Double && kb == Kind::Double) return compare_doubles(a.as_real(), b.as_real());
  if (ka == Kind::Long && kb == Kind::Double)
    return compare_integer_with_double(a.as_integer(), b.as_real());
  if (ka == Kind::Double && kb == Kind::Long)
    return -compare_integer_with_double(b.as_integer(), a.as_real());
  if (!is_finite(a)) return a.as_real() < 0 ? -1 : 1;
  if (!is_finite(b)) return b.as_real() < 0 ? 1 : -1;
  return compare_decimals(decimal_of(a), decimal_of(b));
}

uint64_t hash_number(const Value& v) {
  if (v.is(Kind::Long)) return v.hash();
  // A long where it is one, else a double where it is one, else its digits.
  double d = v.to_double();
  if (v.is(Kind::Double) || is_double(v, d)) {
    if (d >= -0x1p63 && d < 0x1p63 && d == std::trunc(d))
      return Value::integer(static_cast<int64_t>(d)).hash();
    if (std::isnan(d)) return 0x4e614e;
    uint64_t bits;
    std::memcpy(&bits, &d, sizeof bits);
    return mix(bits ^ 0x64ull << 56);
  }
  Decimal decimal = decimal_of(v);
  // Whole numbers that no double holds may be longs.
  if (decimal.point <= 19 && decimal.point >= static_cast<int64_t>(decimal.digits.size())) {
    std::string whole = (decimal.negative ? "-" : "") + decimal.digits;
    whole.append(static_cast<size_t>(decimal.point) - decimal.digits.size(), '0');
    errno = 0;
    int64_t i = std::strtoll(whole.c_str(), nullptr, 10);
    if (errno == 0) return Value::integer(i).hash();
  }
  return mix(hash_bytes(decimal.digits) + static_cast<uint64_t>(decimal.point) * 2 +
             decimal.negative);
}

uint64_t hash_bytes(std::string_view bytes) {
  uint64_t h = 0x9e3779b97f4a7c15ull ^ bytes.size();
  const char* p = bytes.data();
  size_t n = bytes.size();
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    h = mix(h ^ word);
  }
  uint64_t rest = 0;
  std::memcpy(&rest, p, n);
  return mix(h ^ rest);
}

}  // namespace datahike::edn
