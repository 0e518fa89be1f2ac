// Values of the extensible data notation (github.com/edn-format/edn): what facts, transactions and
// queries are made of.
//
// Equality and order are one and total, which joins, sets and map keys rely on:
//   nil < booleans < numbers < characters < strings < symbols < keywords < instants < uuids < bytes
//   < lists and vectors < sets < maps < tagged values
// Numbers are compared by what they are worth, exactly and whatever their kind (1 = 1N = 1.0 =
// 1.00M); NaN is equal to itself and above every other number, as in PostgreSQL. Text is ordered by
// code point, symbols and keywords by namespace and then by name. A list and a vector with the same
// items are equal.
//
// A value is immutable and its copies share what they hold, with a count that is not atomic: values
// that share stay in one thread. Nothing nests deeper than kMostDepth, so recursion over values is
// safe.
#pragma once

#include <cstdint>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/error.h"

namespace datahike::edn {

enum class Kind : uint8_t {
  Nil,
  Boolean,
  Long,
  BigInt,
  Double,
  BigDec,
  Char,
  String,
  Symbol,
  Keyword,
  Instant,
  Uuid,
  Bytes,
  List,
  Vector,
  Set,
  Map,
  Tagged
};
const char* name_of(Kind kind);  // "long", "keyword", ...

inline constexpr uint32_t kMostDepth = 500;  // of collections and tags in one another
// Of a value: of the items of all its collections and the bytes of all its texts, those that it
// shares counted each time, for so long is what walks it under way.
inline constexpr size_t kMostSize = size_t{1} << 27;
inline constexpr size_t kMostDigits = 16383;  // of a bigint, or of a bigdec on either side

// Text that cannot be read. SQLSTATE 22P02. `offset` counts bytes from the start of the text.
struct ReadError : Error {
  ReadError(std::string message, size_t offset);
  size_t offset;
};

struct Node;

// Spreads the bits of a hash.
inline uint64_t mix(uint64_t h) {
  h ^= h >> 32;
  h *= 0xd6e8feb86659fd93ull;
  h ^= h >> 32;
  h *= 0xd6e8feb86659fd93ull;
  return h ^ (h >> 32);
}

class Value {
 public:
  using Entry = std::pair<Value, Value>;

  Value() = default;  // nil
  static Value boolean(bool b);
  static Value integer(int64_t i);  // Kind::Long
  static Value real(double d);      // Kind::Double
  static Value character(char32_t c);
  static Value string(std::string text);
  static Value symbol(std::string text);       // "name" or "namespace/name"
  static Value keyword(std::string text);      // the same, without the colon
  static Value instant(int64_t microseconds);  // since 1970-01-01 00:00:00 UTC
  static Value uuid(std::string_view bytes);   // REQUIRES: 16 of them
  static Value bytes(std::string bytes);
  // From decimal digits with an optional sign. LimitError: more than kMostDigits.
  static Value bigint(std::string_view digits);
  // From what SQL writes a numeric as: [-+]digits[.digits][e[+-]digits]; the scale is kept.
  // LimitError: more than kMostDigits. REQUIRES: that form.
  static Value bigdec(std::string_view text);
  static Value list(std::vector<Value> items);
  static Value vector(std::vector<Value> items);
  static Value set(std::vector<Value> items);    // equal items become one
  static Value map(std::vector<Entry> entries);  // the last one of equal keys counts
  static Value tagged(std::string tag, Value value);
  // All of those with items or a tag: LimitError where they nest deeper than kMostDepth. All of
  // those with items, a tag or text: LimitError where they are larger than kMostSize.

