// How much history is kept: the setting datahike.keep_history, and what a table has of its own
// (datahike.table_history).
#pragma once

#include <vector>

#include "pg/pg.h"

namespace datahike::pg {

// Microseconds of history; 0 = none: only what is live, or seen by a snapshot or pin in use.
inline constexpr int64_t kKeepAll = INT64_MAX;

extern char* setting_keep_history;
void define_keep_history();  // the setting

// False when the text is neither all, none, nor an interval that is positive or 0 (no PostgreSQL
// error is raised).
bool parse_keep_history(const char* text, int64_t* microseconds);

// What holds for a table. May raise a PostgreSQL error.
int64_t keep_of_table(uint64_t table);
// NULL value: the setting holds again. May raise a PostgreSQL error.
void set_keep_of_table(uint64_t table, const char* value);
void forget_keep_of_table(uint64_t table);

struct TableKeep {
  uint64_t table;
  int64_t microseconds;
};
// All tables whose history is not kept whole, as this transaction sees the catalog.
std::vector<TableKeep> tables_that_forget();
std::vector<uint64_t> tables_with_ids();  // of every relation of our access method

}  // namespace datahike::pg
