// Evaluation of clauses on relations: each step joins, filters or extends the relation of all rows
// found so far with one clause. Which one is next is decided by what is bound and by estimates.
#pragma once

#include <map>
#include <set>

#include "datalog/query.h"
#include "datalog/row_set.h"
#include "datalog/source.h"

namespace datahike::datalog {

// An argument of a function for all rows: a column, or the same value for each.
struct Argument {
  const Column* column = nullptr;
  Value constant;
  Value at(size_t row) const { return column ? (*column)[row] : constant; }
};

// What the evaluator's surroundings provide.
class Host : public FileMaker {
 public:
  // Calls a function that is not of the fixed list, once for each row. nullopt: there is none.
  virtual std::optional<Column> call(const std::string& name,
                                     const std::vector<Argument>& arguments, size_t rows) = 0;
};

// A database value, or a collection of tuples.
struct AnySource {
  std::shared_ptr<Source> facts;
  Value tuples;
};

// A relation that grows, and its indexes. Its variables are 0, 1, ...; whoever joins names them.
struct Stored {
  Stored(Budget& budget, size_t columns);
  Relation relation;
  std::map<std::vector<size_t>, HashIndex> indexes;
};
// REQUIRES: the names differ from one another.
Relation join_stored(const Relation& left, Stored& right, const std::vector<Var>& names);

// A quarter of the rows, by two bits of the hash of a variable's values.
struct Part {
  Var var;
  unsigned shift, which;
};
// Those of the rows `kept` (nullopt: all) whose values of `v` are in the parts.
void keep_parts(const std::vector<Part>& parts, Var v, const Column& column, size_t count,
                std::optional<std::vector<uint32_t>>& kept);

class RuleEngine;
struct RuleTable;

// What is left to be done in a conjunction.
struct Step {
  const Clause* clause = nullptr;
  std::vector<const Clause*> together;  // patterns of the same rows, `clause` the first of them
  RuleTable* table = nullptr;           // of a rule's call inside rules
  std::set<Var> must_be_bound;          // before a rule's call
  Stored* stored = nullptr;             // a relation, without a clause
  std::vector<Var> names;               // of its columns
};

class Evaluator {
 public:
  Evaluator(Names& names, Budget& budget, Host& host)
      : names_(names), budget_(budget), host_(host) {}

  std::map<std::string, AnySource> sources;
  Rules rules;

  // Rows of `wanted`, not necessarily distinct.
  Relation conjunction(const std::vector<Clause>& clauses, Relation start,
                       const std::set<Var>& wanted);
  // The distinct rows of `wanted`, by parts where what they are joined from does not fit into
  // memory at once. `key`: RowSet. OutOfMemory: by parts neither.
  RowSet answers(const std::vector<Clause>& clauses, Relation start, const std::set<Var>& wanted,
                 const std::vector<Var>& key);
  // Rows that a binding makes of a value.
  Relation bind(const Binding& binding, const Value& value);

  Names& names() { return names_; }
  Budget& budget() { return budget_; }
  FileMaker& files() { return host_; }
  std::vector<std::string>* explain = nullptr;  // a line for each step, where asked for

 private:
  friend class RuleEngine;
  struct Scope {  // of the rule whose body is evaluated
    std::string source = "$";
    RuleEngine* engine = nullptr;
    std::vector<Part> parts = {};  // that all patterns are restricted to
  };
  static Scope within(const Scope& scope, const std::vector<Var>& bound);
  class Nesting {  // QueryError 54001 too deep
   public:
    explicit Nesting(int& depth);
    Nesting(const Nesting&) = delete;
    ~Nesting() { --depth_; }

