// Aggregates: what is accumulated, and what their results are made of.
#include <algorithm>
#include <optional>

#include "column/vector/distinct.h"
#include "exec/compile_types.h"

extern "C" {
#include "catalog/pg_aggregate.h"
#include "nodes/nodeFuncs.h"
}

namespace datahike::exec {

using vector::Op;
using vector::Sum;
using vector::Type;

int Compiler::accumulator(Sum sum, int argument, int second, int text) {
  vector::Accumulator a{sum, argument, second, text, condition_};
  auto& all = program.accumulators;
  for (size_t i = 0; i < all.size(); ++i)
    if (all[i] == a) return static_cast<int>(i);
  all.push_back(a);
  return static_cast<int>(all.size() - 1);
}

void Compiler::count_values(int argument, Output& output) {
  output.rows = accumulator(Sum::Rows);
  output.nulls = accumulator(Sum::Nulls, argument);
}

int Compiler::presence(int column) {
  if (column < 0) return -1;
  vector::Expression e;
  e.op = Op::Presence;
  e.argument = column;
  return add(e);
}

namespace {

Node* argument(const Aggref* aggregate) {
  return reinterpret_cast<Node*>(static_cast<TargetEntry*>(linitial(aggregate->args))->expr);
}

}  // namespace

// count(x), of any type.
bool Compiler::count(Aggref* aggregate, Output& output) {
  Node* counted = argument(aggregate);
  int value = expression(counted);
  if (value >= 0 && program.expressions[value].type == Type::Wide) return false;
  if (aggregate->aggdistinct != NIL) {
    int text = value < 0 ? text_column(counted, true) : -1;
    if (value < 0 && text < 0) return false;
    bool real = value >= 0 && program.expressions[value].type == Type::Float;
    output.form = Output::Distinct;
    output.sum = accumulator(Sum::Distinct, value, real, text);
    return true;
  }
  if (value < 0) value = presence(column(counted));
  if (value < 0) return false;
  count_values(value, output);
  return true;
}

namespace {

struct Simple {
  Output::Form form;
  Sum sum;
};

// Aggregates of one number. Variances are of floats; of others see variance().
bool describe_aggregate(Oid function, Simple* out) {
  switch (function) {
    case F_SUM_INT2:
    case F_SUM_INT4:
      return *out = {Output::SumInteger, Sum::Int64}, true;
    case F_SUM_INT8:
      return *out = {Output::SumNumeric, Sum::Int128}, true;
    case F_AVG_INT2:
    case F_AVG_INT4:
      return *out = {Output::AverageNumeric, Sum::Int64}, true;
    case F_AVG_INT8:
      return *out = {Output::AverageNumeric, Sum::Int128}, true;
    case F_SUM_FLOAT8:
      return *out = {Output::Real, Sum::Float}, true;
    case F_SUM_FLOAT4:
      return *out = {Output::Single, Sum::Float32}, true;
    case F_AVG_FLOAT8:
    case F_AVG_FLOAT4:
      return *out = {Output::AverageReal, Sum::Bounded}, true;
    case F_MIN_INT2:
    case F_MIN_INT4:
    case F_MIN_INT8:
    case F_MIN_DATE:
    case F_MIN_TIMESTAMP:
    case F_MIN_TIMESTAMPTZ:
      return *out = {Output::Word, Sum::Min}, true;
    case F_MAX_INT2:
    case F_MAX_INT4:
    case F_MAX_INT8:
    case F_MAX_DATE:
    case F_MAX_TIMESTAMP:
    case F_MAX_TIMESTAMPTZ:
      return *out = {Output::Word, Sum::Max}, true;
    case F_SUM_NUMERIC:
      return *out = {Output::DecimalSum, Sum::Decimal}, true;
    case F_AVG_NUMERIC:
      return *out = {Output::DecimalAverage, Sum::Decimal}, true;
    case F_MIN_NUMERIC:
      return *out = {Output::DecimalWord, Sum::Min}, true;
    case F_MAX_NUMERIC:
      return *out = {Output::DecimalWord, Sum::Max}, true;
    case F_MIN_FLOAT8:
      return *out = {Output::Real, Sum::MinFloat}, true;
    case F_MAX_FLOAT8:
      return *out = {Output::Real, Sum::MaxFloat}, true;
    case F_MIN_FLOAT4:
      return *out = {Output::Single, Sum::MinFloat}, true;
    case F_MAX_FLOAT4:
      return *out = {Output::Single, Sum::MaxFloat}, true;
    case F_VAR_POP_FLOAT8:
    case F_VAR_POP_FLOAT4:
    case F_VAR_POP_INT2:
    case F_VAR_POP_INT4:
    case F_VAR_POP_INT8:
    case F_VAR_POP_NUMERIC:
      return *out = {Output::VariancePop, Sum::Moments}, true;
    case F_VAR_SAMP_FLOAT8:
    case F_VAR_SAMP_FLOAT4:
    case F_VAR_SAMP_INT2:
    case F_VAR_SAMP_INT4:
    case F_VAR_SAMP_INT8:
    case F_VAR_SAMP_NUMERIC:
    case F_VARIANCE_FLOAT8:
    case F_VARIANCE_FLOAT4:
    case F_VARIANCE_INT2:
    case F_VARIANCE_INT4:
    case F_VARIANCE_INT8:
    case F_VARIANCE_NUMERIC:
      return *out = {Output::VarianceSample, Sum::Moments}, true;
    case F_STDDEV_POP_FLOAT8:
    case F_STDDEV_POP_FLOAT4:
    case F_STDDEV_POP_INT2:
    case F_STDDEV_POP_INT4:
    case F_STDDEV_POP_INT8:
    case F_STDDEV_POP_NUMERIC:
      return *out = {Output::DeviationPop, Sum::Moments}, true;
    case F_STDDEV_SAMP_FLOAT8:
    case F_STDDEV_SAMP_FLOAT4:
    case F_STDDEV_SAMP_INT2:
    case F_STDDEV_SAMP_INT4:
    case F_STDDEV_SAMP_INT8:
    case F_STDDEV_SAMP_NUMERIC:
    case F_STDDEV_FLOAT8:
    case F_STDDEV_FLOAT4:
    case F_STDDEV_INT2:
    case F_STDDEV_INT4:
    case F_STDDEV_INT8:
    case F_STDDEV_NUMERIC:
      return *out = {Output::DeviationSample, Sum::Moments}, true;
    default:
      return false;
  }
}

// Of pairs of numbers, y and x.
std::optional<Output::Form> form_of_pairs(Oid function) {
  switch (function) {
    case F_CORR:
      return Output::Correlation;
    case F_COVAR_POP:
      return Output::CovariancePop;
    case F_COVAR_SAMP:
      return Output::CovarianceSample;
    case F_REGR_SXX:
      return Output::RegressionSxx;
    case F_REGR_SYY:
      return Output::RegressionSyy;
    case F_REGR_SXY:
      return Output::RegressionSxy;
    case F_REGR_AVGX:
      return Output::RegressionAvgX;
    case F_REGR_AVGY:
      return Output::RegressionAvgY;
    case F_REGR_R2:
      return Output::RegressionR2;
    case F_REGR_SLOPE:
      return Output::RegressionSlope;
    case F_REGR_INTERCEPT:
      return Output::RegressionIntercept;
    default:
      return std::nullopt;
  }
}

}  // namespace

// Of integers and numerics, from exact sums.
bool Compiler::variance(int value, Output& output) {
  if (program.expressions[value].type != Type::Int) return false;
  output.scale = std::max(0, program.expressions[value].scale);
  output.sum = accumulator(Sum::Decimal, value);
  output.squares = accumulator(Sum::DecimalProduct, value, value);
  return true;
}

// By their bytes, where the collation is that; else among all different strings of the group.
bool Compiler::text_extreme(Aggref* a, Output& output) {
  const Oid collation = a->inputcollid;
  if (!is_deterministic(collation)) return false;
  const int text = text_column(argument(a), true);
  if (text < 0 || program.columns[text].build >= 0) return false;
  const bool bytewise = pg::call([=] { return lc_collate_is_c(collation); });
  output.form = Output::TextExtreme;
  output.greatest = a->aggfnoid == F_MAX_TEXT;
  output.collation = bytewise ? InvalidOid : collation;
  output.sum = bytewise ? accumulator(output.greatest ? Sum::MaxText : Sum::MinText, -1, -1, text)
                        : accumulator(Sum::Distinct, -1, 0, text);
  output.present = accumulator(Sum::Present, presence(text));
  return true;
}

// sum and avg of different integers and numerics. Of equal ones min and max need no two.
bool Compiler::distinct_sum(Aggref* a, Output& output) {
  Simple known;
  if (!describe_aggregate(a->aggfnoid, &known)) return false;
  const int value = expression(argument(a));
  if (value < 0 || program.expressions[value].type != Type::Int) return false;
  const int scale = program.expressions[value].scale;
  output.scale = std::max(0, scale);
  switch (known.form) {
    case Output::SumInteger:
      output.form = Output::DistinctInteger;
      break;
    case Output::SumNumeric:
    case Output::DecimalSum:
      output.form = Output::DecimalSum;
      break;
    case Output::AverageNumeric:
    case Output::DecimalAverage:
      output.form = Output::DecimalAverage;
      break;
    case Output::Word:
    case Output::DecimalWord:
      output.form = known.form;
      output.sum = accumulator(known.sum, value);
      output.present = accumulator(Sum::Present, value);
      return true;
    default:
      return false;
  }
  output.sum = accumulator(Sum::DistinctSum, value, scale < 0 ? 0 : vector::kOfDecimals);
  return true;
}

bool Compiler::simple(Aggref* a, Output& output) {
  Simple known;
  if (!describe_aggregate(a->aggfnoid, &known)) return false;
  output.form = known.form;
  const int value = expression(argument(a));
  const bool sums = known.form == Output::DecimalSum || known.form == Output::DecimalAverage;
  if (value < 0)
    return sums && (sum_of_product(argument(a), output) || sum_of_quotient(argument(a), output));
  const Type type = program.expressions[value].type;
  if (known.sum == Sum::Moments && type != Type::Float) return variance(value, output);
  if (type == Type::Wide && !sums) return false;
  output.scale = program.expressions[value].scale;
  if ((sums || known.form == Output::DecimalWord) && output.scale < 0) return false;
  output.sum = accumulator(known.sum, value);
  if (known.form == Output::AverageNumeric || known.form == Output::AverageReal ||
      known.form == Output::DecimalAverage)
    count_values(value, output);
  else if (known.sum != Sum::Moments)
    output.present = accumulator(Sum::Present, value);
  return true;
}

bool Compiler::pairs(Aggref* a, Output::Form form, Output& output) {
  auto* other = reinterpret_cast<Node*>(static_cast<TargetEntry*>(lsecond(a->args))->expr);
  const int y = expression(argument(a)), x = expression(other);
  if (y < 0 || x < 0) return false;
  output.form = form;
  output.sum = accumulator(Sum::CoMoments, y, x);
  return true;
}

bool Compiler::output_of(Aggref* a, Output& output) {
  if (a->aggfnoid == F_COUNT_) {
    output.rows = accumulator(Sum::Rows);
    return true;
  }
  if (a->args == NIL) return false;
  if (a->aggfnoid == F_COUNT_ANY) return count(a, output);
  if (a->aggfnoid == F_MIN_TEXT || a->aggfnoid == F_MAX_TEXT) return text_extreme(a, output);
  if (a->aggdistinct != NIL) return distinct_sum(a, output);
  if (const auto form = form_of_pairs(a->aggfnoid)) return pairs(a, *form, output);
  return simple(a, output);
}

bool Compiler::aggregate(Aggref* a) {
  const bool ordered = a->aggkind == AGGKIND_ORDERED_SET;
  if ((a->aggkind != AGGKIND_NORMAL && !ordered) || a->aggsplit != AGGSPLIT_SIMPLE ||
      a->agglevelsup != 0 || a->aggvariadic || (a->aggorder != NIL && !ordered) ||
      !take_condition(a->aggfilter, &condition_))
    return false;
  Output output;
  if (ordered ? !ordered_set(a, output) : !output_of(a, output)) return false;
  outputs.push_back(output);
  return true;
}

bool Compiler::first_rows(List* order, List* directions, int ranking, int most) {
  if (list_length(order) > static_cast<int>(vector::kMostOrder)) return false;
  ListCell *cell, *direction;
  forboth(cell, order, direction, directions) {
    int value = expression(static_cast<Node*>(lfirst(cell)));
    if (value < 0 || program.expressions[value].type == Type::Wide) return false;
    int flags = lfirst_int(direction);
    program.order.push_back({value, (flags & 1) != 0, (flags & 2) != 0});
  }
  program.first = static_cast<uint32_t>(most);
  accumulator(Sum::First, -1, ranking);
  return true;
}

namespace {

bool collect_parameters(Node* node, void* context) {
  if (!node) return false;
  if (IsA(node, Param)) {
    List** found = static_cast<List**>(context);
    *found = lappend(*found, node);
    return false;
  }
  // PostgreSQL 15 declares walkers without parameters.
  return expression_tree_walker(
      node, reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(collect_parameters)), context);
}

struct Binding {
  List* values;
  int next;
};

Node* bind(Node* node, void* context) {
  if (!node) return nullptr;
  if (IsA(node, Param)) {
    auto* binding = static_cast<Binding*>(context);
    if (binding->values)
      return static_cast<Node*>(copyObjectImpl(list_nth(binding->values, binding->next++)));
    auto* param = reinterpret_cast<Param*>(node);
    int16 length;
    bool by_value;
    get_typlenbyval(param->paramtype, &length, &by_value);
    Datum value = 0;
    if (!by_value)
      value = length > 0 ? PointerGetDatum(palloc0(static_cast<Size>(length)))
                         : PointerGetDatum(cstring_to_text(""));
    Const* any = makeConst(param->paramtype, param->paramtypmod, param->paramcollid, length, value,
                           false, by_value);
    any->location = kPlaceholder;
    return reinterpret_cast<Node*>(any);
  }
  return expression_tree_mutator(node, reinterpret_cast<Node* (*)()>(reinterpret_cast<void*>(bind)),
                                 context);
}

}  // namespace

List* scan_tlist(List* expressions) {
  List* tlist = NIL;
  AttrNumber number = 1;
  ListCell* cell;
  foreach (cell, expressions)
    tlist = lappend(tlist, makeTargetEntry(static_cast<Expr*>(copyObjectImpl(lfirst(cell))),
                                           number++, nullptr, false));
  return tlist;
}

List* parameters_of(Node* expressions) {
  List* found = NIL;
  collect_parameters(expressions, &found);
  return found;
}

Node* bind_parameters(Node* expressions, List* values) {
  Binding binding{values, 0};
  return bind(expressions, &binding);
}

}  // namespace datahike::exec
