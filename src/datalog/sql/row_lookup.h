// Rows of entities, by following how each version of a row was superseded.
#pragma once

#include "datalog/sql/entities.h"

namespace datahike::query {

struct RowsOfEntities {
  std::vector<uint64_t> rowids;   // every version that is known of, live or not
  std::vector<int64_t> entities;  // those that are rows of the table
};
// Of a table without children. A live version of an entity may be missing: where a query does not
// return one of the entities, it must look at all rows. nullopt: there are too many versions.
std::optional<RowsOfEntities> rows_of_entities(uint64_t table, int32_t branch,
                                               const std::vector<int64_t>& entities);

}  // namespace datahike::query
