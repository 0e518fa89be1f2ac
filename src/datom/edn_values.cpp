#include "datom/edn_values.h"

#include <cmath>
#include <limits>

namespace datahike::datom {

namespace {

using edn::Kind;

[[noreturn]] void mismatch(const edn::Value& value, Type type, const std::string& what) {
  throw FactError("22023", "cannot store " + edn::write(value) + " in :" + what +
                               ": it is no :db.type/" + std::string(type_name(type)));
}

std::string digits_of(const edn::Value& value) {
  return value.is(Kind::Long) ? std::to_string(value.as_integer()) : value.text();
}

bool is_exact(const edn::Value& value) {
  return value.is(Kind::Long) || value.is(Kind::BigInt) || value.is(Kind::BigDec);
}

// A number of JSON as a long; nullopt: it is not integral, or out of range.
std::optional<int64_t> integral(const edn::Value& value) {
  if (value.is(Kind::Long)) return value.as_integer();
  if (!is_exact(value)) return std::nullopt;
  std::string digits;
  try {
    digits = Value::bigint(value.text()).text;
  } catch (const ValueError&) {
    return std::nullopt;
  }
  size_t used = 0;
  try {
    int64_t n = std::stoll(digits, &used);
    return used == digits.size() ? std::optional(n) : std::nullopt;
  } catch (const std::out_of_range&) {
    return std::nullopt;
  }
}

// Text that means what the tagged literal of EDN does.
edn::Value read_tagged(const char* tag, const edn::Value& text) {
  return edn::read(std::string("#") + tag + " " + edn::write(text));
}

std::string bytes_of_hex(const edn::Value& value, const std::string& what) {
  const std::string& text = value.text();
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  bool good = text.size() % 2 == 0 && text.starts_with("\\x");
  std::string bytes;
  for (size_t i = 2; good && i < text.size(); i += 2) {
    good = digit(text[i]) >= 0 && digit(text[i + 1]) >= 0;
    bytes += static_cast<char>(digit(text[i]) * 16 + digit(text[i + 1]));
  }
  if (!good) mismatch(value, Type::Bytes, what);
  return bytes;
}

std::string without_colon(const std::string& text) {
  return text.starts_with(':') ? text.substr(1) : text;
}

Value text_of_json(const edn::Value& value, Type type, const std::string& what) {
  switch (type) {
    case Type::Keyword:
      return Value::keyword(without_colon(value.text()));
    case Type::Symbol:
      return Value::symbol(value.text());
    case Type::Instant:
      return Value::instant(read_tagged("inst", value).as_instant());
    case Type::Uuid:
      return Value::uuid(read_tagged("uuid", value).text());
    case Type::Bytes:
      return Value::bytes(bytes_of_hex(value, what));
    case Type::BigInt:
      return Value::bigint(value.text());
    case Type::BigDec:
      return Value::bigdec(value.text());
    case Type::Double:
    case Type::Float: {
      const double infinity = std::numeric_limits<double>::infinity();
      const double d = value.text() == "NaN"         ? std::nan("")
                       : value.text() == "Infinity"  ? infinity
                       : value.text() == "-Infinity" ? -infinity
                                                     : 0;
      if (d == 0) mismatch(value, type, what);
      return type == Type::Double ? Value::double_(d) : Value::float_(static_cast<float>(d));
    }
    default:
      mismatch(value, type, what);
  }
}

Value of_any_type(const edn::Value& value, Notation notation, const std::string& what) {
  switch (value.kind()) {
    case Kind::Boolean:
      return Value::boolean(value.as_boolean());
    case Kind::Long:
      return Value::long_(value.as_integer());
    case Kind::BigInt:
      return Value::bigint(value.text());
    case Kind::Double:
      return Value::double_(value.as_real());
    case Kind::BigDec:
      return notation == Notation::Json ? Value::double_(value.to_double())
                                        : Value::bigdec(value.text());
    case Kind::String:
      return Value::string(value.text());
    case Kind::Symbol:
      return Value::symbol(value.text());
    case Kind::Keyword:
      return Value::keyword(value.text());
    case Kind::Instant:
      return Value::instant(value.as_instant());
    case Kind::Uuid:
      return Value::uuid(value.text());
    case Kind::Bytes:
      return Value::bytes(value.text());
    default:
      throw FactError("22023", "cannot store " + edn::write(value) + " in :" + what);
  }
}

std::optional<Value> as_real(const edn::Value& value, Type type, bool json) {
  if (!value.is(Kind::Double) && !(json && value.is_number())) return std::nullopt;
  const double d = value.to_double();
  if (type == Type::Double) return Value::double_(d);
  if (std::isfinite(d) && std::abs(d) > std::numeric_limits<float>::max()) return std::nullopt;
  return Value::float_(static_cast<float>(d));
}

// The value where it is written as its type is.
std::optional<Value> exactly(const edn::Value& value, Type type, bool json) {
  switch (type) {
    case Type::Boolean:
      if (value.is(Kind::Boolean)) return Value::boolean(value.as_boolean());
      break;
    case Type::Long:
    case Type::Ref:
      if (value.is(Kind::Long) || json)
        if (std::optional<int64_t> n = integral(value))
          return type == Type::Ref ? Value::ref(*n) : Value::long_(*n);
      break;
    case Type::BigInt:
      if (value.is(Kind::Long) || value.is(Kind::BigInt) || (json && is_exact(value)))
        return Value::bigint(digits_of(value));
      break;
    case Type::BigDec:
      if (value.is(Kind::BigDec) || (json && is_exact(value)))
        return Value::bigdec(digits_of(value));
      break;
    case Type::Float:
    case Type::Double:
      return as_real(value, type, json);
    case Type::String:
      if (value.is(Kind::String)) return Value::string(value.text());
      break;
    case Type::Keyword:
      if (value.is(Kind::Keyword)) return Value::keyword(value.text());
      break;
    case Type::Symbol:
      if (value.is(Kind::Symbol)) return Value::symbol(value.text());
      break;
    case Type::Instant:
      if (value.is(Kind::Instant)) return Value::instant(value.as_instant());
      break;
    case Type::Uuid:
      if (value.is(Kind::Uuid)) return Value::uuid(value.text());
      break;
    case Type::Bytes:
      if (value.is(Kind::Bytes)) return Value::bytes(value.text());
      break;
    default:
      break;
  }
  return std::nullopt;
}

}  // namespace

edn::Value to_edn(const Value& value) {
  switch (value.type) {
    case Type::Nil:
      return {};
    case Type::Boolean:
      return edn::Value::boolean(value.integer != 0);
    case Type::Long:
    case Type::Ref:
      return edn::Value::integer(value.integer);
    case Type::Instant:
      return edn::Value::instant(value.integer);
    case Type::Float:
    case Type::Double:
      return edn::Value::real(value.real);
    case Type::BigInt:
      return edn::Value::bigint(value.text);
    case Type::BigDec:
      return edn::Value::bigdec(value.text);
    case Type::Uuid:
      return edn::Value::uuid(value.text);
    case Type::String:
      return edn::Value::string(value.text);
    case Type::Keyword:
      return edn::Value::keyword(value.text);
    case Type::Symbol:
      return edn::Value::symbol(value.text);
    case Type::Bytes:
      return edn::Value::bytes(value.text);
    case Type::Tuple: {
      std::vector<edn::Value> items;
      for (const Value& element : value.elements) items.push_back(to_edn(element));
      return edn::Value::vector(std::move(items));
    }
  }
  return {};
}

Value from_edn(const edn::Value& value, Type type, Notation notation, const std::string& what) {
  const bool json = notation == Notation::Json;
  if (type == Type::Nil) return of_any_type(value, notation, what);
  if (std::optional<Value> v = exactly(value, type, json)) return *v;
  if (json && value.is(Kind::String)) return text_of_json(value, type, what);
  mismatch(value, type, what);
}

Value from_edn(const edn::Value& value, const Attribute& a, Notation notation) {
  if (a.type != Type::Tuple) return from_edn(value, a.type, notation, a.ident);
  const size_t parts = a.tuple_types.size();
  if (!value.is_sequence() || (parts && value.items().size() != parts) || value.items().empty())
    mismatch(value, Type::Tuple, a.ident);
  std::vector<Value> elements;
  for (size_t i = 0; i < value.items().size(); ++i) {
    const Type type = parts ? a.tuple_types[i] : a.tuple_type.value_or(Type::Nil);
    const edn::Value& item = value.items()[i];
    elements.push_back(item.is_nil() ? Value::nil() : from_edn(item, type, notation, a.ident));
  }
  return Value::tuple(std::move(elements));
}

}  // namespace datahike::datom
