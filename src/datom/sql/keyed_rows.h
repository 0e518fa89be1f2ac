// Rows of tables with the text of their keys, by which a dump names them.
#pragma once

#include "datom/sql/statement.h"

namespace datahike::facts {

// By what rows of a table are named. Names are UTF-8.
struct KeyedTable {
  Oid table = InvalidOid;
  std::string schema, name;
  std::vector<std::string> columns;
};
// Those of the primary key, of a partition the key of the topmost table that has one; without any,
// all columns that are not generated.
KeyedTable keyed_table(Oid table);
// The table of that name; InvalidOid: there is none.
Oid find_table_named(const std::string& schema, const std::string& name);

// Tables whose versioned rows may be entities that a dump has.
std::vector<Oid> dumped_tables();

struct KeyedRow {
  Oid table;
  ItemPointerData tid;
  std::vector<std::optional<std::string>> key;  // UTF-8; nullopt: NULL
};
// Calls `row` for each row of the table itself, or of all its partitions, that the active snapshot
// sees; false ends it. Text is as pg_dump writes it. Throws what PostgreSQL raises.
void each_keyed_row(Oid table, const std::vector<std::string>& columns,
                    const std::function<bool(const KeyedRow&)>& row);

}  // namespace datahike::facts
