// Which calls of the anomaly_* functions in an expression are computed in batches: those that are
// computed for every row for which the expression is. What it may skip (a branch of CASE, what
// follows in AND and OR) stays a call: a batch would score, and raise errors for, rows that nobody
// asks for.
#include "exec/score.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
}

namespace datahike::exec {

namespace {

// PostgreSQL 15 declares walkers without parameters.
template <class F>
auto untyped(F* walker) {
  return reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(walker));
}

// Rows are read ahead, so features must not raise errors: columns, constants and casts of integers.
// `relid`: of the table that they are columns of; 0 = of any.
bool is_simple(Node* node, int relid, bool column) {
  while (node && IsA(node, RelabelType))
    node = reinterpret_cast<Node*>(reinterpret_cast<RelabelType*>(node)->arg);
  if (!node) return false;
  if (IsA(node, Const) || IsA(node, Param)) return true;
  if (!column) return false;
  if (IsA(node, Var)) {
    auto* var = reinterpret_cast<Var*>(node);
    return (relid == 0 || var->varno == relid) && var->varlevelsup == 0;
  }
  if (!IsA(node, FuncExpr)) return false;
  auto* function = reinterpret_cast<FuncExpr*>(node);
  const bool widens = function->funcid == F_FLOAT8_INT4 || function->funcid == F_FLOAT8_INT2 ||
                      function->funcid == F_FLOAT8_INT8 || function->funcid == F_FLOAT8_FLOAT4 ||
                      function->funcid == F_INT8_INT4 || function->funcid == F_INT4_INT2 ||
                      function->funcid == F_INT8_INT2;
  return widens && is_simple(static_cast<Node*>(linitial(function->args)), relid, true);
}

bool can_batch(Node* node, int relid) {
  if (!IsA(node, FuncExpr)) return false;
  auto* call = reinterpret_cast<FuncExpr*>(node);
  const std::optional<anomaly::KnownFunction> known = anomaly::known_function(call->funcid);
  if (!known || known->short_form || call->funcvariadic) return false;
  for (int i = 0; i < list_length(call->args); ++i) {
    auto* argument = static_cast<Node*>(list_nth(call->args, i));
    const bool feature = i >= known->first_feature;
    if (!is_simple(argument, relid, feature)) return false;
    if (feature && anomaly::conversion_of(exprType(argument)) == anomaly::Conversion::None)
      return false;
  }
  return contain_var_clause(node);
}

struct Found {
  int relid;
  List* calls;
};

bool find_calls(Node* node, void* context);

void find_in_first(List* list, void* context) {
  if (list != NIL) find_calls(static_cast<Node*>(linitial(list)), context);
}

// Below nodes that compute some of what is below them only for some rows, as ExecInitExprRec() and
// nodeAgg.c have it. False: all of it is computed, or the node is of no such kind.
bool find_in_conditional(Node* node, void* context) {
  switch (nodeTag(node)) {
    case T_BoolExpr: {
      auto* expr = reinterpret_cast<BoolExpr*>(node);
      find_in_first(expr->args, context);
      return true;
    }
    case T_CaseExpr: {
      auto* expr = reinterpret_cast<CaseExpr*>(node);
      find_calls(reinterpret_cast<Node*>(expr->arg), context);
      find_calls(reinterpret_cast<Node*>(linitial_node(CaseWhen, expr->args)->expr), context);
      return true;
    }
    case T_CoalesceExpr:
      find_in_first(reinterpret_cast<CoalesceExpr*>(node)->args, context);
      return true;
    case T_RowCompareExpr:
      find_in_first(reinterpret_cast<RowCompareExpr*>(node)->largs, context);
      find_in_first(reinterpret_cast<RowCompareExpr*>(node)->rargs, context);
      return true;
    case T_SubscriptingRef:  // of NULL no subscript is looked at
      find_calls(reinterpret_cast<Node*>(reinterpret_cast<SubscriptingRef*>(node)->refexpr),
                 context);
      return true;
    case T_ArrayCoerceExpr:
      find_calls(reinterpret_cast<Node*>(reinterpret_cast<ArrayCoerceExpr*>(node)->arg), context);
      return true;
    case T_SubPlan:  // it compares with each of its rows, which may be none
      find_calls(reinterpret_cast<Node*>(reinterpret_cast<SubPlan*>(node)->args), context);
      return true;
    case T_Aggref: {  // direct arguments are computed once for the group
      auto* aggregate = reinterpret_cast<Aggref*>(node);
      if (aggregate->aggfilter)
        find_calls(reinterpret_cast<Node*>(aggregate->aggfilter), context);
      else
        find_calls(reinterpret_cast<Node*>(aggregate->args), context);
      return true;
    }
    // Arguments of window functions are not computed where the table is scanned. What is below an
    // outer join has been computed there: it is NULL where its columns may not be.
    case T_WindowFunc:
    case T_PlaceHolderVar:
    case T_GroupingFunc:
    case T_AlternativeSubPlan:
      return true;
    default:
      return false;
  }
}

bool find_calls(Node* node, void* context) {
  if (!node) return false;
  auto* found = static_cast<Found*>(context);
  if (can_batch(node, found->relid)) {
    found->calls = list_append_unique(found->calls, node);
    return false;
  }
  if (find_in_conditional(node, context)) return false;
  return expression_tree_walker(node, untyped(find_calls), context);
}

bool find_aggregated(Node* node, void* context) {
  if (!node || IsA(node, PlaceHolderVar)) return false;
  if (IsA(node, Aggref)) return find_calls(node, context);
  return expression_tree_walker(node, untyped(find_aggregated), context);
}

bool find_any(Node* node, void* context) {
  if (!node) return false;
  if (IsA(node, FuncExpr) && anomaly::known_function(reinterpret_cast<FuncExpr*>(node)->funcid))
    return true;
  return expression_tree_walker(node, untyped(find_any), context);
}

}  // namespace

List* calls_in(Node* node, int relid) {
  Found found{relid, NIL};
  find_calls(node, &found);
  return found.calls;
}

List* aggregated_calls_in(Node* node, int relid) {
  Found found{relid, NIL};
  find_aggregated(node, &found);
  return found.calls;
}

bool has_score(Node* node) { return find_any(node, nullptr); }

}  // namespace datahike::exec
