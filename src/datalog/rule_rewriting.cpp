// What is done with rules before they are evaluated.
#include <algorithm>

#include "datalog/rules.h"

namespace datahike::datalog {

namespace {

Clause make_call(const std::string& name, std::vector<Term> terms, std::optional<Var> result) {
  Clause c{};
  c.kind = Clause::Call;
  c.source = "$";
  c.name = name;
  c.terms = std::move(terms);
  c.is_predicate = !result;
  if (result) c.binding = {Binding::Scalar, *result, {}};
  c.form = Value::symbol(name);
  return c;
}

Term variable(Var v) { return {Term::Variable, v, {}, {}}; }

Clause make_rule_call(const std::string& name, const std::vector<Var>& arguments) {
  Clause c{};
  c.kind = Clause::Rule;
  c.source = "$";
  c.name = name;
  for (Var v : arguments) c.terms.push_back(variable(v));
  c.form = Value::symbol(name);
  return c;
}

bool calls_rules(const std::vector<Clause>& clauses) {
  for (const Clause& c : clauses) {
    if (c.kind == Clause::Rule) return true;
    for (const auto& branch : c.branches)
      if (calls_rules(branch)) return true;
  }
  return false;
}

// Every argument of a call in a rule's body becomes a variable of its own.
std::vector<Clause> normalised(std::vector<Clause> body, Names& names) {
  std::vector<Clause> out;
  for (Clause& c : body) {
    if (c.kind == Clause::Rule) {
      CallNames call = name_arguments(c.terms, names);
      for (const auto& [v, value] : call.constants)
        out.push_back(make_call("ground", {{Term::Constant, 0, value, {}}}, v));
      for (const auto& [a, b] : call.equal)
        out.push_back(make_call("=", {variable(a), variable(b)}, std::nullopt));
      for (size_t i = 0; i < c.terms.size(); ++i) c.terms[i] = variable(call.names[i]);
    }
    out.push_back(std::move(c));
  }
  return out;
}

void lift(std::vector<Clause>& body, Rules& rules, Names& names, const std::string& rule) {
  for (Clause& c : body) {
    if (c.kind != Clause::Or) continue;
    if (!std::any_of(c.branches.begin(), c.branches.end(), calls_rules)) continue;
    if (c.source != "$") continue;
    std::string name = rule + " or " + std::to_string(rules.size());
    std::vector<RuleBranch> lifted;
    for (auto& branch : c.branches) {
      lift(branch, rules, names, name);
      lifted.push_back({c.vars, c.required, normalised(std::move(branch), names)});
    }
    Value form = c.form;
    c = make_rule_call(name, c.vars);
    c.form = form;
    rules[name] = std::move(lifted);
  }
}

using Called = std::map<std::string, std::set<std::string>>;

void collect_calls(const std::vector<Clause>& clauses, bool negated, std::set<std::string>& plain,
                   std::set<std::string>& under_not) {
  for (const Clause& c : clauses) {
    if (c.kind == Clause::Rule) (negated ? under_not : plain).insert(c.name);
    for (const auto& branch : c.branches)
      collect_calls(branch, negated || c.kind == Clause::Not, plain, under_not);
  }
}

std::set<std::string> reachable(const Called& called, const std::string& from) {
  std::set<std::string> seen{from};
  std::vector<std::string> worklist{from};
  while (!worklist.empty()) {
    std::string name = std::move(worklist.back());
    worklist.pop_back();
    if (auto found = called.find(name); found != called.end())
      for (const std::string& next : found->second)
        if (seen.insert(next).second) worklist.push_back(next);
  }
  return seen;
}

void check_calls(const Rules& rules, const std::vector<Clause>& clauses) {
  for (const Clause& c : clauses) {
    if (c.kind == Clause::Rule) {
      auto rule = rules.find(c.name);
      if (rule == rules.end()) throw QueryError(kUndefined, "there is no rule " + c.name);
      if (rule->second[0].head.size() != c.terms.size())
        throw QueryError(kSyntax,
                         "rule " + c.name + " has " + std::to_string(rule->second[0].head.size()) +
                             " arguments, and is called with " + std::to_string(c.terms.size()));
      if (c.terms.size() > 60)
        throw QueryError("54000", "rule " + c.name + " has more than 60 arguments");
    }
    for (const auto& branch : c.branches) check_calls(rules, branch);
  }
}

Called calls_of(const Rules& rules) {
  Called called;
  for (const auto& [name, branches] : rules)
    for (const RuleBranch& branch : branches)
      collect_calls(branch.body, false, called[name], called[name]);
  return called;
}

// A branch whose last act is a call of a rule of the same recursion, which hands all its free
// arguments on.
struct Tail {
  const Clause* call = nullptr;  // nullptr: it calls none of them
  uint64_t mask = 0;
};

class RightLinear {
 public:
  RightLinear(const Rules& rules, const std::string& rule, uint64_t mask)
      : rules_(rules), called_(calls_of(rules)) {
    from_start_ = reachable(called_, rule);
    start_ = rule;
    applies_ = mask != 0 && add(rule, mask) && recursive_;
  }
  bool applies() const { return applies_; }
  struct State {
    std::string rule;
    uint64_t mask;
    std::vector<Tail> tails;  // of each branch
  };
  const std::vector<State>& states() const { return states_; }
  size_t index_of(const std::string& rule, uint64_t mask) const {
    for (size_t i = 0; i < states_.size(); ++i)
      if (states_[i].rule == rule && states_[i].mask == mask) return i;
    return states_.size();
  }

