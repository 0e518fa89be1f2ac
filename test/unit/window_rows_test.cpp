// The rows of a window, sorted, against a stable sort of the same; and what zone maps say of a
// piece of which rows were removed, against its values.
#include "column/vector/window_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <random>

namespace datahike::vector {
namespace {

struct Row {
  std::optional<int64_t> small, large;
  std::optional<double> real;
  std::optional<std::string> text;
};

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Columns 1 to 4, and a program that has all of them as keys.
class VectorRows : public testing::Test {
 protected:
  VectorRows() {
    const Type types[] = {Type::Int, Type::Int, Type::Float, Type::Text};
    const Kind kinds[] = {Kind::Int16, Kind::Int64, Kind::Float64, Kind::Bytes};
    for (int i = 0; i < 4; ++i) {
      Column column;
      column.number = static_cast<int16_t>(i + 1);
      column.kind = kinds[i];
      column.type = types[i];
      program_.columns.push_back(column);
      specs_.push_back({column.number, column.kind, 0, 0, -1});
      Key key;
      if (types[i] == Type::Text) {
        key.text = i;
      } else {
        Expression e;
        e.op = Op::Column;
        e.type = types[i];
        e.bytes = i == 0 ? 2 : 8;
        e.argument = i;
        program_.expressions.push_back(e);
        key.expression = i;
      }
      program_.keys.push_back(key);
    }
  }

  Row random_row(int nulls) {
    const auto null = [&] { return nulls > 0 && random_() % 100 < static_cast<unsigned>(nulls); };
    Row row;
    static constexpr int64_t kLarge[] = {INT64_MIN, INT64_MAX, 0, -1, 1, 1000000007};
    static constexpr double kReal[] = {kNaN, -0.0, 0.0, 1.5, -1.5, 1e300, -HUGE_VAL, HUGE_VAL};
    static const std::string kTexts[] = {"", "a", "ab", "b", "\xc3\xa9", "B"};
    if (!null()) row.small = static_cast<int64_t>(random_() % 7) - 3;
    if (!null()) row.large = kLarge[random_() % std::size(kLarge)];
    if (!null()) row.real = kReal[random_() % std::size(kReal)];
    if (!null()) row.text = kTexts[random_() % std::size(kTexts)];
    return row;
  }

  // Of these rows, all of which count.
  Piece piece_of(std::span<const Row> rows) {
    store::SegmentBuilder builder(specs_);
    for (const Row& row : rows) {
      builder.begin_row(0, 1);
      row.small ? builder.add_bits(static_cast<uint64_t>(*row.small)) : builder.add_null();
      row.large ? builder.add_bits(static_cast<uint64_t>(*row.large)) : builder.add_null();
      row.real ? builder.add_bits(std::bit_cast<uint64_t>(*row.real)) : builder.add_null();
      row.text ? builder.add_bytes(as_bytes(*row.text)) : builder.add_null();
    }
    Piece piece;
    piece.live_rows = builder.rows();
    auto storage = std::make_shared<const Bytes>(builder.finish(1));
    piece.segment = store::SegmentReader(*storage);
    piece.storage = std::move(storage);
    return piece;
  }

