// Patterns: what a source is asked for, and collections as sources.
#include <algorithm>
#include <unordered_map>

#include "datalog/evaluator.h"

namespace datahike::datalog {

namespace {

constexpr size_t kMostCandidates = 1000;  // that a source is given to look up one by one

// Bounds of a variable that predicates on constants imply, both inclusive.
template <class Bounds>
void narrow(Bounds& scan, Var v, const std::vector<Step>& rest) {
  for (const Step& s : rest) {
    if (!s.clause || s.clause->kind != Clause::Call || !s.clause->is_predicate) continue;
    const Clause& c = *s.clause;
    bool less = c.name == "<" || c.name == "<=" || c.name == "before?";
    bool greater = c.name == ">" || c.name == ">=" || c.name == "after?";
    if (!less && !greater) continue;
    // Ascending: each argument is at most the next.
    std::vector<const Term*> ascending;
    for (const Term& t : c.terms) ascending.push_back(&t);
    if (greater) std::reverse(ascending.begin(), ascending.end());
    for (size_t i = 0; i < ascending.size(); ++i) {
      if (ascending[i]->kind != Term::Variable || ascending[i]->var != v) continue;
      for (size_t k = 0; k < ascending.size(); ++k) {
        const Term& t = *ascending[k];
        if (t.kind != Term::Constant) continue;
        if (k < i && (!scan.least || *scan.least < t.value)) scan.least = t.value;
        if (k > i && (!scan.greatest || t.value < *scan.greatest)) scan.greatest = t.value;
      }
    }
  }
}

// Distinct values of a column where there are few.
std::optional<Column> candidates(const Relation& rows, Var v, double estimate) {
  if (rows.rows == 0 || static_cast<double>(rows.rows) * 4 > estimate ||
      rows.rows > 20 * kMostCandidates)
    return std::nullopt;
  Relation values = distinct(rows.project({v}));
  if (values.rows > kMostCandidates) return std::nullopt;
  return std::move(values.columns[0]);
}

// Those of the rows (nullopt: all of them) in which two columns agree.
std::vector<uint32_t> equal_rows(const Column& a, const Column& b, size_t count,
                                 const std::optional<std::vector<uint32_t>>& among) {
  std::vector<uint32_t> kept;
  for (size_t i = 0; i < (among ? among->size() : count); ++i) {
    auto row = among ? (*among)[i] : static_cast<uint32_t>(i);
    if (a.is_equal(row, b, row)) kept.push_back(row);
  }
  return kept;
}

// Terms by position, with what is to be equal among them.
struct Wanted {
  std::vector<Var> vars;
  std::vector<size_t> positions;
  std::vector<std::pair<size_t, size_t>> equal;  // positions
};
Wanted wanted_of(const Clause& c) {
  Wanted w;
  for (size_t i = 0; i < c.terms.size(); ++i) {
    if (c.terms[i].kind != Term::Variable) continue;
    auto same = std::find(w.vars.begin(), w.vars.end(), c.terms[i].var);
    if (same != w.vars.end()) {
      w.equal.emplace_back(w.positions[static_cast<size_t>(same - w.vars.begin())], i);
      continue;
    }
    w.vars.push_back(c.terms[i].var);
    w.positions.push_back(i);
  }
  return w;
}

}  // namespace

void Evaluator::prepare_scan(const Clause& c, Source& source, Scan& scan) {
  if (c.terms.size() > kPositions)
    throw QueryError(kSyntax, "a pattern has at most entity, attribute, value, tx and added: " +
                                  edn::write(c.form));
  for (size_t i = 0; i < c.terms.size(); ++i) {
    const Term& t = c.terms[i];
    if (t.kind == Term::Variable) scan.wanted[i] = true;
    if (t.kind != Term::Constant) continue;
    scan.constants[i] = t.value;
    bool names_entity = i == kEntity;
    if (i == kValue && (t.value.is(Kind::Vector) || t.value.is(Kind::Keyword)) &&
        scan.constants[kAttribute])
      names_entity = source.is_ref(*scan.constants[kAttribute]);
    if (!names_entity || t.value.is(Kind::Long)) continue;
    std::optional<Value> entity = source.entity(t.value);
    if (!entity) throw QueryError(kNotFound, "Nothing found for entity id " + edn::write(t.value));
    scan.constants[i] = *entity;
  }
}

Relation Evaluator::pattern(const Clause& c, const Relation& rows, const std::vector<Step>& rest,
                            const Scope& scope) {
  const AnySource& any = source(c.source, scope);
  if (!any.facts) return tuples_pattern(c, any.tuples, scope);
  Scan scan;
  prepare_scan(c, *any.facts, scan);
  Wanted w = wanted_of(c);
  for (const auto& [a, b] : w.equal) scan.wanted[a] = scan.wanted[b] = true;
  double estimate = any.facts->estimate(scan);
  std::optional<Column> entities, values;
  for (size_t i = 0; i < w.vars.size(); ++i) {
    size_t at = w.positions[i];
    if (at == kValue) narrow(scan, w.vars[i], rest);
    if (!rows.has(w.vars[i])) continue;
    if (at == kEntity) entities = candidates(rows, w.vars[i], estimate);
    if (at == kValue) values = candidates(rows, w.vars[i], estimate);
  }
  if (entities) scan.some_entities = &*entities;
  if (values) scan.some_values = &*values;
  Relation out(budget_, w.vars);
  bool fits = true;
  any.facts->scan(scan, [&](Source::Columns& columns, size_t count) {
    budget_.poll();
    if (!fits) {
      for (Column& column : columns) column.clear();
      return;
    }
    std::optional<std::vector<uint32_t>> kept;
    for (const auto& [a, b] : w.equal) kept = equal_rows(columns[a], columns[b], count, kept);
    for (size_t i = 0; i < w.vars.size(); ++i)
      keep_parts(scope.parts, w.vars[i], columns[w.positions[i]], count, kept);
    for (size_t i = 0; i < w.vars.size(); ++i) {
      Column& found = columns[w.positions[i]];
      out.columns[i].append(kept ? found.gather(*kept) : std::move(found));
    }
    out.rows += kept ? kept->size() : count;
    for (Column& column : columns) column.clear();
    fits = out.try_charge();
    if (!fits) out = blamed(std::move(out), scope);
  });
  if (!fits) throw OutOfMemory();
  if (w.vars.empty()) out.rows = out.rows ? 1 : 0;
  return out;
}

void Evaluator::add_step(const Clause& c, std::vector<Step>& steps, const Scope& scope) {
  auto of_rows = [](const Clause& p) {
    return p.kind == Clause::Pattern && (p.terms.size() == 2 || p.terms.size() == 3) &&
           p.terms[kEntity].kind == Term::Variable && p.terms[kAttribute].kind == Term::Constant;
  };
  Step step;
  step.clause = &c;
  if (of_rows(c))
    for (Step& known : steps) {
      if (!known.clause || !of_rows(*known.clause) || known.clause->source != c.source ||
          known.clause->terms[kEntity].var != c.terms[kEntity].var)
        continue;
      auto found = sources.find(c.source == "$" ? scope.source : c.source);
      if (found == sources.end() || !found->second.facts) break;
      if (!found->second.facts->same_rows(
              {known.clause->terms[kAttribute].value, c.terms[kAttribute].value}))
        continue;
      if (known.together.empty()) known.together.push_back(known.clause);
      known.together.push_back(&c);
      return;
    }
  steps.push_back(std::move(step));
}

std::vector<Step> Evaluator::steps_of(const std::vector<Clause>& clauses, const Scope& scope) {
  std::vector<Step> steps;
  for (const Clause& c : clauses) add_step(c, steps, scope);
  return steps;
}

Relation Evaluator::row_pattern(const Step& step, const Relation& rows,
                                const std::vector<Step>& rest, const Scope& scope) {
  Source& source = facts(step.clause->source, scope);
  RowScan scan;
  std::vector<Var> vars{step.clause->terms[kEntity].var};
  std::vector<size_t> columns{0};                // of each variable
  std::vector<std::pair<size_t, size_t>> equal;  // columns
  std::vector<std::pair<size_t, Var>> bound;     // values that may be looked up
  double estimate = 1e300;
  for (const Clause* c : step.together) {
    Scan one;
    prepare_scan(*c, source, one);
    estimate = std::min(estimate, source.estimate(one));
    size_t column = scan.values.size() + 1;
    RowScan::Of of;
    of.attribute = *one.constants[kAttribute];
    of.constant = one.constants[kValue];
    if (c->terms.size() == 3 && c->terms[kValue].kind == Term::Variable) {
      Var v = c->terms[kValue].var;
      narrow(of, v, rest);
      auto same = std::find(vars.begin(), vars.end(), v);
      if (same != vars.end()) {
        equal.emplace_back(columns[static_cast<size_t>(same - vars.begin())], column);
      } else {
        vars.push_back(v);
        columns.push_back(column);
        if (rows.has(v)) bound.emplace_back(column, v);
      }
    }
    scan.values.push_back(std::move(of));
  }
  std::optional<Column> entities;
  if (rows.has(vars[0])) entities = candidates(rows, vars[0], estimate);
  if (entities) scan.some_entities = &*entities;
  std::vector<Column> among(bound.size());
  for (size_t i = 0; i < bound.size(); ++i)
    if (auto some = candidates(rows, bound[i].second, estimate)) {
      among[i] = std::move(*some);
      scan.values[bound[i].first - 1].some_values = &among[i];
    }
  Relation out(budget_, vars);
  bool fits = true;
  source.scan_rows(scan, [&](std::vector<Column>& found, size_t count) {
    budget_.poll();
    if (!fits) {
      for (Column& column : found) column.clear();
      return;
    }
    std::optional<std::vector<uint32_t>> kept;
    for (const auto& [a, b] : equal) kept = equal_rows(found[a], found[b], count, kept);
    for (size_t i = 0; i < vars.size(); ++i)
      keep_parts(scope.parts, vars[i], found[columns[i]], count, kept);
    for (size_t i = 0; i < vars.size(); ++i) {
      Column& column = found[columns[i]];
      out.columns[i].append(kept ? column.gather(*kept) : std::move(column));
    }
    out.rows += kept ? kept->size() : count;
    for (Column& column : found) column.clear();
    fits = out.try_charge();
    if (!fits) out = blamed(std::move(out), scope);
  });
  if (!fits) throw OutOfMemory();
  return out;
}

Relation Evaluator::tuples_pattern(const Clause& c, const Value& tuples, const Scope& scope) {
  Wanted w = wanted_of(c);
  Relation out(budget_, w.vars);
  if (!tuples.is_sequence() && !tuples.is(Kind::Set))
    throw QueryError(kMismatch, "a source is a database or a collection of tuples");
  size_t number = 0;
  for (const Value& tuple : tuples.items()) {
    budget_.poll_row(number++);
    if (!tuple.is_sequence())
      throw QueryError(kMismatch, "a source is a collection of tuples, and has " +
                                      edn::write(tuple).substr(0, 100));
    std::span<const Value> items = tuple.items();
    bool fits = items.size() >= c.terms.size();
    for (size_t i = 0; fits && i < c.terms.size(); ++i)
      if (c.terms[i].kind == Term::Constant) fits = items[i] == c.terms[i].value;
    for (const auto& [a, b] : w.equal) fits = fits && items[a] == items[b];
    if (!fits) continue;
    for (size_t i = 0; i < w.vars.size(); ++i) out.columns[i].push_back(items[w.positions[i]]);
    ++out.rows;
  }
  out.charge();
  std::optional<std::vector<uint32_t>> kept;
  for (size_t i = 0; i < w.vars.size(); ++i)
    keep_parts(scope.parts, w.vars[i], out.columns[i], out.rows, kept);
  return kept ? out.gather(*kept) : std::move(out);
}

// The value of an attribute of each entity; `missing` where it has none. One of several where the
// attribute has many, the least.
Column Evaluator::values_of(Source& source, const Column& entities, const Value& attribute,
                            const Value& missing) {
  std::unordered_map<Value, Value, edn::Hash> known;
  Column wanted;
  for (const Value& e : entities)
    if (known.try_emplace(e, missing).second) wanted.push_back(e);
  std::unordered_map<Value, bool, edn::Hash> found;
  Scan scan;
  scan.constants[kAttribute] = attribute;
  scan.wanted[kEntity] = scan.wanted[kValue] = true;
  if (wanted.size() <= kMostCandidates) scan.some_entities = &wanted;
  source.scan(scan, [&](Source::Columns& columns, size_t rows) {
    budget_.poll();
    for (size_t row = 0; row < rows; ++row) {
      auto entity = known.find(columns[kEntity][row]);
      if (entity == known.end()) continue;
      bool first = found.try_emplace(entity->first, true).second;
      if (first || columns[kValue][row] < entity->second) entity->second = columns[kValue][row];
    }
    for (Column& column : columns) column.clear();
  });
  Column values;
  values.reserve(entities.size());
  for (const Value& e : entities) values.push_back(known.at(e));
  return values;
}

}  // namespace datahike::datalog
