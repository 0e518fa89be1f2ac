// Rules, evaluated from what a call has bound ("magic sets") and semi-naively: each round looks
// only at derivations in which something is new since the round before. No recursion over the data:
// a chain of any length is rounds of one loop.
//
//   F. Bancilhon, D. Maier, Y. Sagiv, J. D. Ullman: Magic sets and other strange ways to implement
//     logic programs (1986)
//   J. F. Naughton, R. Ramakrishnan, Y. Sagiv, J. D. Ullman: Argument reduction by factoring
//   (1989),
//     for rules whose recursive call comes last and hands its result on (rule_rewriting.cpp): they
//     would otherwise compute the answers of every entity on the way.
#pragma once

#include <deque>

#include "datalog/evaluator.h"

namespace datahike::datalog {

// A rule with some arguments bound: the bound values that answers are wanted for, and the answers.
struct RuleTable {
  RuleTable(Budget& budget, std::string name, uint64_t mask, size_t arguments);
  std::string name;
  uint64_t mask;  // of the arguments that are bound
  size_t arguments;
  std::vector<size_t> bound;  // their positions
  Stored demand, answers;
  HashIndex demand_set, answer_set;  // of whole rows
  size_t demand_seen = 0, answers_seen = 0;

  struct Call {
    size_t step;  // in `steps`
    RuleTable* callee;
    std::vector<Var> names;
  };
  struct Branch {
    const RuleBranch* rule;
    std::vector<Step> steps;
    std::vector<Call> calls;
  };
  std::vector<Branch> branches;
  bool planned = false;
  void want(const Relation& rows, const std::vector<Var>& names);  // of the bound arguments
};

class RuleEngine {
 public:
  RuleEngine(Evaluator& evaluator, std::string source);
  // Answers of a call: columns `names`, one for each argument. `wanted` has rows of the arguments
  // that are bound.
  Relation solve(const std::string& name, uint64_t mask, const Relation& wanted,
                 const std::vector<Var>& names);
  // All of a pattern's rows, once it has been asked for often or for many rows; else nullptr.
  Stored* cached(const Step& pattern, const Relation& rows, std::vector<Var>* names);
  const std::string& source() const { return source_; }
  // Of a rule that is to be solved, the answers alone whose argument at that position is in a part.
  // REQUIRES: keeps_argument().
  void restrict(const std::string& name, size_t position, const Part& part);

 private:
  RuleTable& table(const std::string& name, uint64_t mask);
  void plan(RuleTable& table);
  void plan_branch(RuleTable& table, const RuleBranch& rule);
  void run_round();
  void run_branch(RuleTable& table, RuleTable::Branch& branch, size_t demand_from, size_t demand_to,
                  const std::map<RuleTable*, std::pair<size_t, size_t>>& fresh);
  void derive(RuleTable& table, RuleTable::Branch& branch, std::vector<Step> steps, Relation start);
  // The same from rows [from, to), some at a time where what comes of them does not fit.
  void derive_from(RuleTable& table, RuleTable::Branch& branch, const std::vector<Step>& steps,
                   const Relation& rows, size_t from, size_t to, const std::vector<Var>& names);

  Evaluator& evaluator_;
  std::string source_;
  Rules rules_;                                     // of the query, with what was derived from them
  std::map<std::string, std::vector<Part>> parts_;  // of rules; the variable is the position
  std::deque<RuleTable> tables_;
  std::map<std::pair<std::string, uint64_t>, RuleTable*> by_call_;
  struct Cached {
    std::unique_ptr<Stored> stored;
    int asked = 0;
  };
  std::map<std::string, Cached> cache_;
  struct KnownStep {
    std::vector<Var> vars;
    Cached* rows = nullptr;
  };
  KnownStep& known_step(const Step& step);
  std::map<std::pair<const Clause*, size_t>, KnownStep> known_steps_;  // `together`: how many
};

// QueryError 42P19: a rule depends on its own negation. 42601: a call with the wrong number of
// arguments; 42883: of a rule that is not there.
void check_rules(const Rules& rules, const std::vector<Clause>& clauses);
// Whether all that a rule derives from its own answers has the same value at that position: then
// answers can be computed for some of its values alone. True of no rule of mutual recursion.
bool keeps_argument(const Rules& rules, const std::string& name, size_t position);
// Whether rules make no values that no fact has: then they come to an end.
bool make_no_values(const Rules& rules);
// Disjunctions with calls of rules become rules of their own.
void lift_disjunctions(Rules& rules, Names& names);
// Adds rules that a rule with these arguments bound is to be replaced by, and returns the name of
// the first; "": it is evaluated as it is.
std::string rewrite_right_linear(Rules& rules, Names& names, const std::string& rule,
                                 uint64_t mask);

// A call's arguments by name: constants and blanks get names of their own, and so does what is
// there twice.
struct CallNames {
  std::vector<Var> names;
  std::vector<std::pair<Var, Value>> constants;
  std::vector<std::pair<Var, Var>> equal;
};
CallNames name_arguments(const std::vector<Term>& terms, Names& names);

}  // namespace datahike::datalog
