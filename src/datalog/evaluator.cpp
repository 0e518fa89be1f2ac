#include "datalog/evaluator.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "datalog/functions.h"
#include "datalog/rules.h"

namespace datahike::datalog {

namespace {

std::set<Var> bound_vars(const Relation& rows) { return {rows.vars.begin(), rows.vars.end()}; }

std::string short_form(const Value& form) {
  std::string text = edn::write(form);
  return text.size() > 200 ? text.substr(0, 200) + "..." : text;
}

std::string forms_of(const Step& step) {
  if (step.together.empty()) return short_form(step.clause->form);
  std::string text;
  for (const Clause* c : step.together) text += (text.empty() ? "" : " ") + short_form(c->form);
  return text;
}

constexpr int kMostNested = 500;  // evaluations of clauses in one another, by rules too

void vars_of(const Step& step, std::set<Var>& vars) {
  if (step.clause) collect_vars(*step.clause, vars);
  for (const Clause* c : step.together) collect_vars(*c, vars);
  vars.insert(step.names.begin(), step.names.end());
}

// The variables of [(= ?a ?b)].
std::optional<std::pair<Var, Var>> equality_of(const Step& step) {
  const Clause* c = step.clause;
  if (!c || c->kind != Clause::Call || !c->is_predicate || c->name != "=" || c->terms.size() != 2)
    return std::nullopt;
  if (c->terms[0].kind != Term::Variable || c->terms[1].kind != Term::Variable) return std::nullopt;
  return std::pair(c->terms[0].var, c->terms[1].var);
}

// The predicates that are to be tested next once both relations are joined, in that order: one may
// guard another. A function that is as ready comes before those behind it.
std::vector<const Clause*> predicates_of(const std::vector<Step>& rest, const Relation& a,
                                         const Relation& b) {
  std::vector<const Clause*> found;
  for (const Step& s : rest) {
    if (!s.clause || s.clause->kind != Clause::Call) continue;
    bool ready = std::all_of(s.clause->terms.begin(), s.clause->terms.end(), [&](const Term& t) {
      return t.kind != Term::Variable || a.has(t.var) || b.has(t.var);
    });
    if (!ready) continue;
    if (!s.clause->is_predicate) break;
    found.push_back(s.clause);
  }
  return found;
}

constexpr size_t kMultipliedAtOnce = size_t{1} << 18;

bool binds(const Step& step, Var v) {
  if (step.stored) return std::find(step.names.begin(), step.names.end(), v) != step.names.end();
  std::set<Var> vars(step.names.begin(), step.names.end());
  collect_bound_vars(*step.clause, vars);
  for (const Clause* c : step.together) collect_bound_vars(*c, vars);
  return vars.count(v) > 0;
}

// Leaves out columns that nothing needs any more, and the rows that thereby become alike where
// something remains to be joined.
Relation prune(Relation rows, const std::vector<Step>& remaining, const std::set<Var>& wanted) {
  const auto is_wanted = [&](Var v) { return wanted.count(v) > 0; };
  if (std::all_of(rows.vars.begin(), rows.vars.end(), is_wanted)) return rows;
  std::set<Var> needed = wanted;
  for (const Step& s : remaining) vars_of(s, needed);
  std::vector<Var> kept;
  for (Var v : rows.vars)
    if (needed.count(v)) kept.push_back(v);
  if (kept.size() == rows.vars.size()) return rows;
  const bool any = rows.rows > 0;
  Relation pruned = std::move(rows).take(kept);
  if (kept.empty()) pruned.rows = any ? 1 : 0;
  return remaining.empty() || kept.empty() ? std::move(pruned) : distinct(std::move(pruned));
}

}  // namespace

Stored::Stored(Budget& budget, size_t columns) : relation(budget) {
  for (size_t i = 0; i < columns; ++i) relation.add_column(static_cast<Var>(i), {});
}

Relation join_stored(const Relation& left, Stored& right, const std::vector<Var>& names) {
  std::vector<size_t> left_columns, right_columns;
  for (size_t i = 0; i < names.size(); ++i)
    if (int l = left.column_of(names[i]); l >= 0) {
      left_columns.push_back(static_cast<size_t>(l));
      right_columns.push_back(i);
    }
  Matches m;
  if (right_columns.empty()) {
    Relation other(left.budget(), names);
    other.columns = right.relation.columns;
    other.rows = right.relation.rows;
    other.charge();
    return join(left, other);
  }
  auto index = right.indexes.try_emplace(right_columns, right_columns, left.budget()).first;
  index->second.extend(right.relation);
  m = match(left, left_columns, right.relation, index->second, left.budget());
  Relation out = left.gather(m.left);
  for (size_t i = 0; i < names.size(); ++i) {
    if (out.has(names[i])) continue;
    out.add_column(names[i], right.relation.columns[i].gather(m.right));
  }
  return out;
}

const AnySource& Evaluator::source(const std::string& name, const Scope& scope) const {
  auto found = sources.find(name == "$" ? scope.source : name);
  if (found == sources.end())
    throw QueryError(kSyntax, "the query has no source " + name + " in :in");
  return found->second;
}

Source& Evaluator::facts(const std::string& name, const Scope& scope) const {
  const AnySource& any = source(name, scope);
  if (!any.facts)
    throw QueryError(kMismatch, "source " + name + " is a collection, where a database is needed");
  return *any.facts;
}

Relation Evaluator::conjunction(const std::vector<Clause>& clauses, Relation start,
                                const std::set<Var>& wanted) {
  return steps(steps_of(clauses, Scope()), std::move(start), wanted, Scope());
}

bool Evaluator::is_ready(const Step& step, const Relation& rows,
                         const std::vector<Step>& remaining) {
  if (step.stored) return true;
  for (Var v : step.must_be_bound)
    if (!rows.has(v)) return false;
  if (step.table) return true;
  if (step.clause->kind == Clause::Not)
    for (Var v : step.clause->vars)
      if (!rows.has(v))
        for (const Step& other : remaining)
          if (&other != &step && binds(other, v)) return false;
  return Readiness(rules).is_ready(*step.clause, bound_vars(rows));
}

// Rules ask for the same again in each round.
double Evaluator::estimate(const Clause& pattern, Source& source) {
  auto [known, is_new] = estimates_.try_emplace({&pattern, &source});
  if (is_new) {
    known->second = std::numeric_limits<double>::infinity();  // should the source refuse it
    Scan scan;
    prepare_scan(pattern, source, scan);
    known->second = source.estimate(scan);
  }
  return known->second;
}

double Evaluator::cost(const Step& step, const Relation& rows, const std::vector<Step>& remaining,
                       const Scope& scope) {
  double size = 1000;
  bool connected = rows.vars.empty(), by_entity = false;
  if (step.stored) {
    size = static_cast<double>(step.stored->relation.rows);
    for (Var v : step.names) connected = connected || rows.has(v);
  } else {
    const Clause& c = *step.clause;
    if (c.kind == Clause::Call) return -2;
    if (c.kind == Clause::Not) return -1;
    std::set<Var> vars;
    vars_of(step, vars);
    for (Var v : vars) connected = connected || rows.has(v);
    for (const Step& other : remaining)
      if (auto pair = equality_of(other); pair && c.kind == Clause::Pattern)
        connected = connected || (rows.has(pair->first) && vars.count(pair->second)) ||
                    (rows.has(pair->second) && vars.count(pair->first));
    if (c.kind == Clause::Pattern) {
      const AnySource& any = source(c.source, scope);
      if (any.facts) {
        size = estimate(c, *any.facts);
        for (const Clause* other : step.together)
          size = std::min(size, estimate(*other, *any.facts));
        by_entity = c.terms[0].kind == Term::Variable && rows.has(c.terms[0].var);
      } else {
        size = static_cast<double>(any.tuples.items().size());
      }
    } else {
      // Rules and disjunctions: as late as patterns that are joined allow.
      size = connected && !rows.vars.empty() ? static_cast<double>(rows.rows) * 8 + 1000 : 1e6;
    }
  }
  double have = static_cast<double>(rows.rows);
  if (!connected) return size * std::max(have, 1.0) + 1;
  return by_entity ? std::min(size, have) : size;
}

Relation Evaluator::steps(std::vector<Step> remaining, Relation start, const std::set<Var>& wanted,
                          Scope scope) {
  Relation rows = std::move(start);
  while (!remaining.empty()) {
    budget_.poll();
    if (rows.rows == 0) {
      Relation none(budget_, {wanted.begin(), wanted.end()});
      return none;
    }
    size_t best = remaining.size();
    double least = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < remaining.size(); ++i) {
      if (!is_ready(remaining[i], rows, remaining)) continue;
      double c = remaining.size() == 1 ? 0 : cost(remaining[i], rows, remaining, scope);
      if (best == remaining.size() || c < least) {
        best = i;
        least = c;
      }
    }
    if (best == remaining.size()) {
      const Step* stuck = &remaining[0];
      throw QueryError(kUnbound, "variables of " +
                                     (stuck->clause ? short_form(stuck->clause->form) : "a rule") +
                                     " are bound by no other clause");
    }
    Step next = std::move(remaining[best]);
    remaining.erase(remaining.begin() + static_cast<ptrdiff_t>(best));
    rows = prune(step(next, std::move(rows), remaining, scope), remaining, wanted);
  }
  return rows;
}

