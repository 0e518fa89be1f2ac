// Each encoding alone: what it says it needs, what it writes, and what is read back.
#include "column/encoding.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "column/bit_packing.h"

namespace datahike::column {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

Values words(Kind kind, const std::vector<uint64_t>& input) {
  Values values(kind);
  for (uint64_t word : input) values.add_word(word);
  return values;
}

Values strings(const std::vector<std::string>& input) {
  Values values(Kind::Bytes);
  for (const std::string& string : input) values.add_bytes(as_bytes(string));
  return values;
}

std::vector<uint64_t> random_words(uint64_t seed, size_t n, unsigned bits) {
  std::mt19937_64 rng(seed);
  std::vector<uint64_t> result(n);
  for (uint64_t& word : result) word = bits == 0 ? 0 : rng() >> (64 - bits);
  return result;
}

ZoneMap zone_for(const Values& values) {
  return is_word(values.kind()) ? zone_of(values.kind(), values.words(), values.nulls())
                                : ZoneMap{.nulls = values.nulls()};
}

void expect_same_values(const Encoding& encoding, const Encoded& encoded, const Values& values) {
  ShortScratch scratch;
  for (uint32_t row = 0; row < values.rows(); ++row) {
    if (values.is_null(row)) continue;
    if (is_word(values.kind()))
      ASSERT_EQ(encoding.word(encoded, row), values.words()[row]) << row;
    else
      ASSERT_TRUE(std::ranges::equal(encoding.bytes(encoded, row, scratch), values.bytes(row)))
          << row;
  }
  if (!is_word(values.kind())) return;
  for (uint32_t first : {uint32_t{0}, values.rows() / 2, values.rows() - 1}) {
    std::vector<uint64_t> run(values.rows() - first);
    encoding.words(encoded, first, run);
    ASSERT_TRUE(std::ranges::equal(run, values.words().subspan(first)));
  }
}

// Encodes with every encoding that fits and reads all back; returns how many fitted.
int round_trip(const Values& values) {
  const ZoneMap zone = zone_for(values);
  int fitted = 0;
  for (const Encoding* encoding : kEncodings) {
    Plan plan;
    if (!encoding->analyse(values, zone, plan)) continue;
    ++fitted;
    Bytes out = {1, 2, 3};  // encodings append, at any alignment
    encoding->encode(values, zone, plan, out);
    EXPECT_EQ(out.size() - 3, plan.bytes);
    const Bytes exact(out.begin() + 3, out.end());  // so that ASan sees a read past the end
    expect_same_values(*encoding, {values.kind(), values.rows(), exact}, values);
  }
  return fitted;
}

const Encoding* chosen(const Values& values) {
  return kEncodings[choose_encoding(values, zone_for(values)).encoding];
}

TEST(BitPacking, EveryWidthReadsBackEveryValue) {
  for (unsigned width = 0; width <= 64; ++width) {
    const std::vector<uint64_t> input = random_words(width, 131, width);
    Bytes packed;
    pack(
        input.size(), width, [&](uint64_t i) { return input[i]; }, packed);
    ASSERT_EQ(packed.size(), packed_bytes(input.size(), width));
    const Bytes exact(packed);
    for (size_t i = 0; i < input.size(); ++i) ASSERT_EQ(unpack(exact, i, width), input[i]) << width;
    std::vector<uint64_t> run(100);
    unpack_run(exact, 31, width, 5, run);
    for (size_t i = 0; i < run.size(); ++i) ASSERT_EQ(run[i], input[31 + i] + 5) << width;
  }
}

TEST(BitPacking, AValuePastTheEndIsCorrupt) {
  const Bytes packed(8);
  EXPECT_THROW(unpack(packed, 8, 8), CorruptError);
  EXPECT_THROW(unpack(packed, 1000, 64), CorruptError);
}

TEST(Encoding, IntegersOfEveryKindAndSpreadReadBack) {
  for (Kind kind : {Kind::Int8, Kind::Int16, Kind::Int32, Kind::Int64}) {
    for (unsigned bits : {0u, 1u, 7u, 8u, 15u, 31u, 33u, 57u, 58u, 63u, 64u})
      EXPECT_GE(round_trip(words(kind, random_words(bits, 300, bits))), 2) << bits;
  }
}

TEST(Encoding, ExtremesOfInt64ReadBack) {
  const uint64_t min = static_cast<uint64_t>(kMin);
  const uint64_t max = static_cast<uint64_t>(kMax);
  EXPECT_EQ(round_trip(words(Kind::Int64, {min, max, 0, ~uint64_t{0}, 1, max, min})), 2);
  EXPECT_EQ(round_trip(words(Kind::Int64, {min, min})), 3);
  EXPECT_EQ(round_trip(words(Kind::Int64, {max})), 3);
}

TEST(Encoding, ConstantsOfEveryLengthReadBack) {
  for (unsigned shift = 0; shift < 64; ++shift) {
    const uint64_t word = uint64_t{1} << shift;
    for (uint64_t v : {word, word - 1, ~word, ~word + 1, uint64_t{0}})
      EXPECT_EQ(round_trip(words(Kind::Int64, {v, v, v})), 3);
  }
}

TEST(Encoding, FloatsKeepTheirBitPattern) {
  const uint64_t signalling_nan = 0x7ff0000000000001;
  const uint64_t nan_with_payload = 0xfff8deadbeef0001;
  const uint64_t minus_zero = std::bit_cast<uint64_t>(-0.0);
  round_trip(words(Kind::Float64, {signalling_nan, nan_with_payload, minus_zero, 0, ~uint64_t{0}}));
  round_trip(words(Kind::Float64, {minus_zero, minus_zero}));
  round_trip(words(Kind::Float32, {0xffc00001, 0x7f800001, 0x80000000, 0, 0xffffffff}));
  EXPECT_EQ(round_trip(words(Kind::Float32, {0xffc00001})), 2);
  EXPECT_NE(chosen(words(Kind::Float64, {minus_zero, 0})), &kConstant);
}

TEST(Encoding, StringsOfAnyLengthAndContentReadBack) {
  EXPECT_EQ(round_trip(strings({""})), 3);
  EXPECT_EQ(round_trip(strings({"", "", ""})), 3);
  EXPECT_EQ(round_trip(strings({"", "a", "", std::string(3, '\0'), std::string(300, '\xff')})), 2);
  EXPECT_EQ(round_trip(strings({std::string(8 << 20, 'x'), "", std::string(1 << 20, 'y')})), 2);
}

TEST(Encoding, NullsDoNotHideAConstantOrWidenARange) {
  Values constant(Kind::Bytes);
  for (const char* value : {"", "same", "", "same"}) {
    if (*value)
      constant.add_bytes(as_bytes(value));
    else
      constant.add_null();
  }
  EXPECT_EQ(chosen(constant), &kConstant);
  EXPECT_EQ(round_trip(constant), 3);

  Values range(Kind::Int64);
  range.add_null();
  range.add_word(1000000);
  range.add_null();
  range.add_word(1000001);
  EXPECT_EQ(round_trip(range), 2);
  EXPECT_EQ(zone_for(range).min, 1000000);
}

TEST(Encoding, TheSmallestIsChosen) {
  EXPECT_EQ(chosen(words(Kind::Int64, std::vector<uint64_t>(100, 42))), &kConstant);
  EXPECT_EQ(chosen(words(Kind::Int64, random_words(1, 1000, 64))), &kPlain);
  EXPECT_EQ(chosen(words(Kind::Int64, random_words(1, 1000, 20))), &kFrameOfReference);
  EXPECT_EQ(chosen(words(Kind::Float64, random_words(1, 1000, 64))), &kPlain);
  std::vector<std::string> few;
  std::vector<std::string> many;
  for (int i = 0; i < 1000; ++i) {
    few.push_back("a long enough country name " + std::to_string(i % 7));
    many.push_back("row " + std::to_string(i));
  }
  EXPECT_EQ(chosen(strings(few)), &kDictionary);
  EXPECT_EQ(chosen(strings(many)), &kPlain);
}

TEST(Encoding, StringsOfOneLengthNeedNoOffsets) {
  std::vector<std::string> input;
  for (int i = 0; i < 1000; ++i) input.push_back(std::to_string(1000 + i));
  const Values values = strings(input);
  EXPECT_LT(choose_encoding(values, {}).bytes, 1000u * 4 + 10);
}

TEST(Encoding, DictionaryHoldsAsManyStringsAsRows) {
  std::vector<std::string> input;
  for (int i = 0; i < 65536; ++i) input.push_back(std::string(20, 'z') + std::to_string(i));
  EXPECT_EQ(round_trip(strings(input)), 2);
}

TEST(Encoding, AnyBytesReadWithoutLeavingTheBody) {
  std::mt19937_64 rng(3);
  for (int i = 0; i < 100000; ++i) {
    Bytes body(rng() % 40);
    for (uint8_t& b : body) b = static_cast<uint8_t>(rng() >> rng() % 64);
    const Encoded encoded{static_cast<Kind>(1 + rng() % 8), static_cast<uint32_t>(1 + rng() % 50),
                          body};
    const uint32_t row = static_cast<uint32_t>(rng() % encoded.rows);
    std::vector<uint64_t> run(encoded.rows - row);
    for (const Encoding* encoding : kEncodings) {
      try {
        encoding->word(encoded, row);
      } catch (const CorruptError&) {
      }
      try {
        encoding->words(encoded, row, run);
      } catch (const CorruptError&) {
      }
      try {
        ShortScratch scratch;
        const ByteView value = encoding->bytes(encoded, row, scratch);
        const auto within = [&](ByteView whole) {
          return value.data() >= whole.data() &&
                 value.data() + value.size() <= whole.data() + whole.size();
        };
        ASSERT_TRUE(value.empty() || within(body) || within(scratch));
      } catch (const CorruptError&) {
      }
    }
  }
}

TEST(ZoneMap, OfIntegersIsExactWhereSixtyFourBitsOverflow) {
  const std::vector<uint64_t> input(65536, static_cast<uint64_t>(kMin));
  const ZoneMap zone = zone_of(Kind::Int64, input, 0);
  EXPECT_TRUE(zone.sum == static_cast<__int128>(kMin) * 65536);
  EXPECT_EQ(zone.min, kMin);
  EXPECT_EQ(zone.max, kMin);
}

TEST(ZoneMap, OfFloatsIsUnorderedOnlyWithANaN) {
  const auto bits = [](double d) { return std::bit_cast<uint64_t>(d); };
  const double infinity = std::numeric_limits<double>::infinity();
  const ZoneMap zone = zone_of(
      Kind::Float64, std::vector<uint64_t>{bits(1.5), bits(-infinity), bits(-0.0), bits(9)}, 0);
  EXPECT_TRUE(zone.ordered);
  EXPECT_EQ(std::bit_cast<double>(zone.min), -infinity);
  EXPECT_EQ(std::bit_cast<double>(zone.max), 9);
  EXPECT_FALSE(zone_of(Kind::Float64, std::vector<uint64_t>{bits(1), bits(NAN)}, 0).ordered);
  const uint64_t single = std::bit_cast<uint32_t>(-2.5f);
  EXPECT_EQ(std::bit_cast<double>(zone_of(Kind::Float32, std::vector{single}, 0).min), -2.5);
}

}  // namespace
}  // namespace datahike::column
