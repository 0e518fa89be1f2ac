// Segments against plain vectors of rows.
#include "store/segment.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "segment_oracle.h"

namespace datahike::test {
namespace {

constexpr uint64_t kMin = uint64_t{1} << 63;
constexpr uint64_t kMax = kMin - 1;

void expect_round_trip(const Table& table, uint64_t first_rowid) {
  const Bytes segment = build(table, first_rowid);
  const SegmentReader reader(segment);
  reader.verify();
  expect_holds(reader, table, first_rowid);
}

TEST(Segment, RandomRowsReadBack) {
  std::mt19937_64 rng(1);
  for (int i = 0; i < 300; ++i)
    expect_round_trip(random_table(rng, static_cast<uint32_t>(1 + rng() % (i % 10 ? 40 : 900))),
                      rng() >> rng() % 64);
}

TEST(Segment, TheLargestSegmentReadsBack) {
  std::mt19937_64 rng(2);
  const Table table = random_table(rng, store::kMaxSegmentRows);
  const Bytes segment = build(table, 1000);
  expect_holds(SegmentReader(segment), table, 1000);
  EXPECT_EQ(SegmentReader(segment).last_rowid(), 1000u + 65535u);
}

TEST(Segment, ReadsAtAnyAlignment) {
  std::mt19937_64 rng(3);
  const Table table = random_table(rng, 50);
  const Bytes segment = build(table, 5);
  for (size_t shift = 1; shift < 8; ++shift) {
    Bytes shifted(shift);
    shifted.insert(shifted.end(), segment.begin(), segment.end());
    expect_holds(SegmentReader(ByteView(shifted).subspan(shift)), table, 5);
  }
}

TEST(Segment, ExtremesOfEveryKindReadBack) {
  expect_round_trip(column_of(Kind::Int64, {kMin, kMax, std::monostate(), uint64_t{0}}), 1);
  expect_round_trip(column_of(Kind::Int8, {uint64_t{127}, ~uint64_t{127}}), 1);
  expect_round_trip(column_of(Kind::Float64, {std::bit_cast<uint64_t>(-0.0), uint64_t{0},
                                              uint64_t{0x7ff0000000000001}, ~uint64_t{0}}),
                    1);
  expect_round_trip(column_of(Kind::Float32, {uint64_t{0x80000000}, uint64_t{0xffffffff}}), 1);
  expect_round_trip(column_of(Kind::Bytes, {"", std::string(9, '\0'), std::monostate(),
                                            std::string(8 << 20, '\xff')}),
                    1);
  expect_round_trip(column_of(Kind::Fixed, {std::string(65535, 'f'), std::monostate()}, 65535), 1);
  expect_round_trip(column_of(Kind::Bytes, std::vector<Cell>(100)), ~uint64_t{0} - 100);
}

TEST(Segment, WordsAreSignExtendedWhateverTheUpperBits) {
  const Bytes segment = build(column_of(Kind::Int32, {uint64_t{0xabcd0000ffffffff}}), 1);
  EXPECT_EQ(SegmentReader(segment).bits(0, 0), ~uint64_t{0});
  const Bytes single = build(column_of(Kind::Float32, {uint64_t{0xffffffff80000000}}), 1);
  EXPECT_EQ(SegmentReader(single).bits(0, 0), 0x80000000u);
}

TEST(Segment, ARowWithoutColumnsHasEntityAndXid) { expect_round_trip({{}, {{0, 9, {}}}}, 77); }

TEST(Segment, EntitiesMayBeAnyWhere) {
  expect_round_trip({{}, {{0, 1, {}}, {1, 1, {}}, {~uint64_t{0}, 1, {}}, {5000, 1, {}}}}, 1000);
}

TEST(Segment, OneRowOfFiveColumnsIsSmall) {
  const Table table{
      {{.number = 1, .kind = Kind::Int32, .type = 23},
       {.number = 2, .kind = Kind::Int32, .type = 23},
       {.number = 3, .kind = Kind::Int64, .type = 20},
       {.number = 4, .kind = Kind::Bytes, .type = 25},
       {.number = 5, .kind = Kind::Int64, .type = 1184}},
      {{0,
        70000,
        {uint64_t{7}, uint64_t{9}, uint64_t{1000}, "ten bytes.", uint64_t{800000000000000}}}}};
  EXPECT_LE(build(table, 1).size(), 34u + 5 * 12 + 3 + 1 + 1 + 2 + 10 + 7);
}

TEST(Segment, ColumnsAreFoundByNumber) {
  const Table table{{{.number = 2, .kind = Kind::Int8},
                     {.number = 3, .kind = Kind::Int8},
                     {.number = 9, .kind = Kind::Int8}},
                    {{0, 1, {uint64_t{1}, uint64_t{2}, uint64_t{3}}}}};
  const Bytes segment = build(table, 1);
  const SegmentReader reader(segment);
  EXPECT_EQ(reader.find(2), 0);
  EXPECT_EQ(reader.find(3), 1);
  EXPECT_EQ(reader.find(9), 2);
  for (int16_t absent : {-1, 0, 1, 4, 8, 10, 32767}) EXPECT_EQ(reader.find(absent), -1);
}

TEST(Segment, AppendingFromOtherSegmentsEqualsBuildingDirectly) {
  std::mt19937_64 rng(4);
  for (int i = 0; i < 50; ++i) {
    Table whole = random_table(rng, static_cast<uint32_t>(2 + rng() % 200));
    Table front{whole.specs, {}};
    Table back{whole.specs, {}};
    const size_t cut = 1 + rng() % (whole.rows.size() - 1);
    front.rows.assign(whole.rows.begin(), whole.rows.begin() + static_cast<long>(cut));
    back.rows.assign(whole.rows.begin() + static_cast<long>(cut), whole.rows.end());
    const Bytes parts[] = {build(front, 100), build(back, 100 + cut)};
    SegmentBuilder builder(whole.specs);
    for (const Bytes& part : parts) {
      const SegmentReader reader(part);
      ASSERT_TRUE(builder.same_columns(reader));
      for (uint32_t row = 0; row < reader.rows(); ++row) builder.append(reader, row);
    }
    EXPECT_EQ(builder.finish(100), build(whole, 100));
  }
}

TEST(Segment, ColumnsOfAnotherTypeAreNotTheSame) {
  const Bytes segment = build(column_of(Kind::Int32, {uint64_t{1}}), 1);
  ColumnSpec spec{.number = 1, .kind = Kind::Int32};
  EXPECT_TRUE(SegmentBuilder(Specs{spec}).same_columns(SegmentReader(segment)));
  spec.typmod = 4;
  EXPECT_FALSE(SegmentBuilder(Specs{spec}).same_columns(SegmentReader(segment)));
  EXPECT_FALSE(SegmentBuilder(Specs()).same_columns(SegmentReader(segment)));
}

TEST(Segment, ABuilderIsReusableAndForgetsTheRowsBefore) {
  std::mt19937_64 rng(5);
  const Table first = random_table(rng, 100);
  Table second = first;
  second.rows.resize(3);
  SegmentBuilder builder(first.specs);
  for (const Row& row : first.rows) add_row(builder, row);
  builder.finish(1);
  EXPECT_EQ(builder.rows(), 0u);
  EXPECT_EQ(builder.raw_bytes(), 0u);
  for (const Row& row : second.rows) add_row(builder, row);
  EXPECT_EQ(builder.finish(8), build(second, 8));
}

TEST(Segment, TheCanonicalRowDependsOnNeitherEncodingNorNeighbours) {
  std::mt19937_64 rng(6);
  for (int i = 0; i < 20; ++i) {
    const Table table = random_table(rng, 60);
    const Bytes whole = build(table, 500);
    for (uint32_t row = 0; row < table.rows.size(); ++row) {
      Bytes among_others;
      SegmentReader(whole).canonical_row(row, among_others);
      const Bytes single = build({table.specs, {table.rows[row]}}, 500 + row);
      Bytes alone;
      SegmentReader(single).canonical_row(0, alone);
      ASSERT_EQ(among_others, alone);
    }
  }
}

TEST(Segment, CanonicalRowsDifferWhereRowsDiffer) {
  const auto canonical = [](const Table& table, uint64_t rowid) {
    const Bytes segment = build(table, rowid);
    Bytes out;
    SegmentReader(segment).canonical_row(0, out);
    return out;
  };
  const Bytes row = canonical(column_of(Kind::Bytes, {"a"}), 1);
  EXPECT_NE(row, canonical(column_of(Kind::Bytes, {"a"}), 2));
  EXPECT_NE(row, canonical(column_of(Kind::Bytes, {"b"}), 1));
  EXPECT_NE(row, canonical(column_of(Kind::Bytes, {std::monostate()}), 1));
  EXPECT_NE(row, canonical(column_of(Kind::Fixed, {"a"}, 1), 1));
  EXPECT_EQ(canonical({{}, {{0, 1, {}}}}, 1), canonical(column_of(Kind::Bytes, {Cell()}), 1));
}

ZoneMap brute_force_zone(const Table& table, size_t c) {
  ZoneMap zone;
  bool nan = false;
  bool any = false;
  const Kind kind = table.specs[c].kind;
  for (const Row& row : table.rows) {
    const uint64_t* bits = std::get_if<uint64_t>(&row.cells[c]);
    zone.nulls += std::holds_alternative<std::monostate>(row.cells[c]);
    if (!bits) continue;
    if (kind > Kind::Int64) {
      const double v = kind == Kind::Float64 ? std::bit_cast<double>(*bits)
                                             : std::bit_cast<float>(static_cast<uint32_t>(*bits));
      nan |= std::isnan(v);
      if (!any || v < std::bit_cast<double>(zone.min)) zone.min = std::bit_cast<int64_t>(v);
      if (!any || v > std::bit_cast<double>(zone.max)) zone.max = std::bit_cast<int64_t>(v);
    } else {
      const int64_t v = static_cast<int64_t>(*bits);
      zone.min = any ? std::min(zone.min, v) : v;
      zone.max = any ? std::max(zone.max, v) : v;
      zone.sum += v;
    }
    any = true;
  }
  zone.ordered = any && !nan;
  return zone;
}

TEST(Segment, ZoneMapsEqualBruteForce) {
  std::mt19937_64 rng(7);
  int ordered = 0;
  for (int i = 0; i < 400; ++i) {
    const Table table = random_table(rng, static_cast<uint32_t>(1 + rng() % (i % 2 ? 20 : 300)));
    const Bytes segment = build(table, 1);
    for (size_t c = 0; c < table.specs.size(); ++c) {
      const ZoneMap expected = brute_force_zone(table, c);
      const ZoneMap zone = SegmentReader(segment).zone(static_cast<int>(c));
      ASSERT_EQ(zone.nulls, expected.nulls);
      ASSERT_EQ(zone.ordered, expected.ordered);
      if (!zone.ordered) continue;
      ++ordered;
      ASSERT_EQ(zone.min, expected.min);
      ASSERT_EQ(zone.max, expected.max);
      ASSERT_TRUE(table.specs[c].kind > Kind::Int64 || zone.sum == expected.sum);
    }
  }
  EXPECT_GT(ordered, 300);
}

TEST(SegmentBuilder, RefusesWhatTheFormatCannotHold) {
  EXPECT_THROW(SegmentBuilder(Specs{{.number = 2}, {.number = 2}}), std::invalid_argument);
  EXPECT_THROW(SegmentBuilder(Specs()).finish(1), std::logic_error);
  const uint8_t byte = 0;
  SegmentBuilder builder(Specs{{.number = 1}});
  builder.begin_row(0, 1);
  EXPECT_THROW(builder.finish(1), std::logic_error);
  EXPECT_THROW(builder.add_bytes(ByteView(&byte, (size_t{1} << 30) + 1)), LimitError);
  SegmentBuilder fixed(Specs{{.number = 1, .kind = Kind::Fixed, .width = 16}});
  fixed.begin_row(0, 1);
  EXPECT_THROW(fixed.add_bytes(ByteView(&byte, 1)), std::invalid_argument);
}

TEST(SegmentBuilder, RefusesMoreRowsThanASegmentHolds) {
  SegmentBuilder builder{Specs()};
  for (uint32_t row = 0; row <= store::kMaxSegmentRows; ++row) builder.begin_row(0, 1);
  EXPECT_THROW(builder.finish(1), std::logic_error);
}

}  // namespace
}  // namespace datahike::test
