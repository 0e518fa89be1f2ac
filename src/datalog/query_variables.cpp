// The variables of a query: their names, and which clauses have and bind them.
#include "datalog/query.h"

namespace datahike::datalog {

bool is_variable(const Value& form) {
  return form.is(Kind::Symbol) && form.text().size() > 1 && form.text()[0] == '?';
}

Var Names::var(const std::string& name) {
  auto [found, added] = numbers_.try_emplace(name, static_cast<Var>(names_.size()));
  if (added) names_.push_back(name);
  return found->second;
}

Var Names::fresh(const std::string& prefix) {
  names_.push_back(prefix + " " + std::to_string(names_.size()));
  return static_cast<Var>(names_.size() - 1);
}

void collect_vars(const Binding& binding, std::set<Var>& vars) {
  if (binding.kind == Binding::Scalar) vars.insert(binding.var);
  for (const Binding& part : binding.parts) collect_vars(part, vars);
}

void collect_vars(const Clause& c, std::set<Var>& vars) {
  for (const Term& t : c.terms)
    if (t.kind == Term::Variable) vars.insert(t.var);
  collect_vars(c.binding, vars);
  if (c.kind == Clause::Not || c.kind == Clause::Or)
    vars.insert(c.vars.begin(), c.vars.end());
  else if (c.kind == Clause::And)
    for (const auto& branch : c.branches) collect_vars(branch, vars);
}

void collect_vars(const std::vector<Clause>& clauses, std::set<Var>& vars) {
  for (const Clause& c : clauses) collect_vars(c, vars);
}

void collect_bound_vars(const Clause& c, std::set<Var>& vars) {
  switch (c.kind) {
    case Clause::Pattern:
    case Clause::Rule:
      for (const Term& t : c.terms)
        if (t.kind == Term::Variable) vars.insert(t.var);
      break;
    case Clause::Call:
      collect_vars(c.binding, vars);
      break;
    case Clause::Not:
      break;
    case Clause::Or: {  // what each branch binds
      std::set<Var> all(c.vars.begin(), c.vars.end());
      for (const auto& branch : c.branches) {
        std::set<Var> bound;
        collect_bound_vars(branch, bound);
        std::erase_if(all, [&](Var v) { return !bound.count(v); });
      }
      vars.insert(all.begin(), all.end());
      break;
    }
    case Clause::And:
      collect_bound_vars(c.branches[0], vars);
      break;
  }
}

void collect_bound_vars(const std::vector<Clause>& clauses, std::set<Var>& vars) {
  for (const Clause& c : clauses) collect_bound_vars(c, vars);
}

}  // namespace datahike::datalog