 private:
  bool is_recursive(const std::string& name) const {
    return from_start_.count(name) && reachable(called_, name).count(start_);
  }

  bool add(const std::string& rule, uint64_t mask) {
    if (index_of(rule, mask) < states_.size()) return true;
    if (states_.size() > 16) return false;
    states_.push_back({rule, mask, {}});
    size_t at = states_.size() - 1;
    std::vector<Tail> tails;
    for (const RuleBranch& branch : rules_.at(rule)) {
      Tail tail;
      if (!find_tail(branch, mask, tail)) return false;
      if (tail.call) {
        recursive_ = true;
        if (!add(tail.call->name, tail.mask)) return false;
      }
      tails.push_back(tail);
    }
    states_[at].tails = std::move(tails);
    return true;
  }

  // False: the branch is recursive in another way.
  bool find_tail(const RuleBranch& branch, uint64_t mask, Tail& tail) {
    if (!branch.required.empty()) return false;
    for (const Clause& c : branch.body) {
      std::set<std::string> plain, under_not;
      collect_calls({&c, &c + 1}, false, plain, under_not);
      for (const std::string& name : plain) {
        if (!is_recursive(name)) continue;
        if (c.kind != Clause::Rule || tail.call || c.source != "$") return false;
        tail.call = &c;
      }
      for (const std::string& name : under_not)
        if (is_recursive(name)) return false;
    }
    if (!tail.call) return true;
    std::vector<Var> free, handed_on;
    for (size_t i = 0; i < branch.head.size(); ++i)
      if (!(mask >> i & 1)) free.push_back(branch.head[i]);
    for (size_t i = 0; i < tail.call->terms.size(); ++i) {
      Var v = tail.call->terms[i].var;
      if (std::find(free.begin(), free.end(), v) != free.end())
        handed_on.push_back(v);
      else
        tail.mask |= uint64_t{1} << i;
    }
    if (handed_on != free || tail.mask == 0) return false;
    std::set<Var> bound, others;
    for (size_t i = 0; i < branch.head.size(); ++i)
      if (mask >> i & 1) bound.insert(branch.head[i]);
    std::vector<Clause> rest;
    for (const Clause& c : branch.body)
      if (&c != tail.call) {
        rest.push_back(c);
        collect_vars(c, others);
      }
    for (Var v : free)
      if (others.count(v)) return false;
    // The rest must bind what the call is given.
    if (!Readiness(rules_).can_evaluate(rest, bound)) return false;
    for (Var v : bound) others.insert(v);
    for (size_t i = 0; i < tail.call->terms.size(); ++i)
      if ((tail.mask >> i & 1) && !others.count(tail.call->terms[i].var)) return false;
    return true;
  }

