// Foreign tables of facts. With the option index: datoms as rows (e, a, v, tx, added), in the order
// of an index. With the option namespace: entities as rows, attributes as columns.
//
//   column            db_id: the entity; else the attribute that the column's option "attribute"
//                     names, or namespace/column
//   type              of the attribute's values (datom/sql/pg_values.h), an array of them with
//                     cardinality many
//   option references of a reference: the value of this attribute of its target is shown
//
// A row is there for each entity that has one of the table's attributes.
#pragma once

#include "pg/pg.h"

namespace datahike::fdw {

// The options of a foreign table; nullptr: not given.
struct FactTable {
  const char *index, *space;
};
FactTable fact_table(Oid foreign_table);
bool is_fact_table(Oid foreign_table);

struct FactScan;
struct FactScanRequest {
  Relation foreign;
  Oid user;          // whose privileges count
  List* columns;     // attribute numbers that are wanted
  List* conditions;  // lists of an attribute number and a Const that the column must be equal to
  MemoryContext memory;
};
// Lives until the memory context goes. Plain PostgreSQL code, as the others.
FactScan* open_fact_scan(const FactScanRequest& request);
bool next_fact_row(FactScan* scan, TupleTableSlot* slot);  // false at the end
void rewind_fact_scan(FactScan* scan);
void close_fact_scan(FactScan* scan);  // lets go of temporary files

// Those of the conditions on a foreign table's columns that a scan can look up: as a request has
// them. They are superfluous, not exact: PostgreSQL still checks what they came from.
List* fact_conditions(List* clauses, Index relation, Oid foreign_table);

}  // namespace datahike::fdw
