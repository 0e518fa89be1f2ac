// Calls of functions and predicates.
#include <algorithm>

#include "datalog/evaluator.h"
#include "datalog/functions.h"
#include "datalog/run.h"

namespace datahike::datalog {

namespace {

constexpr int kMostNested = 20;  // queries in one another

enum class Comparison { None, Less, LessEqual, Greater, GreaterEqual, Equal, NotEqual };
Comparison comparison_of(const std::string& name) {
  if (name == "<") return Comparison::Less;
  if (name == "<=") return Comparison::LessEqual;
  if (name == ">") return Comparison::Greater;
  if (name == ">=") return Comparison::GreaterEqual;
  if (name == "=") return Comparison::Equal;
  if (name == "not=" || name == "!=") return Comparison::NotEqual;
  return Comparison::None;
}

bool holds(Comparison c, const Value& a, const Value& b) {
  if (c == Comparison::Equal) return a == b;
  if (c == Comparison::NotEqual) return !(a == b);
  int order = compare_alike(a, b);
  switch (c) {
    case Comparison::Less:
      return order < 0;
    case Comparison::LessEqual:
      return order <= 0;
    case Comparison::Greater:
      return order > 0;
    default:
      return order >= 0;
  }
}

void check_count(const Function& f, size_t count) {
  if (count < static_cast<size_t>(f.least) || (f.most >= 0 && count > static_cast<size_t>(f.most)))
    throw QueryError(kUndefined, std::string("function ") + f.name + " does not take " +
                                     std::to_string(count) + " arguments");
}

Relation keep_true(Relation rows, const Column& results) {
  std::vector<uint32_t> kept;
  for (size_t row = 0; row < rows.rows; ++row)
    if (results[row].is_true()) kept.push_back(static_cast<uint32_t>(row));
  return kept.size() == rows.rows ? std::move(rows) : rows.gather(kept);
}

}  // namespace

std::vector<Argument> Evaluator::arguments(const Clause& c, const Relation& rows) const {
  std::vector<Argument> found;
  for (const Term& t : c.terms) {
    switch (t.kind) {
      case Term::Variable:
        found.push_back({&rows.of(t.var), {}});
        break;
      case Term::Constant:
        found.push_back({nullptr, t.value});
        break;
      default:
        throw QueryError(kSyntax, "function " + c.name + " takes values, not " +
                                      (t.kind == Term::Source ? t.source : "_"));
    }
  }
  return found;
}

Relation Evaluator::call(const Clause& c, Relation rows, const Scope& scope) {
  std::optional<Column> results = call_with_source(c, rows, scope);
  if (!results) {
    std::vector<Argument> given = arguments(c, rows);
    Comparison comparison = comparison_of(c.name);
    if (comparison != Comparison::None && given.size() == 2 && c.is_predicate) {
      std::vector<uint32_t> kept;
      for (size_t row = 0; row < rows.rows; ++row) {
        budget_.poll_row(row);
        if (holds(comparison, given[0].at(row), given[1].at(row)))
          kept.push_back(static_cast<uint32_t>(row));
      }
      return kept.size() == rows.rows ? std::move(rows) : rows.gather(kept);
    }
    if (const Function* f = find_function(c.name)) {
      check_count(*f, given.size());
      results.emplace();
      results->reserve(rows.rows);
      std::vector<Value> row_arguments(given.size());
      for (size_t row = 0; row < rows.rows; ++row) {
        budget_.poll_row(row);
        for (size_t i = 0; i < given.size(); ++i) row_arguments[i] = given[i].at(row);
        Value result = f->call(row_arguments);
        budget_.made(result);
        results->push_back(std::move(result));
      }
    } else {
      results = host_.call(c.name, given, rows.rows);
      if (!results)
        throw QueryError(kUndefined, "there is no function " + c.name + " that queries may call",
                         "IMMUTABLE SQL functions are called by their names.");
      for (const Value& v : *results) budget_.made(v);
    }
  }
  return c.is_predicate ? keep_true(std::move(rows), *results)
                        : bind_results(std::move(rows), *results, c.binding);
}

std::optional<Column> Evaluator::call_with_source(const Clause& c, const Relation& rows,
                                                  const Scope& scope) {
  bool get_else = c.name == "get-else", get_some = c.name == "get-some";
  bool missing = c.name == "missing?";
  auto value_at = [&](const Term& t, size_t row) {
    if (t.kind == Term::Variable) return rows.of(t.var)[row];
    if (t.kind != Term::Constant)
      throw QueryError(kSyntax, c.name + " does not take _ or a source here");
    return t.value;
  };
  if (get_else || get_some || missing) {
    size_t first = !c.terms.empty() && c.terms[0].kind == Term::Source;
    size_t count = c.terms.size() - first;
    if (count != (get_else ? 3u : 2u) && !(get_some && count > 2))
      throw QueryError(kUndefined,
                       c.name + " does not take " + std::to_string(count) + " arguments");
    Source& source = facts(first ? c.terms[0].source : "$", scope);
    Column entities;
    Values results(rows.rows);
    for (size_t row = 0; row < rows.rows; ++row) {
      Value e = value_at(c.terms[first], row);
      if (!e.is(Kind::Long)) e = source.entity(e).value_or(Value());
      entities.push_back(std::move(e));
    }
    size_t last = get_some ? c.terms.size() : first + 2;
    for (size_t i = first + 1; i < last; ++i) {
      if (c.terms[i].kind != Term::Constant)
        throw QueryError(kSyntax, c.name + " takes attributes, not variables, as attributes");
      Column values = values_of(source, entities, c.terms[i].value, Value());
      for (size_t row = 0; row < rows.rows; ++row) {
        if (get_some && results[row].is_nil() && !values[row].is_nil())
          results[row] = Value::vector({c.terms[i].value, values[row]});
        if (missing) results[row] = Value::boolean(values[row].is_nil());
        if (get_else)
          results[row] = values[row].is_nil() ? value_at(c.terms[first + 2], row) : values[row];
      }
    }
    return Column(std::move(results));
  }
  if (c.name != "q" && c.name != "datahike/q" && c.name != "d/q") return std::nullopt;
  if (c.terms.empty() || c.terms[0].kind != Term::Constant)
    throw QueryError(kSyntax, "q takes a query and its inputs");
  if (depth_ >= kMostNested) throw QueryError("54001", "queries nest too deep");
  Query query = parse_query(c.terms[0].value, names_);
  Column results;
  std::map<std::vector<Value>, Value> known;
  for (size_t row = 0; row < rows.rows; ++row) {
    std::vector<Value> key;
    std::vector<QueryInput> inputs;
    for (size_t i = 1; i < c.terms.size(); ++i) {
      QueryInput in;
      if (c.terms[i].kind == Term::Source) {
        in.source = source(c.terms[i].source, scope);
        in.is_source = true;
      } else {
        in.value = value_at(c.terms[i], row);
        key.push_back(in.value);
      }
      inputs.push_back(std::move(in));
    }
    auto [found, is_new] = known.try_emplace(key);
    if (is_new) {
      Evaluator inner(names_, budget_, host_);
      inner.depth_ = depth_ + 1;
      inner.nesting_ = nesting_;
      QueryResult result = run_query(inner, query, std::move(inputs), false);
      found->second = to_value(result, query);
      budget_.made(found->second);
    }
    results.push_back(found->second);
  }
  return results;
}

}  // namespace datahike::datalog
