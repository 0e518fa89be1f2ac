// value    = type content
// type     = one byte, datom::Type
// content  = Boolean: 0x00 | 0x01
//          | Long, Ref, Instant: 8 bytes, big-endian, sign bit flipped
//          | Float: 4, Double: 8 bytes of IEEE 754, big-endian; of negative numbers all bits are
//            flipped, of the others the sign bit. NaN is all ones.
//          | BigInt, BigDec: decimal
//          | Uuid: 16 bytes
//          | String, Bytes: as they are
//          | Keyword, Symbol: [namespace] 0x00 name
//          | Tuple: { element }
// decimal  = 0x01 (zero) | 0x02 magnitude (positive) | 0x00 ~magnitude (negative, bits flipped)
// magnitude = exponent { digits } 0x00
//            exponent: 4 bytes, big-endian, + 2^31, of 0.D1D2... * 10^exponent;
//            digits: two decimal digits as 1 + their number; an odd last one is followed by 0
// In the place of a Ref a dump has a row name (row_names.cpp).
// element  = escaped 0x00 0x01, where escaped is the value (for Nil: its type alone) with 0xFF put
//            behind every 0x00
#include "datom/encoding.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "datom/row_names.h"
#include "store/digest.h"

namespace datahike::datom {

namespace {

constexpr int kMostTuples = 16;  // one in another: composites that are made of composites
constexpr uint64_t kSignBit = uint64_t{1} << 63;

[[noreturn]] void corrupt() { throw CorruptError("datahike.facts: a value's bytes are damaged"); }

template <class T>
void put_big_endian(std::string& out, T word) {
  for (int shift = (sizeof(T) - 1) * 8; shift >= 0; shift -= 8)
    out += static_cast<char>(word >> shift & 0xff);
}

template <class T>
T get_big_endian(std::string_view bytes) {
  if (bytes.size() < sizeof(T)) corrupt();
  T word = 0;
  for (size_t i = 0; i < sizeof(T); ++i)
    word = static_cast<T>(word << 8 | static_cast<uint8_t>(bytes[i]));
  return word;
}

template <class Word>
Word ordered(Word bits) {
  constexpr Word kSign = Word{1} << (sizeof(Word) * 8 - 1);
  return bits & kSign ? ~bits : bits | kSign;
}

template <class Word>
Word unordered(Word bits) {
  constexpr Word kSign = Word{1} << (sizeof(Word) * 8 - 1);
  return bits & kSign ? bits & ~kSign : ~bits;
}

void put_decimal(std::string& out, const std::string& text) {
  Decimal d = parse_decimal(text);
  if (d.digits.empty()) {
    out += '\x01';
    return;
  }
  std::string magnitude;
  put_big_endian(magnitude, static_cast<uint32_t>(d.exponent) + 0x80000000u);
  for (size_t i = 0; i < d.digits.size(); i += 2) {
    int second = i + 1 < d.digits.size() ? d.digits[i + 1] - '0' : 0;
    magnitude += static_cast<char>(1 + (d.digits[i] - '0') * 10 + second);
  }
  magnitude += '\0';
  out += d.negative ? '\x00' : '\x02';
  if (d.negative)
    for (char& c : magnitude) c = static_cast<char>(~c);
  out += magnitude;
}

std::string get_decimal(std::string_view bytes, bool integer) {
  if (bytes.empty()) corrupt();
  if (bytes[0] == '\x01') return "0";
  Decimal d;
  d.negative = bytes[0] == '\x00';
  std::string magnitude(bytes.substr(1));
  if (d.negative)
    for (char& c : magnitude) c = static_cast<char>(~c);
  d.exponent = static_cast<int32_t>(get_big_endian<uint32_t>(magnitude) - 0x80000000u);
  if (d.exponent > kMostExponent || d.exponent < -kMostExponent) corrupt();
  for (size_t i = 4;; ++i) {
    if (i >= magnitude.size()) corrupt();
    int pair = static_cast<uint8_t>(magnitude[i]) - 1;
    if (pair < 0) break;
    if (pair > 99) corrupt();
    d.digits += static_cast<char>('0' + pair / 10);
    d.digits += static_cast<char>('0' + pair % 10);
  }
  d.digits.erase(d.digits.find_last_not_of('0') + 1);
  if (d.digits.empty() || (integer && d.exponent < static_cast<int32_t>(d.digits.size())))
    corrupt();
  return integer ? Value::bigint(decimal_text(d)).text : decimal_text(d);
}

void put_name(std::string& out, const std::string& text) {
  auto [space, name] = split_name(text);
  out.append(space).append(1, '\0').append(name);
}

std::string get_name(std::string_view bytes) {
  size_t end = bytes.find('\0');
  if (end == std::string_view::npos) corrupt();
  std::string name(bytes.substr(0, end));
  if (end > 0) name += '/';
  return name.append(bytes.substr(end + 1));
}

void put_element(std::string& out, const Value& value) {
  std::string inner = value.type == Type::Nil ? std::string(1, char{1}) : encode(value);
  for (char c : inner) {
    out += c;
    if (c == '\0') out += '\xff';
  }
  out.append("\0\x01", 2);
}

Value decode_within(std::string_view bytes, int depth);

std::vector<Value> get_elements(std::string_view bytes, int depth) {
  if (depth > kMostTuples) corrupt();
  std::vector<Value> elements;
  std::string inner;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != '\0') {
      inner += bytes[i];
      continue;
    }
    if (++i == bytes.size()) corrupt();
    if (bytes[i] == '\xff') {
      inner += '\0';
      continue;
    }
    if (bytes[i] != '\x01' || inner.empty()) corrupt();
    bool nil = inner.size() == 1 && inner[0] == char{1};
    elements.push_back(nil ? Value::nil() : decode_within(inner, depth));
    inner.clear();
  }
  if (!inner.empty()) corrupt();
  return elements;
}

}  // namespace

