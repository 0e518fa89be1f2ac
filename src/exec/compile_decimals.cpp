// Numerics of at most 18 digits as scaled integers (vector/decimals.h), and blank-padded strings.
#include <algorithm>

#include "column/decimal.h"
#include "column/vector/decimals.h"
#include "exec/compile_types.h"

extern "C" {
#include "access/stratnum.h"
#include "mb/pg_wchar.h"
#include "utils/numeric.h"
}

namespace datahike::exec {

using vector::Filter;
using vector::Op;
using vector::Test;
using vector::Type;

namespace {

constexpr int kMostIntDigits = 18, kMostWideDigits = 38;
constexpr Oid kNumericFamily = 1988;  // pg_opfamily has no name for it

ByteView payload(Datum numeric) {
  auto* plain = pg::call([=] { return PG_DETOAST_DATUM_PACKED(numeric); });
  return ByteView(reinterpret_cast<const uint8_t*>(VARDATA_ANY(plain)), VARSIZE_ANY_EXHDR(plain));
}

int digits_of(int64_t value) {
  int digits = 1;
  for (auto left = value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
       left >= 10; left /= 10)
    ++digits;
  return digits;
}

Op operation_of(Oid function) {
  switch (function) {
    case F_NUMERIC_ADD:
      return Op::DecimalAdd;
    case F_NUMERIC_SUB:
      return Op::DecimalSubtract;
    case F_NUMERIC_MUL:
      return Op::DecimalMultiply;
    default:
      return Op::Constant;
  }
}

}  // namespace

// -1: it is none that can be read so.
int decimal_scale(Oid type, int32_t typmod) {
  if (type != NUMERICOID || typmod < static_cast<int32_t>(VARHDRSZ)) return -1;
  int precision = (typmod - VARHDRSZ) >> 16 & 0xffff;
  int scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
  return precision <= kMostIntDigits && scale >= 0 &&
                 scale <= static_cast<int>(column::kMostDecimalDigits)
             ? scale
             : -1;
}

int Compiler::decimal_column(Node* node) {
  int read = column(node);
  if (read < 0 || program.columns[read].decimal < 0) return -1;
  Expression e;
  e.op = Op::Column;
  e.argument = read;
  e.scale = program.columns[read].decimal;
  e.digits = (reinterpret_cast<Var*>(node)->vartypmod - VARHDRSZ) >> 16 & 0xffff;
  return add(e);
}

int Compiler::decimal_constant(Const* value) {
  if (value->constisnull || value->location == kPlaceholder) return -1;
  auto scaled = column::numeric_to_scaled(payload(value->constvalue));
  if (!scaled) return -1;
  Expression e;
  e.op = Op::Constant;
  e.value = static_cast<uint64_t>(scaled->value);
  e.scale = static_cast<int>(scaled->scale);
  e.digits = digits_of(scaled->value);
  return add(e);
}

// The same value with more digits behind the point.
int Compiler::rescaled(int value, int scale) {
  const Expression of = program.expressions[value];
  const int more = scale - of.scale;
  if (more == 0) return value;
  if (of.digits + more > kMostWideDigits || more > kMostIntDigits) return -1;
  int64_t power = 1;
  for (int i = 0; i < more; ++i) power *= 10;
  Expression e = of;
  e.scale = scale;
  e.digits = of.digits + more;
  e.type = e.digits > kMostIntDigits ? Type::Wide : Type::Int;
  if (of.op == Op::Constant && e.type == Type::Int) {
    e.value = static_cast<uint64_t>(static_cast<int64_t>(of.value) * power);
    return add(e);
  }
  Expression factor;
  factor.op = Op::Constant;
  factor.value = static_cast<uint64_t>(power);
  factor.scale = 0;
  factor.digits = more + 1;
  e.op = Op::DecimalMultiply;
  e.left = value;
  e.right = add(factor);
  e.argument = -1;
  e.value = 0;
  return add(e);
}

int Compiler::decimal_call(Oid function, List* arguments) {
  auto* first = static_cast<Node*>(linitial(arguments));
  if (function == F_NUMERIC_INT2 || function == F_NUMERIC_INT4) {
    int value = expression(first);
    if (value < 0) return -1;
    Expression e = program.expressions[value];
    e.scale = 0;
    e.digits = function == F_NUMERIC_INT2 ? 5 : 10;
    return add(e);
  }
  const Op op = operation_of(function);
  if (op == Op::Constant) return -1;
  int left = expression(first), right = expression(static_cast<Node*>(lsecond(arguments)));
  if (left < 0 || right < 0) return -1;
  if (program.expressions[left].scale < 0 || program.expressions[right].scale < 0) return -1;
  Expression e;
  e.op = op;
  if (op == Op::DecimalMultiply) {
    e.scale = program.expressions[left].scale + program.expressions[right].scale;
    e.digits = program.expressions[left].digits + program.expressions[right].digits;
  } else {
    e.scale = std::max(program.expressions[left].scale, program.expressions[right].scale);
    left = rescaled(left, e.scale);
    right = rescaled(right, e.scale);
    if (left < 0 || right < 0) return -1;
    e.digits = std::max(program.expressions[left].digits, program.expressions[right].digits) + 1;
  }
  if (e.digits > kMostWideDigits || e.scale > kMostScale) return -1;
  e.type = e.digits > kMostIntDigits ? Type::Wide : Type::Int;
  e.left = left;
  e.right = right;
  return add(e);
}

// Of a product with more digits than it could have as a value.
bool Compiler::sum_of_product(Node* argument, Output& output) {
  if (!IsA(argument, OpExpr)) return false;
  auto* product = reinterpret_cast<OpExpr*>(argument);
  if (product->opfuncid != F_NUMERIC_MUL) return false;
  int value = expression(static_cast<Node*>(linitial(product->args)));
  int factor = expression(static_cast<Node*>(lsecond(product->args)));
  if (value < 0 || factor < 0) return false;
  if (program.expressions[value].scale < 0 || program.expressions[factor].scale < 0) return false;
  if (program.expressions[factor].type == Type::Wide) std::swap(value, factor);
  output.scale = program.expressions[value].scale + program.expressions[factor].scale;
  if (program.expressions[factor].type != Type::Int || output.scale > kMostScale) return false;
  output.sum = accumulator(vector::Sum::DecimalProduct, value, factor);
  return true;
}

namespace {

// The largest integer that is not above value * 10^scale, and whether it is that. What is out of
// the range of decimals is put just outside.
struct Bound {
  int64_t floor;
  bool exact;
};

Bound bound_of(Datum value, int scale) {
  return pg::call([=]() -> Bound {
    Numeric numeric = DatumGetNumeric(value);
    if (numeric_is_nan(numeric)) return {vector::kNaNDecimal, true};
    const auto number = [](int64 v) { return NumericGetDatum(int64_to_numeric(v)); };
    // Before it is scaled: what is huge may have no product.
    Datum most = number(column::kLargestDecimal), least = number(-column::kLargestDecimal);
    if (DatumGetBool(DirectFunctionCall2(numeric_ge, value, most)))
      return {column::kLargestDecimal, false};
    if (DatumGetBool(DirectFunctionCall2(numeric_le, value, least)))
      return {-column::kLargestDecimal, false};
    int64 power = 1;
    for (int i = 0; i < scale; ++i) power *= 10;
    Datum scaled = DirectFunctionCall2(numeric_mul, value, number(power));
    if (DatumGetBool(DirectFunctionCall2(numeric_ge, scaled, most)))
      return {column::kLargestDecimal, false};
    if (DatumGetBool(DirectFunctionCall2(numeric_le, scaled, least)))
      return {-column::kLargestDecimal, false};
    Datum floor = DirectFunctionCall1(numeric_floor, scaled);
    bool exact = DatumGetBool(DirectFunctionCall2(numeric_eq, floor, scaled));
    return {DatumGetInt64(DirectFunctionCall1(numeric_int8, floor)), exact};
  });
}

}  // namespace

std::optional<int64_t> decimal_word(Datum numeric, int scale) {
  const ByteView bytes = payload(numeric);
  if (const auto scaled = column::numeric_to_scaled(bytes); scaled) {
    if (static_cast<int>(scaled->scale) == scale) return scaled->value;
  }
  const Bound bound = bound_of(numeric, scale);
  if (!bound.exact) return std::nullopt;
  return bound.floor;
}

// A comparison of a numeric with a constant.
bool Compiler::compare_decimal(OpExpr* clause) {
  Oid op = clause->opno;
  int strategy = pg::call([=] { return get_op_opfamily_strategy(op, kNumericFamily); });
  if (clause->opfuncid == F_NUMERIC_NE) strategy = kNotEqual;
  if (strategy == 0) return false;
  auto* left = static_cast<Node*>(linitial(clause->args));
  auto* right = static_cast<Node*>(lsecond(clause->args));
  if (IsA(left, Const)) {
    std::swap(left, right);
    strategy = commuted(strategy);
  }
  if (!IsA(right, Const)) return false;
  int value = expression(left);
  if (value < 0 || program.expressions[value].scale < 0 ||
      program.expressions[value].scale > kMostIntDigits ||
      program.expressions[value].type != Type::Int)
    return false;
  auto* constant = reinterpret_cast<Const*>(right);
  Filter f;
  f.expression = value;
  if (constant->location == kPlaceholder) {
    filters_->push_back(f);
    return true;
  }
  if (constant->constisnull) {
    f.test = Test::Never;
    filters_->push_back(f);
    return true;
  }
  const Bound bound = bound_of(constant->constvalue, program.expressions[value].scale);
  rounded_range(value, strategy, bound.floor, bound.exact);
  return true;
}

// '=' and '<>' of char(n) with a constant: a column's strings all have n characters, the blanks
// behind them do not count.
bool Compiler::compare_padded(OpExpr* clause) {
  bool equal = clause->opfuncid == F_BPCHAREQ;
  if (!equal && clause->opfuncid != F_BPCHARNE) return false;
  auto* left = static_cast<Node*>(linitial(clause->args));
  auto* right = static_cast<Node*>(lsecond(clause->args));
  if (IsA(strip(left), Const)) std::swap(left, right);
  right = strip(right);
  if (!IsA(left, Var) || !IsA(right, Const) || !is_deterministic(clause->inputcollid)) return false;
  auto* value = reinterpret_cast<Const*>(right);
  int text = text_column(left, true);
  if (text < 0) return false;
  Filter f;
  f.test = value->constisnull ? Test::Never : equal ? Test::TextIn : Test::TextNotIn;
  f.column = text;
  if (!value->constisnull && value->location != kPlaceholder) {
    std::string padded = text_of(value->constvalue);
    padded.erase(padded.find_last_not_of(' ') + 1);
    const char* bytes = padded.data();
    const int size = static_cast<int>(padded.size());
    const int characters = pg::call([=] { return pg_mbstrlen_with_len(bytes, size); });
    const int width = reinterpret_cast<Var*>(left)->vartypmod - VARHDRSZ;
    if (characters < width) padded.append(static_cast<size_t>(width - characters), ' ');
    f.texts.push_back(std::move(padded));
  }
  filters_->push_back(std::move(f));
  return true;
}

}  // namespace datahike::exec