  std::mt19937 random_{1};
  Program program_;
  std::vector<store::ColumnSpec> specs_;
};

// -1, 0 or 1, as PostgreSQL orders them.
template <class T, class Compare>
int order_of(const std::optional<T>& a, const std::optional<T>& b, const WindowOrder& by,
             Compare compare) {
  if (a.has_value() != b.has_value()) return a.has_value() == by.nulls_first ? 1 : -1;
  if (!a) return 0;
  const int order = compare(*a, *b);
  return by.descending ? -order : order;
}

int order_of(const Row& a, const Row& b, const WindowOrder& by) {
  const auto plain = [](const auto& x, const auto& y) { return x < y ? -1 : y < x ? 1 : 0; };
  switch (by.source) {
    case 0:
      return order_of(a.small, b.small, by, plain);
    case 1:
      return order_of(a.large, b.large, by, plain);
    case 2:
      return order_of(a.real, b.real, by, [&](double x, double y) {
        if (std::isnan(x) || std::isnan(y)) return plain(std::isnan(x), std::isnan(y));
        return plain(x, y);
      });
    default:
      return order_of(a.text, b.text, by, plain);
  }
}

int order_of(const Row& a, const Row& b, std::span<const WindowOrder> by) {
  for (const WindowOrder& term : by)
    if (const int order = order_of(a, b, term)) return order;
  return 0;
}

TEST_F(VectorRows, AreSortedAsByAStableSort) {
  for (int trial = 0; trial < 60; ++trial) {
    std::vector<Row> rows(trial == 0 ? 0 : random_() % 5000 + 1);
    const int nulls = trial % 3 == 0 ? 0 : trial % 3 == 1 ? 10 : 100;
    for (Row& row : rows) row = random_row(nulls);
    std::vector<WindowOrder> terms;
    for (unsigned i = random_() % 5; i > 0; --i)
      terms.push_back(
          {static_cast<unsigned>(random_() % 4), random_() % 2 == 0, random_() % 2 == 0});
    const auto partition = static_cast<unsigned>(random_() % (terms.size() + 1));
    WindowRows window(program_, SIZE_MAX);
    const auto poll = [] {};
    std::vector<Piece> pieces;
    for (size_t from = 0; from < rows.size(); from += 3000)
      pieces.push_back(
          piece_of(std::span(rows).subspan(from, std::min<size_t>(3000, rows.size() - from))));
    for (const Piece& piece : pieces) window.add(piece, poll);
    window.sort(terms, partition, poll);
    ASSERT_EQ(window.rows(), rows.size());
    std::ranges::stable_sort(rows,
                             [&](const Row& a, const Row& b) { return order_of(a, b, terms) < 0; });
    for (uint32_t i = 0; i < rows.size(); ++i) {
      const Row& row = rows[i];
      ASSERT_EQ(window.is_null(0, i), !row.small);
      if (row.small) {
        ASSERT_EQ(static_cast<int64_t>(window.word(0, i)), *row.small);
      }
      ASSERT_EQ(window.is_null(1, i), !row.large);
      if (row.large) {
        ASSERT_EQ(static_cast<int64_t>(window.word(1, i)), *row.large);
      }
      ASSERT_EQ(window.is_null(2, i), !row.real);
      if (row.real) {
        ASSERT_EQ(window.word(2, i), std::bit_cast<uint64_t>(*row.real));
      }
      ASSERT_EQ(window.is_null(3, i), !row.text);
      if (row.text) {
        const ByteView text = window.text(3, i);
        ASSERT_EQ(std::string(text.begin(), text.end()), *row.text);
      }
      const bool divides =
          i == 0 || order_of(rows[i - 1], row, std::span(terms).first(partition)) != 0;
      const bool differs = i == 0 || order_of(rows[i - 1], row, terms) != 0;
      ASSERT_EQ(window.begins_partition(i), divides) << i;
      ASSERT_EQ(window.begins_peers(i), differs || divides) << i;
    }
  }
}

TEST_F(VectorRows, TakeResultsAndConditionsAlongWhenTheyAreSortedAgain) {
  std::vector<Row> rows(5000);
  for (Row& row : rows) row = random_row(10);
  Filter positive;
  positive.expression = 0;
  positive.has_low = true;
  positive.low = 1;
  Program program = program_;
  program.conditions = {{positive}};
  const Piece piece = piece_of(rows);
  WindowRows window(program, SIZE_MAX);
  const auto poll = [] {};
  window.add(piece, poll);
  const WindowOrder first[] = {{0, false, false}, {3, true, true}}, second[] = {{2, false, true}};
  window.sort(first, 1, poll);
  const unsigned results = window.add_results();
  const auto result_of = [&](uint32_t i) {  // of what a row has
    return window.is_null(1, i) ? 0 : window.word(1, i) * 3 + 1;
  };
  for (uint32_t i = 0; i < window.rows(); ++i)
    if (!window.is_null(1, i)) window.set_result(results, i, result_of(i));
  for (int times = 0; times < 2; ++times) {
    if (times > 0) window.sort(second, 0, poll);
    for (uint32_t i = 0; i < window.rows(); ++i) {
      ASSERT_EQ(window.is_null(results, i), window.is_null(1, i));
      if (!window.is_null(1, i)) {
        ASSERT_EQ(window.word(results, i), result_of(i));
      }
      const bool passes = !window.is_null(0, i) && static_cast<int64_t>(window.word(0, i)) >= 1;
      ASSERT_EQ(window.word(4, i), uint64_t{passes});
    }
  }
}

TEST_F(VectorRows, ThatAreTooManyAreRefused) {
  std::vector<Row> rows(20000);
  for (Row& row : rows) row = random_row(0);
  const Piece piece = piece_of(rows);
  WindowRows window(program_, 100000);
  EXPECT_THROW(window.add(piece, [] {}), TooManyRows);
  // They fit, but not with what sorting needs.
  WindowRows tight(program_, 20000 * 31 + (400 << 10));
  EXPECT_THROW(
      {
        tight.add(piece, [] {});
        tight.sort({}, 0, [] {});
      },
      TooManyRows);
  // They fit, but not with results.
  WindowRows full(program_, 20000 * 31 + (2 << 20));
  full.add(piece, [] {});
  full.sort({}, 0, [] {});
  EXPECT_NO_THROW(full.add_results());
  EXPECT_THROW(full.set_bytes_elsewhere(4 << 20), TooManyRows);
}

TEST_F(VectorRows, ThatWereRemovedAreTakenOutOfZoneMaps) {
  for (int trial = 0; trial < 40; ++trial) {
    std::vector<Row> rows(4000);
    for (Row& row : rows) row = random_row(trial % 2 * 20);
    Piece piece = piece_of(rows);
    piece.live.assign((rows.size() + 63) / 64, ~uint64_t{0});
    piece.live.back() = (uint64_t{1} << rows.size() % 64) - 1;
    const unsigned removed = trial % 4 == 3 ? 400 : random_() % 200 + 1;
    std::vector<bool> live(rows.size(), true);
    for (unsigned i = 0; i < removed; ++i) live[random_() % rows.size()] = false;
    for (size_t i = 0; i < rows.size(); ++i)
      if (!live[i]) piece.live[i / 64] &= ~(uint64_t{1} << i % 64);
    piece.live_rows = static_cast<uint32_t>(std::ranges::count(live, true));
    Evaluator evaluator(program_);
    ASSERT_TRUE(evaluator.begin(piece));
    for (int attempt = 0; attempt < 2; ++attempt) {  // the second one remembers
      const ZoneOfRows* zone = evaluator.zone_of(1);
      if (rows.size() - piece.live_rows > rows.size() / 16) {
        EXPECT_EQ(zone, nullptr);
        break;
      }
      ASSERT_NE(zone, nullptr);
      uint32_t nulls = 0;
      __int128 sum = 0;
      int64_t min = INT64_MAX, max = INT64_MIN;
      for (size_t i = 0; i < rows.size(); ++i) {
        if (!live[i]) continue;
        nulls += !rows[i].large;
        if (!rows[i].large) continue;
        sum += *rows[i].large;
        min = std::min(min, *rows[i].large);
        max = std::max(max, *rows[i].large);
      }
      EXPECT_EQ(zone->rows, piece.live_rows);
      EXPECT_EQ(zone->nulls, nulls);
      ASSERT_TRUE(zone->ordered);
      EXPECT_TRUE(zone->sum == sum);
      EXPECT_LE(zone->min, min);
      EXPECT_GE(zone->max, max);
      if (zone->has_min) {
        EXPECT_EQ(zone->min, min);
      }
      if (zone->has_max) {
        EXPECT_EQ(zone->max, max);
      }
      const ZoneOfRows* exact = attempt == 1 ? evaluator.exact_zone_of(1) : nullptr;
      if (exact && !exact->all_null()) {
        EXPECT_TRUE(exact->has_min && exact->has_max);
        EXPECT_EQ(exact->min, min);
        EXPECT_EQ(exact->max, max);
      }
      ASSERT_TRUE(evaluator.begin(piece));
    }
  }
}

// Each of the rows that pass is selected once, with its own values, whatever filters do in between.
TEST_F(VectorRows, InAnyOrderHaveTheirValues) {
  for (int trial = 0; trial < 60; ++trial) {
    std::vector<Row> rows(random_() % 5000 + 1);
    for (Row& row : rows) row = random_row(trial % 3 * 3);
    Piece piece = piece_of(rows);
    std::vector<bool> passes(rows.size(), true);
    const unsigned removed = random_() % (rows.size() / 10 + 1);
    piece.live.assign((rows.size() + 63) / 64, ~uint64_t{0});
    if (rows.size() % 64) piece.live.back() = (uint64_t{1} << rows.size() % 64) - 1;
    for (unsigned i = 0; i < removed; ++i) passes[random_() % rows.size()] = false;
    for (size_t i = 0; i < rows.size(); ++i)
      if (!passes[i]) piece.live[i / 64] &= ~(uint64_t{1} << i % 64);
    piece.live_rows = static_cast<uint32_t>(std::ranges::count(passes, true));
    Program program = program_;
    if (trial % 2) {  // a column is read, and then tested again with other rows left out
      Expression one, sum;
      one.op = Op::Constant;
      one.value = 1;
      program.expressions.push_back(one);
      sum.op = Op::Add;
      sum.left = 0;
      sum.right = static_cast<int>(program.expressions.size()) - 1;
      program.expressions.push_back(sum);
      Filter computed, column;
      computed.expression = static_cast<int>(program.expressions.size()) - 1;
      computed.has_low = true;
      computed.low = static_cast<uint64_t>(int64_t{-1});  // -2 + 1
      column.expression = 0;
      column.has_high = true;
      column.high = 2;
      program.filters = {computed, column};
      for (size_t i = 0; i < rows.size(); ++i)
        passes[i] = passes[i] && rows[i].small && *rows[i].small >= -2 && *rows[i].small <= 2;
    }
    Evaluator evaluator(program);
    evaluator.allow_any_order();
    std::vector<bool> seen(rows.size());
    if (!evaluator.begin(piece)) continue;
    TextNumbers numbers;
    Vector texts;
    for (uint32_t base = 0; base < rows.size(); base += kChunkRows) {
      const unsigned n = evaluator.chunk(base);
      if (n == 0) continue;
      const Vector &small = evaluator.value(0), &large = evaluator.value(1),
                   &real = evaluator.value(2);
      evaluator.text_numbers(3, numbers, texts);
      const auto is_null = [](const Vector& v, unsigned i) { return v.any_null && v.null[i]; };
      for (unsigned i = 0; i < n; ++i) {
        const uint32_t at = evaluator.row(i);
        ASSERT_TRUE(passes[at] && !seen[at]) << at;
        seen[at] = true;
        const Row& row = rows[at];
        ASSERT_EQ(is_null(small, i), !row.small);
        ASSERT_EQ(is_null(large, i), !row.large);
        ASSERT_EQ(is_null(real, i), !row.real);
        ASSERT_EQ(is_null(texts, i), !row.text);
        if (row.small) {
          ASSERT_EQ(small.ints()[i], *row.small);
        }
        if (row.large) {
          ASSERT_EQ(large.ints()[i], *row.large);
        }
        if (row.real) {
          ASSERT_EQ(real.words[i], std::bit_cast<uint64_t>(*row.real));
        }
        if (row.text) {
          const ByteView text = numbers.text(static_cast<uint32_t>(texts.words[i]));
          ASSERT_EQ(std::string(text.begin(), text.end()), *row.text);
        }
      }
    }
    ASSERT_EQ(seen, passes);
  }
}

}  // namespace
}  // namespace datahike::vector
