// Rows of a table by its columns: from the segments that hold them instead of by a query.
#pragma once

#include "datalog/sql/database.h"
#include "datalog/sql/values.h"

namespace datahike::query {

// A column of the table, and which of its values are wanted. NULL never is.
struct ScannedColumn {
  int16 number = 0;
  Oid type = InvalidOid;  // base type
  std::optional<Value> constant;
  // Inclusive; a bound of another kind than the column's values means nothing.
  std::optional<Value> least, greatest;
  const Column* some = nullptr;  // values that are not among them may be left out
};
struct ColumnScan {
  Oid relid = InvalidOid;
  bool entities = false;                                       // wanted
  const std::unordered_set<int64_t>* some_entities = nullptr;  // no others
  std::vector<ScannedColumn> columns;
};

// Gives `full` the entities, if wanted, and the columns, of the rows that have all of them. False:
// such a table is to be read by a query, and nothing has been read. Errors as the query's would be.
// REQUIRES: a datahike table without children.
bool scan_columns(const DatabaseValue& database, const ColumnScan& scan,
                  const std::function<void(std::vector<Column>&, size_t)>& full);

}  // namespace datahike::query
