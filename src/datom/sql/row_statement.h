// Statements on a user's table, and the rows that they return.
#pragma once

#include <vector>

#include "datalog/sql/values.h"

namespace datahike::facts {

// A row as a statement has found or left it.
struct RowImage {
  Oid table = InvalidOid;
  ItemPointerData tid;
  // Columns that are not NULL, with their values as JSON, both UTF-8; in the table's order.
  std::vector<std::pair<std::string, std::string>> columns;
};

// What a statement that names its table `row` returns to be read as a RowImage.
extern const char* const kRowImage;

class RowStatement {
 public:
  std::string sql;
  // The name of a parameter, as "$1". Of the type of a column that is written.
  std::string add(Oid type, Datum value, bool isnull = false);
  std::string add(const edn::Value& value, Oid type, int32 typmod);
  std::string add(const std::vector<Oid>& tables);
  // The TIDs that these rowids have in the table.
  std::string add_rows(Oid table, const std::vector<uint64_t>& rowids);
  // With a snapshot of its own where the isolation level has one for each statement. Throws what
  // PostgreSQL raises.
  std::vector<RowImage> run() const;

 private:
  std::vector<Oid> types_;
  std::vector<Datum> values_;
  std::string nulls_;
};

}  // namespace datahike::facts
