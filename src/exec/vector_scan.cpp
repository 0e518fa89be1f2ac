#include "exec/vector_scan.h"

#include <thread>

#include "am/scan.h"
#include "column/vector/decimals.h"
#include "exec/execute_privilege.h"
#include "exec/pieces.h"
#include "fdw/other_pieces.h"
#include "pg/bridge.h"
#include "pg/vector_settings.h"

extern "C" {
#include "access/parallel.h"
#include "access/sysattr.h"
#include "commands/explain.h"
#include "executor/nodeHash.h"
#include "foreign/foreign.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "storage/ipc.h"
#include "utils/ruleutils.h"
}

namespace datahike::exec {

AggregatePlan plan_of(CustomScanState* node) {
  return unpack(castNode(CustomScan, node->ss.ps.plan)->custom_private);
}

namespace {

// The table's columns in the plan's expressions and among what is returned.
List* columns_read(const AggregatePlan& plan) {
  Bitmapset* read = nullptr;
  pull_varattnos(reinterpret_cast<Node*>(expressions_of(plan)), plan.table, &read);
  List* columns = list_copy(plan.first.columns);
  for (int at = -1; (at = bms_next_member(read, at)) >= 0;)
    if (const int number = at + FirstLowInvalidHeapAttributeNumber; number > 0)
      columns = list_append_unique_int(columns, number);
  list_sort(columns, list_int_cmp);
  return columns;
}

// The store is read in the state in which it is when the query begins.
void begin_foreign(CustomScanState* node) {
  VectorScan* scan = as_vector(node);
  EState* estate = node->ss.ps.state;
  auto* plan = castNode(CustomScan, node->ss.ps.plan);
  const RangeTblEntry* entry = exec_rt_fetch(plan->scan.scanrelid, estate);
  const Oid user = OidIsValid(entry->checkAsUser) ? entry->checkAsUser : GetUserId();
  scan->foreign = fdw::open_other_table(scan->relation, estate->es_snapshot, user,
                                        columns_read(plan_of(node)), estate->es_query_cxt);
}

}  // namespace

void begin_vector_scan(CustomScanState* node, EState* estate, int flags) {
  VectorScan* scan = as_vector(node);
  // What it returns are no rows of the table: WHERE CURRENT OF must not find one here.
  scan->relation = std::exchange(node->ss.ss_currentRelation, nullptr);
  auto* plan = castNode(CustomScan, node->ss.ps.plan);
  require_execute(reinterpret_cast<Node*>(expressions_of(plan_of(node))));
  scan->parameters = ExecInitExprList(plan->custom_exprs, &node->ss.ps);
  ListCell* cell;
  foreach (cell, plan->custom_plans)
    node->custom_ps =
        lappend(node->custom_ps, ExecInitNode(static_cast<Plan*>(lfirst(cell)), estate, flags));
  if (flags & EXEC_FLAG_EXPLAIN_ONLY) return;
  if (fdw::is_other_table(scan->relation)) begin_foreign(node);
  scan->row = table_slot_create(scan->relation, &estate->es_tupleTable);
  scan->context =
      AllocSetContextCreate(estate->es_query_cxt, "datahike aggregate", ALLOCSET_DEFAULT_SIZES);
}

void set_missing_values(vector::Program& program, const std::vector<int>& attributes,
                        Relation relation, const am::RelationInfo& info) {
  for (size_t i = 0; i < attributes.size(); ++i) {
    if (attributes[i] < 0) continue;
    am::MissingValue missing = am::missing_value(relation, info, attributes[i]);
    vector::Column& column = program.columns[i];
    if (missing.null || missing.converts) continue;
    column.missing_null = false;
    if (column.decimal >= 0) {
      auto* numeric = reinterpret_cast<const uint8_t*>(DatumGetPointer(missing.value));
      auto* payload = reinterpret_cast<const uint8_t*>(VARDATA_ANY(numeric));
      column.missing_word = static_cast<uint64_t>(
          vector::scaled_of(ByteView(payload, VARSIZE_ANY_EXHDR(numeric)), column.decimal));
    } else if (column::is_word(column.kind)) {
      column.missing_word = column::normalised(column.kind, missing.value);
    } else if (column.kind == column::Kind::Bytes) {
      auto* text = reinterpret_cast<const uint8_t*>(DatumGetPointer(missing.value));
      auto* bytes = reinterpret_cast<const uint8_t*>(VARDATA_ANY(text));
      column.missing_text.assign(bytes, bytes + VARSIZE_ANY_EXHDR(text));
    }
  }
}

namespace {

// Constants with the values that the parameters have now.
List* parameter_values(CustomScanState* node) {
  List* values = NIL;
  ListCell *cell, *state;
  forboth(cell, castNode(CustomScan, node->ss.ps.plan)->custom_exprs, state,
          as_vector(node)->parameters) {
    auto* expression = static_cast<Node*>(lfirst(cell));
    Oid type = exprType(expression);
    bool isnull;
    Datum value = ExecEvalExprSwitchContext(static_cast<ExprState*>(lfirst(state)),
                                            node->ss.ps.ps_ExprContext, &isnull);
    int16 length;
    bool by_value;
    get_typlenbyval(type, &length, &by_value);
    if (!isnull) value = datumCopy(value, by_value, length);
    values = lappend(values, makeConst(type, exprTypmod(expression), exprCollation(expression),
                                       length, isnull ? 0 : value, isnull, by_value));
  }
  return values;
}

// All rows of the table, with the part of the build side that is at hand.
std::vector<PieceRows> add_table(Run& run, VectorScan* scan) {
  const std::unique_ptr<Pieces> all = open_pieces(scan, run.attributes);
  const auto poll = [] { pg::call([] { CHECK_FOR_INTERRUPTS(); }); };
  std::vector<PieceRows> read;
  for (;;) {
    std::vector<vector::Piece> pieces = all->next();
    for (const vector::Piece& piece : pieces) read.push_back(rows_of(piece));
    run.groups->add(pieces, poll);
    if (pieces.empty()) return read;
  }
}

// Not while the store is read: what is read there later may let go of the map.
void take_part(Run& run, unsigned part) {
  vector::Join& join = run.compiler.program.join;
  if (join.build && join.part == part && join.parts == 1) return;
  join.build.reset();  // not two at a time
  join.build = run.build->part(part);
  join.part = part;
  join.parts = run.build->parts();
}

void aggregate(Run& run, VectorScan* scan) {
  run.groups.reset();
  if (run.build) take_part(run, 0);
  run.groups = std::make_unique<vector::ParallelAggregation>(run.compiler.program, run.execution);
  std::vector<PieceRows> read = add_table(run, scan);
  for (unsigned part = 1; run.build && part < run.build->parts(); ++part) {
    take_part(run, part);
    add_table(run, scan);
  }
  run.changed |= run.execution.pass > 0 && read != run.pieces;
  run.pieces = std::move(read);
}

unsigned threads() {
  // Workers of a parallel query have the other processors already.
  if (IsParallelWorker()) return 1;
  const unsigned all = std::max(1u, std::thread::hardware_concurrency());
  if (pg::setting_threads == 0) return all;
  // More than there are processors are as many parts for these, as on a machine that has more.
  constexpr unsigned kParts = 8;
  return std::min(static_cast<unsigned>(pg::setting_threads), std::max(all, kParts));
}

// FATAL (pg_terminate_backend, the server's fast shutdown) ends the process out of poll(), without
// unwinding it: the other threads are stopped before the transaction, and with it what they read,
// is aborted. Callbacks are called last registered first, those of the session's begin last.
void stop_threads_at_exit() {
  static bool registered = false;
  if (registered) return;
  pg::call([] {
    before_shmem_exit([](int, Datum) { vector::stop_other_threads(); }, static_cast<Datum>(0));
  });
  registered = true;
}

// Groups beyond the memory for them are computed in more passes. There are limits to that: one
// group alone may need as much.
void divide(vector::Execution& execution) {
  constexpr unsigned kMostPasses = 64;
  if (std::exchange(execution.by_key, true)) {
    execution.pass *= 2;
    execution.passes *= 2;
  }
  if (execution.passes > kMostPasses) execution.most_bytes = SIZE_MAX;
}

// What one way of computing cannot tell is computed anew in another.
void aggregate_somehow(Run& run, VectorScan* scan) {
  for (;;) try {
      return aggregate(run, scan);
    } catch (const vector::Unbounded&) {
      for (vector::Accumulator& a : run.compiler.program.accumulators)
        if (a.sum == vector::Sum::Bounded) a.sum = vector::Sum::Moments;
    } catch (const vector::InRowOrder&) {
      run.execution.in_row_order = true;
    } catch (const vector::TooManyGroups&) {
      divide(run.execution);
    }
}

[[noreturn]] void raise_value_error(const vector::ValueError& error) {
  using vector::ValueError;
  switch (error.kind) {
    case ValueError::SmallintRange:
      throw pg::SqlError(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "smallint out of range");
    case ValueError::IntegerRange:
      throw pg::SqlError(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range");
    case ValueError::BigintRange:
      throw pg::SqlError(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range");
    case ValueError::FloatOverflow:
      throw pg::SqlError(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow");
    case ValueError::FloatUnderflow:
      throw pg::SqlError(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow");
    case ValueError::InfiniteInteger:
      throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED, "cannot convert infinity to integer");
    case ValueError::InfiniteBigint:
      throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED, "cannot convert infinity to bigint");
    case ValueError::TimestampNaN:
      throw pg::SqlError(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, "timestamp cannot be NaN");
    case ValueError::TimestampRange: {
      char value[64];
      snprintf(value, sizeof value, "timestamp out of range: \"%g\"", error.value);
      throw pg::SqlError(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, value);
    }
    case ValueError::DivisionByZero:
      break;
  }
  throw pg::SqlError(ERRCODE_DIVISION_BY_ZERO, "division by zero");
}

void run_pass(VectorScan* scan, Run& run) {
  try {
    if (scan->collect)
      scan->collect(scan, run);
    else
      aggregate_somehow(run, scan);
  } catch (const vector::ValueError& e) {
    raise_value_error(e);
  }
}

std::vector<int> attributes_of(const Compiler& compiler, const AggregatePlan& plan) {
  std::vector<int> attributes = compiler.attributes;
  ListCell* cell;
  foreach (cell, plan.first.columns) attributes.push_back(lfirst_int(cell) - 1);
  std::sort(attributes.begin(), attributes.end());
  attributes.erase(std::unique(attributes.begin(), attributes.end()), attributes.end());
  std::erase(attributes, -1);
  return attributes;
}

// Where the program's columns are in the table's segments, and what they are in older rows.
void bind_columns(Run& run, VectorScan* scan, const AggregatePlan& bound) {
  vector::Program& program = run.compiler.program;
  const std::vector<int>& attributes = run.compiler.attributes;
  if (!scan->foreign)
    return set_missing_values(program, attributes, scan->relation,
                              am::relation_info(scan->relation));
  for (size_t i = 0; i < attributes.size(); ++i)
    if (attributes[i] >= 0)
      program.columns[i].number = fdw::attribute_there(*scan->foreign, attributes[i]).number;
  fdw::leave_out_rows(*scan->foreign, bound.filters, bound.table);
}

// The run goes with the scan.
void attach(VectorScan* scan, std::shared_ptr<Run> run) {
  scan->run = run.get();
  if (scan->scan) return am::attach_to_scan(scan->scan, std::move(run));
  auto* callback = pg::call([scan] {
    return static_cast<MemoryContextCallback*>(
        MemoryContextAlloc(scan->context, sizeof(MemoryContextCallback)));
  });
  callback->arg = new std::shared_ptr<Run>(std::move(run));
  callback->func = [](void* kept) { delete static_cast<std::shared_ptr<Run>*>(kept); };
  MemoryContextRegisterResetCallback(scan->context, callback);
}

void run_aggregate(VectorScan* scan, const AggregatePlan& bound) {
  auto run = std::make_shared<Run>(scan->relation, bound);
  if (!compile(run->compiler, bound))
    throw pg::SqlError(ERRCODE_INTERNAL_ERROR,
                       "the plan of an aggregate does not compile any more");
  if (bound.build)
    run->build = std::make_unique<BuildSide>(
        static_cast<PlanState*>(linitial(scan->state.custom_ps)), run->compiler, bound.columns);
  run->attributes = attributes_of(run->compiler, bound);
  bind_columns(*run, scan, bound);
  run->execution.threads = threads();
  if (run->execution.threads > 1) stop_threads_at_exit();
  run->execution.most_bytes = pg::call([] { return get_hash_memory_limit(); });
  run_pass(scan, *run);
  const vector::Counters c = run->groups ? run->groups->counters()
                             : run->rows ? run->rows->counters()
                                         : vector::Counters();
  scan->parts = run->build ? run->build->parts() : 1;
  scan->total.segments += c.segments / scan->parts;
  scan->total.pruned += c.pruned / scan->parts;
  scan->total.rows += c.rows / scan->parts;
  scan->total.passed += c.passed / scan->parts;
  if (scan->scan) am::count_batch_rows(scan->scan, c.rows);
  attach(scan, std::move(run));
}

}  // namespace

void run_first_pass(VectorScan* scan) {
  scan->run->execution.pass = 0;
  scan->run->changed = false;
  run_pass(scan, *scan->run);
}

bool run_next_pass(VectorScan* scan) {
  vector::Execution& execution = scan->run->execution;
  if (execution.pass + 1 >= execution.passes) return false;
  ++execution.pass;
  run_pass(scan, *scan->run);
  return true;
}

void run_vector_scan(CustomScanState* node) {
  VectorScan* scan = as_vector(node);
  MemoryContext old = MemoryContextSwitchTo(scan->context);
  List* values = parameter_values(node);
  AggregatePlan bound = plan_of(node);
  if (values) {
    List* expressions = expressions_of(bound);
    set_expressions(bound, reinterpret_cast<List*>(
                               bind_parameters(reinterpret_cast<Node*>(expressions), values)));
  }
  MemoryContextSwitchTo(node->ss.ps.state->es_query_cxt);
  if (!scan->foreign)
    scan->scan = table_beginscan(scan->relation, node->ss.ps.state->es_snapshot, 0, nullptr);
  MemoryContextSwitchTo(scan->context);
  pg::guard([&bound, scan] { run_aggregate(scan, bound); });
  MemoryContextSwitchTo(old);
}

void forget_run(VectorScan* scan) {
  scan->run = nullptr;
  if (scan->scan) table_endscan(std::exchange(scan->scan, nullptr));
  if (scan->context) MemoryContextReset(scan->context);
}

void end_vector_scan(CustomScanState* node) {
  VectorScan* scan = as_vector(node);
  forget_run(scan);
  if (scan->foreign) fdw::close_scan(std::exchange(scan->foreign, nullptr));
  ListCell* cell;
  foreach (cell, node->custom_ps) ExecEndNode(static_cast<PlanState*>(lfirst(cell)));
}

void rescan_vector_scan(CustomScanState* node) {
  VectorScan* scan = as_vector(node);
  bool read = scan->run != nullptr;
  forget_run(scan);
  ListCell* cell;
  foreach (cell, node->custom_ps) {
    auto* child = static_cast<PlanState*>(lfirst(cell));
    if (node->ss.ps.chgParam) UpdateChangedParamSet(child, node->ss.ps.chgParam);
    // With changed parameters it begins anew by itself.
    if (read && !child->chgParam) ExecReScan(child);
  }
}

List* deparse_list(CustomScanState* node, List* ancestors, ExplainState* out, List* expressions) {
  auto* copy = static_cast<List*>(copyObjectImpl(expressions));
  auto* plan = castNode(CustomScan, node->ss.ps.plan);
  // A subquery's relations have other numbers in the whole plan.
  OffsetVarNodes(reinterpret_cast<Node*>(copy),
                 static_cast<int>(plan->scan.scanrelid - plan_of(node).table), 0);
  // The planner does not tell EXPLAIN that the node reads the table, so it has no name there.
  List* names = list_copy(out->rtable_names);
  ListCell* name = list_nth_cell(names, static_cast<int>(plan->scan.scanrelid) - 1);
  if (!lfirst(name)) lfirst(name) = rt_fetch(plan->scan.scanrelid, out->rtable)->eref->aliasname;
  List* context = set_deparse_context_plan(deparse_context_for_plan_tree(out->pstmt, names),
                                           node->ss.ps.plan, ancestors);
  bool prefix = list_length(out->rtable) > 1 || out->verbose;
  List* texts = NIL;
  ListCell* cell;
  foreach (cell, copy)
    texts =
        lappend(texts, deparse_expression(static_cast<Node*>(lfirst(cell)), context, prefix, true));
  return texts;
}

void explain_list(CustomScanState* node, List* ancestors, ExplainState* out, const char* label,
                  List* expressions, bool conjunction) {
  if (expressions == NIL) return;
  if (conjunction) {
    List* all = list_make1(make_ands_explicit(expressions));
    auto* text = static_cast<char*>(linitial(deparse_list(node, ancestors, out, all)));
    return ExplainPropertyText(label, text, out);
  }
  ExplainPropertyList(label, deparse_list(node, ancestors, out, expressions), out);
}

void explain_source(CustomScanState* node, ExplainState* out) {
  const Relation relation = as_vector(node)->relation;
  if (!fdw::is_other_table(relation)) return;
  const Oid foreign = RelationGetRelid(relation);
  ExplainPropertyText(
      "View", fdw::describe_view(fdw::server_options(GetForeignTable(foreign)->serverid)), out);
  ExplainPropertyText("Relation", fdw::quoted(fdw::table_name(foreign)), out);
}

void explain_counters(CustomScanState* node, ExplainState* out) {
  VectorScan* scan = as_vector(node);
  const vector::Counters& c = scan->total;
  if (scan->run && scan->run->execution.passes > 1)
    ExplainPropertyInteger("Passes", nullptr, scan->run->execution.passes, out);
  if (scan->parts > 1) ExplainPropertyInteger("Batches", nullptr, scan->parts, out);
  ExplainPropertyInteger("Segments", nullptr, static_cast<int64>(c.segments), out);
  if (plan_of(node).filters == NIL) return;
  ExplainPropertyInteger("Segments Pruned", nullptr, static_cast<int64>(c.pruned), out);
  ExplainPropertyInteger("Rows Filtered", nullptr, static_cast<int64>(c.rows - c.passed), out);
}

}  // namespace datahike::exec
