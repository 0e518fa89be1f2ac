#include "fdw/fact_scan.h"

#include "datom/edn_values.h"
#include "datom/json.h"
#include "datom/sql/pg_values.h"
#include "fdw/fact_feed.h"
#include "fdw/fact_rows.h"
#include "fdw/options.h"
#include "pg/bridge.h"

extern "C" {
#include "access/stratnum.h"
#include "foreign/foreign.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"
}

namespace datahike::fdw {

struct FactScan {
  FactScanRequest request;
  Tuplestorestate* rows;
  TupleTableSlot* row;
};

FactTable fact_table(Oid foreign_table) {
  return {table_option(foreign_table, "index"), table_option(foreign_table, "namespace")};
}

bool is_fact_table(Oid foreign_table) {
  const FactTable table = fact_table(foreign_table);
  return table.index || table.space;
}

FactScan* open_fact_scan(const FactScanRequest& request) {
  MemoryContext before = MemoryContextSwitchTo(request.memory);
  auto* scan = static_cast<FactScan*>(palloc0(sizeof(FactScan)));
  scan->request = request;
  // A copy of the type is not counted, so nobody has to let go of it after an error.
  scan->row = MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(request.foreign)),
                                       &TTSOpsMinimalTuple);
  MemoryContextSwitchTo(before);
  return scan;
}

bool next_fact_row(FactScan* scan, TupleTableSlot* slot) {
  if (!scan->rows) {
    MemoryContext before = MemoryContextSwitchTo(scan->request.memory);
    Tuplestorestate* rows = tuplestore_begin_heap(false, false, work_mem);
    const FactScanRequest* request = &scan->request;
    pg::guard([=] { put_fact_rows(*request, rows); });
    scan->rows = rows;
    MemoryContextSwitchTo(before);
  }
  ExecClearTuple(slot);
  if (!tuplestore_gettupleslot(scan->rows, true, false, scan->row)) return false;
  ExecCopySlot(slot, scan->row);
  return true;
}

void rewind_fact_scan(FactScan* scan) {
  if (scan->rows) tuplestore_rescan(scan->rows);
}

void close_fact_scan(FactScan* scan) {
  ExecClearTuple(scan->row);
  if (scan->rows) tuplestore_end(std::exchange(scan->rows, nullptr));
}

namespace {

// The constant as one of the column's type; nullptr: it is of another.
Const* as_type(Const* value, Oid type) {
  if (value->consttype == type) return value;
  if (type != INT8OID) return nullptr;
  int64 number;
  if (value->consttype == INT4OID)
    number = DatumGetInt32(value->constvalue);
  else if (value->consttype == INT2OID)
    number = DatumGetInt16(value->constvalue);
  else
    return nullptr;
  return makeConst(INT8OID, -1, InvalidOid, sizeof(int64), Int64GetDatum(number), false,
                   FLOAT8PASSBYVAL);
}

// column = constant, by the equality that an index of the column would have.
bool is_equality(Expr* clause, Index relation, Var** column, Const** value) {
  if (!IsA(clause, OpExpr)) return false;
  auto* op = reinterpret_cast<OpExpr*>(clause);
  if (list_length(op->args) != 2) return false;
  auto* left = static_cast<Node*>(linitial(op->args));
  auto* right = static_cast<Node*>(lsecond(op->args));
  if (IsA(left, Const)) std::swap(left, right);
  if (!IsA(left, Var) || !IsA(right, Const)) return false;
  *column = reinterpret_cast<Var*>(left);
  *value = reinterpret_cast<Const*>(right);
  if ((*column)->varno != static_cast<int>(relation) || (*column)->varattno <= 0) return false;
  if ((*value)->constisnull) return false;
  *value = as_type(*value, (*column)->vartype);
  if (!*value) return false;
  if (OidIsValid(op->inputcollid) && !get_collation_isdeterministic(op->inputcollid)) return false;
  const Oid family = lookup_type_cache((*column)->vartype, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
  return OidIsValid(family) && get_op_opfamily_strategy(op->opno, family) == BTEqualStrategyNumber;
}

}  // namespace

List* fact_conditions(List* clauses, Index relation, Oid) {
  List* conditions = NIL;
  ListCell* cell;
  foreach (cell, clauses) {
    Var* column;
    Const* value;
    if (is_equality(static_cast<RestrictInfo*>(lfirst(cell))->clause, relation, &column, &value))
      conditions = lappend(conditions, list_make2(makeInteger(column->varattno), value));
  }
  return conditions;
}

}  // namespace datahike::fdw
