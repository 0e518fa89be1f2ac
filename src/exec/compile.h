// From PostgreSQL's expressions to programs of the vector engine (vector/program.h), as far as that
// gives exactly what PostgreSQL's executor would; what does not compile stays PostgreSQL's.
//
// Functions return -1, or false, for what does not compile. They see constants in place of
// parameters: bind_parameters() puts the values in, or any value while it is only asked whether a
// query compiles.
#pragma once

#include "am/relation.h"
#include "pg/pg.h"
#include "column/vector/program.h"

extern "C" {
#include "nodes/pathnodes.h"
#include "nodes/primnodes.h"
}

namespace datahike::exec {

// What an aggregate's result is made of: accumulators by number, -1 = none.
struct Output {
  enum Form : uint8_t {
    Count,       // rows, less nulls
    SumInteger,  // sum as int8
    SumNumeric,
    AverageNumeric,
    Real,  // sum, or an extreme, as float8
    Single,
    AverageReal,  // sum / count, or of moments
    Word,         // an extreme of an integer type
    VariancePop,
    VarianceSample,
    DeviationPop,
    DeviationSample,
    Correlation,
    CovariancePop,
    CovarianceSample,
    RegressionSxx,
    RegressionSyy,
    RegressionSxy,
    RegressionAvgX,
    RegressionAvgY,
    RegressionR2,
    RegressionSlope,
    RegressionIntercept,
    Distinct,
    DistinctInteger,  // sum of different integers, as int8
    TextExtreme,
    DecimalSum,
    DecimalAverage,
    DecimalWord,  // an extreme
    QuotientSum,  // shown with as many digits as the quotient with the most
    QuotientAverage,
    PercentileCont,
    PercentileDisc,
    Mode,
  };
  Form form = Count;
  int rows = -1, nulls = -1, sum = -1;
  int present = -1;  // whether there is a value, where rows and nulls do not count them
  int squares = -1;  // of variances of integers and decimals
  int scale = 0;     // of decimals
  // TextExtreme: by which collation it is to be found among all strings, if not by their bytes.
  Oid collation = InvalidOid;
  bool greatest = false;
  // Of percentiles and modes: whether the values are floats, and ordered downwards.
  bool real = false, descending = false;
  bool null_fraction = false;
  double fraction = 0;
};

// A column of a build side, which may be a join itself, as one number.
inline int build_code(const Var* var) {
  constexpr int kColumns = 4096;  // of one relation, at most
  return static_cast<int>(var->varno) * kColumns + var->varattno;
}

// Digits behind the point of numerics that are computed with; columns have fewer.
inline constexpr int kMostScale = 64;

class Compiler {
 public:
  // Of the relation's columns, which the expressions have as Vars of `table`; all other Vars are of
  // a join's build side, if `build` is not 0.
  Compiler(Relation relation, Index table, Index build = 0);
  bool filter(Node* clause);
  bool key(Node* expression);
  bool aggregate(Aggref* aggregate);
  // The rows of each group whose number is at most `most`, by these expressions; directions as in
  // FirstRowsPlan.
  bool first_rows(List* order, List* directions, int ranking, int most);
  // A condition of the join: a value of the table equal to a column of the build side.
  bool join_key(Node* clause);

  // Only to know whether a query compiles: models are not looked at.
  bool planning = false;

  vector::Program program;
  std::vector<Output> outputs;  // of the aggregates
  // Of the program's columns: indexes into the description; -1 for the build side's.
  std::vector<int> attributes;
  // Of the build side's columns: build_code() of them.
  std::vector<int> build_attributes;
  std::vector<vector::Type> build_types;
  // Of a numeric that is compared with one of the table: that one's digits behind the point; else
  // -1.
  std::vector<int> build_scales;

 private:
  using Expression = vector::Expression;
  int add(const Expression& expression);
  int expression(Node* node);
  int constant(Const* value);
  int call(Oid function, List* arguments);
  int anomaly(FuncExpr* call);                    // compile_anomaly.cpp
  int time_field(Node* node, uint64_t cast = 0);  // compile_time.cpp
  int time_call(Oid function, List* arguments);
  bool compare_times(Node* value, int strategy, Node* constant);
  int column(Node* node);  // of a Var, of any type that can be read
  int build_column(const Var* var, int scale = -1);
  int text_column(Node* node, bool equality);
  // compile_decimals.cpp
  int decimal_column(Node* node);
  int decimal_constant(Const* value);
  int decimal_call(Oid function, List* arguments);
  int rescaled(int value, int scale);
  bool sum_of_product(Node* argument, Output& output);
  bool sum_of_quotient(Node* argument, Output& output);  // compile_quotients.cpp
  bool compare_decimal(OpExpr* clause);
  bool compare_padded(OpExpr* clause);
  void int_range(int expression, int strategy, int64_t value);
  // With a value of which `floor` is the largest integer below it, or if `exact` itself.
  void rounded_range(int expression, int strategy, int64_t floor, bool exact);
  bool any_of(List* alternatives);
  bool take_condition(Expr* condition, int* number);
  int accumulator(vector::Sum sum, int argument = -1, int second = -1, int text = -1);
  bool output_of(Aggref* aggregate, Output& output);
  bool count(Aggref* aggregate, Output& output);
  bool text_extreme(Aggref* aggregate, Output& output);
  bool distinct_sum(Aggref* aggregate, Output& output);
  bool simple(Aggref* aggregate, Output& output);  // of one number
  bool pairs(Aggref* aggregate, Output::Form form, Output& output);
  bool ordered_set(Aggref* aggregate, Output& output);  // compile_percentiles.cpp
  bool variance(int value, Output& output);
  int presence(int column);
  void count_values(int argument, Output& output);
  bool compare(OpExpr* clause);
  bool compare_text(OpExpr* clause);
  bool like(OpExpr* clause);
  bool one_of(ScalarArrayOpExpr* clause);
  bool null_test(NullTest* test);
  bool range(int expression, int strategy, Const* value);
  void add_range(vector::Filter filter);

  Relation relation_;
  Index table_, build_;
  vector::Condition* filters_ = &program.filters;  // where conditions go
  int condition_ = -1;                             // of accumulators that are made now
};

// The btree strategy of a comparison operator of integers, floats or dates of one type, or among
// the integer types; kNotEqual for <>, 0 for any other operator.
inline constexpr int kNotEqual = 100;
int comparison_strategy(Oid op);
// Of '<' and '>' of these and of numerics; 0 for others.
int sort_strategy(Oid op);
// Of the same with its sides exchanged.
int commuted(int strategy);
// The digits behind the point of numerics that are read as integers; -1 for other types.
int decimal_scale(Oid type, int32_t typmod);

// The `location` of a constant that stands for a value not known yet.
inline constexpr int kPlaceholder = -77;

// The columns of a custom scan that returns these expressions: its custom_scan_tlist.
List* scan_tlist(List* expressions);

// The parameters in the expressions, in the order in which bind_parameters() meets them.
List* parameters_of(Node* expressions);
// A copy with constants in place of the parameters: of `values` (Const nodes), or with NIL any.
Node* bind_parameters(Node* expressions, List* values);

}  // namespace datahike::exec
