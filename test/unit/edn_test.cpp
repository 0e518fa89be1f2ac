#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "datalog/edn.h"

using namespace datahike;
using namespace datahike::edn;

namespace {

std::string rewritten(const char* text) { return write(read(text)); }

size_t error_offset(std::string_view text) {
  try {
    read(text);
  } catch (const ReadError& e) {
    return e.offset;
  }
  ADD_FAILURE() << text << " was read";
  return 0;
}

std::string error_message(std::string_view text) {
  try {
    read(text);
  } catch (const Error& e) {
    return e.what();
  }
  return "was read";
}

class Random {
 public:
  explicit Random(uint32_t seed) : random_(seed) {}
  uint32_t below(uint32_t n) { return random_() % n; }

  Value value(int depth = 3) {
    switch (below(depth > 0 ? 18 : 13)) {
      case 0:
        return Value();
      case 1:
        return Value::boolean(below(2));
      case 2:
        return Value::integer(static_cast<int64_t>(below(9)) - 4);
      case 3:
        return Value::integer(static_cast<int64_t>(uint64_t{random_()} << 32 | random_()));
      case 4:
        return Value::real(real());
      case 5:
        return Value::bigint(digits());
      case 6:
        return Value::bigdec(digits() + (below(2) ? "." + std::to_string(below(100)) : ""));
      case 7:
        return Value::character(std::u32string_view(U"a\n \t\u00e9\u20ac\U0001f600(;")[below(9)]);
      case 8:
        return Value::string(text());
      case 9:
        return below(2) ? Value::symbol(name()) : Value::keyword(name());
      case 10:
        return Value::instant((static_cast<int64_t>(random_()) - (1ll << 31)) * 1000003);
      case 11:
        return Value::uuid(std::string(15, static_cast<char>(below(256))) + "x");
      case 12:
        return Value::bytes(text());
      case 13:
        return Value::list(items(depth));
      case 14:
        return Value::vector(items(depth));
      case 15:
        return Value::set(items(depth));
      case 16: {
        std::vector<Entry> entries;
        for (uint32_t i = below(4); i > 0; --i)
          entries.emplace_back(value(depth - 1), value(depth - 1));
        return Value::map(entries);
      }
      default:
        return Value::tagged(below(2) ? "a" : "b/c", value(depth - 1));
    }
  }

 private:
  double real() {
    constexpr double some[] = {0.0,
                               -0.0,
                               1.0,
                               -3.0,
                               0.1,
                               1e300,
                               5e-324,
                               9007199254740993.0,
                               HUGE_VAL,
                               -HUGE_VAL,
                               std::numeric_limits<double>::quiet_NaN()};
    return below(2)
               ? some[below(11)]
               : std::ldexp(static_cast<double>(random_()), static_cast<int>(below(200)) - 100);
  }
  std::string digits() {
    std::string d = below(2) ? "-" : "";
    for (uint32_t i = below(25) + 1; i > 0; --i) d += static_cast<char>('0' + below(10));
    return d;
  }
  std::string text() {
    std::string t;
    for (uint32_t i = below(6); i > 0; --i) t += std::string_view("ab\"\\\n\t \x7f;")[below(9)];
    return t + (below(2) ? "\u00e9" : "");
  }
  std::string name() {
    constexpr const char* names[] = {"a",     "a/b", "?x", "person.full/first-name",
                                     "db/id", "_",   "x1", "a*"};
    return names[below(8)];
  }
  std::vector<Value> items(int depth) {
    std::vector<Value> found;
    for (uint32_t i = below(4); i > 0; --i) found.push_back(value(depth - 1));
    return found;
  }
  std::mt19937 random_;
};

}  // namespace

