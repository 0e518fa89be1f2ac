#include "datom/value.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace datahike::datom {

namespace {

struct TypeName {
  Type type;
  std::string_view name;
};
constexpr std::array<TypeName, 14> kTypes = {{{Type::Boolean, "boolean"},
                                              {Type::Long, "long"},
                                              {Type::BigInt, "bigint"},
                                              {Type::Float, "float"},
                                              {Type::Double, "double"},
                                              {Type::BigDec, "bigdec"},
                                              {Type::Instant, "instant"},
                                              {Type::Uuid, "uuid"},
                                              {Type::String, "string"},
                                              {Type::Keyword, "keyword"},
                                              {Type::Symbol, "symbol"},
                                              {Type::Bytes, "bytes"},
                                              {Type::Ref, "ref"},
                                              {Type::Tuple, "tuple"}}};

constexpr int32_t kPlainZeros = 40;  // zeros that a canonical text writes out

template <class T>
int three_way(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

int compare_reals(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return three_way(std::isnan(a), std::isnan(b));
  return three_way(a, b);
}

int compare_bytes(std::string_view a, std::string_view b) { return three_way(a.compare(b), 0); }

// The namespace first; what has none comes before what has one.
int compare_names(std::string_view a, std::string_view b) {
  auto [na, la] = split_name(a);
  auto [nb, lb] = split_name(b);
  int c = compare_bytes(na, nb);
  return c ? c : compare_bytes(la, lb);
}

int compare_decimals(std::string_view ta, std::string_view tb) {
  Decimal a = parse_decimal(ta), b = parse_decimal(tb);
  int sa = a.digits.empty() ? 0 : a.negative ? -1 : 1;
  int sb = b.digits.empty() ? 0 : b.negative ? -1 : 1;
  if (sa != sb || sa == 0) return three_way(sa, sb);
  int c = three_way(a.exponent, b.exponent);
  if (c == 0) c = compare_bytes(a.digits, b.digits);
  return c * sa;
}

int compare_tuples(const std::vector<Value>& a, const std::vector<Value>& b) {
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    if (int c = compare(a[i], b[i])) return c;
  return three_way(a.size(), b.size());
}

}  // namespace

std::string_view type_name(Type type) {
  for (const TypeName& t : kTypes)
    if (t.type == type) return t.name;
  return "nil";
}

std::optional<Type> type_of_name(std::string_view name) {
  for (const TypeName& t : kTypes)
    if (t.name == name) return t.type;
  return std::nullopt;
}

std::pair<std::string_view, std::string_view> split_name(std::string_view name) {
  size_t slash = name.find('/');
  if (slash == std::string_view::npos || slash == 0) return {std::string_view(), name};
  return {name.substr(0, slash), name.substr(slash + 1)};
}

Value Value::of(Type type, int64_t n) {
  Value v;
  v.type = type;
  v.integer = n;
  return v;
}

Value Value::of(Type type, std::string s) {
  Value v;
  v.type = type;
  v.text = std::move(s);
  return v;
}

Value Value::double_(double d) {
  Value v;
  v.type = Type::Double;
  v.real = std::isnan(d) ? std::numeric_limits<double>::quiet_NaN() : d + 0.0;
  return v;
}

Value Value::float_(float f) {
  Value v = double_(f);
  v.type = Type::Float;
  return v;
}

Value Value::bigint(std::string_view text) {
  Decimal d = parse_decimal(text);
  if (d.exponent < static_cast<int32_t>(d.digits.size()))
    throw ValueError("not an integer: " + std::string(text));
  // An integer is always written out.
  std::string out = d.digits.empty() ? "0" : (d.negative ? "-" : "") + d.digits;
  out.append(static_cast<size_t>(d.exponent) - d.digits.size(), '0');
  return of(Type::BigInt, std::move(out));
}

Value Value::bigdec(std::string_view text) {
  return of(Type::BigDec, decimal_text(parse_decimal(text)));
}

Value Value::tuple(std::vector<Value> elements) {
  Value v;
  v.type = Type::Tuple;
  v.elements = std::move(elements);
  return v;
}

int compare(const Value& a, const Value& b) {
  if (a.type != b.type) return three_way(a.type, b.type);
  switch (a.type) {
    case Type::Nil:
      return 0;
    case Type::Boolean:
    case Type::Long:
    case Type::Instant:
    case Type::Ref:
      return three_way(a.integer, b.integer);
    case Type::Float:
    case Type::Double:
      return compare_reals(a.real, b.real);
    case Type::BigInt:
    case Type::BigDec:
      return compare_decimals(a.text, b.text);
    case Type::Keyword:
    case Type::Symbol:
      return compare_names(a.text, b.text);
    case Type::Tuple:
      return compare_tuples(a.elements, b.elements);
    default:
      return compare_bytes(a.text, b.text);
  }
}

Decimal parse_decimal(std::string_view text) {
  const auto fail = [&]() -> ValueError {
    return ValueError("not a decimal number: " + std::string(text.substr(0, 60)));
  };
  const auto digit = [&](size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
  Decimal d;
  size_t i = 0;
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) d.negative = text[i++] == '-';
  if (!digit(i)) throw fail();
  while (digit(i)) d.digits += text[i++];
  int64_t exponent = static_cast<int64_t>(d.digits.size());
  if (i < text.size() && text[i] == '.')
    for (++i; digit(i); ++i) d.digits += text[i];
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    bool minus = false;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) minus = text[i++] == '-';
    if (!digit(i)) throw fail();
    int64_t n = 0;
    for (; digit(i); ++i) n = std::min<int64_t>(n * 10 + (text[i] - '0'), 100'000'000);
    exponent += minus ? -n : n;
  }
  if (i != text.size()) throw fail();
  size_t zeros = std::min(d.digits.find_first_not_of('0'), d.digits.size());
  d.digits.erase(0, zeros);
  d.digits.erase(d.digits.find_last_not_of('0') + 1);
  if (d.digits.empty()) return Decimal();
  exponent -= static_cast<int64_t>(zeros);
  if (exponent > kMostExponent || exponent < -kMostExponent)
    throw ValueError("a decimal number is out of range: " + std::string(text.substr(0, 60)));
  d.exponent = static_cast<int32_t>(exponent);
  return d;
}

std::string decimal_text(const Decimal& d) {
  if (d.digits.empty()) return "0";
  const auto count = static_cast<int32_t>(d.digits.size());
  std::string sign = d.negative ? "-" : "";
  if (d.exponent > count + kPlainZeros || d.exponent < -kPlainZeros) {
    std::string mantissa = d.digits.substr(0, 1);
    if (count > 1) mantissa += "." + d.digits.substr(1);
    return sign + mantissa + "E" + std::to_string(d.exponent - 1);
  }
  if (d.exponent <= 0)
    return sign + "0." + std::string(static_cast<size_t>(-d.exponent), '0') + d.digits;
  if (d.exponent >= count)
    return sign + d.digits + std::string(static_cast<size_t>(d.exponent - count), '0');
  return sign + d.digits.substr(0, static_cast<size_t>(d.exponent)) + "." +
         d.digits.substr(static_cast<size_t>(d.exponent));
}

}  // namespace datahike::datom
