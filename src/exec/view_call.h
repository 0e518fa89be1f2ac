// A call of at() in the FROM clause, from the rewriting of the query to the scans of its plan.
//
// The planner hook (expand.cpp) puts a subquery `SELECT * FROM tbl` in the call's place. The
// table's range table entry carries the call along in `enrname`, a field that entries of tables do
// not use and that survives whatever the planner does to it: pulling the subquery up, expanding
// partitions, copying. So the paths of all tables that the entry becomes can be told to read the
// view (view_scan.cpp).
//
//   enrname = "datahike view " list of nodes as nodeToString() writes it:
//             (number function row-security revision as-of)
#pragma once

#include "pg/pg.h"

extern "C" {
#include "nodes/parsenodes.h"
#include "nodes/pathnodes.h"
}

namespace datahike::exec {

struct ViewCall {
  int number;         // no other call of this session has it
  Oid function;       // whose EXECUTE privilege is needed
  bool row_security;  // whether policies of the table may depend on who reads
  Node* revision;     // expression of type text
  Node* as_of;        // of type text, timestamptz or int8
};

void set_view_call(RangeTblEntry* entry, const ViewCall& call);
// Whether a table's entry carries a call.
bool is_view_call(const RangeTblEntry* entry);
ViewCall view_call_of(const RangeTblEntry* entry);  // REQUIRES: is_view_call()

// as_of values of the types that at() takes, as text that revisions understand; palloc'd.
char* as_of_text(Datum value, Oid type);

// The table whose rows a composite type describes. Refuses what is none: 42809.
Oid table_of_type(Oid type);
// Refuses what is no datahike table, nor a partitioned one: 42809.
void require_datahike(Oid relid);

void install_expansion();        // expand.cpp
void install_view_paths();       // view_scan.cpp
void install_view_statistics();  // view_statistics.cpp

}  // namespace datahike::exec
