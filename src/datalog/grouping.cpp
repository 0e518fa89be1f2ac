#include "datalog/grouping.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <span>

#include "datalog/aggregates.h"
#include "datalog/arithmetic.h"

namespace datahike::datalog {

namespace {

// The rows that all groups have, one group after another: `ends` are where they end.
struct Groups {
  std::vector<uint32_t> rows, ends;
  std::vector<uint32_t> first;  // a row of each
  Charge memory;
};

Groups group(const Relation& rows, const std::vector<Var>& by) {
  std::vector<size_t> columns;
  for (Var v : by) columns.push_back(rows.index_of(v));
  Groups g;
  g.memory = Charge(rows.budget(), rows.rows * (sizeof(uint64_t) + 2 * sizeof(uint32_t)));
  std::vector<uint32_t> group_of(rows.rows);
  if (columns.empty()) {
    if (rows.rows) g.first.push_back(0);
  } else {
    HashIndex index(columns, rows.budget());
    std::vector<uint64_t> hashes = hash_rows(rows, columns);
    for (size_t row = 0; row < rows.rows; ++row) {
      rows.budget().poll_row(row);
      uint32_t found = index.first(hashes[row]);
      for (; found != HashIndex::kNone; found = index.next(found, hashes[row])) {
        bool same = true;
        for (size_t c : columns)
          same = same && rows.columns[c].is_equal(row, rows.columns[c], g.first[found]);
        if (same) break;
      }
      if (found == HashIndex::kNone) {
        found = static_cast<uint32_t>(g.first.size());
        g.first.push_back(static_cast<uint32_t>(row));
        index.add(hashes[row]);
      }
      group_of[row] = found;
    }
  }
  g.memory.add(g.first.size() * 3 * sizeof(uint32_t));
  std::vector<uint32_t> at(g.first.size() + 1);
  for (uint32_t of : group_of) ++at[of + 1];
  std::partial_sum(at.begin(), at.end(), at.begin());
  g.ends.assign(at.begin() + 1, at.end());
  g.rows.resize(rows.rows);
  for (size_t row = 0; row < rows.rows; ++row)
    g.rows[at[group_of[row]]++] = static_cast<uint32_t>(row);
  return g;
}

Values values_of(const Column& column, std::span<const uint32_t> rows) {
  Values values;
  values.reserve(rows.size());
  for (uint32_t row : rows) values.push_back(column[row]);
  return values;
}

Value aggregate_rows(const FindElement& e, const Column& values, std::span<const uint32_t> rows,
                     std::vector<int64_t>& integers) {
  const bool plain = e.arguments.empty();
  if (plain && e.name == "count") return Value::integer(static_cast<int64_t>(rows.size()));
  if (plain && values.is_integers()) {
    integers.clear();
    for (uint32_t row : rows) integers.push_back(values.integers()[row]);
    if (auto result = aggregate_integers(e.name, integers)) return std::move(*result);
  }
  return aggregate(e.name, e.arguments, values_of(values, rows));
}

std::string digits_of(__int128 number) {
  std::string digits;
  const bool negative = number < 0;
  for (; number != 0; number /= 10)
    digits.insert(digits.begin(), static_cast<char>('0' + std::abs(static_cast<int>(number % 10))));
  return (negative ? "-" : "") + digits;
}

}  // namespace

std::vector<Var> group_vars(const Query& query) {
  std::vector<Var> by;
  for (const FindElement& e : query.find)
    if (e.kind != FindElement::Aggregate && std::find(by.begin(), by.end(), e.var) == by.end())
      by.push_back(e.var);
  return by;
}

Relation aggregate_groups(const Query& query, const Relation& rows) {
  Groups g = group(rows, group_vars(query));
  Relation result(rows.budget());
  result.rows = g.first.size();
  for (const FindElement& e : query.find) {
    const Column& values = rows.of(e.var);
    Column column;
    std::vector<int64_t> integers;
    for (size_t i = 0, from = 0; i < g.first.size(); from = g.ends[i++]) {
      rows.budget().poll_row(i);
      if (e.kind != FindElement::Aggregate) {
        column.push_back(values[g.first[i]]);
        continue;
      }
      column.push_back(
          aggregate_rows(e, values, std::span(g.rows).subspan(from, g.ends[i] - from), integers));
    }
    result.add_column(static_cast<Var>(result.vars.size()), std::move(column));
  }
  return result;
}

// What is known of a group after some of its rows. Aggregates that are made of those of parts take
// no memory for each row; the others take all values.
struct GroupReader::Fold {
  explicit Fold(Budget& budget) : memory(budget, kItself) {}
  static constexpr size_t kItself = 400;  // with its share of the group's key
  uint64_t count = 0;
  Value value;                   // min, max and several of them; sum of what is no long
  __int128 longs = 0;            // sum
  double sum = 0;                // avg
  double mean = 0, squares = 0;  // variance: of the differences to the mean
  Values all;
  Charge memory;

  void add(const FindElement& e, const Column& column, std::span<const uint32_t> rows,
           std::vector<int64_t>& integers);
  Value result(const FindElement& e) const;

