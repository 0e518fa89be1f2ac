// Joins: their conditions, and columns of the build side.
#include "exec/compile_types.h"

extern "C" {
#include "access/stratnum.h"
}

namespace datahike::exec {

using vector::Op;
using vector::Type;

// Of any type: of those that are neither numbers nor text only whether they are NULL. A numeric
// that is compared with one of the table, of `scale` digits behind the point, is read for that
// alone.
int Compiler::build_column(const Var* var, int scale) {
  if (var->varlevelsup != 0 || var->varattno <= 0) return -1;
  size_t build = 0;
  while (build < build_attributes.size() &&
         (build_attributes[build] != build_code(var) || build_scales[build] != scale))
    ++build;
  if (build == build_attributes.size()) {
    build_attributes.push_back(build_code(var));
    build_scales.push_back(scale);
    build_types.push_back(is_float(var->vartype)                    ? Type::Float
                          : is_int_like(var->vartype) || scale >= 0 ? Type::Int
                                                                    : Type::Text);
  }
  for (size_t i = 0; i < program.columns.size(); ++i)
    if (program.columns[i].build == static_cast<int>(build)) return static_cast<int>(i);
  vector::Column c;
  c.build = static_cast<int>(build);
  c.type = build_types[build];
  program.columns.push_back(c);
  attributes.push_back(-1);
  return static_cast<int>(program.columns.size() - 1);
}

// REQUIRES: one argument has Vars of the table only, the other of the build side only.
bool Compiler::join_key(Node* clause) {
  auto* op = reinterpret_cast<OpExpr*>(clause);
  if (list_length(op->args) != 2) return false;
  auto* probe = static_cast<Node*>(linitial(op->args));
  auto* build = static_cast<Node*>(lsecond(op->args));
  const auto is_of_build = [this](Node* node) {
    node = strip(node);
    return IsA(node, Var) && reinterpret_cast<Var*>(node)->varno != static_cast<int>(table_);
  };
  if (!is_of_build(build)) std::swap(probe, build);
  if (!is_of_build(build)) return false;
  vector::Key key;
  int column;
  if (op->opfuncid == F_TEXTEQ) {
    if (!is_deterministic(op->inputcollid)) return false;
    key.text = text_column(probe, true);
    column = text_column(build, true);
    if (key.text < 0 || column < 0) return false;
  } else if (op->opfuncid == F_NUMERIC_EQ) {
    key.expression = expression(probe);
    auto* var = reinterpret_cast<Var*>(strip(build));
    if (key.expression < 0 || var->vartype != NUMERICOID) return false;
    const vector::Expression& e = program.expressions[key.expression];
    if (e.type != Type::Int || e.scale < 0 || e.scale > kMostDecimalFactor) return false;
    column = build_column(var, e.scale);
    if (column < 0) return false;
  } else {
    bool equal = comparison_strategy(op->opno) == BTEqualStrategyNumber;
    if (!equal || !comparable(exprType(strip(probe)), exprType(strip(build)))) return false;
    key.expression = expression(probe);
    int value = expression(build);
    if (key.expression < 0 || value < 0) return false;
    column = program.expressions[value].argument;
  }
  program.join.keys.push_back(key);
  program.join.build_keys.push_back(program.columns[column].build);
  return true;
}

}  // namespace datahike::exec
