// Sums and averages of quotients of numerics.
#include "column/vector/quotient_sums.h"
#include "exec/compile_types.h"

namespace datahike::exec {

using vector::Type;

bool Compiler::sum_of_quotient(Node* argument, Output& output) {
  if (!IsA(argument, OpExpr)) return false;
  auto* quotient = reinterpret_cast<OpExpr*>(argument);
  if (quotient->opfuncid != F_NUMERIC_DIV) return false;
  const int dividend = expression(static_cast<Node*>(linitial(quotient->args)));
  const int divisor = expression(static_cast<Node*>(lsecond(quotient->args)));
  if (dividend < 0 || divisor < 0) return false;
  const vector::Expression &a = program.expressions[dividend], &b = program.expressions[divisor];
  if (a.type != Type::Int || b.type != Type::Int || a.scale < 0 || b.scale < 0) return false;
  const auto scale = vector::quotient_scale({a.scale, a.digits}, {b.scale, b.digits});
  if (!scale || *scale > kMostScale) return false;
  output.form =
      output.form == Output::DecimalAverage ? Output::QuotientAverage : Output::QuotientSum;
  output.scale = *scale;
  output.sum = accumulator(vector::Sum::Quotient, dividend, divisor);
  return true;
}

}  // namespace datahike::exec
