// Rows of queries to train with, or to score.
#include <limits>

#include "iforest/sql/training.h"

#include "iforest/sql/measures.h"
#include "iforest/reservoir.h"
#include "pg/bridge.h"

extern "C" {
#include "executor/spi.h"
#include "utils/plancache.h"
}

namespace datahike::anomaly {

namespace {

constexpr long kFetchedAtOnce = 1000;

// Raises what is wrong with the columns.
void describe_columns(TupleDesc desc, QueryShape* shape) {
  if (desc->natts == 0)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("the training query has no columns")));
  if (desc->natts > static_cast<int>(iforest::kMostFeatures))
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("a model has at most %u features", iforest::kMostFeatures)));
  shape->columns = desc->natts;
  shape->conversions = static_cast<Conversion*>(palloc(sizeof(Conversion) * desc->natts));
  shape->names = static_cast<char**>(palloc(sizeof(char*) * desc->natts));
  for (int i = 0; i < desc->natts; ++i) {
    FormData_pg_attribute* column = TupleDescAttr(desc, i);
    shape->names[i] = pstrdup(NameStr(column->attname));
    shape->conversions[i] = conversion_of(column->atttypid);
    if (shape->conversions[i] == Conversion::None)
      ereport(ERROR,
              (errcode(ERRCODE_DATATYPE_MISMATCH),
               errmsg("feature \"%s\" is of type %s, which is not numeric", shape->names[i],
                      format_type_be(column->atttypid)),
               errhint("Features are of integer, floating-point or numeric types: cast it.")));
    for (int other = 0; other < i; ++other)
      if (std::strcmp(shape->names[other], shape->names[i]) == 0)
        ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
                        errmsg("the training query has two columns named \"%s\"", shape->names[i]),
                        errhint("Name them with AS.")));
  }
}

struct Visit {
  void (*row)(void* context, const double* values, const bool* nulls);
  void* context;
};

void each_row(Portal portal, const QueryShape& shape, const Visit& visit) {
  auto* values = static_cast<double*>(palloc(sizeof(double) * shape.columns));
  auto* nulls = static_cast<bool*>(palloc(sizeof(bool) * shape.columns));
  // What conversions leave behind goes with the rows that were fetched together.
  MemoryContext conversions = AllocSetContextCreate(
      CurrentMemoryContext, "datahike features of rows", ALLOCSET_DEFAULT_SIZES);
  for (;;) {
    SPI_cursor_fetch(portal, true, kFetchedAtOnce);
    if (SPI_processed == 0) return;
    MemoryContextReset(conversions);
    for (uint64 i = 0; i < SPI_processed; ++i) {
      MemoryContext before = MemoryContextSwitchTo(conversions);
      for (int c = 0; c < shape.columns; ++c) {
        Datum value = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, c + 1, &nulls[c]);
        values[c] = nulls[c] ? std::numeric_limits<double>::quiet_NaN()
                             : to_double(value, shape.conversions[c]);
      }
      MemoryContextSwitchTo(before);
      visit.row(visit.context, values, nulls);
    }
    SPI_freetuptable(SPI_tuptable);
  }
}

bool only_reads(SPIPlanPtr plan) {
  ListCell *source, *query;
  foreach (source, SPI_plan_get_plan_sources(plan))
    foreach (query, static_cast<CachedPlanSource*>(lfirst(source))->query_list) {
      auto* q = lfirst_node(Query, query);
      if (q->commandType != CMD_SELECT || q->hasModifyingCTE || q->rowMarks != NIL) return false;
    }
  return true;
}

// Opens the query's cursor. What the query itself has wrong is raised as PostgreSQL has it.
Portal open(const char* query) {
  SPIPlanPtr plan = SPI_prepare_cursor(query, 0, nullptr, CURSOR_OPT_NO_SCROLL);
  if (!plan)
    ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("the training query is no query"),
                    errdetail("%s", SPI_result_code_string(SPI_result))));
  if (!SPI_is_cursor_plan(plan))
    ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
                    errmsg("the training query is not a single query that returns rows")));
  if (!only_reads(plan))
    ereport(ERROR,
            (errcode(ERRCODE_SYNTAX_ERROR), errmsg("the training query is not a plain SELECT")));
  return SPI_cursor_open(nullptr, plan, nullptr, nullptr, true);
}

}  // namespace

void visit_rows(const char* query, QueryShape* shape, void (*prepare)(void*, const QueryShape&),
                void (*row)(void*, const double*, const bool*), void* context) {
  // Scans that begin where another one is would give other rows to the same seed.
  const int level = NewGUCNestLevel();
  set_config_option("synchronize_seqscans", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                    true, 0, false);
  SPI_connect();
  Portal portal = open(query);
  describe_columns(portal->tupDesc, shape);
  prepare(context, *shape);
  each_row(portal, *shape, {row, context});
  SPI_cursor_close(portal);
  SPI_finish();
  AtEOXact_GUC(true, level);
}

namespace {

struct Gathering {
  iforest::Reservoir reservoir;
  TrainingRows* rows;
  uint64_t capacity;
};

}  // namespace

void gather(const char* query, const iforest::Options& options, TrainingRows& rows) {
  Gathering gathering{iforest::Reservoir(iforest::rows_to_keep(options), options.seed), &rows,
                      iforest::rows_to_keep(options)};
  QueryShape shape{};
  // C++ within callbacks of PostgreSQL frames: exceptions become errors there, and here again.
  const auto prepare = [](void* context, const QueryShape& shape) {
    auto* g = static_cast<Gathering*>(context);
    pg::guard([g, &shape] { g->rows->names.assign(shape.names, shape.names + shape.columns); });
  };
  const auto row = [](void* context, const double* values, const bool*) {
    auto* g = static_cast<Gathering*>(context);
    pg::guard([g, values] {
      const size_t columns = g->rows->names.size();
      const uint64_t place = g->reservoir.offer();
      if (place == iforest::Reservoir::kNone) return;
      std::vector<double>& all = g->rows->values;
      if (all.size() < (place + 1) * columns) all.resize((place + 1) * columns);
      std::copy(values, values + columns, all.begin() + static_cast<ptrdiff_t>(place * columns));
    });
  };
  pg::call([&] { visit_rows(query, &shape, prepare, row, &gathering); });
  rows.total = gathering.reservoir.rows();
  if (rows.total == 0)
    throw pg::SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "the training query returned no rows");
}

}  // namespace datahike::anomaly
