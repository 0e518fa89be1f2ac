// Rows of queries to train with, or to score.
#include "iforest/sql/training.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "iforest/reservoir.h"
#include "iforest/sql/drawn_rows.h"
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

void each_row(Portal portal, const QueryShape& shape, const RowVisitor& visitor) {
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
      visitor.row(visitor.context, values, nulls);
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

// What the query itself has wrong is raised as PostgreSQL has it.
SPIPlanPtr prepare_query(const char* query) {
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
  return plan;
}

void run_to_end(SPIPlanPtr plan, QueryShape* shape, const RowVisitor& visitor) {
  Portal portal = SPI_cursor_open(nullptr, plan, nullptr, nullptr, true);
  describe_columns(portal->tupDesc, shape);
  visitor.prepare(visitor.context, *shape);
  each_row(portal, *shape, visitor);
  SPI_cursor_close(portal);
}

// The rows of a plain scan that the visitor asks for.
void draw(const Query* query, QueryShape* shape, const RowVisitor& visitor) {
  TupleDesc columns = ExecCleanTypeFromTL(query->targetList);
  describe_columns(columns, shape);
  visitor.prepare(visitor.context, *shape);
  draw_rows(query, *shape, visitor);
}

// Under settings of its own.
void visit(const char* query, QueryShape* shape, const RowVisitor& visitor) {
  // Scans that begin where another one is would give other rows to the same seed.
  const int level = NewGUCNestLevel();
  set_config_option("synchronize_seqscans", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                    true, 0, false);
  SPI_connect();
  SPIPlanPtr plan = prepare_query(query);
  if (const Query* scan = visitor.choose ? plain_scan(plan) : nullptr)
    draw(scan, shape, visitor);
  else
    run_to_end(plan, shape, visitor);
  SPI_finish();
  AtEOXact_GUC(true, level);
}

}  // namespace

void visit_rows(const char* query, QueryShape* shape, void (*prepare)(void*, const QueryShape&),
                void (*row)(void*, const double*, const bool*), void* context) {
  visit(query, shape, {prepare, nullptr, row, context});
}

namespace {

struct Gathering {
  iforest::Reservoir reservoir;
  TrainingRows* rows;
  const CheckNames* check;
  // Of a scan whose rows are drawn: those to be read, in their order, and where each belongs.
  std::vector<uint64_t> numbers;
  std::vector<size_t> places;
  size_t next = 0;
};

// C++ within callbacks of PostgreSQL frames: exceptions become errors there, and here again.
void prepare(void* context, const QueryShape& shape) {
  auto* g = static_cast<Gathering*>(context);
  pg::guard([g, &shape] {
    g->rows->names.assign(shape.names, shape.names + shape.columns);
    if (*g->check) (*g->check)(g->rows->names);
  });
}

const uint64_t* choose(void* context, uint64_t total, size_t* count) {
  auto* g = static_cast<Gathering*>(context);
  return pg::guard([=] {
    const std::vector<uint64_t> taken = g->reservoir.draw(total);
    g->places.resize(taken.size());
    std::iota(g->places.begin(), g->places.end(), size_t{0});
    std::ranges::sort(g->places, {}, [&](size_t place) { return taken[place]; });
    for (const size_t place : g->places) g->numbers.push_back(taken[place]);
    *count = taken.size();
    return static_cast<const uint64_t*>(g->numbers.data());
  });
}

void take_row(void* context, const double* values, const bool*) {
  auto* g = static_cast<Gathering*>(context);
  pg::guard([g, values] {
    const bool drawn = !g->places.empty();
    const uint64_t place = drawn ? g->places[g->next++] : g->reservoir.offer();
    if (place == iforest::Reservoir::kNone) return;
    const size_t columns = g->rows->names.size();
    std::vector<double>& all = g->rows->values;
    const size_t rows = drawn ? g->places.size() : place + 1;
    if (all.size() < rows * columns) all.resize(rows * columns);
    std::copy(values, values + columns, all.begin() + static_cast<ptrdiff_t>(place * columns));
  });
}

}  // namespace

void gather(const char* query, const iforest::Options& options, TrainingRows& rows,
            const CheckNames& check) {
  Gathering gathering{
      iforest::Reservoir(iforest::rows_to_keep(options), options.seed), &rows, &check, {}, {}};
  QueryShape shape{};
  pg::call([&] { visit(query, &shape, {prepare, choose, take_row, &gathering}); });
  rows.total = gathering.reservoir.rows();
  rows.drawn = !gathering.places.empty();
  if (rows.total == 0)
    throw pg::SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "the training query returned no rows");
  pg::call([&rows] {
    ereport(DEBUG1, (errmsg_internal(rows.drawn ? "a sample of " UINT64_FORMAT
                                                  " rows was drawn, the others were not read"
                                                : "all " UINT64_FORMAT
                                                  " rows of the training query were read",
                                     rows.drawn ? static_cast<uint64>(rows.rows().count())
                                                : static_cast<uint64>(rows.total))));
  });
}

}  // namespace datahike::anomaly
