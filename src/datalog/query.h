// Queries as an algebra, and their parser.
//
//   query    = map of the keywords below, or a vector in which each is followed by its clauses
//   :find    = find-element+ | [find-element ...] | [find-element+] | find-element .
//              find-element: ?var | (aggregate constant* ?var) | (pull $source? ?var pattern)
//   :keys :strs :syms   names of a relation's or tuple's elements, for maps
//   :with    = ?var+
//   :in      = ($source | % | pattern-name | binding)+
//   :where   = clause+
//   :order-by, :limit, :offset
//   clause   = [$source? term{1,5}] | [(function arg*) binding?] | (rule-name term+)
//            | (not clause+) | (not-join [?var+] clause+) | (or branch+) | (or-join [[?req*]?
//            ?var+]
//              branch+) | (and clause+)      each of them may begin with ($source ...)
//   binding  = ?var | _ | [?var ...] | [binding+] | [[binding+]]
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "datalog/relation.h"

namespace datahike::datalog {

struct Term {
  enum Kind { Blank, Variable, Constant, Source } kind = Blank;
  Var var = 0;
  Value value;         // Constant
  std::string source;  // Source: its name, "$" or "$name"
};

struct Binding {
  enum Kind { Blank, Scalar, Collection, Tuple, Relation } kind = Blank;
  Var var = 0;                 // Scalar
  std::vector<Binding> parts;  // Collection: one; Tuple, Relation: of each element
};

struct Query;

struct Clause {
  enum Kind { Pattern, Call, Rule, Not, Or, And } kind;
  std::string source;         // Pattern, Rule, Not, Or: "$" by default
  std::vector<Term> terms;    // Pattern, Rule, Call: arguments
  std::string name;           // Call, Rule
  Binding binding;            // Call
  bool is_predicate = false;  // Call without a binding
  bool join = false;          // not-join, or-join: `vars` are what it shares with the rest
  std::vector<Var> vars, required;
  std::vector<std::vector<Clause>> branches;  // Not, And: one; Or: each
  Value form;                                 // as it was written
};

struct FindElement {
  enum Kind { Variable, Aggregate, Pull } kind = Variable;
  Var var = 0;
  std::string name;              // Aggregate
  std::vector<Value> arguments;  // constants before the variable
  std::string source = "$";      // Pull
  Value pattern;                 // Pull; a symbol names an input
};

struct OrderBy {
  size_t element;  // of the find elements
  bool descending = false;
};

struct Input {
  enum Kind { Source, Rules, Pattern, Bound } kind;
  std::string name;  // Source, Pattern
  Binding binding;   // Bound
};

struct Query {
  enum Shape { Relation, Collection, Tuple, Scalar } shape = Relation;
  std::vector<FindElement> find;
  std::vector<std::string> keys;  // return map; empty: none
  Kind key_kind = Kind::Keyword;
  Value key(size_t i) const {
    return key_kind == Kind::Keyword  ? Value::keyword(keys[i])
           : key_kind == Kind::Symbol ? Value::symbol(keys[i])
                                      : Value::string(keys[i]);
  }
  std::vector<Var> with;
  std::vector<Input> inputs;
  std::vector<Clause> where;
  std::vector<OrderBy> order_by;
  std::optional<uint64_t> limit;
  uint64_t offset = 0;
};

struct RuleBranch {
  std::vector<Var> head, required;
  std::vector<Clause> body;
};
using Rules = std::map<std::string, std::vector<RuleBranch>>;

// Names of variables, by number.
class Names {
 public:
  Var var(const std::string& name);
  Var fresh(const std::string& prefix);  // of a name that no query can write
  const std::string& operator[](Var v) const { return names_[v]; }

 private:
  std::vector<std::string> names_;
  std::map<std::string, Var> numbers_;
};

// QueryError 42601 for what is malformed, 42P10 for variables that nothing binds.
Query parse_query(const Value& form, Names& names);
Rules parse_rules(const Value& form, Names& names);

void collect_vars(const Clause& clause, std::set<Var>& vars);  // all that others may share
void collect_vars(const std::vector<Clause>& clauses, std::set<Var>& vars);
void collect_vars(const Binding& binding, std::set<Var>& vars);
// The variables that a clause has given values by its end: what it is only given, and what is only
// inside not, stays out.
void collect_bound_vars(const Clause& clause, std::set<Var>& vars);
void collect_bound_vars(const std::vector<Clause>& clauses, std::set<Var>& vars);
bool is_variable(const Value& form);  // a symbol that begins with ?

}  // namespace datahike::datalog
