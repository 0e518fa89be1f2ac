#include "versioning/row_security.h"

extern "C" {
#include "catalog/partition.h"
#include "nodes/primnodes.h"
#include "utils/rls.h"
}

namespace datahike::versioning {

void refuse_row_security(Oid relation, const char* what) {
  List* tables = list_make1_oid(relation);
  if (get_rel_relispartition(relation))
    tables = list_concat(tables, get_partition_ancestors(relation));
  ListCell* cell;
  foreach (cell, tables) {
    if (check_enable_rls(lfirst_oid(cell), InvalidOid, false) != RLS_ENABLED) continue;
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot %s table \"%s\" with row-level security", what,
                           get_rel_name(lfirst_oid(cell))),
                    errhint("Do it as a role that bypasses the table's policies.")));
  }
}

bool is_call_of_query(FunctionCallInfo fcinfo) {
  Node* call = fcinfo->flinfo->fn_expr;
  return call && IsA(call, FuncExpr) && reinterpret_cast<FuncExpr*>(call)->location == kCallOfQuery;
}

}  // namespace datahike::versioning
