// Values of facts as bytes: the order of the bytes is the order of the values, and they read back.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "datom/encoding.h"

namespace datahike::datom {
namespace {

using Random = std::mt19937_64;

int sign(int c) { return c < 0 ? -1 : c > 0; }
int sign_of_bytes(const std::string& a, const std::string& b) { return sign(a.compare(b)); }

std::string random_text(Random& random, std::string_view alphabet, size_t most) {
  std::string text;
  for (size_t n = random() % (most + 1); n > 0; --n) text += alphabet[random() % alphabet.size()];
  return text;
}

int64_t random_integer(Random& random) {
  const auto shift = random() % 64;
  const auto n = static_cast<int64_t>(random() >> shift);
  return random() % 2 ? n : -n;
}

double random_double(Random& random) {
  const double special[] = {0.0,
                            -0.0,
                            1.0,
                            -1.0,
                            std::numeric_limits<double>::infinity(),
                            -std::numeric_limits<double>::infinity(),
                            std::numeric_limits<double>::quiet_NaN(),
                            -std::numeric_limits<double>::quiet_NaN(),
                            std::numeric_limits<double>::denorm_min(),
                            std::numeric_limits<double>::max(),
                            std::numeric_limits<double>::lowest()};
  if (random() % 3 == 0) return special[random() % std::size(special)];
  return std::ldexp(static_cast<double>(random_integer(random)),
                    static_cast<int>(random() % 80) - 40);
}

float random_float(Random& random) { return static_cast<float>(random_double(random)); }

std::string random_decimal(Random& random, bool integer) {
  std::string text = random() % 2 ? "-" : "";
  text += std::to_string(random() % 1000) + random_text(random, "0019", 12);
  if (integer) return text;
  if (random() % 2) text += "." + random_text(random, "0019", 12);
  if (random() % 3 == 0) text += "e" + std::to_string(static_cast<int>(random() % 120) - 60);
  return text;
}

std::string random_name(Random& random) {
  std::string name = random_text(random, "abAB-.", 3) + "x";
  return random() % 2 ? name : random_text(random, "ab.-", 3) + "n/" + name;
}

constexpr std::string_view kBytes("\x00\x01\x02\x7f\x80\xfe\xff", 7);

Value random_value(Random& random, Type type, bool nil_allowed = false) {
  if (nil_allowed && random() % 5 == 0) return Value::nil();
  switch (type) {
    case Type::Boolean:
      return Value::boolean(random() % 2);
    case Type::Long:
      return Value::long_(random_integer(random));
    case Type::Ref:
      return Value::ref(random_integer(random));
    case Type::Instant:
      return Value::instant(random_integer(random));
    case Type::BigInt:
      return Value::bigint(random_decimal(random, true));
    case Type::BigDec:
      return Value::bigdec(random_decimal(random, false));
    case Type::Float:
      return Value::float_(random_float(random));
    case Type::Double:
      return Value::double_(random_double(random));
    case Type::Uuid: {
      std::string bytes(16, '\0');
      for (char& c : bytes) c = kBytes[random() % kBytes.size()];
      return Value::uuid(bytes);
    }
    case Type::String:
      return Value::string(random_text(random, "ab\xc3\x01\x7f", 6));
    case Type::Bytes:
      return Value::bytes(random_text(random, kBytes, 6));
    case Type::Keyword:
      return Value::keyword(random_name(random));
    case Type::Symbol:
      return Value::symbol(random_name(random));
    default:
      break;
  }
  constexpr Type kInner[] = {Type::Boolean, Type::Long,  Type::BigDec,  Type::Double,
                             Type::String,  Type::Bytes, Type::Keyword, Type::Ref};
  std::vector<Value> elements;
  for (size_t n = random() % 4; n > 0; --n)
    elements.push_back(random_value(random, kInner[random() % std::size(kInner)], true));
  return Value::tuple(std::move(elements));
}

constexpr Type kAll[] = {Type::Boolean, Type::Long,    Type::BigInt, Type::Float,  Type::Double,
                         Type::BigDec,  Type::Instant, Type::Uuid,   Type::String, Type::Keyword,
                         Type::Symbol,  Type::Bytes,   Type::Ref,    Type::Tuple};

TEST(DatomEncoding, ReadsBack) {
  Random random(1);
  for (Type type : kAll)
    for (int i = 0; i < 3000; ++i) {
      const Value v = random_value(random, type);
      const Value back = decode(encode(v));
      ASSERT_EQ(back.type, v.type);
      ASSERT_EQ(compare(back, v), 0) << type_name(type) << " " << v.text;
      ASSERT_EQ(back.text, v.text);
      ASSERT_EQ(encode(back), encode(v));
    }
}

TEST(DatomEncoding, OrdersAsValuesDo) {
  Random random(2);
  for (Type type : kAll)
    for (int i = 0; i < 20000; ++i) {
      const Value a = random_value(random, type), b = random_value(random, type);
      ASSERT_EQ(sign_of_bytes(encode(a), encode(b)), sign(compare(a, b)))
          << type_name(type) << " " << a.text << " | " << b.text << " | " << a.integer << " "
          << b.integer << " | " << a.real << " " << b.real;
    }
}

TEST(DatomEncoding, OrdersTypesApart) {
  Random random(3);
  for (int i = 0; i < 20000; ++i) {
    const Value a = random_value(random, kAll[random() % std::size(kAll)]);
    const Value b = random_value(random, kAll[random() % std::size(kAll)]);
    ASSERT_EQ(sign_of_bytes(encode(a), encode(b)), sign(compare(a, b)));
  }
}

TEST(DatomEncoding, OrderOfChosenValues) {
  const std::vector<Value> ascending[] = {
      {Value::long_(INT64_MIN), Value::long_(-1), Value::long_(0), Value::long_(1),
       Value::long_(256), Value::long_(INT64_MAX)},
      {Value::bigint("-100000000000000000000"), Value::bigint("-99"), Value::bigint("-9"),
       Value::bigint("0"), Value::bigint("9"), Value::bigint("10"),
       Value::bigint("123456789012345678901234567890")},
      {Value::bigdec("-1.5"), Value::bigdec("-1.05"), Value::bigdec("0"), Value::bigdec("1e-60"),
       Value::bigdec("0.1"), Value::bigdec("0.11"), Value::bigdec("1"), Value::bigdec("1e60")},
      {Value::double_(-INFINITY), Value::double_(-1), Value::double_(0), Value::double_(1e-300),
       Value::double_(1), Value::double_(INFINITY), Value::double_(NAN)},
      {Value::string(""), Value::string("a"), Value::string("aa"), Value::string("b"),
       Value::string("\xc3\xa4")},
      {Value::keyword("b"), Value::keyword("a/b"), Value::keyword("a/c"), Value::keyword("a.b/a"),
       Value::keyword("b/a")},
      {Value::tuple({Value::string("a")}), Value::tuple({Value::string("a"), Value::nil()}),
       Value::tuple({Value::string("a"), Value::long_(1)}),
       Value::tuple({Value::string("ab"), Value::long_(0)})}};
  for (const std::vector<Value>& values : ascending)
    for (size_t i = 0; i + 1 < values.size(); ++i) {
      EXPECT_LT(compare(values[i], values[i + 1]), 0) << i;
      EXPECT_LT(encode(values[i]), encode(values[i + 1])) << i;
    }
}

TEST(DatomEncoding, EqualNumbersAreOneValue) {
  EXPECT_EQ(Value::bigdec("1.50").text, "1.5");
  EXPECT_EQ(Value::bigdec("1e3").text, "1000");
  EXPECT_EQ(Value::bigdec("-0.00").text, "0");
  EXPECT_EQ(Value::bigdec("0.00012e-50").text, "1.2E-54");
  EXPECT_EQ(Value::bigint("007").text, "7");
  EXPECT_EQ(Value::bigint("-120").text, "-120");
  EXPECT_EQ(encode(Value::double_(-0.0)), encode(Value::double_(0.0)));
  EXPECT_EQ(encode(Value::double_(NAN)), encode(Value::double_(-NAN)));
  EXPECT_THROW(Value::bigint("1.5"), ValueError);
  EXPECT_THROW(Value::bigdec("1,5"), ValueError);
  EXPECT_THROW(Value::bigdec(""), ValueError);
  EXPECT_THROW(Value::bigdec("1e2000000"), ValueError);
}

TEST(DatomEncoding, LongValuesHaveKeysOfTheirOwn) {
  const std::string stem(5000, 'x');
  const std::string a = encode(Value::string(stem + "a")), b = encode(Value::string(stem + "b"));
  EXPECT_NE(index_key(a), index_key(b));
  EXPECT_EQ(index_key(a).size(), kMostKey + 1);
  EXPECT_FALSE(is_whole(index_key(a)));
  EXPECT_EQ(index_key(a).substr(0, kKeyPrefix), a.substr(0, kKeyPrefix));
  const std::string whole = encode(Value::string(std::string(kMostKey - 1, 'x')));
  EXPECT_EQ(index_key(whole), whole);
  EXPECT_TRUE(is_whole(index_key(whole)));
}

TEST(DatomEncoding, DamagedBytesAreNamed) {
  Random random(4);
  for (Type type : kAll)
    for (int i = 0; i < 2000; ++i) {
      std::string bytes = encode(random_value(random, type));
      if (random() % 2)
        bytes.resize(random() % (bytes.size() + 1));
      else
        bytes[random() % bytes.size()] = static_cast<char>(random());
      try {
        (void)decode(bytes);
      } catch (const CorruptError&) {
      }
    }
  EXPECT_THROW(decode(""), CorruptError);
  EXPECT_THROW(decode("\x03"), CorruptError);
}

}  // namespace
}  // namespace datahike::datom
