// A call of at(), blame(), versions(), diff() or commit_changes() in a FROM clause, from the
// rewriting of the query to the scans of its plan.
//
// The planner hook (expand.cpp) puts a subquery over the table in the call's place. The table's
// range table entries carry along, in `enrname`, what they stand for. Entries of tables do not use
// that field, and it survives whatever the planner does to them: pulling the subquery up, expanding
// partitions, copying. So the paths of all tables that an entry becomes can be told to read the
// view (view_scan.cpp).
//
//   enrname = "datahike view " list of nodes as nodeToString() writes it:
//             (number function relation kind first second)
#pragma once

#include "pg/pg.h"
#include "versioning/named_view.h"

extern "C" {
#include "nodes/parsenodes.h"
#include "nodes/pathnodes.h"
}

namespace datahike::exec {

using versioning::NamedKind;

struct ViewCall {
  int number;            // no other call of this session has it
  Oid function;          // whose EXECUTE privilege is needed; InvalidOid: a foreign table's
  Oid relation;          // that the call names
  NamedKind kind;        // of the view
  Node *first, *second;  // its arguments, of type text; as_of also timestamptz or int8.
                         // Kind Server: the server's OID, as text
};

void set_view_call(RangeTblEntry* entry, const ViewCall& call);
// Whether a table's entry carries a call.
bool is_view_call(const RangeTblEntry* entry);
ViewCall view_call_of(const RangeTblEntry* entry);  // REQUIRES: is_view_call()

// As versioning::named_view_of(), for all kinds.
std::optional<versioning::SessionView> view_of_call(NamedKind kind, const char* first,
                                                    const char* second, Snapshot snapshot);

// A value of an argument as text; palloc'd.
char* argument_text(Datum value, Oid type);

// The table whose rows a composite type describes. Refuses what is none: 42809.
Oid table_of_type(Oid type);
// Refuses what is no datahike table, nor a partitioned one: 42809.
void require_datahike(Oid relid);

// Puts a query of the table in the place of a foreign table that reads it (foreign.cpp). Returns
// that table, InvalidOid where the entry is none such, or has to be scanned by the wrapper.
Oid replace_foreign_table(Query* query, int index, int number);

void install_expansion();        // expand.cpp
void install_view_paths();       // view_scan.cpp
void install_view_statistics();  // view_statistics.cpp
void install_aggregate_paths();  // aggregate_path.cpp

}  // namespace datahike::exec
