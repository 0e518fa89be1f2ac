// The statements that read facts: what a pattern asks of a view, in SQL.
#pragma once

#include "datom/sql/reader.h"

namespace datahike::facts {

// From is "FROM ...", with "f" as what has the columns of facts; its own parameters are the first.
struct FactQuery {
  std::string sql;
  std::vector<Oid> types;
  std::vector<Datum> values;   // bytea and text in the current memory context
  bool checks_bounds = false;  // the statement gives more than the bounds allow
};

enum class FactTable : uint8_t { Table, At, Versions };
FactQuery fact_query(FactTable table, const std::optional<std::string>& revision,
                     const std::optional<std::string>& as_of, const Pattern& pattern);
// The same with constants in place of parameters, for the planner to estimate.
std::string estimated_query(const Pattern& pattern);

// A statement like it, planned once.
Statement* prepared_query(const FactQuery& query);

// Whether the bounds may leave out a row name that could be within them.
bool may_miss_row_names(const Pattern& pattern);

bool within_bounds(const Pattern& pattern, std::string_view encoded);

}  // namespace datahike::facts
