// The encodings of numbers that have a shape: lines, runs, few distinct ones, decimals.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "column/decimal.h"
#include "store/segment.h"

namespace datahike::column {
namespace {

Values words(Kind kind, const std::vector<uint64_t>& input) {
  Values values(kind);
  for (uint64_t word : input) values.add_word(word);
  return values;
}

Values doubles(const std::vector<double>& input) {
  Values values(Kind::Float64);
  for (double d : input) values.add_word(std::bit_cast<uint64_t>(d));
  return values;
}

ZoneMap zone_for(const Values& values) {
  return is_word(values.kind()) ? zone_of(values.kind(), values.words(), values.nulls())
                                : ZoneMap{.nulls = values.nulls()};
}

// Bytes of the column in the encoding, which is tried alone, after all has been read back; 0: it
// does not fit.
size_t encoded_bytes(const Encoding& encoding, const Values& values) {
  const ZoneMap zone = zone_for(values);
  Plan plan;
  if (!encoding.analyse(values, zone, plan)) return 0;
  Bytes out;
  encoding.encode(values, zone, plan, out);
  EXPECT_EQ(out.size(), plan.bytes);
  const Bytes exact(out);
  const Encoded encoded{values.kind(), values.rows(), exact};
  ShortScratch scratch;
  for (uint32_t row = 0; row < values.rows(); ++row) {
    if (values.is_null(row)) continue;
    if (is_word(values.kind()))
      EXPECT_EQ(encoding.word(encoded, row), values.words()[row]) << row;
    else
      EXPECT_TRUE(std::ranges::equal(encoding.bytes(encoded, row, scratch), values.bytes(row)));
  }
  for (uint32_t first = 0; is_word(values.kind()) && first < values.rows(); first += 37) {
    std::vector<uint64_t> run(std::min<size_t>(values.rows() - first, 100));
    encoding.words(encoded, first, run);
    EXPECT_TRUE(std::ranges::equal(run, values.words().subspan(first, run.size())));
  }
  return out.size();
}

const Encoding* chosen(const Values& values) {
  return kEncodings[choose_encoding(values, zone_for(values)).encoding];
}

// A numeric in PostgreSQL's short form, from its digits of base 10000.
Bytes numeric(bool negative, unsigned scale, int weight, const std::vector<uint16_t>& digits) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.fixed<uint16_t>(static_cast<uint16_t>(0x8000 | (negative ? 0x2000 : 0) | scale << 7 |
                                               (weight < 0 ? 0x40 : 0) | (weight & 0x3f)));
  for (uint16_t digit : digits) writer.fixed<uint16_t>(digit);
  return bytes;
}

TEST(Linear, SerialNumbersNeedAlmostNothing) {
  std::vector<uint64_t> input(65536);
  for (size_t i = 0; i < input.size(); ++i) input[i] = 1'000'000 + i;
  EXPECT_EQ(encoded_bytes(kLinear, words(Kind::Int64, input)), 17u);
  EXPECT_EQ(chosen(words(Kind::Int32, input)), &kLinear);
  for (size_t i = 0; i < input.size(); ++i) input[i] = static_cast<uint64_t>(-3 * int64_t(i));
  EXPECT_EQ(encoded_bytes(kLinear, words(Kind::Int64, input)), 17u);
}

TEST(Linear, NoisyAndExtremeValuesReadBack) {
  std::mt19937_64 rng(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<uint64_t> input(64 + rng() % 500);
    const uint64_t start = rng(), step = rng() >> rng() % 64, noise = rng() % 63;
    for (size_t i = 0; i < input.size(); ++i) input[i] = start + step * i + (rng() >> (63 - noise));
    encoded_bytes(kLinear, words(Kind::Int64, input));
    input.back() = rng() % 2 ? 0x7fffffffffffffff : 0x8000000000000000;
    encoded_bytes(kLinear, words(Kind::Int64, input));
  }
}

TEST(RunLength, RunsOfEveryLengthReadBack) {
  std::mt19937_64 rng(6);
  for (int longest : {1, 5, 20, 1000, 100000}) {
    std::vector<uint64_t> input;
    while (input.size() < 5000) input.insert(input.end(), 1 + rng() % longest, rng());
    input.resize(5000);
    const size_t bytes = encoded_bytes(kRunLength, words(Kind::Float64, input));
    EXPECT_EQ(bytes == 0, longest < 20) << longest;
    if (longest == 1000) {
      EXPECT_EQ(chosen(words(Kind::Int64, input)), &kRunLength);
    }
  }
  std::vector<uint64_t> floats(100, 0xffc00001);
  floats[99] = 0;
  EXPECT_GT(encoded_bytes(kRunLength, words(Kind::Float32, floats)), 0u);
}

TEST(WordDictionary, FewDistinctWordsReadBack) {
  std::mt19937_64 rng(7);
  for (size_t distinct : {2u, 11u, 255u, 400u}) {
    std::vector<uint64_t> values(distinct), input(20000);
    for (uint64_t& value : values) value = rng();
    for (uint64_t& word : input) word = values[rng() % distinct];
    EXPECT_GT(encoded_bytes(kWordDictionary, words(Kind::Float64, input)), 0u);
    if (distinct < 255) {
      EXPECT_EQ(chosen(words(Kind::Int64, input)), &kWordDictionary);
    }
  }
  std::vector<uint64_t> grown(20480);  // as many words as it holds
  for (size_t i = 0; i < grown.size(); ++i) grown[i] = i / 5 * 0x9e3779b97f4a7c15;
  EXPECT_GT(encoded_bytes(kWordDictionary, words(Kind::Int64, grown)), 0u);
  std::vector<uint64_t> many(20000);
  for (uint64_t& word : many) word = rng();
  EXPECT_EQ(encoded_bytes(kWordDictionary, words(Kind::Int64, many)), 0u);
  EXPECT_GT(encoded_bytes(kWordDictionary, words(Kind::Int8, {many.begin(), many.begin() + 99})),
            0u);
}

TEST(DecimalFloat, PricesNeedTheBitsOfTheirCents) {
  std::mt19937_64 rng(8);
  std::vector<double> input(10000);
  for (double& price : input) price = static_cast<double>(rng() % 1'000'000) / 100;
  const Values values = doubles(input);
  EXPECT_EQ(chosen(values), &kDecimalFloat);
  EXPECT_LT(encoded_bytes(kDecimalFloat, values), 10000u * 20 / 8 + 100);
}

TEST(DecimalFloat, WhatIsNoDecimalIsAnException) {
  std::mt19937_64 rng(9);
  const double odd[] = {NAN,
                        INFINITY,
                        -INFINITY,
                        -0.0,
                        1e300,
                        5e-324,
                        0.1 + 0.2,
                        9007199254740993.0,
                        -9007199254740992.0,
                        1e22,
                        std::bit_cast<double>(0x7ff0000000000001)};
  for (int round = 0; round < 200; ++round) {
    std::vector<double> input(64 + rng() % 300);
    for (double& d : input) {
      d = static_cast<double>(static_cast<int64_t>(rng()) >> (12 + rng() % 50)) /
          std::pow(10, static_cast<double>(rng() % 3));
      if (rng() % 20 == 0) d = odd[rng() % std::size(odd)];
    }
    encoded_bytes(kDecimalFloat, doubles(input));
  }
  std::vector<double> random(1000);
  for (double& d : random) d = static_cast<double>(rng()) * 0x1p-64;
  EXPECT_EQ(encoded_bytes(kDecimalFloat, doubles(random)), 0u);
}

TEST(Decimal, NumericsAndIntegersAreEachOther) {
  const auto same = [](const Bytes& bytes, int64_t value, unsigned scale) {
    const auto scaled = numeric_to_scaled(bytes);
    ASSERT_TRUE(scaled.has_value());
    EXPECT_EQ(scaled->value, value);
    EXPECT_EQ(scaled->scale, scale);
    ShortScratch scratch;
    EXPECT_TRUE(std::ranges::equal(scaled_to_numeric(value, scale, scratch), bytes));
  };
  same(numeric(false, 0, 0, {}), 0, 0);
  same(numeric(false, 2, 0, {}), 0, 2);
  same(numeric(false, 2, 0, {12, 3400}), 1234, 2);  // 12.34
  same(numeric(true, 2, 0, {12, 3400}), -1234, 2);  // -12.34
  same(numeric(false, 2, -1, {500}), 5, 2);         // 0.05
  same(numeric(false, 8, -2, {42}), 42, 8);         // 0.00000042
  same(numeric(false, 0, 2, {1}), 100000000, 0);    // 10^8
  same(numeric(false, 3, 1, {5}), 50000000, 3);     // 50000.000
  same(numeric(false, 0, 4, {99, 9999, 9999, 9999, 9999}), 999999999999999999, 0);
  same(numeric(true, 16, 0, {99, 9999, 9999, 9999, 9999}), -999999999999999999, 16);
}

TEST(Decimal, OtherBytesAreNot) {
  const auto refused = [](const Bytes& bytes) { EXPECT_FALSE(numeric_to_scaled(bytes)); };
  refused({});
  refused({1});
  refused(Bytes{'1', '2', '.', '3'});
  refused(numeric(true, 0, 0, {}));           // -0
  refused(numeric(false, 2, 0, {12, 3401}));  // a digit behind the scale
  refused(numeric(false, 0, 0, {12, 3400}));
  refused(numeric(false, 2, 1, {0, 12}));  // not stripped
  refused(numeric(false, 2, 0, {12, 0}));
  refused(numeric(false, 0, 4, {100, 0, 0, 0, 1}));    // 10^18 + 1
  refused(numeric(false, 20, 0, {1}));                 // scale too large
  refused(numeric(false, 2, 0, {10000}));              // no digit
  refused(Bytes{0x00, 0xc0});                          // NaN
  refused(Bytes{0x00, 0xd0});                          // infinity
  refused(Bytes{0x02, 0x00, 0x00, 0x00, 0x0c, 0x00});  // the long form
  std::mt19937_64 rng(10);
  for (int i = 0; i < 200'000; ++i) {
    Bytes bytes(rng() % 13 * 2);
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(rng() >> rng() % 64);
    if (bytes.size() > 1) bytes[1] = static_cast<uint8_t>(0x80 | (bytes[1] & 0x2f));
    if (const auto scaled = numeric_to_scaled(bytes)) {
      ShortScratch scratch;
      ASSERT_TRUE(
          std::ranges::equal(scaled_to_numeric(scaled->value, scaled->scale, scratch), bytes));
    }
  }
}

TEST(Decimal, EveryScaledIntegerReadsBack) {
  std::mt19937_64 rng(11);
  for (int i = 0; i < 100'000; ++i) {
    const unsigned scale = rng() % (kMostDecimalDigits + 1);
    const int64_t value = static_cast<int64_t>(rng()) >> rng() % 64;
    if (value >= kLargestDecimal || value <= -kLargestDecimal) continue;
    ShortScratch scratch;
    const auto scaled = numeric_to_scaled(scaled_to_numeric(value, scale, scratch));
    ASSERT_TRUE(scaled && scaled->value == value && scaled->scale == scale)
        << value << " " << scale;
  }
}

TEST(Decimal, ASegmentOfNumericsKnowsItsIntegers) {
  store::SegmentBuilder builder({{.number = 1, .kind = Kind::Bytes, .type = 1700}});
  std::mt19937_64 rng(12);
  __int128 sum = 0;
  int64_t min = std::numeric_limits<int64_t>::max(), max = std::numeric_limits<int64_t>::min();
  std::vector<int64_t> input;
  for (int i = 0; i < 10000; ++i) {
    builder.begin_row(0, 1);
    input.push_back(static_cast<int64_t>(rng() % 2'000'000) - 1'000'000);
    if (i % 7 == 0) {
      builder.add_null();
      continue;
    }
    ShortScratch scratch;
    builder.add_bytes(scaled_to_numeric(input.back(), 2, scratch));
    sum += input.back();
    min = std::min(min, input.back());
    max = std::max(max, input.back());
  }
  const Bytes segment = builder.finish(1);
  const store::SegmentReader reader(segment);
  reader.verify();
  ASSERT_EQ(reader.decimal_digits(0), std::optional<unsigned>(2));
  EXPECT_LT(segment.size(), 10000u * 22 / 8 + 10000 / 8 + 300);
  const ZoneMap zone = reader.decimal_zone(0);
  EXPECT_TRUE(zone.ordered);
  EXPECT_EQ(zone.min, min);
  EXPECT_EQ(zone.max, max);
  EXPECT_TRUE(zone.sum == sum);
  EXPECT_EQ(zone.nulls, 1429u);
  EXPECT_FALSE(reader.zone(0).ordered);
  Scratch scratch;
  ShortScratch expected;
  for (uint32_t row = 0; row < 10000; ++row) {
    ASSERT_EQ(reader.is_null(0, row), row % 7 == 0);
    if (row % 7 == 0) continue;
    ASSERT_EQ(static_cast<int64_t>(reader.bits(0, row)), input[row]);
    ASSERT_TRUE(std::ranges::equal(reader.bytes(0, row, scratch),
                                   scaled_to_numeric(input[row], 2, expected)));
  }
}

}  // namespace
}  // namespace datahike::column