Relation Evaluator::step(const Step& s, Relation rows, const std::vector<Step>& rest,
                         const Scope& scope) {
  if (s.stored && !s.clause) return join_stored(rows, *s.stored, s.names);
  const Clause& c = *s.clause;
  std::string before = explain && !scope.engine ? describe(rows, names_) : "";
  Relation out(budget_);
  if (s.table) {
    std::vector<Var> bound;
    for (size_t i : s.table->bound) bound.push_back(s.names[i]);
    s.table->want(rows, bound);
    return join_stored(rows, s.table->answers, s.names);
  }
  switch (c.kind) {
    case Clause::Pattern: {
      std::vector<Var> names;
      if (Stored* known = scope.engine ? scope.engine->cached(s, rows, &names) : nullptr)
        return join_stored(rows, *known, names);
      out = combine(
          rows,
          s.together.empty() ? pattern(c, rows, rest, scope) : row_pattern(s, rows, rest, scope),
          rest, scope);
      break;
    }
    case Clause::Call:
      out = call(c, std::move(rows), scope);
      break;
    case Clause::Not:
      out = negation(c, std::move(rows), scope);
      break;
    case Clause::Or:
      out = disjunction(c, rows, scope);
      break;
    case Clause::Rule:
      out = rule_call(c, rows, scope);
      break;
    case Clause::And: {
      Nesting nesting(nesting_);
      std::set<Var> all = bound_vars(rows);
      collect_vars(c.branches[0], all);
      out = steps(steps_of(c.branches[0], scope), std::move(rows), all, scope);
      break;
    }
  }
  if (explain && !scope.engine)
    explain->push_back(forms_of(s) + "  " + before + " -> " + describe(out, names_));
  return out;
}

