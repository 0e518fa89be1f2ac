#include "datalog/rules.h"

#include <algorithm>

namespace datahike::datalog {

namespace {

constexpr size_t kMostTables = 2000;  // of rules by bound arguments, in one call
constexpr int kLookups = 8;           // by a few values, before a pattern is read as a whole

size_t count_bits(uint64_t mask) { return static_cast<size_t>(__builtin_popcountll(mask)); }

// Rows [from, to) under other names.
Relation slice(const Relation& relation, size_t from, size_t to, const std::vector<Var>& names) {
  Relation out(relation.budget());
  out.rows = to - from;
  for (size_t i = 0; i < names.size(); ++i) {
    Column column;
    column.append(relation.columns[i], from, to);
    out.add_column(names[i], std::move(column));
  }
  return out;
}

}  // namespace

RuleTable::RuleTable(Budget& budget, std::string name, uint64_t mask, size_t arguments)
    : name(std::move(name)),
      mask(mask),
      arguments(arguments),
      demand(budget, count_bits(mask)),
      answers(budget, arguments),
      demand_set(all_columns(count_bits(mask)), budget),
      answer_set(all_columns(arguments), budget) {
  for (size_t i = 0; i < arguments; ++i)
    if (mask >> i & 1) bound.push_back(i);
}

void RuleTable::want(const Relation& rows, const std::vector<Var>& names) {
  Relation values(rows.budget());
  values.rows = rows.rows;
  for (size_t i = 0; i < names.size(); ++i)
    values.add_column(static_cast<Var>(i), rows.of(names[i]));
  add_distinct(demand.relation, demand_set, values);
}

RuleEngine::RuleEngine(Evaluator& evaluator, std::string source)
    : evaluator_(evaluator), source_(std::move(source)), rules_(evaluator.rules) {}

RuleTable& RuleEngine::table(const std::string& name, uint64_t mask) {
  RuleTable*& known = by_call_[{name, mask}];
  if (known) return *known;
  auto rule = rules_.find(name);
  if (rule == rules_.end()) throw QueryError(kUndefined, "there is no rule " + name);
  if (tables_.size() >= kMostTables)
    throw QueryError("54000", "the rules call one another in too many ways");
  tables_.emplace_back(evaluator_.budget(), name, mask, rule->second[0].head.size());
  known = &tables_.back();
  return *known;
}

void RuleEngine::plan(RuleTable& t) {
  t.planned = true;
  // What a rule is rewritten to has relations without the argument that is restricted.
  std::string instead =
      parts_.count(t.name) ? "" : rewrite_right_linear(rules_, evaluator_.names(), t.name, t.mask);
  for (const RuleBranch& branch : rules_.at(instead.empty() ? t.name : instead))
    plan_branch(t, branch);
}

// The order decides which arguments of the calls are bound. What a branch is evaluated in later may
// be another one: only that those are bound then is kept.
void RuleEngine::plan_branch(RuleTable& t, const RuleBranch& rule) {
  Readiness readiness(rules_);
  std::set<Var> bound;
  for (size_t i : t.bound) bound.insert(rule.head[i]);
  for (size_t i = 0; i < rule.required.size(); ++i)
    if (!(t.mask >> i & 1))
      throw QueryError(kUnbound, "rule " + t.name + " requires that " +
                                     evaluator_.names()[rule.head[i]] + " is bound");
  std::vector<const Clause*> rest;
  for (const Clause& c : rule.body) rest.push_back(&c);
  RuleTable::Branch branch{&rule, {}, {}};
  while (!rest.empty()) {
    size_t best = rest.size();
    int best_rank = 100;
    for (size_t i = 0; i < rest.size(); ++i) {
      const Clause& c = *rest[i];
      if (c.kind == Clause::Not) {
        bool waits = false;
        for (const Clause* other : rest) {
          std::set<Var> vars;
          if (other != &c) collect_bound_vars(*other, vars);
          for (Var v : c.vars) waits = waits || (!bound.count(v) && vars.count(v));
        }
        if (waits) continue;
      }
      if (!readiness.is_ready(c, bound)) continue;
      std::set<Var> vars;
      collect_vars(c, vars);
      bool connected = std::any_of(vars.begin(), vars.end(), [&](Var v) { return bound.count(v); });
      int rank = c.kind == Clause::Call   ? 0
                 : c.kind == Clause::Not  ? 1
                 : c.kind == Clause::Rule ? 5
                                          : 3;
      if (!connected && rank > 1) rank += bound.empty() ? 0 : 3;
      if (rank < best_rank) {
        best = i;
        best_rank = rank;
      }
    }
    if (best == rest.size())
      throw QueryError(kUnbound, "variables of " + edn::write(rest[0]->form).substr(0, 200) +
                                     " in rule " + t.name + " are bound by no other clause");
    const Clause& c = *rest[best];
    rest.erase(rest.begin() + static_cast<ptrdiff_t>(best));
    // A call on another source is a question of its own.
    if (c.kind != Clause::Rule || (c.source != "$" && c.source != source_)) {
      evaluator_.add_step(c, branch.steps, {source_, this});
      collect_bound_vars(c, bound);
      continue;
    }
    Step step;
    step.clause = &c;
    {
      uint64_t mask = 0;
      for (size_t i = 0; i < c.terms.size(); ++i) {
        step.names.push_back(c.terms[i].var);
        if (!bound.count(c.terms[i].var)) continue;
        mask |= uint64_t{1} << i;
        step.must_be_bound.insert(c.terms[i].var);
      }
      step.table = &table(c.name, mask);
      branch.calls.push_back({branch.steps.size(), step.table, step.names});
    }
    branch.steps.push_back(std::move(step));
    collect_vars(c, bound);
  }
  for (Var v : rule.head)
    if (!bound.count(v))
      throw QueryError(kUnbound, "variable " + evaluator_.names()[v] + " of rule " + t.name +
                                     " is bound by nothing");
  t.branches.push_back(std::move(branch));
}

void RuleEngine::derive(RuleTable& t, RuleTable::Branch& branch, std::vector<Step> steps,
                        Relation start) {
  const std::vector<Var>& head = branch.rule->head;
  Relation found = evaluator_.steps(std::move(steps), std::move(start), {head.begin(), head.end()},
                                    {source_, this});
  Relation answers(evaluator_.budget());
  answers.rows = found.rows;
  for (size_t i = 0; i < head.size(); ++i)
    answers.add_column(static_cast<Var>(i), found.of(head[i]));
  if (auto parts = parts_.find(t.name); parts != parts_.end()) {
    std::optional<std::vector<uint32_t>> kept;
    for (size_t i = 0; i < head.size(); ++i)
      keep_parts(parts->second, static_cast<Var>(i), answers.columns[i], answers.rows, kept);
    if (kept) answers = answers.gather(*kept);
  }
  add_distinct(t.answers.relation, t.answer_set, answers);
}

void RuleEngine::derive_from(RuleTable& t, RuleTable::Branch& branch,
                             const std::vector<Step>& steps, const Relation& rows, size_t from,
                             size_t to, const std::vector<Var>& names) {
  try {
    return derive(t, branch, steps, slice(rows, from, to, names));
  } catch (const OutOfMemory&) {
    if (to - from < 2) throw;
  }
  // What has been derived already is derived again, which adds nothing.
  const size_t middle = from + (to - from) / 2;
  derive_from(t, branch, steps, rows, from, middle, names);
  derive_from(t, branch, steps, rows, middle, to, names);
}

void RuleEngine::restrict(const std::string& name, size_t position, const Part& part) {
  parts_[name].push_back({static_cast<Var>(position), part.shift, part.which});
}

void RuleEngine::run_branch(RuleTable& t, RuleTable::Branch& branch, size_t demand_from,
                            size_t demand_to,
                            const std::map<RuleTable*, std::pair<size_t, size_t>>& fresh) {
  std::vector<Var> bound_head;
  for (size_t i : t.bound) bound_head.push_back(branch.rule->head[i]);
  // What is newly wanted, with all answers so far.
  if (demand_to > demand_from && t.bound.empty())
    derive(t, branch, branch.steps, Relation::unit(evaluator_.budget()));
  else if (demand_to > demand_from)
    derive_from(t, branch, branch.steps, t.demand.relation, demand_from, demand_to, bound_head);
  // New answers of each call, with all that is wanted.
  for (const RuleTable::Call& call : branch.calls) {
    auto [from, to] = fresh.at(call.callee);
    if (from == to) continue;
    std::vector<Step> steps = branch.steps;
    if (t.bound.empty()) {
      steps.erase(steps.begin() + static_cast<ptrdiff_t>(call.step));
    } else {
      Step demand;
      demand.stored = &t.demand;
      demand.names = bound_head;
      steps[call.step] = std::move(demand);
    }
    derive_from(t, branch, steps, call.callee->answers.relation, from, to, call.names);
  }
}

void RuleEngine::run_round() {
  struct Range {
    RuleTable* table;
    size_t from, to;
  };
  for (size_t i = 0; i < tables_.size(); ++i)
    if (!tables_[i].planned) plan(tables_[i]);
  std::vector<Range> demands;
  std::map<RuleTable*, std::pair<size_t, size_t>> fresh;
  for (RuleTable& t : tables_) {
    demands.push_back({&t, t.demand_seen, t.demand.relation.rows});
    fresh[&t] = {t.answers_seen, t.answers.relation.rows};
    t.demand_seen = t.demand.relation.rows;
    t.answers_seen = t.answers.relation.rows;
  }
  for (const Range& d : demands)
    for (RuleTable::Branch& branch : d.table->branches)
      run_branch(*d.table, branch, d.from, d.to, fresh);
}

Relation RuleEngine::solve(const std::string& name, uint64_t mask, const Relation& wanted,
                           const std::vector<Var>& names) {
  RuleTable& t = table(name, mask);
  if (names.size() != t.arguments)
    throw QueryError(kSyntax, "rule " + name + " has " + std::to_string(t.arguments) +
                                  " arguments, and is called with " + std::to_string(names.size()));
  std::vector<Var> bound;
  for (size_t i : t.bound) bound.push_back(names[i]);
  t.want(wanted, bound);
  auto is_done = [&] {
    return std::all_of(tables_.begin(), tables_.end(), [](const RuleTable& table) {
      return table.planned && table.demand_seen == table.demand.relation.rows &&
             table.answers_seen == table.answers.relation.rows;
    });
  };
  while (!is_done()) {
    evaluator_.budget().poll();
    run_round();
  }
  return slice(t.answers.relation, 0, t.answers.relation.rows, names);
}

namespace {

void collect_calls(const std::vector<Clause>& clauses, std::vector<const Clause*>& calls) {
  for (const Clause& c : clauses) {
    if (c.kind == Clause::Rule) calls.push_back(&c);
    for (const auto& branch : c.branches) collect_calls(branch, calls);
  }
}

bool reaches(const Rules& rules, const std::string& from, const std::string& to,
             std::set<std::string>& seen) {
  if (!seen.insert(from).second) return false;
  auto rule = rules.find(from);
  if (rule == rules.end()) return false;
  for (const RuleBranch& branch : rule->second) {
    std::vector<const Clause*> calls;
    collect_calls(branch.body, calls);
    for (const Clause* c : calls)
      if (c->name == to || reaches(rules, c->name, to, seen)) return true;
  }
  return false;
}

bool makes_values(const std::vector<Clause>& clauses) {
  return std::any_of(clauses.begin(), clauses.end(), [](const Clause& c) {
    return (c.kind == Clause::Call && !c.is_predicate) ||
           std::any_of(c.branches.begin(), c.branches.end(), makes_values);
  });
}

}  // namespace

bool keeps_argument(const Rules& rules, const std::string& name, size_t position) {
  auto rule = rules.find(name);
  if (rule == rules.end()) return false;
  for (const RuleBranch& branch : rule->second) {
    std::vector<const Clause*> calls;
    collect_calls(branch.body, calls);
    for (const Clause* c : calls) {
      std::set<std::string> seen;
      if (c->name != name) {
        if (reaches(rules, c->name, name, seen)) return false;
        continue;
      }
      if (position >= c->terms.size() || position >= branch.head.size()) return false;
      const Term& t = c->terms[position];
      if (t.kind != Term::Variable || t.var != branch.head[position]) return false;
    }
  }
  return true;
}

bool make_no_values(const Rules& rules) {
  return std::none_of(rules.begin(), rules.end(), [](const auto& rule) {
    return std::any_of(rule.second.begin(), rule.second.end(),
                       [](const RuleBranch& branch) { return makes_values(branch.body); });
  });
}

// Steps of the same text have the same rows.
RuleEngine::KnownStep& RuleEngine::known_step(const Step& step) {
  auto [at, is_new] = known_steps_.try_emplace({step.clause, step.together.size()});
  KnownStep& known = at->second;
  if (!is_new) return known;
  std::vector<const Clause*> clauses = step.together;
  if (clauses.empty()) clauses.push_back(step.clause);
  std::set<Var> distinct_vars;
  std::string key = step.clause->source;
  for (const Clause* c : clauses) {
    key += " " + edn::write(c->form);
    for (const Term& t : c->terms)
      if (t.kind == Term::Variable && distinct_vars.insert(t.var).second)
        known.vars.push_back(t.var);
  }
  known.rows = &cache_[key];
  return known;
}

Stored* RuleEngine::cached(const Step& step, const Relation& rows, std::vector<Var>* names) {
  const KnownStep& step_known = known_step(step);
  const std::vector<Var>& vars = step_known.vars;
  if (vars.empty()) return nullptr;
  Cached& known = *step_known.rows;
  bool few =
      rows.rows <= 64 && std::any_of(vars.begin(), vars.end(), [&](Var v) { return rows.has(v); });
  if (!known.stored && few && known.asked++ < kLookups) return nullptr;
  if (!known.stored) {
    Relation unit = Relation::unit(evaluator_.budget());
    Relation all = step.together.empty()
                       ? evaluator_.pattern(*step.clause, unit, {}, {source_, nullptr})
                       : evaluator_.row_pattern(step, unit, {}, {source_, nullptr});
    // Not known before it is whole: derive_from() goes on after an OutOfMemory.
    auto stored = std::make_unique<Stored>(evaluator_.budget(), 0);
    stored->relation = all.project(vars);
    known.stored = std::move(stored);
  }
  *names = vars;
  return known.stored.get();
}

}  // namespace datahike::datalog
