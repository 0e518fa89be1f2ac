// A row written as a segment alone against the builder of segments.
#include "store/lone_row.h"

#include <gtest/gtest.h>

#include "segment_oracle.h"

namespace datahike::test {
namespace {

Bytes encode(const Table& table, uint64_t rowid, Bytes out = {}) {
  const Row& row = table.rows.front();
  std::vector<store::LoneValue> values;
  for (const Cell& cell : row.cells) {
    store::LoneValue value;
    if (std::holds_alternative<std::monostate>(cell))
      value.null = true;
    else if (const uint64_t* bits = std::get_if<uint64_t>(&cell))
      value.bits = *bits;
    else
      value.bytes = as_bytes(std::get<std::string>(cell));
    values.push_back(value);
  }
  store::encode_lone_row(table.specs, values, rowid, row.entity, row.xid, out);
  return out;
}

void expect_same(const Table& table, uint64_t rowid) {
  const Bytes segment = encode(table, rowid);
  EXPECT_EQ(segment, build(table, rowid));
  SegmentReader(segment).verify();
}

TEST(LoneRow, IsTheSegmentThatTheBuilderMakes) {
  std::mt19937_64 rng(11);
  for (int i = 0; i < 2000; ++i) expect_same(random_table(rng, 1), rng() >> rng() % 64);
}

TEST(LoneRow, SoAreTheExtremesOfEveryKind) {
  const uint64_t words[] = {0,
                            1,
                            127,
                            128,
                            255,
                            32768,
                            uint64_t{1} << 31,
                            ~uint64_t{0},
                            uint64_t{1} << 63,
                            0x7ff0000000000001};
  for (Kind kind :
       {Kind::Int8, Kind::Int16, Kind::Int32, Kind::Int64, Kind::Float32, Kind::Float64})
    for (uint64_t word : words) expect_same(column_of(kind, {word}), 5);
  for (size_t size : {0, 1, 126, 127, 128, 70000})
    expect_same(column_of(Kind::Bytes, {std::string(size, 'x')}), 5);
  for (uint16_t width : {uint16_t{1}, uint16_t{16}, uint16_t{65535}})
    expect_same(column_of(Kind::Fixed, {std::string(width, 'f')}, width), 5);
}

TEST(LoneRow, SoIsARowOfNullsAndOneWithoutColumns) {
  for (Kind kind : {Kind::Int8, Kind::Int64, Kind::Float64, Kind::Bytes})
    expect_same(column_of(kind, {std::monostate()}), 5);
  expect_same(column_of(Kind::Fixed, {std::monostate()}, 16), 5);
  expect_same({{}, {{0, 9, {}}}}, 77);
}

TEST(LoneRow, SoIsOneOfAnyEntityAndTransaction) {
  for (uint64_t entity : {uint64_t{0}, uint64_t{1}, uint64_t{999}, uint64_t{1001}, ~uint64_t{0}})
    for (uint64_t xid : {uint64_t{0}, uint64_t{700}, uint64_t{1} << 40, ~uint64_t{0}})
      expect_same({{}, {{entity, xid, {}}}}, 1000);
}

TEST(LoneRow, SoIsOneWithTypeModifiers) {
  const Table table{{{.number = 2, .kind = Kind::Bytes, .type = 1043, .typmod = 24},
                     {.number = 5, .kind = Kind::Fixed, .width = 3, .type = 1042, .typmod = 0},
                     {.number = 6, .kind = Kind::Int64, .type = 20, .typmod = -2}},
                    {{3, 4, {"ab", "cde", std::monostate()}}}};
  expect_same(table, 9);
}

TEST(LoneRow, FollowsWhatIsInTheBytesAlready) {
  const Table table = column_of(Kind::Int32, {uint64_t{7}});
  const Bytes before(13, 0xee);
  Bytes expected = before;
  const Bytes segment = build(table, 3);
  expected.insert(expected.end(), segment.begin(), segment.end());
  EXPECT_EQ(encode(table, 3, before), expected);
}

TEST(LoneRow, OfTheWrongShapeIsRefused) {
  Table table = column_of(Kind::Int32, {uint64_t{7}});
  table.rows[0].cells.clear();
  EXPECT_THROW(encode(table, 3), std::logic_error);
  EXPECT_THROW(encode(column_of(Kind::Fixed, {"abc"}, 4), 3), std::logic_error);
}

}  // namespace
}  // namespace datahike::test