Relation Evaluator::combine(const Relation& rows, Relation found, const std::vector<Step>& rest,
                            const Scope& scope) {
  if (rows.vars.empty() && rows.rows == 1) return found;
  for (const Step& s : rest) {
    auto pair = equality_of(s);
    if (!pair) continue;
    auto [a, b] = *pair;
    if (!rows.has(a)) std::swap(a, b);
    if (rows.has(a) && !rows.has(b) && found.has(b) && !found.has(a))
      found.add_column(a, found.of(b));
  }
  try {
    return multiply(rows, found, predicates_of(rest, rows, found), scope);
  } catch (const OutOfMemory&) {
    blame(rows, scope);
    blame(found, scope);
    throw;
  }
}

Relation Evaluator::multiply(const Relation& rows, const Relation& found,
                             const std::vector<const Clause*>& predicates, const Scope& scope) {
  bool connected =
      std::any_of(found.vars.begin(), found.vars.end(), [&](Var v) { return rows.has(v); });
  if (connected || predicates.empty() || found.rows == 0 ||
      rows.rows <= kMultipliedAtOnce / found.rows)
    return join(rows, found);
  size_t at_once = std::max<size_t>(1, kMultipliedAtOnce / found.rows);
  Relation out(budget_);
  for (size_t from = 0; from < rows.rows; from += at_once) {
    std::vector<uint32_t> which(std::min(at_once, rows.rows - from));
    std::iota(which.begin(), which.end(), static_cast<uint32_t>(from));
    Relation some = join(rows.gather(which), found);
    for (const Clause* c : predicates) some = call(*c, std::move(some), scope);
    if (from == 0) {
      out = std::move(some);
      continue;
    }
    for (size_t i = 0; i < out.columns.size(); ++i)
      out.columns[i].append(std::move(some.columns[i]));
    out.rows += some.rows;
    out.charge();
  }
  return out;
}

