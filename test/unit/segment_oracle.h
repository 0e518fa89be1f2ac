// Rows held as plain vectors, against which segments are compared, and random ones to fill them.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "store/segment.h"

namespace datahike::test {

using store::ColumnSpec;
using store::Kind;
using store::SegmentBuilder;
using store::SegmentReader;
using store::ZoneMap;

using Cell = std::variant<std::monostate, uint64_t, std::string>;  // NULL, a word, a byte string

struct Row {
  uint64_t entity = 0;
  uint64_t xid = 0;
  std::vector<Cell> cells;
};

using Specs = std::vector<ColumnSpec>;

struct Table {
  Specs specs;
  std::vector<Row> rows;
};

inline void add_row(SegmentBuilder& builder, const Row& row) {
  builder.begin_row(row.entity, row.xid);
  for (const Cell& cell : row.cells) {
    if (std::holds_alternative<std::monostate>(cell))
      builder.add_null();
    else if (const uint64_t* bits = std::get_if<uint64_t>(&cell))
      builder.add_bits(*bits);
    else
      builder.add_bytes(as_bytes(std::get<std::string>(cell)));
  }
}

inline Bytes build(const Table& table, uint64_t first_rowid) {
  SegmentBuilder builder(table.specs);
  for (const Row& row : table.rows) add_row(builder, row);
  return builder.finish(first_rowid);
}

// One column of the given values, NULL where std::monostate.
inline Table column_of(Kind kind, const std::vector<Cell>& cells, uint16_t width = 0) {
  Table table{{{.number = 1, .kind = kind, .width = width}}, {}};
  for (const Cell& cell : cells) table.rows.push_back({0, 1, {cell}});
  return table;
}

inline Cell read_cell(const SegmentReader& reader, int column, uint32_t row) {
  const store::ColumnReader one = reader.column_reader(column);
  EXPECT_EQ(one.is_null(row), reader.is_null(column, row));
  EXPECT_EQ(one.spec(), reader.spec(column));
  if (reader.is_null(column, row)) return std::monostate();
  if (reader.spec(column).kind <= Kind::Float64) {
    EXPECT_EQ(one.bits(row), reader.bits(column, row));
    return reader.bits(column, row);
  }
  column::Scratch scratch;
  std::string value(as_string_view(reader.bytes(column, row, scratch)));
  EXPECT_EQ(as_string_view(one.bytes(row, scratch)), value);
  return value;
}

// Compares every row, cell and column description; reads the words in runs too.
inline void expect_holds(const SegmentReader& reader, const Table& table, uint64_t first_rowid) {
  ASSERT_EQ(reader.rows(), table.rows.size());
  ASSERT_EQ(reader.columns(), static_cast<int>(table.specs.size()));
  EXPECT_EQ(reader.first_rowid(), first_rowid);
  for (uint32_t r = 0; r < reader.rows(); ++r) {
    const Row& row = table.rows[r];
    ASSERT_EQ(reader.entity(r), row.entity == 0 ? first_rowid + r : row.entity);
    if (r % 64 == 0) {  // the same, several at once
      std::vector<uint64_t> entities(std::min<uint32_t>(reader.rows() - r, 100));
      reader.entities(r, entities);
      for (uint32_t i = 0; i < entities.size(); ++i) ASSERT_EQ(entities[i], reader.entity(r + i));
    }
    ASSERT_EQ(reader.xid(r), row.xid);
    for (int c = 0; c < reader.columns(); ++c)
      ASSERT_TRUE(read_cell(reader, c, r) == row.cells[c]) << "column " << c << " row " << r;
  }
  for (int c = 0; c < reader.columns(); ++c) {
    EXPECT_EQ(reader.spec(c), table.specs[c]);
    if (reader.spec(c).kind > Kind::Float64) continue;
    const uint32_t first = reader.rows() / 3;
    std::vector<uint64_t> run(reader.rows() - first);
    reader.bits(c, first, run);
    for (uint32_t i = 0; i < run.size(); ++i) {
      const uint64_t* bits = std::get_if<uint64_t>(&table.rows[first + i].cells[c]);
      if (bits != nullptr) {
        ASSERT_EQ(run[i], *bits) << "run of column " << c << " row " << first + i;
      }
    }
  }
}

// Random values whose character (range, repetition, length, share of NULLs) is drawn per column,
// so that every encoding is met.
class RandomColumn {
 public:
  RandomColumn(std::mt19937_64& rng, const ColumnSpec& spec)
      : rng_(rng),
        spec_(spec),
        null_percent_(std::vector<unsigned>{0, 0, 1, 50, 100}[rng() % 5]),
        spread_bits_(rng() % 65),
        offset_(rng()),
        distinct_(std::vector<uint64_t>{1, 2, 100, ~uint64_t{0}}[rng() % 4]),
        longest_(std::vector<unsigned>{0, 1, 12, 300}[rng() % 4]) {}

  Cell next() {
    if (rng_() % 100 < null_percent_) return std::monostate();
    std::mt19937_64 value_rng(rng_() % distinct_);
    if (spec_.kind <= Kind::Float64) {
      const uint64_t spread = spread_bits_ == 0 ? 0 : value_rng() >> (64 - spread_bits_);
      return column::normalised(spec_.kind, offset_ + spread);
    }
    std::string value(spec_.kind == Kind::Fixed ? spec_.width : value_rng() % (longest_ + 1), 0);
    for (char& c : value) c = static_cast<char>(value_rng());
    return value;
  }

 private:
  std::mt19937_64& rng_;
  ColumnSpec spec_;
  unsigned null_percent_;
  unsigned spread_bits_;
  uint64_t offset_;
  uint64_t distinct_;
  unsigned longest_;
};

inline Table random_table(std::mt19937_64& rng, uint32_t rows) {
  Table table;
  std::vector<RandomColumn> columns;
  int16_t number = 0;
  for (int c = static_cast<int>(rng() % 9); c > 0; --c) {
    ColumnSpec spec{.number = static_cast<int16_t>(number += 1 + rng() % 3),
                    .kind = static_cast<Kind>(1 + rng() % 8),
                    .type = static_cast<uint32_t>(rng())};
    if (spec.kind == Kind::Fixed) spec.width = static_cast<uint16_t>(rng() % 40);
    if (rng() % 2) spec.typmod = static_cast<int32_t>(rng());
    table.specs.push_back(spec);
    columns.emplace_back(rng, spec);
  }
  const bool one_xid = rng() % 2;
  const bool own_entities = rng() % 2;
  for (uint32_t r = 0; r < rows; ++r) {
    Row row{own_entities ? 0 : rng() >> rng() % 64, one_xid ? 7 : rng() >> rng() % 64, {}};
    for (RandomColumn& column : columns) row.cells.push_back(column.next());
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace datahike::test
