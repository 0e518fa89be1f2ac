#include "datalog/evaluator.h"

namespace datahike::datalog {

constexpr int kMostNested = 500;  // conjunctions in one another: each takes from the stack

bool Readiness::rule_ready(const Clause& call, const std::set<Var>& bound) {
  auto rule = rules_.find(call.name);
  if (rule == rules_.end()) return true;  // the call raises the error
  uint64_t mask = 0;
  for (size_t i = 0; i < call.terms.size() && i < 64; ++i)
    if (call.terms[i].kind == Term::Constant ||
        (call.terms[i].kind == Term::Variable && bound.count(call.terms[i].var)))
      mask |= uint64_t{1} << i;
  auto [known, is_new] = known_.try_emplace({call.name, mask}, true);
  if (!is_new) return known->second;  // inside itself: decided by the other clauses
  bool ready = true;
  for (const RuleBranch& branch : rule->second) {
    std::set<Var> head;
    for (size_t i = 0; i < branch.head.size() && i < 64; ++i) {
      if (mask >> i & 1)
        head.insert(branch.head[i]);
      else if (i < branch.required.size())
        ready = false;
    }
    ready = ready && can_evaluate(branch.body, head);
    collect_bound_vars(branch.body, head);
    for (Var v : branch.head) ready = ready && head.count(v);
  }
  return known_[{call.name, mask}] = ready;
}

bool Readiness::is_ready(const Clause& c, const std::set<Var>& bound) {
  switch (c.kind) {
    case Clause::Pattern:
      return true;
    case Clause::Call:
      for (const Term& t : c.terms)
        if (t.kind == Term::Variable && !bound.count(t.var)) return false;
      return true;
    case Clause::Rule:
      return rule_ready(c, bound);
    case Clause::Or: {
      for (Var v : c.required)
        if (!bound.count(v)) return false;
      std::set<Var> shared;
      for (Var v : c.vars)
        if (bound.count(v)) shared.insert(v);
      for (const auto& branch : c.branches) {
        if (!can_evaluate(branch, shared)) return false;
        std::set<Var> all = shared;
        collect_bound_vars(branch, all);
        for (Var v : c.vars)
          if (!all.count(v)) return false;
      }
      return true;
    }
    case Clause::Not: {
      std::set<Var> shared;
      for (Var v : c.vars) {
        if (bound.count(v))
          shared.insert(v);
        else if (c.join)
          return false;
      }
      if (shared.empty() && !c.vars.empty()) return false;
      return can_evaluate(c.branches[0], shared);
    }
    case Clause::And:
      return can_evaluate(c.branches[0], bound);
  }
  return true;
}

bool Readiness::can_evaluate(const std::vector<Clause>& clauses, std::set<Var> bound) {
  if (depth_ >= kMostNested)
    throw QueryError("54001", "rules call one another in too long a chain");
  ++depth_;
  std::vector<const Clause*> rest;
  for (const Clause& c : clauses) rest.push_back(&c);
  for (bool progress = true; progress && !rest.empty();) {
    progress = false;
    for (size_t i = 0; i < rest.size();) {
      if (!is_ready(*rest[i], bound)) {
        ++i;
        continue;
      }
      collect_bound_vars(*rest[i], bound);
      rest.erase(rest.begin() + static_cast<ptrdiff_t>(i));
      progress = true;
    }
  }
  --depth_;
  return rest.empty();
}

}  // namespace datahike::datalog