TEST(Edn, ReadsEveryKind) {
  EXPECT_TRUE(read("nil").is_nil());
  EXPECT_TRUE(read("true").as_boolean());
  EXPECT_EQ(read("-42").as_integer(), -42);
  EXPECT_EQ(read("+7").as_integer(), 7);
  EXPECT_EQ(read("1.5e3").as_real(), 1500.0);
  EXPECT_EQ(read("9223372036854775808").kind(), Kind::BigInt);
  EXPECT_EQ(read("12N").text(), "12");
  EXPECT_EQ(read("1.50M").text(), "1.50");
  EXPECT_EQ(read("-0.5e3M").text(), "-500");
  EXPECT_EQ(read("\\newline").as_character(), U'\n');
  EXPECT_EQ(read("\\u20ac").as_character(), U'\u20ac');
  EXPECT_EQ(read("\\u").as_character(), U'u');
  EXPECT_EQ(read(R"("a\"\u00e9\ud83d\ude00")").text(), "a\"\u00e9\U0001f600");
  EXPECT_EQ(read("?x").text(), "?x");
  EXPECT_EQ(read(":person/name").name_space(), "person");
  EXPECT_EQ(read(":person/name").name(), "name");
  EXPECT_EQ(read(":db.type/string").name(), "string");
  EXPECT_EQ(read("/").name(), "/");
  EXPECT_EQ(read("#inst \"1970-01-02\"").as_instant(), 86400000000);
  EXPECT_EQ(read("#inst \"1970-01-01T01:00:00.5+01:00\"").as_instant(), 500000);
  EXPECT_EQ(read("#uuid \"00112233-4455-6677-8899-aabbccddeeff\"").text().size(), 16u);
  EXPECT_EQ(read("#bytes \"00ff\"").text(), std::string("\0\xff", 2));
  EXPECT_EQ(read("#{3 1 2}").items()[0].as_integer(), 1);
  EXPECT_EQ(read("{:b 2, :a 1}").find_keyword("b")->as_integer(), 2);
  EXPECT_EQ(read("#:p{:a 1 :q/b 2}"), read("{:p/a 1 :q/b 2}"));
  EXPECT_EQ(read("#my/tag [1]").tagged_value().items().size(), 1u);
  EXPECT_TRUE(std::isnan(read("##NaN").as_real()));
}

TEST(Edn, SkipsCommentsAndDiscardedForms) {
  EXPECT_EQ(rewritten("; head\n[1, #_ 2 #_ #_ 3 4 5] ; tail"), "[1 5]");
  EXPECT_EQ(read_all("1 2 #_3").size(), 2u);
  EXPECT_EQ(read_all(" , ").size(), 0u);
}

TEST(Edn, NamesTheErrorAndItsPlace) {
  EXPECT_EQ(error_message("[1 2"), "\"[\" is not closed by \"]\" at offset 0");
  EXPECT_EQ(error_message("[1 2)"), "\")\" does not close \"[\" at offset 4");
  EXPECT_EQ(error_message(")"), "unexpected \")\" at offset 0");
  EXPECT_EQ(error_message(""), "there is no value at offset 0");
  EXPECT_EQ(error_message("{:a}"), "a map has a key without a value at offset 0");
  EXPECT_EQ(error_message("1/2"), "ratios are not read: 1/2 at offset 0");
  EXPECT_EQ(error_offset("[:a {:b 1 :b 2}]"), 4u);
  EXPECT_EQ(error_offset("#{1 1}"), 0u);
  EXPECT_EQ(error_offset("\"abc"), 0u);
  EXPECT_EQ(error_offset("\"a\\qb\""), 2u);
  EXPECT_EQ(error_offset("\"\\ud800\""), 1u);
  EXPECT_EQ(error_offset("1 2"), 1u);
  for (const char* bad : {"1x",
                          "01",
                          "1.5N",
                          "1e",
                          ":",
                          "::a",
                          ":a/",
                          "a/",
                          "^a",
                          "@a",
                          "#inst 1",
                          "#inst \"x\"",
                          "#inst \"2025-02-29\"",
                          "#uuid \"1\"",
                          "#bytes \"0\"",
                          "##x",
                          "\\abc",
                          "#",
                          "#_",
                          "[#_]",
                          "#a",
                          "\\"})
    EXPECT_NE(error_message(bad), "was read") << bad;
}

TEST(Edn, DepthIsLimitedWithoutRecursionFirst) {
  for (const char* open : {"[", "(", "{:a ", "#{", "#a ", "#_", "[#_ "}) {
    std::string text;
    for (int i = 0; i < 100000; ++i) text += open;
    EXPECT_THROW(read(text), LimitError) << open;
  }
  std::string deep(kMostDepth, '[');
  deep += std::string(kMostDepth, ']');
  EXPECT_EQ(write(read(deep)), deep);
  Value v;
  EXPECT_THROW(
      {
        for (int i = 0; i < 100000; ++i) v = Value::vector({v});
      },
      LimitError);
}

