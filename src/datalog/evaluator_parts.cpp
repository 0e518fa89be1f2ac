// Answers of conjunctions that do not fit into memory at once: by parts, each of the rows in which
// the values of some variables have some bits in their hashes. Values that are equal have the same
// hash, so a row of the answer is in one part, and what a pattern finds for the others is left out
// as it is read. A part that does not fit either is parted again, by a variable of what did not.
// What is read again for each part is the price; only what has been found is written.
//
// What the parts have found is a RowSet, which need not fit either.
#include <algorithm>
#include <cmath>

#include "datalog/evaluator.h"
#include "datalog/rules.h"

namespace datahike::datalog {

namespace {

constexpr size_t kMostSplits = 10;   // of a part
constexpr size_t kMostParts = 1024;  // of an answer: as often it is evaluated at most

bool has_rules(const std::vector<Clause>& clauses) {
  return std::any_of(clauses.begin(), clauses.end(), [](const Clause& c) {
    return c.kind == Clause::Rule || std::any_of(c.branches.begin(), c.branches.end(), has_rules);
  });
}

// In how many patterns each variable is.
std::map<Var, size_t> pattern_vars(const std::vector<Clause>& clauses) {
  std::map<Var, size_t> counts;
  for (const Clause& c : clauses) {
    if (c.kind != Clause::Pattern) continue;
    std::set<Var> vars;
    for (const Term& t : c.terms)
      if (t.kind == Term::Variable) vars.insert(t.var);
    for (Var v : vars) ++counts[v];
  }
  return counts;
}

// Where the bits of the next split by the variable are: the uppermost ones, for joins take the
// lowest.
unsigned next_shift(const std::vector<Part>& parts, Var v) {
  return 62 - 2 * static_cast<unsigned>(std::count_if(parts.begin(), parts.end(),
                                                      [=](const Part& p) { return p.var == v; }));
}

}  // namespace

void Evaluator::blame(const Relation& rows, const Scope& scope) {
  constexpr size_t kLookedAt = 1000;
  if (rows.rows == 0) return;
  const size_t step = rows.rows / kLookedAt + 1;
  for (size_t i = 0; i < rows.vars.size(); ++i) {
    const unsigned shift = next_shift(scope.parts, rows.vars[i]);
    double counts[4] = {};
    for (size_t row = 0; row < rows.rows; row += step)
      ++counts[rows.columns[i].hash(row) >> shift & 3];
    const double all = counts[0] + counts[1] + counts[2] + counts[3];
    double& largest = largest_[rows.vars[i]];
    largest = std::max(largest, *std::max_element(counts, counts + 4) / all);
  }
}

Relation Evaluator::blamed(Relation rows, const Scope& scope) {
  blame(rows, scope);
  return Relation(budget_, rows.vars);
}

// Of what did not fit, a variable of many patterns, which all have less to find then; else the one
// that splits it best. nullopt: none splits it.
std::optional<Var> Evaluator::split_var(const Parted& parted,
                                        const std::vector<Part>& parts) const {
  constexpr double kEven = 0.5, kUseless = 0.95;
  std::optional<Var> best;
  std::pair<size_t, double> best_rank;
  bool any = false;
  for (const auto& [v, count] : parted.vars) {
    auto known = largest_.find(v);
    if (known == largest_.end()) continue;
    any = true;
    if (known->second > kUseless) continue;
    std::pair<size_t, double> rank(known->second <= kEven ? count : 0, -known->second);
    if (best && rank <= best_rank) continue;
    best = v;
    best_rank = rank;
  }
  if (any) return best;
  // It did not fit elsewhere: by what has been split least.
  unsigned most = 0;
  for (const auto& [v, count] : parted.vars)
    if (unsigned shift = next_shift(parts, v); !best || shift > most) {
      best = v;
      most = shift;
    }
  return best;
}

void Evaluator::in_parts(const Parted& parted, std::vector<Part>& parts, RowSet& all) {
  if (parts.size() >= kMostSplits) throw OutOfMemory();
  const std::optional<Var> v = split_var(parted, parts);
  if (!v) throw OutOfMemory();
  const unsigned shift = next_shift(parts, *v);
  for (unsigned which = 0; which < 4; ++which) {
    if (++evaluated_parts_ > kMostParts) throw OutOfMemory();
    parts.push_back({*v, shift, which});
    largest_.clear();
    std::optional<Relation> found;
    try {
      Scope scope;
      scope.parts = parts;
      found = distinct(
          steps(steps_of(parted.clauses, scope), parted.start.copy(), parted.wanted, scope));
    } catch (const OutOfMemory&) {
    }
    if (!found) {
      in_parts(parted, parts, all);
      parts.pop_back();
      continue;
    }
    all.add(*found);
    // What is hopeless is not written for hours first.
    ++found_parts_;
    found_share_ += std::pow(0.25, parts.size());
    if (all.is_in_files() && found_parts_ >= 8 && found_parts_ / found_share_ > 4 * kMostParts)
      throw OutOfMemory();
    parts.pop_back();
  }
}

RowSet Evaluator::answers(const std::vector<Clause>& clauses, Relation start,
                          const std::set<Var>& wanted, const std::vector<Var>& key) {
  std::map<Var, size_t> vars = pattern_vars(clauses);
  for (const Clause& c : clauses) {
    if (c.kind != Clause::Rule || !std::all_of(c.terms.begin(), c.terms.end(), [](const Term& t) {
          return t.kind != Term::Constant;
        }))
      continue;
    for (size_t i = 0; i < c.terms.size(); ++i)
      if (c.terms[i].kind == Term::Variable && keeps_argument(rules, c.name, i))
        vars.try_emplace(c.terms[i].var, 1);
  }
  // Rules that make values may be without end.
  const bool has_parts = !vars.empty() && (!has_rules(clauses) || make_no_values(rules));
  RowSet all(budget_, host_, {wanted.begin(), wanted.end()}, key);
  const size_t explained = explain ? explain->size() : 0;
  largest_.clear();
  try {
    all.add_all(conjunction(clauses, has_parts ? start.copy() : std::move(start), wanted));
    return all;
  } catch (const OutOfMemory&) {
    if (!has_parts) throw;
  }
  std::vector<std::string>* lines = std::exchange(explain, nullptr);
  Parted parted{clauses, std::move(start), wanted, std::move(vars)};
  std::vector<Part> parts;
  evaluated_parts_ = 0;
  found_parts_ = found_share_ = 0;
  in_parts(parted, parts, all);
  if (lines) {
    lines->resize(explained);
    lines->push_back("by parts, for all of it does not fit into memory");
    explain = lines;
  }
  return all;
}

void keep_parts(const std::vector<Part>& parts, Var v, const Column& column, size_t count,
                std::optional<std::vector<uint32_t>>& kept) {
  for (const Part& p : parts) {
    if (p.var != v) continue;
    std::vector<uint32_t> in;
    for (size_t i = 0; i < (kept ? kept->size() : count); ++i) {
      const uint32_t row = kept ? (*kept)[i] : static_cast<uint32_t>(i);
      if ((column.hash(row) >> p.shift & 3) == p.which) in.push_back(row);
    }
    kept = std::move(in);
  }
}

}  // namespace datahike::datalog
