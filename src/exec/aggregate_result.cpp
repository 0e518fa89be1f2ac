// Aggregates' results, as PostgreSQL's final functions make them.
#include <cmath>
#include <cstring>

#include "column/decimal.h"
#include "exec/aggregate.h"
#include "pg/bridge.h"

extern "C" {
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/numeric.h"
#include "utils/varlena.h"
}

namespace datahike::exec {

namespace {

using vector::Aggregation;

Datum text_numeric(const char* text) {
  return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
                             Int32GetDatum(-1));
}

Datum numeric_of(__int128 value) {
  if (value >= INT64_MIN && value <= INT64_MAX)
    return NumericGetDatum(int64_to_numeric(static_cast<int64>(value)));
  char text[48];
  char* p = text + sizeof text;
  *--p = 0;
  bool negative = value < 0;
  auto left =
      negative ? -static_cast<unsigned __int128>(value) : static_cast<unsigned __int128>(value);
  for (; left; left /= 10) *--p = static_cast<char>('0' + static_cast<int>(left % 10));
  if (negative) *--p = '-';
  return text_numeric(p);
}

Datum numeric_nan() { return text_numeric("NaN"); }

// Of any size: its digits, with `scale` of them behind the point.
Datum long_numeric(__int128 high, unsigned __int128 low, int scale) {
  const bool negative = high < 0;
  uint64_t limbs[4] = {static_cast<uint64_t>(low), static_cast<uint64_t>(low >> 64),
                       static_cast<uint64_t>(high), static_cast<uint64_t>(high >> 64)};
  if (negative) {
    unsigned carry = 1;
    for (uint64_t& limb : limbs) {
      limb = ~limb + carry;
      carry = carry && limb == 0;
    }
  }
  constexpr int kMostDigits = 78;  // of 256 bits
  char text[kMostDigits + kMostScale + 4];
  char* p = text + sizeof text;
  *--p = 0;
  for (int digits = 0; digits <= scale || limbs[0] || limbs[1] || limbs[2] || limbs[3]; ++digits) {
    unsigned __int128 rest = 0;
    for (int i = 3; i >= 0; --i) {
      rest = rest << 64 | limbs[i];
      limbs[i] = static_cast<uint64_t>(rest / 10);
      rest %= 10;
    }
    if (digits == scale && scale > 0) *--p = '.';
    *--p = static_cast<char>('0' + static_cast<int>(rest));
  }
  if (negative) *--p = '-';
  return text_numeric(p);
}

Datum sum_numeric(const vector::DecimalSum& sum, int scale) {
  if (sum.nans > 0) return numeric_nan();
  const auto low = static_cast<__int128>(sum.low);
  if (sum.high == (low < 0 ? -1 : 0) && low < column::kLargestDecimal &&
      low > -column::kLargestDecimal)
    return decimal_numeric(static_cast<int64_t>(low), scale);
  return long_numeric(sum.high, sum.low, scale);
}

// Without the zeros that no quotient has shown.
Datum quotient_sum(const vector::State& sum, const Output& output, uint32_t group) {
  const vector::DecimalSum total = sum.decimal(group);
  if (total.nans > 0) return numeric_nan();
  return DirectFunctionCall2(numeric_round, sum_numeric(total, output.scale),
                             Int32GetDatum(static_cast<int32>(sum.integer(group))));
}

// float8_var_pop and its like: of N, Sx, Sxx.
Datum deviation(const double* m, Output::Form form, bool* isnull) {
  bool sample = form == Output::VarianceSample || form == Output::DeviationSample;
  double n = m[0];
  *isnull = sample ? n <= 1.0 : n == 0.0;
  if (*isnull) return 0;
  double variance = m[2] / (sample ? n - 1.0 : n);
  bool root = form == Output::DeviationPop || form == Output::DeviationSample;
  return Float8GetDatum(root ? std::sqrt(variance) : variance);
}

// float8_corr and its like: of N, Sx, Sxx, Sy, Syy, Sxy.
Datum of_pairs(const double* m, Output::Form form, bool* isnull) {
  const double n = m[0], sx = m[1], sxx = m[2], sy = m[3], syy = m[4], sxy = m[5];
  const bool divides = form == Output::Correlation || form == Output::RegressionR2 ||
                       form == Output::RegressionSlope || form == Output::RegressionIntercept;
  *isnull = n < (form == Output::CovarianceSample ? 2.0 : 1.0) || (divides && sxx == 0) ||
            (form == Output::Correlation && syy == 0);
  if (*isnull) return 0;
  switch (form) {
    case Output::Correlation:
      return Float8GetDatum(sxy / std::sqrt(sxx * syy));
    case Output::CovariancePop:
      return Float8GetDatum(sxy / n);
    case Output::CovarianceSample:
      return Float8GetDatum(sxy / (n - 1.0));
    case Output::RegressionSxx:
      return Float8GetDatum(sxx);
    case Output::RegressionSyy:
      return Float8GetDatum(syy);
    case Output::RegressionSxy:
      return Float8GetDatum(sxy);
    case Output::RegressionAvgX:
      return Float8GetDatum(sx / n);
    case Output::RegressionAvgY:
      return Float8GetDatum(sy / n);
    case Output::RegressionR2:
      return Float8GetDatum(syy == 0 ? 1.0 : (sxy * sxy) / (sxx * syy));
    case Output::RegressionSlope:
      return Float8GetDatum(sxy / sxx);
    default:
      return Float8GetDatum((sy - sx * sxy / sxx) / n);
  }
}

// sqrt_var of numeric.c: the root rounded to as many digits as `value` shows. numeric_sqrt may give
// more, and rounding again may then have gone up from below the middle of two.
Datum root_of(Datum value) {
  const int scale = DatumGetInt32(DirectFunctionCall1(numeric_scale, value));
  Datum root = DirectFunctionCall1(numeric_sqrt, value);
  Datum rounded = DirectFunctionCall2(numeric_round, root, Int32GetDatum(scale));
  if (!DatumGetBool(DirectFunctionCall2(numeric_gt, rounded, root))) return rounded;
  char half[24], whole[24];
  snprintf(half, sizeof half, "5e-%d", scale + 1);
  snprintf(whole, sizeof whole, "1e-%d", scale);
  Datum middle = DirectFunctionCall2(numeric_sub, rounded, text_numeric(half));
  Datum square = DirectFunctionCall2(numeric_mul, middle, middle);
  if (!DatumGetBool(DirectFunctionCall2(numeric_gt, square, value))) return rounded;
  return DirectFunctionCall2(numeric_sub, rounded, text_numeric(whole));
}

// numeric_stddev_internal of numeric.c.
Datum numeric_deviation(const vector::DecimalSum& sum, const vector::DecimalSum& squares,
                        const Output& output, bool* isnull) {
  const bool sample =
      output.form == Output::VarianceSample || output.form == Output::DeviationSample;
  const bool root = output.form == Output::DeviationPop || output.form == Output::DeviationSample;
  const int64_t count = squares.rows;
  *isnull = count == 0 || (sample && count == 1);
  if (*isnull) return 0;
  if (squares.nans > 0) return numeric_nan();
  const auto number = [](int64_t v) { return NumericGetDatum(int64_to_numeric(v)); };
  Datum n = number(count), x = sum_numeric(sum, output.scale);
  Datum above = DirectFunctionCall2(
      numeric_sub,
      DirectFunctionCall2(numeric_mul, n,
                          long_numeric(squares.high, squares.low, 2 * output.scale)),
      DirectFunctionCall2(numeric_mul, x, x));
  Datum zero = number(0);
  if (DatumGetBool(DirectFunctionCall2(numeric_le, above, zero))) return zero;
  Datum below = DirectFunctionCall2(numeric_mul, n, number(sample ? count - 1 : count));
  Datum variance = DirectFunctionCall2(numeric_div, above, below);
  return root ? root_of(variance) : variance;
}

Datum text_datum(ByteView text) {
  return PointerGetDatum(cstring_to_text_with_len(reinterpret_cast<const char*>(text.data()),
                                                  static_cast<int>(text.size())));
}

Datum text_extreme(const vector::State& strings, const Output& output, uint32_t group) {
  if (!OidIsValid(output.collation)) return text_datum(strings.text(group));
  const std::span<const ByteView> all = pg::guard(
      [&] { return strings.texts(group, [] { pg::call([] { CHECK_FOR_INTERRUPTS(); }); }); });
  ByteView best = all[0];
  for (const ByteView text : all.subspan(1)) {
    CHECK_FOR_INTERRUPTS();
    const int order =
        varstr_cmp(reinterpret_cast<const char*>(text.data()), static_cast<int>(text.size()),
                   reinterpret_cast<const char*>(best.data()), static_cast<int>(best.size()),
                   output.collation);
    if (output.greatest ? order > 0 : order < 0) best = text;
  }
  return text_datum(best);
}

Datum average(const vector::State& sum, uint32_t group, int64_t count) {
  if (const double* m = sum.moments(group)) return Float8GetDatum(m[1] / m[0]);
  // float8_accum begins with 0, which makes 0 of a sum of -0.
  return Float8GetDatum((0.0 + sum.real(group)) / static_cast<double>(count));
}

}  // namespace