 private:
  void add_sum(const Column& column, std::span<const uint32_t> rows);
  void add_variance(const Column& column, std::span<const uint32_t> rows);
};

void GroupReader::Fold::add_sum(const Column& column, std::span<const uint32_t> rows) {
  for (uint32_t row : rows) {
    if (column.is_integers()) {
      longs += column.integers()[row];
      continue;
    }
    const Value& v = column.at(row);
    if (v.is(Kind::Long))
      longs += v.as_integer();
    else
      value = datalog::add(value.is_nil() ? Value::integer(0) : value, v);
  }
}

// T. F. Chan, G. H. Golub, R. J. LeVeque: Updating formulae and a pairwise algorithm for computing
// sample variances (1979).
void GroupReader::Fold::add_variance(const Column& column, std::span<const uint32_t> rows) {
  double part_mean = 0, part_squares = 0;
  for (uint32_t row : rows) part_mean += to_double(column[row]);
  part_mean /= static_cast<double>(rows.size());
  for (uint32_t row : rows) {
    const double difference = to_double(column[row]) - part_mean;
    part_squares += difference * difference;
  }
  const auto before = static_cast<double>(count), more = static_cast<double>(rows.size());
  const double difference = part_mean - mean;
  mean += difference * more / (before + more);
  squares += part_squares + difference * difference * before * more / (before + more);
}

void GroupReader::Fold::add(const FindElement& e, const Column& column,
                            std::span<const uint32_t> rows, std::vector<int64_t>& integers) {
  if (e.name == "sum" && e.arguments.empty()) {
    add_sum(column, rows);
  } else if (e.name == "avg" && e.arguments.empty()) {
    for (uint32_t row : rows) sum += to_double(column[row]);
  } else if ((e.name == "variance" || e.name == "stddev") && e.arguments.empty()) {
    add_variance(column, rows);
  } else if (e.name == "min" || e.name == "max") {
    Value part = aggregate_rows(e, column, rows, integers);
    if (!value.is_nil()) {
      Values both{std::move(value), std::move(part)};
      if (!e.arguments.empty()) {
        Values items(both[0].items().begin(), both[0].items().end());
        items.insert(items.end(), both[1].items().begin(), both[1].items().end());
        both = std::move(items);
      }
      part = aggregate(e.name, e.arguments, both);
    }
    value = std::move(part);
  } else if (e.name != "count" || !e.arguments.empty()) {
    // Tells whether there is such an aggregate, before memory ends.
    if (count == 0) aggregate(e.name, e.arguments, values_of(column, rows.subspan(0, 1)));
    memory.add(rows.size() * 2 * sizeof(Value));
    Values some = values_of(column, rows);
    all.insert(all.end(), some.begin(), some.end());
    if (e.name == "count-distinct" || e.name == "distinct" || e.name == "sample") {
      std::sort(all.begin(), all.end());
      all.erase(std::unique(all.begin(), all.end()), all.end());
      memory.set(kItself + all.size() * 2 * sizeof(Value));
    }
  }
  count += rows.size();
}

Value GroupReader::Fold::result(const FindElement& e) const {
  if (e.arguments.empty()) {
    const auto n = static_cast<double>(count);
    if (e.name == "count") return Value::integer(static_cast<int64_t>(count));
    if (e.name == "avg") return Value::real(sum / n);
    if (e.name == "variance") return Value::real(squares / n);
    if (e.name == "stddev") return Value::real(std::sqrt(squares / n));
    if (e.name == "sum") {
      const auto small = static_cast<int64_t>(longs);
      if (small == longs)
        return value.is_nil() ? Value::integer(small) : datalog::add(value, Value::integer(small));
      if (!value.is_nil()) return datalog::add(value, Value::bigint(digits_of(longs)));
      return datalog::add(Value::integer(INT64_MAX), Value::integer(1));  // is refused
    }
  }
  if (e.name == "min" || e.name == "max") return value;
  return aggregate(e.name, e.arguments, all);
}

GroupReader::GroupReader(Budget& budget, const Query& query, RowFile& out)
    : budget_(budget), query_(query), out_(out), by_(group_vars(query)) {}
GroupReader::~GroupReader() = default;

void GroupReader::whole(const Relation& rows) {
  const Relation found = aggregate_groups(query_, rows);
  out_.append(found.columns, 0, found.rows);
}

GroupReader::Group& GroupReader::group_of(const Relation& rows, uint32_t row) {
  Values by;
  for (Var v : by_) by.push_back(rows.of(v)[row]);
  auto [at, is_new] = groups_.try_emplace(by);
  Group& group = at->second;
  if (!is_new) return group;
  group.by = std::move(by);
  for (size_t i = 0; i < query_.find.size(); ++i) group.folds.emplace_back(budget_);
  return group;
}

void GroupReader::some(const Relation& rows) {
  Groups g = group(rows, by_);
  std::vector<int64_t> integers;
  for (size_t i = 0, from = 0; i < g.first.size(); from = g.ends[i++]) {
    budget_.poll();
    Group& group = group_of(rows, g.first[i]);
    for (size_t e = 0; e < query_.find.size(); ++e)
      if (query_.find[e].kind == FindElement::Aggregate)
        group.folds[e].add(query_.find[e], rows.of(query_.find[e].var),
                           std::span(g.rows).subspan(from, g.ends[i] - from), integers);
  }
}

void GroupReader::end() {
  for (auto& [by, group] : groups_) {
    Columns row(query_.find.size());
    for (size_t e = 0; e < row.size(); ++e) {
      const FindElement& element = query_.find[e];
      const auto at = std::find(by_.begin(), by_.end(), element.var) - by_.begin();
      row[e].push_back(element.kind == FindElement::Aggregate ? group.folds[e].result(element)
                                                              : by[static_cast<size_t>(at)]);
    }
    out_.append(row, 0, 1);
  }
  groups_.clear();
}

}  // namespace datahike::datalog