std::string encode(const Value& value) {
  std::string out(1, static_cast<char>(value.type));
  switch (value.type) {
    case Type::Boolean:
      out += value.integer ? '\x01' : '\x00';
      break;
    case Type::Long:
    case Type::Ref:
    case Type::Instant:
      put_big_endian(out, static_cast<uint64_t>(value.integer) ^ kSignBit);
      break;
    case Type::Float:
      put_big_endian(out, std::isnan(value.real)
                              ? ~uint32_t{0}
                              : ordered(std::bit_cast<uint32_t>(static_cast<float>(value.real))));
      break;
    case Type::Double:
      put_big_endian(out, std::isnan(value.real) ? ~uint64_t{0}
                                                 : ordered(std::bit_cast<uint64_t>(value.real)));
      break;
    case Type::BigInt:
    case Type::BigDec:
      put_decimal(out, value.text);
      break;
    case Type::Keyword:
    case Type::Symbol:
      put_name(out, value.text);
      break;
    case Type::Tuple:
      for (const Value& element : value.elements) put_element(out, element);
      break;
    case Type::Uuid:
    case Type::String:
    case Type::Bytes:
      out += value.text;
      break;
    case Type::Nil:
      throw ValueError("nil is no value");
  }
  return out;
}

namespace {

Value decode_within(std::string_view bytes, int depth) {
  if (bytes.empty()) corrupt();
  const auto type = static_cast<Type>(bytes[0]);
  if (bytes[0] == kRowName) refuse_row_name(bytes);
  std::string_view content = bytes.substr(1);
  Value value;
  value.type = type;
  switch (type) {
    case Type::Boolean:
      if (content.size() != 1) corrupt();
      value.integer = content[0] != 0;
      break;
    case Type::Long:
    case Type::Ref:
    case Type::Instant:
      value.integer = static_cast<int64_t>(get_big_endian<uint64_t>(content) ^ kSignBit);
      break;
    case Type::Float: {
      auto bits = get_big_endian<uint32_t>(content);
      return ~bits == 0 ? Value::float_(std::nanf(""))
                        : Value::float_(std::bit_cast<float>(unordered(bits)));
    }
    case Type::Double: {
      auto bits = get_big_endian<uint64_t>(content);
      return ~bits == 0 ? Value::double_(std::nan(""))
                        : Value::double_(std::bit_cast<double>(unordered(bits)));
    }
    case Type::BigInt:
    case Type::BigDec:
      value.text = get_decimal(content, type == Type::BigInt);
      break;
    case Type::Keyword:
    case Type::Symbol:
      value.text = get_name(content);
      break;
    case Type::Tuple:
      value.elements = get_elements(content, depth + 1);
      break;
    case Type::Uuid:
      if (content.size() != 16) corrupt();
      value.text = content;
      break;
    case Type::String:
    case Type::Bytes:
      value.text = content;
      break;
    default:
      corrupt();
  }
  return value;
}

}  // namespace

Value decode(std::string_view bytes) { return decode_within(bytes, 0); }

std::string index_key(const std::string& encoded) {
  if (encoded.size() <= kMostKey) return encoded;
  store::Sha256 digest;
  digest.update({reinterpret_cast<const uint8_t*>(encoded.data()), encoded.size()});
  tree::Hash hash = digest.finish();
  std::string key = encoded.substr(0, kKeyPrefix);
  return key.append(reinterpret_cast<const char*>(hash.data()), hash.size());
}

std::optional<std::string> after_prefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (prefix.empty()) return std::nullopt;
  prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

}  // namespace datahike::datom