  Value(const Value& other) : kind_(other.kind_), u_(other.u_) { retain(); }
  Value(Value&& other) noexcept : kind_(other.kind_), u_(other.u_) { other.kind_ = Kind::Nil; }
  Value& operator=(Value other) noexcept {
    std::swap(kind_, other.kind_);
    std::swap(u_, other.u_);
    return *this;
  }
  ~Value() {
    if (shares()) release();
  }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_nil() const { return kind_ == Kind::Nil; }
  bool is_number() const { return kind_ >= Kind::Long && kind_ <= Kind::BigDec; }
  bool is_sequence() const { return kind_ == Kind::List || kind_ == Kind::Vector; }
  // nil and false are not true, everything else is.
  bool is_true() const { return !(is_nil() || (kind_ == Kind::Boolean && !u_.b)); }
  bool is_symbol(std::string_view text) const {
    return kind_ == Kind::Symbol && this->text() == text;
  }
  bool is_keyword(std::string_view text) const {
    return kind_ == Kind::Keyword && this->text() == text;
  }

  // REQUIRES of each: the value is of that kind.
  bool as_boolean() const { return u_.b; }
  int64_t as_integer() const { return u_.i; }  // Long
  double as_real() const { return u_.d; }      // Double
  char32_t as_character() const { return u_.c; }
  int64_t as_instant() const { return u_.i; }
  // String, Symbol, Keyword (no colon), Bytes, Uuid (16 bytes), BigInt and BigDec (their digits,
  // without a suffix, as SQL reads them), Tagged (the tag without its #).
  const std::string& text() const;
  // Of a symbol or keyword: what is before and after the first slash; "" and all of it without one.
  std::string_view name_space() const;
  std::string_view name() const;
  std::span<const Value> items() const;       // List, Vector, Set (in order)
  std::span<const Entry> entries() const;     // Map, in the order of the keys
  const Value* find(const Value& key) const;  // in a Map; nullptr: not there
  const Value* find_keyword(std::string_view key) const;
  bool contains(const Value& item) const;  // in a Set
  const Value& tagged_value() const;       // Tagged

  // A number as a double; REQUIRES: is_number().
  double to_double() const;

  uint64_t hash() const {
    return kind_ == Kind::Long ? mix(static_cast<uint64_t>(u_.i)) : hash_of_others();
  }
  // Bytes that only this value holds: of a collection its items themselves. 0: they are shared.
  size_t size_if_unshared() const;
  size_t size_in_memory() const;  // bytes besides the value itself, shared ones counted each time
  bool operator==(const Value& other) const {
    if (kind_ == Kind::Long && other.kind_ == Kind::Long) return u_.i == other.u_.i;
    return equals(other);
  }
  // Negative, 0 or positive.
  int compare(const Value& other) const;
  bool operator<(const Value& other) const { return compare(other) < 0; }

 private:
  friend struct Node;
  static Value holding(Kind kind, Node* node);
  bool shares() const { return kind_ >= Kind::String && kind_ != Kind::Instant ? true : is_big(); }
  bool is_big() const { return kind_ == Kind::BigInt || kind_ == Kind::BigDec; }
  uint64_t hash_of_others() const;
  bool equals(const Value& other) const;
  void retain() const {
    if (shares()) share();
  }
  // A node's references are its first member (edn_node.h): values are copied a lot.
  uint32_t& references() const { return *reinterpret_cast<uint32_t*>(u_.node); }
  void share() const { ++references(); }
  void release() {
    if (--references() == 0) destroy();
  }
  void destroy();
  uint32_t depth() const;
  size_t size() const;

  Kind kind_ = Kind::Nil;
  union Payload {
    bool b;
    int64_t i;
    double d;
    char32_t c;
    Node* node;
  } u_ = {.i = 0};
};
using Entry = Value::Entry;

struct Hash {
  size_t operator()(const Value& v) const { return v.hash(); }
};

// The one value of a text. ReadError where it has none or several, or is malformed; LimitError
// where it nests deeper than kMostDepth.
Value read(std::string_view text);
// All values of a text, one after another.
std::vector<Value> read_all(std::string_view text);

// Text that read() gives an equal value of the same kind for.
std::string write(const Value& value);
void write(const Value& value, std::string& out);

}  // namespace datahike::edn