Evaluator::Nesting::Nesting(int& depth) : depth_(depth) {
  if (depth_ >= kMostNested) throw QueryError("54001", "clauses and rules nest too deep");
  ++depth_;
}

// What a clause sees of the parts: of variables that come bound all values are in them.
Evaluator::Scope Evaluator::within(const Scope& scope, const std::vector<Var>& bound) {
  Scope inner = scope;
  std::erase_if(inner.parts, [&](const Part& p) {
    return std::find(bound.begin(), bound.end(), p.var) == bound.end();
  });
  return inner;
}

Relation Evaluator::negation(const Clause& c, Relation rows, const Scope& scope) {
  Nesting nesting(nesting_);
  std::vector<Var> shared;
  for (Var v : c.vars)
    if (rows.has(v)) shared.push_back(v);
  Relation start = shared.empty() ? Relation::unit(budget_) : distinct(rows.project(shared));
  const Scope inner = within(scope, shared);
  Relation found = steps(steps_of(c.branches[0], inner), std::move(start),
                         {shared.begin(), shared.end()}, inner);
  if (shared.empty()) return found.rows ? Relation(budget_, rows.vars) : std::move(rows);
  return semi_join(rows, found, true);
}

Relation Evaluator::disjunction(const Clause& c, const Relation& rows, const Scope& scope) {
  Nesting nesting(nesting_);
  std::vector<Var> shared;
  for (Var v : c.vars)
    if (rows.has(v)) shared.push_back(v);
  Relation start = shared.empty() ? Relation::unit(budget_) : distinct(rows.project(shared));
  Relation found(budget_, c.vars);
  HashIndex index(all_columns(c.vars.size()), budget_);
  const Scope inner = within(scope, shared);
  for (const auto& branch : c.branches) {
    Relation some =
        steps(steps_of(branch, inner), start.copy(), {c.vars.begin(), c.vars.end()}, inner);
    add_distinct(found, index, some);
  }
  // Nothing new is bound: each row is there once or not at all.
  if (shared.size() == c.vars.size() && !shared.empty()) return semi_join(rows, found, false);
  return join(rows, found);
}

Relation Evaluator::rule_call(const Clause& c, const Relation& rows, const Scope& scope) {
  Nesting nesting(nesting_);
  CallNames call = name_arguments(c.terms, names_);
  Relation with = rows.copy();
  for (const auto& [v, value] : call.constants) with.add_column(v, Column(with.rows, value));
  uint64_t mask = 0;
  std::vector<Var> bound;
  for (size_t i = 0; i < call.names.size(); ++i)
    if (with.has(call.names[i])) {
      mask |= uint64_t{1} << i;
      bound.push_back(call.names[i]);
    }
  Relation wanted = bound.empty() ? Relation::unit(budget_) : distinct(with.project(bound));
  RuleEngine engine(*this, c.source == "$" ? scope.source : c.source);
  for (const Part& part : scope.parts)
    for (size_t i = 0; i < call.names.size(); ++i)
      // Where something is bound, what is wanted is in parts already, or the same for all of them.
      if (mask == 0 && call.names[i] == part.var && keeps_argument(rules, c.name, i))
        engine.restrict(c.name, i, part);
  Relation answers = engine.solve(c.name, mask, wanted, call.names);
  for (const auto& [a, b] : call.equal) {
    const Column &x = answers.of(a), &y = answers.of(b);
    std::vector<uint32_t> kept;
    for (size_t row = 0; row < answers.rows; ++row)
      if (x[row] == y[row]) kept.push_back(static_cast<uint32_t>(row));
    answers = answers.gather(kept);
  }
  return join(with, answers);
}

std::string describe(const Relation& rows, const Names& names) {
  std::string text = std::to_string(rows.rows) + (rows.rows == 1 ? " row of (" : " rows of (");
  for (size_t i = 0; i < rows.vars.size(); ++i) text += (i ? " " : "") + names[rows.vars[i]];
  return text + ")";
}

}  // namespace datahike::datalog
