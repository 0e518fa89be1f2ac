// Statements on the tables of facts: planned once, run by SPI. Every one of them returns rows
// (e, a, tx, value bytea, extra int8) or none.
#pragma once

#include "pg/bridge.h"

extern "C" {
#include "executor/spi.h"
}

namespace datahike::facts {

struct StatementRow {
  int64_t e, a, tx;
  int64_t extra;
  bool has_extra;
  const char* value;
  size_t bytes;
};

struct StatementResult {
  uint64_t processed = 0;  // rows returned, or changed
  StatementRow* rows = nullptr;
  uint64_t count = 0;
};

struct Statement {
  const char* sql;
  int parameters;
  Oid types[8];
  SPIPlanPtr plan = nullptr;
};

struct Arguments {
  Datum values[8] = {};
  char nulls[9] = "        ";
};

// Rows are in the current memory context. With a snapshot the statement sees that, else what is
// committed by now and this transaction's own changes; read_only: the active snapshot.
// Plain PostgreSQL code, which may raise.
StatementResult execute(Statement* statement, const Arguments* arguments, Snapshot snapshot,
                        bool read_only);

// The same row by row: a cursor under the active snapshot. The portal lives until it is closed or
// the transaction ends. fetch() gives the next rows, fewer than asked for at the end.
Portal open_cursor(Statement* statement, const Datum* values);
StatementResult fetch(Portal portal, long count);
void close_cursor(Portal portal);
// How many rows the planner expects of a query. Plain PostgreSQL code.
double estimated_rows(const char* sql);

// Runs `body` with these settings of the session.
template <size_t N, class F>
auto with_settings(const std::pair<const char*, const char*> (&settings)[N], F&& body)
    -> decltype(body()) {
  const int level = pg::call([&settings] {
    int nest = NewGUCNestLevel();
    for (const auto& [name, value] : settings)
      set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    return nest;
  });
  const auto reset = [level] { pg::call([level] { AtEOXact_GUC(false, level); }); };
  try {
    if constexpr (std::is_void_v<decltype(body())>) {
      body();
      reset();
    } else {
      auto result = body();
      reset();
      return result;
    }
  } catch (...) {
    reset();
    throw;
  }
}

// With plans by index and names that mean PostgreSQL's own.
inline constexpr std::pair<const char*, const char*> kOwnSettings[] = {
    {"search_path", "pg_catalog, pg_temp"},
    {"enable_seqscan", "off"},
    {"enable_bitmapscan", "off"}};
template <class F>
auto with_own_settings(F&& body) -> decltype(body()) {
  return with_settings(kOwnSettings, std::forward<F>(body));
}

// A bytea in the current memory context. Plain PostgreSQL code.
Datum bytea_datum(const std::string* bytes);

}  // namespace datahike::facts