  const Rules& rules_;
  Called called_;
  std::set<std::string> from_start_;
  std::string start_;
  std::vector<State> states_;
  bool recursive_ = false, applies_ = false;
};

}  // namespace

CallNames name_arguments(const std::vector<Term>& terms, Names& names) {
  CallNames call;
  for (const Term& t : terms) {
    bool twice = t.kind == Term::Variable &&
                 std::find(call.names.begin(), call.names.end(), t.var) != call.names.end();
    Var v = t.kind == Term::Variable && !twice ? t.var : names.fresh("argument");
    if (t.kind == Term::Constant) call.constants.emplace_back(v, t.value);
    if (twice) call.equal.emplace_back(t.var, v);
    call.names.push_back(v);
  }
  return call;
}

void check_rules(const Rules& rules, const std::vector<Clause>& clauses) {
  check_calls(rules, clauses);
  Called all = calls_of(rules);
  for (const auto& [name, branches] : rules) {
    for (const RuleBranch& branch : branches) {
      check_calls(rules, branch.body);
      std::set<std::string> plain, under_not;
      collect_calls(branch.body, false, plain, under_not);
      for (const std::string& negated : under_not)
        if (reachable(all, negated).count(name))
          throw QueryError("42P19", "rule " + name + " depends on its own negation");
    }
  }
}

void lift_disjunctions(Rules& rules, Names& names) {
  std::vector<std::string> written;
  for (const auto& [name, branches] : rules) written.push_back(name);
  for (const std::string& name : written)
    for (RuleBranch& branch : rules[name]) {
      std::vector<Clause> body = std::move(branch.body);
      lift(body, rules, names, name);
      branch.body = normalised(std::move(body), names);
    }
}

// For R called with arguments O bound: reach_S(O, D) says that the answers of S with D bound are
// answers of R with O bound.
//   reach_R(O, O)
//   reach_T(O, D') :- reach_S(O, D), what S's branch does before it calls T with D'
//   R(O, F)        :- reach_S(O, D), a branch of S without such a call
std::string rewrite_right_linear(Rules& rules, Names& names, const std::string& rule,
                                 uint64_t mask) {
  if (rule.find('\x01') != std::string::npos) return "";
  RightLinear found(rules, rule, mask);
  if (!found.applies()) return "";
  std::string prefix = rule + "\x01" + std::to_string(mask);
  if (rules.count(prefix)) return prefix;
  auto reach = [&](size_t state) { return prefix + "\x01" + std::to_string(state); };
  std::vector<Var> origin;
  for (size_t i = 0; i < static_cast<size_t>(__builtin_popcountll(mask)); ++i)
    origin.push_back(names.fresh("origin"));
  Rules added;
  RuleBranch first{origin, {}, {}};
  for (Var o : origin) {
    Var same = names.fresh("reached");
    first.head.push_back(same);
    first.body.push_back(make_call("identity", {variable(o)}, same));
  }
  added[reach(0)].push_back(first);
  for (size_t s = 0; s < found.states().size(); ++s) {
    const RightLinear::State& state = found.states()[s];
    const std::vector<RuleBranch>& branches = rules.at(state.rule);
    for (size_t b = 0; b < branches.size(); ++b) {
      std::vector<Var> arguments = origin, free;
      for (size_t i = 0; i < branches[b].head.size(); ++i)
        (state.mask >> i & 1 ? arguments : free).push_back(branches[b].head[i]);
      const Tail& tail = state.tails[b];
      RuleBranch derived{origin, {}, {make_rule_call(reach(s), arguments)}};
      for (const Clause& c : branches[b].body)
        if (&c != tail.call) derived.body.push_back(c);
      if (tail.call) {
        for (size_t i = 0; i < tail.call->terms.size(); ++i) {
          if (!(tail.mask >> i & 1)) continue;
          Var next = names.fresh("reached");
          derived.head.push_back(next);
          derived.body.push_back(make_call("identity", {tail.call->terms[i]}, next));
        }
        added[reach(found.index_of(tail.call->name, tail.mask))].push_back(std::move(derived));
        continue;
      }
      derived.head.clear();
      for (size_t i = 0, o = 0, f = 0; i < rules.at(rule)[0].head.size(); ++i)
        derived.head.push_back(mask >> i & 1 ? origin[o++] : free[f++]);
      added[prefix].push_back(std::move(derived));
    }
  }
  if (!added.count(prefix)) return "";  // it never comes to an answer: as it is
  for (auto& [name, branches] : added) rules[name] = std::move(branches);
  return prefix;
}

}  // namespace datahike::datalog
