// Rows of queries: a uniform sample to train with, or all of them to score.
#pragma once

#include <functional>

#include "iforest/sql/measures.h"
#include "iforest/train.h"

namespace datahike::anomaly {

// Plain data, palloc'd.
struct QueryShape {
  int columns;
  char** names;
  Conversion* conversions;
};

// Runs a query, which may not change anything, under the active snapshot. `prepare` is told its
// columns and `row` each of its rows, NULL as NaN and marked. Raises PostgreSQL errors: the query's
// own, 42601 for what is no query, 42804 for a column that is not numeric, 42701 for a name that
// occurs twice.
void visit_rows(const char* query, QueryShape* shape, void (*prepare)(void*, const QueryShape&),
                void (*row)(void*, const double* values, const bool* nulls), void* context);

struct TrainingRows {
  std::vector<std::string> names;
  std::vector<double> values;  // one row behind the other
  uint64_t total = 0;          // rows of the query; values are a uniform sample of them
  bool drawn = false;          // the others have not been read
  iforest::Rows rows() const { return {values, static_cast<uint32_t>(names.size())}; }
};
// Throws; 22023 where the query returns nothing. `check` is given the columns' names before a row
// is read.
using CheckNames = std::function<void(const std::vector<std::string>&)>;
void gather(const char* query, const iforest::Options& options, TrainingRows& rows,
            const CheckNames& check = {});

}  // namespace datahike::anomaly