   private:
    int& depth_;
  };
  Relation steps(std::vector<Step> remaining, Relation start, const std::set<Var>& wanted,
                 Scope scope);
  Relation step(const Step& step, Relation rows, const std::vector<Step>& rest, const Scope& scope);
  bool is_ready(const Step& step, const Relation& rows, const std::vector<Step>& remaining);
  double estimate(const Clause& pattern, Source& source);
  double cost(const Step& step, const Relation& rows, const std::vector<Step>& remaining,
              const Scope& scope);
  // A join with what a step has found, by the equalities that are still to be tested, too.
  Relation combine(const Relation& rows, Relation found, const std::vector<Step>& rest,
                   const Scope& scope);
  // Rows that nothing connects are tested while they are multiplied.
  Relation multiply(const Relation& rows, const Relation& found,
                    const std::vector<const Clause*>& predicates, const Scope& scope);

  struct Parted {
    const std::vector<Clause>& clauses;
    Relation start;
    const std::set<Var>& wanted;
    std::map<Var, size_t> vars;  // that it may be split by: in how many patterns they are
  };
  void in_parts(const Parted& parted, std::vector<Part>& parts, RowSet& all);
  std::optional<Var> split_var(const Parted& parted, const std::vector<Part>& parts) const;
  // Notes what did not fit, and how evenly its variables would split it.
  void blame(const Relation& rows, const Scope& scope);
  Relation blamed(Relation rows, const Scope& scope);  // the same, without its rows
  size_t evaluated_parts_ = 0;
  double found_parts_ = 0, found_share_ = 0;  // those that fit, and how much of all they are
  std::map<Var, double> largest_;  // share of a quarter, of each variable of what did not fit

  Relation pattern(const Clause& clause, const Relation& rows, const std::vector<Step>& rest,
                   const Scope& scope);
  // Adds a clause to what is to be done: to the step whose rows it reads, too, where there is one.
  void add_step(const Clause& clause, std::vector<Step>& steps, const Scope& scope);
  std::vector<Step> steps_of(const std::vector<Clause>& clauses, const Scope& scope);
  Relation row_pattern(const Step& step, const Relation& rows, const std::vector<Step>& rest,
                       const Scope& scope);
  Relation tuples_pattern(const Clause& clause, const Value& tuples, const Scope& scope);
  Relation call(const Clause& clause, Relation rows, const Scope& scope);
  std::optional<Column> call_with_source(const Clause& clause, const Relation& rows,
                                         const Scope& scope);
  Relation negation(const Clause& clause, Relation rows, const Scope& scope);
  Relation disjunction(const Clause& clause, const Relation& rows, const Scope& scope);
  Relation rule_call(const Clause& clause, const Relation& rows, const Scope& scope);
  Column values_of(Source& source, const Column& entities, const Value& attribute,
                   const Value& missing);
  void prepare_scan(const Clause& clause, Source& source, Scan& scan);

  const AnySource& source(const std::string& name, const Scope& scope) const;
  Source& facts(const std::string& name, const Scope& scope) const;
  std::vector<Argument> arguments(const Clause& clause, const Relation& rows) const;

  // By where they are: whatever else comes to be there, the order alone depends on it.
  std::map<std::pair<const Clause*, const Source*>, double> estimates_;
  Names& names_;
  Budget& budget_;
  Host& host_;
  int depth_ = 0;    // of nested queries
  int nesting_ = 0;  // of evaluations in one another: each takes from the stack
};

// Static readiness: what must be bound before a clause can be evaluated, and whether a conjunction
// can be evaluated at all from some bound variables. QueryError 54001: rules call one another in
// too long a chain.
class Readiness {
 public:
  explicit Readiness(const Rules& rules) : rules_(rules) {}
  bool is_ready(const Clause& clause, const std::set<Var>& bound);
  bool can_evaluate(const std::vector<Clause>& clauses, std::set<Var> bound);

 private:
  bool rule_ready(const Clause& call, const std::set<Var>& bound);
  const Rules& rules_;
  std::map<std::pair<std::string, uint64_t>, bool> known_;
  int depth_ = 0;  // of conjunctions in one another
};

// Rows bound by what a function returned for each of them: nil drops a row, a bound variable
// filters.
Relation bind_results(Relation rows, const Column& results, const Binding& binding);

std::string describe(const Relation& rows, const Names& names);

}  // namespace datahike::datalog