Datum sum_as_numeric(const vector::DecimalSum& sum, int scale) { return sum_numeric(sum, scale); }

Datum word_as(int64_t word, Oid type) {
  switch (type) {
    case BOOLOID:
      return BoolGetDatum(word != 0);
    case INT2OID:
      return Int16GetDatum(static_cast<int16>(word));
    case INT4OID:
    case DATEOID:
      return Int32GetDatum(static_cast<int32>(word));
    default:
      return Int64GetDatum(word);
  }
}

Datum decimal_numeric(int64_t value, int scale) {
  if (value == vector::kNaNDecimal) return numeric_nan();
  if (scale > static_cast<int>(column::kMostDecimalDigits))
    return long_numeric(value < 0 ? -1 : 0, static_cast<unsigned __int128>(__int128{value}), scale);
  column::ShortScratch scratch;
  const ByteView bytes = column::scaled_to_numeric(value, static_cast<unsigned>(scale), scratch);
  auto* numeric = static_cast<char*>(palloc(VARHDRSZ + bytes.size()));
  SET_VARSIZE(numeric, VARHDRSZ + bytes.size());
  std::memcpy(VARDATA(numeric), bytes.data(), bytes.size());
  return PointerGetDatum(numeric);
}

int64_t count_of(const Aggregation& groups, const Output& output, uint32_t group) {
  if (output.form == Output::Distinct) return groups.state(output.sum).integer(group);
  int64_t count = output.rows >= 0 ? groups.state(output.rows).integer(group) : 0;
  if (output.nulls >= 0) count -= groups.state(output.nulls).integer(group);
  return count;
}

