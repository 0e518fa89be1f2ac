#include "pg/vector_settings.h"

#include "pg/pg.h"

extern "C" {
#include "utils/plancache.h"
}

namespace datahike::pg {

bool setting_vectorized = true;
int setting_vectorized_min_rows = 25000;
int setting_threads = 0;

namespace {

void change_vectorized(bool value, void*) {
  if (value != setting_vectorized) ResetPlanCache();
}

void change_min_rows(int value, void*) {
  if (value != setting_vectorized_min_rows) ResetPlanCache();
}

}  // namespace

void define_vector_settings() {
  DefineCustomBoolVariable(
      "datahike.vectorized", "Aggregates of datahike tables are computed column by column.",
      "Off: PostgreSQL's executor computes them row by row.", &setting_vectorized, true,
      PGC_USERSET, 0, nullptr, change_vectorized, nullptr);
  DefineCustomIntVariable(
      "datahike.vectorized_min_rows",
      "Estimated rows from which on a table's aggregates are computed column by column.",
      "The planner leaves smaller tables, which take milliseconds, to PostgreSQL's executor.",
      &setting_vectorized_min_rows, 25000, 0, INT_MAX, PGC_USERSET, 0, nullptr, change_min_rows,
      nullptr);
  DefineCustomIntVariable(
      "datahike.threads",
      "Threads that a query's aggregates are computed with, and rows of a large COPY encoded.",
      "0: as many as there are processors. Results do not depend on it.", &setting_threads, 0, 0,
      1024, PGC_USERSET, 0, nullptr, nullptr, nullptr);
}

}  // namespace datahike::pg
