// Ordered-set aggregates: percentile_cont, percentile_disc and mode.
#include "exec/compile_types.h"

extern "C" {
#include "access/stratnum.h"
}

namespace datahike::exec {

using vector::Type;

namespace {

bool take_fraction(List* direct, Output& output) {
  auto* fraction = static_cast<Const*>(linitial(direct));
  if (!IsA(fraction, Const) || fraction->consttype != FLOAT8OID) return false;
  output.null_fraction = fraction->constisnull;
  if (!output.null_fraction) output.fraction = DatumGetFloat8(fraction->constvalue);
  return true;
}

}  // namespace

bool Compiler::ordered_set(Aggref* a, Output& output) {
  switch (a->aggfnoid) {
    case F_PERCENTILE_CONT_FLOAT8_FLOAT8:
      output.form = Output::PercentileCont;
      break;
    case F_PERCENTILE_DISC_FLOAT8_ANYELEMENT:
      output.form = Output::PercentileDisc;
      break;
    case F_MODE:
      output.form = Output::Mode;
      break;
    default:
      return false;
  }
  if (list_length(a->args) != 1 || list_length(a->aggorder) != 1) return false;
  if (output.form != Output::Mode && !take_fraction(a->aggdirectargs, output)) return false;
  const int order = sort_strategy(linitial_node(SortGroupClause, a->aggorder)->sortop);
  if (order == 0) return false;
  auto* argument = reinterpret_cast<Node*>(static_cast<TargetEntry*>(linitial(a->args))->expr);
  // Numerics are in the order in which they are as floats.
  if (output.form == Output::PercentileCont && IsA(argument, FuncExpr) &&
      reinterpret_cast<FuncExpr*>(argument)->funcid == F_FLOAT8_NUMERIC)
    argument = static_cast<Node*>(linitial(reinterpret_cast<FuncExpr*>(argument)->args));
  const int value = expression(argument);
  if (value < 0 || program.expressions[value].type == Type::Wide) return false;
  output.descending = order == BTGreaterStrategyNumber;
  output.real = program.expressions[value].type == Type::Float;
  output.scale = program.expressions[value].scale;
  if (exprType(argument) == NUMERICOID && output.scale < 0) return false;
  output.sum = accumulator(vector::Sum::Values, value);
  return true;
}

}  // namespace datahike::exec
