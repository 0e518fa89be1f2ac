#include "datalog/run.h"

#include <algorithm>
#include <numeric>

#include "datalog/rules.h"

namespace datahike::datalog {

namespace {

// The rows that all groups have, one group after another: `ends` are where they end.
struct Groups {
  std::vector<uint32_t> rows, ends;
  std::vector<uint32_t> first;  // a row of each
};

Groups group(const Relation& rows, const std::vector<size_t>& columns) {
  Groups g;
  std::vector<uint32_t> group_of(rows.rows);
  if (columns.empty()) {
    if (rows.rows) g.first.push_back(0);
  } else {
    HashIndex index(columns);
    std::vector<uint64_t> hashes = hash_rows(rows, columns);
    std::vector<uint32_t> group_at;  // of the rows in the index
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
  std::vector<uint32_t> at(g.first.size() + 1);
  for (uint32_t of : group_of) ++at[of + 1];
  std::partial_sum(at.begin(), at.end(), at.begin());
  g.ends.assign(at.begin() + 1, at.end());
  g.rows.resize(rows.rows);
  for (size_t row = 0; row < rows.rows; ++row)
    g.rows[at[group_of[row]]++] = static_cast<uint32_t>(row);
  return g;
}

QueryResult aggregate_all(const Query& query, const Relation& rows) {
  std::vector<size_t> by;
  for (const FindElement& e : query.find) {
    size_t column = rows.index_of(e.var);
    if (e.kind != FindElement::Aggregate && std::find(by.begin(), by.end(), column) == by.end())
      by.push_back(column);
  }
  Groups g = group(rows, by);
  QueryResult result;
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
      bool plain = e.arguments.empty();
      if (plain && e.name == "count") {
        column.push_integer(g.ends[i] - static_cast<int64_t>(from));
        continue;
      }
      if (plain && values.is_integers()) {
        integers.clear();
        for (size_t k = from; k < g.ends[i]; ++k) integers.push_back(values.integers()[g.rows[k]]);
        if (auto result = aggregate_integers(e.name, integers)) {
          column.push_back(std::move(*result));
          continue;
        }
      }
      Values of_group;
      of_group.reserve(g.ends[i] - from);
      for (size_t k = from; k < g.ends[i]; ++k) of_group.push_back(values[g.rows[k]]);
      column.push_back(aggregate(e.name, e.arguments, of_group));
    }
    result.columns.push_back(std::move(column));
  }
  return result;
}

void order(const Query& query, QueryResult& result) {
  std::vector<uint32_t> rows(result.rows);
  std::iota(rows.begin(), rows.end(), 0);
  if (!query.order_by.empty())
    std::stable_sort(rows.begin(), rows.end(), [&](uint32_t a, uint32_t b) {
      for (const OrderBy& o : query.order_by) {
        int c = result.columns[o.element][a].compare(result.columns[o.element][b]);
        if (c) return o.descending ? c > 0 : c < 0;
      }
      return false;
    });
  size_t from = std::min<uint64_t>(query.offset, rows.size());
  size_t count = rows.size() - from;
  if (query.limit) count = std::min<uint64_t>(*query.limit, count);
  bool one = query.shape == Query::Tuple || query.shape == Query::Scalar;
  if (one) count = std::min<size_t>(count, 1);
  if (query.order_by.empty() && from == 0 && count == rows.size()) return;
  rows.erase(rows.begin(), rows.begin() + static_cast<ptrdiff_t>(from));
  rows.resize(count);
  for (Column& column : result.columns) {
    column = column.gather(rows);
  }
  result.rows = count;
}

}  // namespace