Datum aggregate_result(const Aggregation& groups, const Output& output, uint32_t group, Oid type,
                       bool* isnull) {
  *isnull = false;
  int64_t count = 0;
  if (output.rows >= 0) count = groups.state(output.rows).integer(group);
  if (output.nulls >= 0) count -= groups.state(output.nulls).integer(group);
  if (output.form == Output::Count) return Int64GetDatum(count);
  const vector::State& sum = groups.state(output.sum);
  switch (output.form) {
    case Output::PercentileCont:
    case Output::PercentileDisc:
    case Output::Mode:
      return of_ordered_values(sum, output, group, type, isnull);
    case Output::Distinct:
      return Int64GetDatum(sum.integer(group));
    case Output::VariancePop:
    case Output::VarianceSample:
    case Output::DeviationPop:
    case Output::DeviationSample:
      if (output.squares >= 0)
        return numeric_deviation(sum.decimal(group), groups.state(output.squares).decimal(group),
                                 output, isnull);
      return deviation(sum.moments(group), output.form, isnull);
    case Output::Correlation:
    case Output::CovariancePop:
    case Output::CovarianceSample:
    case Output::RegressionSxx:
    case Output::RegressionSyy:
    case Output::RegressionSxy:
    case Output::RegressionAvgX:
    case Output::RegressionAvgY:
    case Output::RegressionR2:
    case Output::RegressionSlope:
    case Output::RegressionIntercept:
      return of_pairs(sum.moments(group), output.form, isnull);
    default:
      break;
  }
  if (output.form == Output::DecimalSum || output.form == Output::DecimalAverage ||
      output.form == Output::DistinctInteger || output.form == Output::QuotientSum ||
      output.form == Output::QuotientAverage)
    if (output.rows < 0 && output.present < 0) count = sum.decimal(group).rows;
  *isnull = output.present >= 0 ? groups.state(output.present).integer(group) == 0 : count == 0;
  if (*isnull) return 0;
  switch (output.form) {
    case Output::SumInteger:
      return Int64GetDatum(sum.integer(group));
    case Output::SumNumeric:
      return numeric_of(sum.wide(group));
    case Output::AverageNumeric:
      return DirectFunctionCall2(numeric_div, numeric_of(sum.wide(group)),
                                 NumericGetDatum(int64_to_numeric(count)));
    case Output::DecimalSum:
      return sum_numeric(sum.decimal(group), output.scale);
    case Output::QuotientSum:
      return quotient_sum(sum, output, group);
    case Output::QuotientAverage:
      return DirectFunctionCall2(numeric_div, quotient_sum(sum, output, group),
                                 NumericGetDatum(int64_to_numeric(count)));
    case Output::DecimalAverage:
      return DirectFunctionCall2(numeric_div, sum_numeric(sum.decimal(group), output.scale),
                                 NumericGetDatum(int64_to_numeric(count)));
    case Output::DistinctInteger:
      return Int64GetDatum(static_cast<int64>(sum.decimal(group).low));
    case Output::TextExtreme:
      return text_extreme(sum, output, group);
    case Output::DecimalWord:
      return decimal_numeric(sum.integer(group), output.scale);
    case Output::Real:
      return Float8GetDatum(sum.real(group));
    case Output::Single:
      return Float4GetDatum(static_cast<float4>(sum.real(group)));
    case Output::AverageReal:
      return average(sum, group, count);
    case Output::Word:
      return word_as(sum.integer(group), type);
    default:
      elog(ERROR, "unknown form of an aggregate: %d", output.form);
  }
}

}  // namespace datahike::exec
