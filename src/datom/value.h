// Values of facts, of the fifteen types of attributes, and how they compare.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/error.h"

namespace datahike::datom {

// The numbers are part of the stored format (encoding.h) and the order of values of different
// types.
enum class Type : uint8_t {
  Nil = 1,  // an absent element of a tuple; never a value by itself
  Boolean = 2,
  Long = 3,
  BigInt = 4,
  Float = 5,
  Double = 6,
  BigDec = 7,
  Instant = 8,
  Uuid = 9,
  String = 10,
  Keyword = 11,
  Symbol = 12,
  Bytes = 13,
  Ref = 14,
  Tuple = 15,
};

// The name behind ":db.type/", as "bigdec"; nullopt for an unknown one.
std::string_view type_name(Type type);
std::optional<Type> type_of_name(std::string_view name);

// SQLSTATE 22P02: text that is no value of its type.
struct ValueError : Error {
  using Error::Error;
};

struct Value {
  Type type = Type::Nil;
  int64_t integer = 0;  // Boolean, Long, Ref; Instant: microseconds since 1970-01-01 00:00 UTC
  double real = 0;      // Float (exactly a float's value), Double
  // String, Bytes: as they are. Keyword, Symbol: "namespace/name" without the colon. Uuid: its 16
  // bytes. BigInt, BigDec: the canonical decimal text that decimal() makes.
  std::string text;
  std::vector<Value> elements;  // Tuple: any type but Tuple, Nil included

  static Value nil() { return {}; }
  static Value boolean(bool b) { return of(Type::Boolean, b); }
  static Value long_(int64_t n) { return of(Type::Long, n); }
  static Value ref(int64_t e) { return of(Type::Ref, e); }
  static Value instant(int64_t microseconds) { return of(Type::Instant, microseconds); }
  static Value double_(double d);  // -0.0 becomes 0.0, and every NaN the same one
  static Value float_(float f);
  static Value string(std::string s) { return of(Type::String, std::move(s)); }
  static Value keyword(std::string s) { return of(Type::Keyword, std::move(s)); }
  static Value symbol(std::string s) { return of(Type::Symbol, std::move(s)); }
  static Value bytes(std::string s) { return of(Type::Bytes, std::move(s)); }
  static Value uuid(std::string sixteen) { return of(Type::Uuid, std::move(sixteen)); }
  static Value bigint(std::string_view text);  // ValueError where it is no integer
  static Value bigdec(std::string_view text);  // ValueError where it is no number
  static Value tuple(std::vector<Value> elements);

 private:
  static Value of(Type type, int64_t n);
  static Value of(Type type, std::string s);
};

// Total order: by type, then by value. Numbers of different types are not equal. NaN equals itself
// and comes after every other number; tuples go element by element, Nil first.
int compare(const Value& a, const Value& b);
inline bool operator==(const Value& a, const Value& b) { return compare(a, b) == 0; }
inline bool operator<(const Value& a, const Value& b) { return compare(a, b) < 0; }

// A keyword's or symbol's parts: "a.b/c" is ("a.b", "c"), "c" is ("", "c").
std::pair<std::string_view, std::string_view> split_name(std::string_view name);

// A decimal number: sign * 0.D1D2D3... * 10^exponent, D1 and the last digit not 0; no digits: zero.
struct Decimal {
  bool negative = false;
  int32_t exponent = 0;
  std::string digits;  // '0'..'9'
};
inline constexpr int32_t kMostExponent = 1'000'000;
// [+-]digits[.digits][e[+-]digits]. ValueError for anything else, or an exponent beyond
// kMostExponent.
Decimal parse_decimal(std::string_view text);
// Canonical: equal numbers have equal text; 1.50 is "1.5", 1e3 is "1000". Very large and very small
// ones in scientific notation.
std::string decimal_text(const Decimal& decimal);

}  // namespace datahike::datom