QueryResult run_query(Evaluator& evaluator, const Query& query, std::vector<QueryInput> inputs) {
  if (inputs.size() != query.inputs.size())
    throw QueryError(kSyntax, "the query has " + std::to_string(query.inputs.size()) +
                                  " inputs in :in, and is given " + std::to_string(inputs.size()));
  Budget& budget = evaluator.budget();
  Relation rows = Relation::unit(budget);
  std::map<std::string, Value> patterns;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Input& in = query.inputs[i];
    QueryInput& given = inputs[i];
    if (given.is_source && in.kind != Input::Source)
      throw QueryError(kSyntax, "a database is given where the query's :in has no source");
    switch (in.kind) {
      case Input::Source:
        if (!given.is_source) {
          if (!given.value.is_sequence() && !given.value.is(Kind::Set))
            throw QueryError(kMismatch, "source " + in.name +
                                            " is neither a database nor a collection of tuples");
          given.source.tuples = given.value;
        }
        evaluator.sources[in.name] = std::move(given.source);
        break;
      case Input::Rules:
        evaluator.rules = parse_rules(given.value, evaluator.names());
        break;
      case Input::Pattern:
        patterns[in.name] = given.value;
        break;
      case Input::Bound:
        rows = join(rows, evaluator.bind(in.binding, given.value));
        break;
    }
  }
  check_rules(evaluator.rules, query.where);
  lift_disjunctions(evaluator.rules, evaluator.names());
  std::set<Var> wanted(query.with.begin(), query.with.end());
  bool aggregates = false;
  for (const FindElement& e : query.find) {
    wanted.insert(e.var);
    aggregates = aggregates || e.kind == FindElement::Aggregate;
  }
  rows = evaluator.answers(query.where, std::move(rows), wanted);
  QueryResult result;
  if (aggregates) {
    result = aggregate_all(query, rows);
  } else {
    result.rows = rows.rows;
    for (size_t i = 0; i < query.find.size(); ++i) {
      const auto same = [&](const FindElement& e) { return e.var == query.find[i].var; };
      const bool last =
          std::none_of(query.find.begin() + static_cast<ptrdiff_t>(i) + 1, query.find.end(), same);
      Column& column = rows.columns[rows.index_of(query.find[i].var)];
      result.columns.push_back(last ? std::move(column) : column);
    }
  }
  order(query, result);
  for (size_t i = 0; i < query.find.size(); ++i) {
    const FindElement& e = query.find[i];
    if (e.kind != FindElement::Pull) continue;
    const Value* pattern = &e.pattern;
    if (pattern->is(Kind::Symbol)) {
      auto found = patterns.find(pattern->text());
      if (found == patterns.end())
        throw QueryError(kSyntax, "the query has no input " + pattern->text() + " in :in");
      pattern = &found->second;
    }
    auto source = evaluator.sources.find(e.source);
    if (source == evaluator.sources.end() || !source->second.facts)
      throw QueryError(kSyntax, "pull needs a database, which " + e.source + " is not");
    result.columns[i] = Column(
        pull(evaluator, *source->second.facts, *pattern, std::move(result.columns[i]).take()));
  }
  return result;
}

Value to_value(const QueryResult& result, const Query& query, bool plain_keys) {
  auto row_value = [&](size_t row) {
    if (query.keys.empty()) {
      std::vector<Value> items;
      for (const Column& c : result.columns) items.push_back(c[row]);
      return Value::vector(std::move(items));
    }
    std::vector<edn::Entry> entries;
    for (size_t i = 0; i < query.keys.size(); ++i)
      entries.emplace_back(plain_keys ? Value::string(query.keys[i]) : query.key(i),
                           result.columns[i][row]);
    return Value::map(std::move(entries));
  };
  switch (query.shape) {
    case Query::Scalar:
      return result.rows ? result.columns[0][0] : Value();
    case Query::Tuple:
      return result.rows ? row_value(0) : Value();
    case Query::Collection:
      return Value::vector(Values(result.columns[0].begin(), result.columns[0].end()));
    default:
      break;
  }
  std::vector<Value> rows;
  for (size_t row = 0; row < result.rows; ++row) rows.push_back(row_value(row));
  return Value::vector(std::move(rows));
}

}  // namespace datahike::datalog
