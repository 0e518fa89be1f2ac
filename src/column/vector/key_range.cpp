// Intervals of integer expressions, by the operations' rules.
#include "column/vector/key_range.h"

#include <algorithm>

#include "column/vector/build_table.h"
#include "column/vector/decimals.h"

namespace datahike::vector {

namespace {

KeyRange of_column(const Program& program, const Column& column, std::span<const Piece> pieces) {
  if (column.build >= 0) return program.join.build->range(column.build);
  KeyRange range;
  for (const Piece& piece : pieces) {
    const int at = piece.segment.find(column.number);
    if (at < 0) continue;
    const column::ZoneMap zone = zone_of(piece.segment, at, column);
    if (!zone.ordered) continue;
    range.low = std::min(range.low, zone.min);
    range.high = std::max(range.high, zone.max);
  }
  return range;
}

KeyRange between(__int128 low, __int128 high) {
  if (low < INT64_MIN || high > INT64_MAX) return {};
  return {static_cast<int64_t>(low), static_cast<int64_t>(high)};
}

bool is_known(const KeyRange& range) { return range.low <= range.high; }

// A constant above 0; else 0.
int64_t positive_constant(const Program& program, int expression) {
  const Expression& e = program.expressions[expression];
  if (e.op != Op::Constant || e.null) return 0;
  return std::max<int64_t>(0, static_cast<int64_t>(e.value));
}

KeyRange of_product(const KeyRange& a, const KeyRange& b) {
  const __int128 corners[] = {__int128{a.low} * b.low, __int128{a.low} * b.high,
                              __int128{a.high} * b.low, __int128{a.high} * b.high};
  return between(*std::min_element(corners, corners + 4), *std::max_element(corners, corners + 4));
}

}  // namespace

KeyRange range_of(const Program& program, int expression, std::span<const Piece> pieces) {
  const Expression& e = program.expressions[expression];
  if (e.type != Type::Int) return {};
  if (e.op == Op::Column) return of_column(program, program.columns[e.argument], pieces);
  if (e.op == Op::Constant && !e.null) {
    const auto value = static_cast<int64_t>(e.value);
    return {value, value};
  }
  if (e.op != Op::Add && e.op != Op::Subtract && e.op != Op::Multiply && e.op != Op::Divide &&
      e.op != Op::Modulo)
    return {};
  const KeyRange left = range_of(program, e.left, pieces);
  if (!is_known(left)) return {};
  const int64_t by = positive_constant(program, e.right);
  if (e.op == Op::Divide || e.op == Op::Modulo) {
    if (by == 0) return {};
    if (e.op == Op::Divide) return {left.low / by, left.high / by};
    return {std::max(std::min<int64_t>(left.low, 0), 1 - by),
            std::min(std::max<int64_t>(left.high, 0), by - 1)};
  }
  // x - x % c: the multiple of c next to x, towards 0.
  const Expression& second = program.expressions[e.right];
  if (e.op == Op::Subtract && second.op == Op::Modulo && second.left == e.left) {
    const int64_t unit = positive_constant(program, second.right);
    if (unit > 0)
      return {left.low - left.low % unit, left.high - left.high % unit,
              static_cast<uint64_t>(unit)};
  }
  const KeyRange right = range_of(program, e.right, pieces);
  if (!is_known(right)) return {};
  if (e.op == Op::Add)
    return between(__int128{left.low} + right.low, __int128{left.high} + right.high);
  if (e.op == Op::Subtract)
    return between(__int128{left.low} - right.high, __int128{left.high} - right.low);
  KeyRange product = of_product(left, right);
  if (by > 0 && is_known(product)) product.step = static_cast<uint64_t>(by);
  return product;
}

}  // namespace datahike::vector
