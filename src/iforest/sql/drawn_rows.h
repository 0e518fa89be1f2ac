// Training queries that scan a datahike table and do nothing else: which of its rows are taken is
// decided by their number alone, and the others are not read.
#pragma once

#include "iforest/sql/training.h"

extern "C" {
#include "executor/spi.h"
#include "nodes/parsenodes.h"
}

namespace datahike::anomaly {

// Who is told of a query's rows. Callbacks of PostgreSQL frames.
struct RowVisitor {
  void (*prepare)(void* context, const QueryShape& shape);
  // Of a plain scan of `total` rows: the numbers, ascending, of those that are wanted. nullptr: all
  // rows are wanted.
  const uint64_t* (*choose)(void* context, uint64_t total, size_t* count);
  void (*row)(void* context, const double* values, const bool* nulls);
  void* context;
};

// The query, if its rows are those of a datahike table as the session's settings have it, one by
// one: no conditions, no row security, no functions that are volatile or return sets.
const Query* plain_scan(SPIPlanPtr plan);
// Raises PostgreSQL errors; owns nothing with a destructor.
void draw_rows(const Query* query, const QueryShape& shape, const RowVisitor& visitor);

}  // namespace datahike::anomaly
