// A scan of a foreign table: by the table's own scan where the table as it is now has the columns
// that are asked for, else by the segments of the view's rows (a column or table that has been
// dropped since, a type that has changed).
#pragma once

#include "am/row_cursor.h"
#include "fdw/decode.h"
#include "fdw/row_conditions.h"
#include "fdw/other_store.h"
#include "fdw/target.h"

namespace datahike::fdw {

struct Scan {
  Target target;
  std::vector<Column> columns;
  Oid foreign_table = InvalidOid;
  TupleDesc row_type = nullptr;  // of the foreign table
  MemoryContext row_memory = nullptr;
  Relation relation = nullptr;  // the present table, locked
  SnapshotData snapshot;        // names the view
  // By the table's own scan.
  TableScanDesc table_scan = nullptr;
  TupleTableSlot* table_row = nullptr;
  int last_attribute = 0;
  // By segments.
  std::unique_ptr<am::RowCursor> cursor;
  store::SegmentReader segment;
  bool has_segment = false, in_store = false;
  am::TidBase tid_base = am::kNoTidBase;  // of a table that is still there
  uint64_t generation = 0;

  // Of another store.
  std::unique_ptr<OtherRows> other;

  SegmentColumns known_columns;
  RowConditions conditions;  // of rows by segments and of another store

  ~Scan();
};

// What a scan is asked for.
struct ScanRequest {
  Relation foreign;
  Snapshot snapshot;
  Oid user;          // whose privileges count
  List* columns;     // attribute numbers of the foreign table, ascending
  List* conditions;  // pushed.h
  MemoryContext memory;
};
// Lives until the memory context goes. Checks privileges. Plain PostgreSQL code, as the others.
Scan* open_scan(const ScanRequest& request);
void set_conditions(Scan* scan, const List* pushed);  // instead of those that it has
bool next_row(Scan* scan, TupleTableSlot* slot);      // false at the end
void rewind_scan(Scan* scan);
// Of another store, of which rows are known by their number: how many there are in all, else -1;
// and leaving out the next ones. REQUIRES: no conditions.
double count_rows_of(Scan* scan);
void skip_rows(Scan* scan, uint64_t rows);
void close_scan(Scan* scan);

// About how many rows the foreign table has; to users who may not read it no more than a guess.
double count_rows(Oid foreign_table, Snapshot snapshot, Oid user);
// All columns of a relation that are not dropped.
List* all_columns(Relation relation);

}  // namespace datahike::fdw
