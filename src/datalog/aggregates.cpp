#include "datalog/aggregates.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "datalog/arithmetic.h"
#include "datalog/functions.h"

namespace datahike::datalog {

namespace {

using Items = std::span<const Value>;

std::vector<Value> sorted(Items values) {
  std::vector<Value> s(values.begin(), values.end());
  std::sort(s.begin(), s.end(),
            [](const Value& a, const Value& b) { return compare_alike(a, b) < 0; });
  return s;
}

std::vector<Value> unique(Items values) {
  std::vector<Value> s(values.begin(), values.end());
  std::sort(s.begin(), s.end());
  s.erase(std::unique(s.begin(), s.end()), s.end());
  return s;
}

double mean(Items values) {
  double sum = 0;
  for (const Value& v : values) sum += to_double(v);
  return sum / static_cast<double>(values.size());
}

// Of the whole group, not of a sample of it.
double variance(Items values) {
  double m = mean(values), sum = 0;
  for (const Value& v : values) sum += (to_double(v) - m) * (to_double(v) - m);
  return sum / static_cast<double>(values.size());
}

double median(Items values) {
  std::vector<double> s;
  for (const Value& v : values) s.push_back(to_double(v));
  std::sort(s.begin(), s.end());
  size_t n = s.size();
  return n % 2 ? s[n / 2] : (s[n / 2 - 1] + s[n / 2]) / 2;
}

std::mt19937_64& random_numbers() {
  static std::mt19937_64 random{std::random_device{}()};
  return random;
}
const Value& any_of(Items values) {
  return values[std::uniform_int_distribution<size_t>(0, values.size() - 1)(random_numbers())];
}

Value several(const std::string& name, size_t n, Items values) {
  std::vector<Value> found;
  if (name == "min" || name == "max") {
    found = sorted(values);
    n = std::min(n, found.size());
    if (name == "min")
      found.resize(n);
    else
      found.erase(found.begin(), found.end() - static_cast<ptrdiff_t>(n));
  } else if (name == "sample") {
    found = unique(values);
    std::shuffle(found.begin(), found.end(), random_numbers());
    found.resize(std::min(n, found.size()));
  } else {
    if (n > 1000000) throw QueryError(kInvalid, "rand: more than a million values");
    while (found.size() < n) found.push_back(any_of(values));
  }
  return Value::vector(std::move(found));
}

}  // namespace

Value aggregate(const std::string& name, const std::vector<Value>& arguments, Items values) {
  if (!arguments.empty()) {
    bool known = name == "min" || name == "max" || name == "sample" || name == "rand";
    if (!known || arguments.size() != 1)
      throw QueryError(kUndefined, "there is no aggregate " + name + " of " +
                                       std::to_string(arguments.size() + 1) + " arguments");
    if (!arguments[0].is(Kind::Long) || arguments[0].as_integer() < 0)
      throw QueryError(kInvalid,
                       name + ": the number of values is not a number that is not negative");
    return several(name, static_cast<size_t>(arguments[0].as_integer()), values);
  }
  if (name == "count") return Value::integer(static_cast<int64_t>(values.size()));
  if (name == "count-distinct") return Value::integer(static_cast<int64_t>(unique(values).size()));
  if (name == "distinct") return Value::set(std::vector<Value>(values.begin(), values.end()));
  if (name == "sum") {
    // Longs are summed as such, whatever other groups of the column have.
    if (std::all_of(values.begin(), values.end(),
                    [](const Value& v) { return v.is(Kind::Long); })) {
      std::vector<int64_t> integers;
      for (const Value& v : values) integers.push_back(v.as_integer());
      if (auto sum = aggregate_integers(name, integers)) return std::move(*sum);
    }
    Value sum = Value::integer(0);
    for (const Value& v : values) sum = add(sum, v);
    return sum;
  }
  if (name == "min" || name == "max") {
    const Value* best = &values[0];
    for (const Value& v : values)
      if (name == "min" ? compare_alike(v, *best) < 0 : compare_alike(v, *best) > 0) best = &v;
    return *best;
  }
  if (name == "avg") return Value::real(mean(values));
  if (name == "median") return Value::real(median(values));
  if (name == "variance") return Value::real(variance(values));
  if (name == "stddev") return Value::real(std::sqrt(variance(values)));
  if (name == "rand") return any_of(values);
  throw QueryError(kUndefined, "there is no aggregate " + name,
                   "avg, count, count-distinct, distinct, max, median, min, rand, sample, stddev, "
                   "sum and variance are there.");
}

std::optional<Value> aggregate_integers(const std::string& name, std::span<const int64_t> values) {
  if (name == "sum") {
    __int128 sum = 0;  // what is beyond a long on the way may be one at the end
    for (int64_t v : values) sum += v;
    auto result = static_cast<int64_t>(sum);
    return sum == result ? std::optional(Value::integer(result)) : std::nullopt;
  }
  if (name == "min") return Value::integer(*std::min_element(values.begin(), values.end()));
  if (name == "max") return Value::integer(*std::max_element(values.begin(), values.end()));
  if (name != "avg") return std::nullopt;
  double sum = 0;
  for (int64_t v : values) sum += static_cast<double>(v);
  return Value::real(sum / static_cast<double>(values.size()));
}

}  // namespace datahike::datalog
