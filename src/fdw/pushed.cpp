#include "fdw/pushed.h"

#include "pg/bridge.h"

extern "C" {
#include "access/stratnum.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"
#include "utils/typcache.h"
}

namespace datahike::fdw {

namespace {

bool is_integer_type(Oid type) { return type == INT2OID || type == INT4OID || type == INT8OID; }
bool is_time_type(Oid type) {
  return type == DATEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID;
}

// The strategy of a comparison of values as they are kept; 0: it is none.
int strategy_of(Oid op, Oid column, Oid constant, Oid collation) {
  if ((is_integer_type(column) && is_integer_type(constant)) ||
      (is_time_type(column) && constant == column))
    return get_op_opfamily_strategy(op,
                                    lookup_type_cache(column, TYPECACHE_BTREE_OPFAMILY)->btree_opf);
  const bool by_bytes = collation == DEFAULT_COLLATION_OID || collation == C_COLLATION_OID;
  return column == TEXTOID && op == TextEqualOperator && by_bytes ? BTEqualStrategyNumber : 0;
}

bool is_column(const Node* node, Index relid) {
  if (!IsA(node, Var)) return false;
  const auto* column = reinterpret_cast<const Var*>(node);
  return column->varno == static_cast<int>(relid) && column->varlevelsup == 0 &&
         column->varattno > 0;
}

// Whether it has one value for all rows of the table, so that it can be computed before they are
// read: as the comparison values of an index scan are.
bool is_known_first(Node* node, Index relid) {
  if (IsA(node, Const)) return !reinterpret_cast<Const*>(node)->constisnull;
  return !bms_is_member(static_cast<int>(relid), pull_varnos(nullptr, node)) &&
         !contain_volatile_functions(node) && !contain_subplans(node);
}

List* pushed_condition(Node* clause, Index relid) {
  if (!IsA(clause, OpExpr)) return NIL;
  auto* comparison = reinterpret_cast<OpExpr*>(clause);
  if (list_length(comparison->args) != 2) return NIL;
  auto* left = static_cast<Node*>(linitial(comparison->args));
  auto* right = static_cast<Node*>(lsecond(comparison->args));
  Oid op = comparison->opno;
  if (!is_column(left, relid)) {
    std::swap(left, right);
    op = get_commutator(op);
  }
  if (!OidIsValid(op) || !is_column(left, relid) || !is_known_first(right, relid)) return NIL;
  auto* column = castNode(Var, left);
  const int strategy = strategy_of(op, column->vartype, exprType(right), comparison->inputcollid);
  if (strategy == 0) return NIL;
  return list_make3(makeInteger(column->varattno), makeInteger(strategy), right);
}

int64_t integer_of(const Const* constant) {
  switch (constant->consttype) {
    case INT2OID:
      return DatumGetInt16(constant->constvalue);
    case INT4OID:
    case DATEOID:
      return DatumGetInt32(constant->constvalue);
    default:
      return DatumGetInt64(constant->constvalue);
  }
}

// An empty range where no value satisfies it.
void narrow(RowCondition& condition, int strategy, int64_t value) {
  const bool least = value == INT64_MIN, greatest = value == INT64_MAX;
  switch (strategy) {
    case BTLessStrategyNumber:
      condition.high = least ? value : value - 1;
      if (least) condition.low = INT64_MAX;
      break;
    case BTLessEqualStrategyNumber:
      condition.high = value;
      break;
    case BTEqualStrategyNumber:
      condition.low = condition.high = value;
      break;
    case BTGreaterEqualStrategyNumber:
      condition.low = value;
      break;
    case BTGreaterStrategyNumber:
      condition.low = greatest ? value : value + 1;
      if (greatest) condition.high = INT64_MIN;
      break;
    default:
      break;
  }
}

}  // namespace

List* pushed_clauses(List* clauses, Index relid) {
  List* pushed = NIL;
  ListCell* cell;
  foreach (cell, clauses) {
    List* one = pushed_condition(static_cast<Node*>(lfirst(cell)), relid);
    if (one != NIL) pushed = lappend(pushed, one);
  }
  return pushed;
}

List* pushed_conditions(List* restrictions, Index relid) {
  return pushed_clauses(extract_actual_clauses(restrictions, false), relid);
}

bool can_be_pushed(Node* clause, Index relid) { return pushed_condition(clause, relid) != NIL; }

List* values_to_compute(List* pushed) {
  List* values = NIL;
  ListCell* cell;
  foreach (cell, pushed)
    if (auto* value = static_cast<Node*>(lthird(lfirst_node(List, cell))); !IsA(value, Const))
      values = lappend(values, value);
  return values;
}

List* without_values(List* pushed) {
  List* kept = NIL;
  ListCell* cell;
  foreach (cell, pushed) {
    auto* one = static_cast<List*>(lfirst(cell));
    auto* value = static_cast<Node*>(lthird(one));
    kept =
        lappend(kept, list_make3(linitial(one), lsecond(one), IsA(value, Const) ? value : nullptr));
  }
  return kept;
}

List* with_values(List* pushed, List* values) {
  List* all = NIL;
  ListCell *cell, *value = list_head(values);
  foreach (cell, pushed) {
    auto* one = static_cast<List*>(lfirst(cell));
    if (lthird(one)) {
      all = lappend(all, one);
      continue;
    }
    all = lappend(all, list_make3(linitial(one), lsecond(one), lfirst(value)));
    value = lnext(values, value);
  }
  return all;
}

void push_conditions(const List* pushed, Scan& scan) {
  ListCell* cell;
  foreach (cell, pushed) {
    const auto* one = static_cast<List*>(lfirst(cell));
    const int index = intVal(linitial(one)) - 1;
    const auto* constant = lthird_node(Const, one);
    if (constant->constisnull) {
      scan.conditions.add_impossible();
      continue;
    }
    for (const Column& column : scan.columns) {
      // Values of another type or modifier are cast to the foreign table's: timestamps are rounded.
      if (column.index != index || (column.was && column.was->type_oid != column.as.type)) continue;
      RowCondition condition{column.number, column.as.type, INT64_MIN,
                             INT64_MAX,     std::nullopt,   column.as.typmod};
      if (column.as.type == TEXTOID) {
        Datum value = constant->constvalue;
        const char* bytes = pg::call([value] { return TextDatumGetCString(value); });
        condition.text = bytes;
      } else {
        narrow(condition, intVal(lsecond(one)), integer_of(constant));
      }
      scan.conditions.add(std::move(condition));
    }
  }
}

}  // namespace datahike::fdw
