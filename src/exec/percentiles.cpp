// Percentiles and modes, from all values of a group: as the final functions of orderedsetaggs.c.
#include <algorithm>
#include <cmath>

#include "column/vector/ordered_values.h"
#include "exec/aggregate.h"
#include "exec/compile_types.h"
#include "pg/bridge.h"

extern "C" {
#include "miscadmin.h"
#include "utils/float.h"
#include "utils/numeric.h"
}

namespace datahike::exec {

namespace {

using Values = std::span<uint64_t>;

void poll() {
  pg::call([] { CHECK_FOR_INTERRUPTS(); });
}

// The one with `number` others before it in the output's order.
uint64_t ordered_at(Values values, const Output& output, size_t number) {
  const size_t at = output.descending ? values.size() - 1 - number : number;
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[at];
}

bool are_equal(uint64_t a, uint64_t b, bool real) {
  if (a == b || !real) return a == b;
  return vector::normalised(vector::word_of_ordered(a, true)) ==
         vector::normalised(vector::word_of_ordered(b, true));
}

// Of several that are as frequent the first in the output's order.
uint64_t most_frequent(Values values, const Output& output) {
  if (output.descending)
    std::sort(values.begin(), values.end(), std::greater<>());
  else
    std::sort(values.begin(), values.end());
  poll();
  size_t best = 0, most = 0;
  for (size_t begin = 0, end; begin < values.size(); begin = end) {
    for (end = begin + 1;
         end < values.size() && are_equal(values[begin], values[end], output.real);)
      ++end;
    if (end - begin > most) {
      best = begin;
      most = end - begin;
    }
  }
  return values[best];
}

Datum datum_of(uint64_t ordered, const Output& output, Oid type) {
  const uint64_t word = vector::word_of_ordered(ordered, output.real);
  if (type == NUMERICOID) return decimal_numeric(static_cast<int64_t>(word), output.scale);
  if (!output.real) return word_as(static_cast<int64_t>(word), type);
  const double value = std::bit_cast<double>(word);
  return type == FLOAT4OID ? Float4GetDatum(static_cast<float4>(value)) : Float8GetDatum(value);
}

double real_of(uint64_t ordered, const Output& output) {
  const uint64_t word = vector::word_of_ordered(ordered, output.real);
  if (output.real) return std::bit_cast<double>(word);
  Datum numeric = decimal_numeric(static_cast<int64_t>(word), output.scale);
  return DatumGetFloat8(DirectFunctionCall1(numeric_float8, numeric));
}

struct Neighbours {
  uint64_t first, second;
  bool between;       // not one row alone
  double proportion;  // of the way from the one to the other
};

Neighbours neighbours_of(Values values, const Output& output) {
  const double place = output.fraction * static_cast<double>(values.size() - 1);
  const auto first = static_cast<size_t>(std::floor(place));
  const auto second = static_cast<size_t>(std::ceil(place));
  const uint64_t value = ordered_at(values, output, first);
  if (first == second) return {value, value, false, 0};
  return {value, ordered_at(values, output, second), true, place - static_cast<double>(first)};
}

}  // namespace

Datum of_ordered_values(const vector::State& state, const Output& output, uint32_t group, Oid type,
                        bool* isnull) {
  *isnull = output.null_fraction;
  if (*isnull) return 0;
  const double fraction = output.fraction;
  if (fraction < 0 || fraction > 1 || std::isnan(fraction))
    ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                    errmsg("percentile value %g is not between 0 and 1", fraction)));
  *isnull = state.integer(group) == 0;
  if (*isnull) return 0;
  if (output.form == Output::PercentileCont) {
    const Neighbours found =
        pg::guard([&] { return neighbours_of(state.values(group, poll), output); });
    const double low = real_of(found.first, output);
    if (!found.between) return Float8GetDatum(low);
    const double high = real_of(found.second, output);
    return Float8GetDatum(low + (found.proportion * (high - low)));
  }
  const uint64_t found = pg::guard([&] {
    const Values values = state.values(group, poll);
    if (output.form == Output::Mode) return most_frequent(values, output);
    const double number = std::ceil(output.fraction * static_cast<double>(values.size()));
    return ordered_at(values, output, number < 1 ? 0 : static_cast<size_t>(number) - 1);
  });
  return datum_of(found, output, type);
}

}  // namespace datahike::exec