TEST(Edn, NumbersAreEqualByWorth) {
  for (const char* one : {"1", "1N", "1.0", "1M", "1.00M", "100e-2M"}) {
    EXPECT_EQ(read(one), read("1")) << one;
    EXPECT_EQ(read(one).hash(), read("1").hash()) << one;
  }
  for (const char* zero : {"0N", "0.0", "-0.0", "0M", "0.00M"}) {
    EXPECT_EQ(read(zero), read("0")) << zero;
    EXPECT_EQ(read(zero).hash(), read("0").hash()) << zero;
  }
  for (const char* text : {"0.5", "-3.75", "1234567.0625", "-0.001953125", "100000000000.5"}) {
    std::string decimal = std::string(text) + "M", longer = std::string(text) + "0000000000M";
    EXPECT_EQ(read(decimal).hash(), read(text).hash()) << text;
    EXPECT_EQ(read(longer).hash(), read(text).hash()) << text;
  }
  EXPECT_EQ(read("0.10M").hash(), read("0.100000000000000000M").hash());
  EXPECT_LT(read("9007199254740992.0"), read("9007199254740993"));
  EXPECT_LT(read("0.1M"), read("0.1"));  // the double is a little more
  EXPECT_LT(read("9223372036854775807"), read("9223372036854775807.0"));
  EXPECT_EQ(read("-0.0"), read("0"));
  EXPECT_LT(read("##Inf"), read("##NaN"));
  EXPECT_LT(read("100000000000000000000000000000N"), read("##Inf"));
  EXPECT_EQ(read("##NaN"), read("##NaN"));
  EXPECT_EQ(read("9007199254740993N").hash(), read("9007199254740993").hash());
  EXPECT_EQ(read("9007199254740993.0M").hash(), read("9007199254740993").hash());
}

TEST(Edn, OrderAcrossKinds) {
  const char* ascending[] = {"nil",
                             "false",
                             "true",
                             "-1",
                             "0.5",
                             "2N",
                             "\\a",
                             "\"\"",
                             "\"b\"",
                             "a",
                             ":a",
                             "#inst \"2025\"",
                             "#uuid \"00112233-4455-6677-8899-aabbccddeeff\"",
                             "#bytes \"00\"",
                             "[]",
                             "(1)",
                             "[1 2]",
                             "[2]",
                             "#{}",
                             "{}",
                             "#t 1"};
  for (size_t i = 0; i < std::size(ascending); ++i)
    for (size_t k = 0; k < std::size(ascending); ++k) {
      int c = read(ascending[i]).compare(read(ascending[k]));
      EXPECT_EQ(c < 0, i < k) << ascending[i] << ascending[k];
      EXPECT_EQ(c == 0, i == k) << ascending[i] << ascending[k];
    }
  EXPECT_EQ(read("(1 2)"), read("[1 2]"));
  EXPECT_EQ(read("(1 2)").hash(), read("[1 2]").hash());
}

TEST(Edn, WritesWhatItReads) {
  Random random(7);
  for (int i = 0; i < 20000; ++i) {
    Value v = random.value();
    std::string text = write(v);
    Value again = read(text);
    ASSERT_EQ(again.kind(), v.kind()) << text;
    ASSERT_EQ(again, v) << text;
    ASSERT_EQ(again.hash(), v.hash()) << text;
    ASSERT_EQ(write(again), text);
  }
}

TEST(Edn, OrderIsTotalAndHashesAgree) {
  Random random(11);
  for (int i = 0; i < 20000; ++i) {
    Value a = random.value(1), b = random.value(1), c = random.value(1);
    ASSERT_EQ(a.compare(b), -b.compare(a)) << write(a) << " " << write(b);
    ASSERT_EQ(a == b, a.compare(b) == 0);
    if (a == b) {
      ASSERT_EQ(a.hash(), b.hash()) << write(a) << " " << write(b);
    }
    if (a.compare(b) <= 0 && b.compare(c) <= 0) {
      ASSERT_LE(a.compare(c), 0) << write(a) << " " << write(b) << " " << write(c);
    }
  }
}

TEST(Edn, InstantsOfAllYears) {
  for (const char* text :
       {"#inst \"2025-02-28T23:59:59.999-00:00\"", "#inst \"0001-01-01T00:00:00.000-00:00\"",
        "#inst \"-4712-01-01T00:00:00.000-00:00\"", "#inst \"+294246-12-31T00:00:00.000001-00:00\"",
        "#inst \"infinity\"", "#inst \"-infinity\""})
    EXPECT_EQ(rewritten(text), text);
}

TEST(Edn, AnyBytesAreReadOrRefused) {
  std::mt19937 random(3);
  for (int i = 0; i < 50000; ++i) {
    std::string text;
    for (uint32_t n = random() % 12; n > 0; --n)
      text += random() % 4 ? std::string_view("()[]{}#_\":\\ 1.eNMa/;-")[random() % 21]
                           : static_cast<char>(random());
    try {
      write(read(text));
    } catch (const Error&) {
    }
  }
}
