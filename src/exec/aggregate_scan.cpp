// Running "Datahike Aggregate".
#include <thread>

#include "am/batch_cursor.h"
#include "am/scan.h"
#include "exec/aggregate.h"
#include "exec/execute_privilege.h"
#include "pg/bridge.h"
#include "pg/vector_settings.h"
#include "column/vector/parallel.h"

extern "C" {
#include "access/parallel.h"
#include "commands/explain.h"
#include "executor/nodeHash.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/numeric.h"
#include "utils/ruleutils.h"
}

namespace datahike::exec {

namespace {

// What a run leaves behind: kept by the scan's state, which goes with the scan or after an error.
struct Run {
  Compiler compiler;
  vector::Execution execution;
  std::unique_ptr<vector::ParallelAggregation> groups;
  Run(Relation relation, const AggregatePlan& plan) : compiler(relation, plan.table, plan.build) {}
};

struct TopRow {
  int64_t count;
  MinimalTuple row;
};

// Nothing in it has a destructor: it is PostgreSQL's memory.
struct AggregateScan {
  CustomScanState state;
  Relation relation;
  TableScanDesc scan;     // nullptr: not begun
  TupleTableSlot* row;    // of the table, for rows that are converted one by one
  List* parameters;       // ExprStates
  MemoryContext context;  // of the run
  Run* run;               // nullptr: not run yet
  size_t part;            // of the run's groups, the one to return from
  uint32_t next;          // group of it to return
  // Of the first groups by a count, if only those are wanted: their rows, in order.
  bool wants_top;
  struct TopRow* top;
  size_t top_rows;
  vector::Counters total;  // of all runs, for EXPLAIN
};
AggregateScan* as_aggregate(CustomScanState* state) {
  return reinterpret_cast<AggregateScan*>(state);
}

AggregatePlan plan_of(CustomScanState* node) {
  return unpack(castNode(CustomScan, node->ss.ps.plan)->custom_private);
}

void begin(CustomScanState* node, EState* estate, int flags) {
  AggregateScan* scan = as_aggregate(node);
  // What it returns are no rows of the table: WHERE CURRENT OF must not find one here.
  scan->relation = std::exchange(node->ss.ss_currentRelation, nullptr);
  auto* plan = castNode(CustomScan, node->ss.ps.plan);
  const AggregatePlan described = plan_of(node);
  scan->wants_top = described.top > 0;
  require_execute(reinterpret_cast<Node*>(expressions_of(described)));
  scan->parameters = ExecInitExprList(plan->custom_exprs, &node->ss.ps);
  ListCell* cell;
  foreach (cell, plan->custom_plans)
    node->custom_ps =
        lappend(node->custom_ps, ExecInitNode(static_cast<Plan*>(lfirst(cell)), estate, flags));
  if (flags & EXEC_FLAG_EXPLAIN_ONLY) return;
  scan->row = table_slot_create(scan->relation, &estate->es_tupleTable);
  scan->context =
      AllocSetContextCreate(estate->es_query_cxt, "datahike aggregate", ALLOCSET_DEFAULT_SIZES);
}

// Constants with the values that the parameters have now.
List* parameter_values(CustomScanState* node) {
  List* values = NIL;
  ListCell *cell, *state;
  forboth(cell, castNode(CustomScan, node->ss.ps.plan)->custom_exprs, state,
          as_aggregate(node)->parameters) {
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

void set_missing_values(vector::Program& program, const std::vector<int>& attributes,
                        Relation relation, const am::RelationInfo& info) {
  for (size_t i = 0; i < attributes.size(); ++i) {
    if (attributes[i] < 0) continue;
    am::MissingValue missing = am::missing_value(relation, info, attributes[i]);
    vector::Column& column = program.columns[i];
    if (missing.null || missing.converts) continue;
    column.missing_null = false;
    if (column::is_word(column.kind)) {
      column.missing_word = column::normalised(column.kind, missing.value);
    } else if (column.kind == column::Kind::Bytes) {
      auto* text = reinterpret_cast<const uint8_t*>(DatumGetPointer(missing.value));
      auto* bytes = reinterpret_cast<const uint8_t*>(VARDATA_ANY(text));
      column.missing_text.assign(bytes, bytes + VARSIZE_ANY_EXHDR(text));
    }
  }
}

void aggregate(Run& run, AggregateScan* scan) {
  const am::RelationInfo& info = am::relation_info(scan->relation);
  set_missing_values(run.compiler.program, run.compiler.attributes, scan->relation, info);
  std::vector<int> attributes = run.compiler.attributes;
  std::erase(attributes, -1);
  std::sort(attributes.begin(), attributes.end());
  am::TableView view = am::begin_batch_scan(scan->scan, info);
  am::BatchCursor cursor(view, scan->relation, info, attributes, scan->row);
  run.groups.reset();
  run.groups = std::make_unique<vector::ParallelAggregation>(run.compiler.program, run.execution);
  const auto poll = [] { pg::call([] { CHECK_FOR_INTERRUPTS(); }); };
  for (;;) {
    std::vector<vector::Piece> pieces = cursor.next();
    run.groups->add(pieces, poll);
    if (pieces.empty()) return;
  }
}

unsigned threads() {
  unsigned all = std::max(1u, std::thread::hardware_concurrency());
  unsigned wanted = pg::setting_threads == 0 ? all : static_cast<unsigned>(pg::setting_threads);
  // Workers of a parallel query have the other processors already.
  return IsParallelWorker() ? 1 : std::min(wanted, all);
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
void aggregate_somehow(Run& run, AggregateScan* scan) {
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

void run_pass(AggregateScan* scan, Run& run) {
  try {
    aggregate_somehow(run, scan);
  } catch (const vector::ValueError& e) {
    raise_value_error(e);
  }
  scan->part = 0;
  scan->next = 0;
}

void run_aggregate(AggregateScan* scan, const AggregatePlan& bound) {
  auto run = std::make_shared<Run>(scan->relation, bound);
  if (!compile(run->compiler, bound))
    throw pg::SqlError(ERRCODE_INTERNAL_ERROR,
                       "the plan of an aggregate does not compile any more");
  // Before the store is read: what is read there later may let go of the map.
  if (bound.build)
    run->compiler.program.join.build = read_build_side(
        static_cast<PlanState*>(linitial(scan->state.custom_ps)), run->compiler, bound.columns);
  run->execution.threads = threads();
  run->execution.most_bytes = pg::call([] { return get_hash_memory_limit(); });
  run_pass(scan, *run);
  const vector::Counters& c = run->groups->counters();
  scan->total.segments += c.segments;
  scan->total.pruned += c.pruned;
  scan->total.rows += c.rows;
  scan->total.passed += c.passed;
  am::count_batch_rows(scan->scan, c.rows);
  scan->run = run.get();
  am::attach_to_scan(scan->scan, std::move(run));
}

// The groups of the next pass; false: there is none.
bool run_next_pass(AggregateScan* scan) {
  vector::Execution& execution = scan->run->execution;
  if (execution.pass + 1 >= execution.passes) return false;
  ++execution.pass;
  MemoryContext old = MemoryContextSwitchTo(scan->context);
  pg::guard([scan] { run_pass(scan, *scan->run); });
  MemoryContextSwitchTo(old);
  return true;
}

void run(CustomScanState* node) {
  AggregateScan* scan = as_aggregate(node);
  MemoryContext old = MemoryContextSwitchTo(scan->context);
  List* values = parameter_values(node);
  AggregatePlan bound = plan_of(node);
  if (values) {
    List* expressions = expressions_of(bound);
    set_expressions(bound, reinterpret_cast<List*>(
                               bind_parameters(reinterpret_cast<Node*>(expressions), values)));
  }
  MemoryContextSwitchTo(node->ss.ps.state->es_query_cxt);
  scan->scan = table_beginscan(scan->relation, node->ss.ps.state->es_snapshot, 0, nullptr);
  MemoryContextSwitchTo(scan->context);
  pg::guard([&bound, scan] { run_aggregate(scan, bound); });
  MemoryContextSwitchTo(old);
}

Datum key_value(const Run& run, const vector::Aggregation& groups, uint32_t group, int key,
                Oid type) {
  if (run.compiler.program.keys[key].text < 0) {
    uint64_t word = groups.key_word(group, static_cast<unsigned>(key));
    // extract() of a timestamp.
    if (type == NUMERICOID) return NumericGetDatum(int64_to_numeric(static_cast<int64>(word)));
    if (type == FLOAT8OID &&
        run.compiler.program.expressions[run.compiler.program.keys[key].expression].type ==
            vector::Type::Int)
      return Float8GetDatum(static_cast<double>(static_cast<int64>(word)));
    if (type != FLOAT4OID) return static_cast<Datum>(word);
    return Float4GetDatum(static_cast<float4>(DatumGetFloat8(static_cast<Datum>(word))));
  }
  ByteView text = groups.key_text(group, static_cast<unsigned>(key));
  return PointerGetDatum(cstring_to_text_with_len(reinterpret_cast<const char*>(text.data()),
                                                  static_cast<int>(text.size())));
}

void fill(const AggregateScan* scan, TupleTableSlot* slot, uint32_t group) {
  const Run& run = *scan->run;
  const vector::Aggregation& groups = *run.groups->parts()[scan->part];
  int keys = static_cast<int>(run.compiler.program.keys.size());
  TupleDesc desc = slot->tts_tupleDescriptor;
  for (int i = 0; i < desc->natts; ++i) {
    Oid type = TupleDescAttr(desc, i)->atttypid;
    if (i < keys) {
      slot->tts_isnull[i] = groups.key_is_null(group, static_cast<unsigned>(i));
      slot->tts_values[i] = slot->tts_isnull[i] ? 0 : key_value(run, groups, group, i, type);
    } else {
      slot->tts_values[i] = aggregate_result(groups, run.compiler.outputs[i - keys], group, type,
                                             &slot->tts_isnull[i]);
    }
  }
}

// Merges the first groups of the pass at hand into those of the passes before.
void take_top(CustomScanState* node, const AggregatePlan& plan) {
  AggregateScan* scan = as_aggregate(node);
  const auto most = static_cast<size_t>(plan.top);
  auto* found = static_cast<TopGroup*>(palloc(most * sizeof(TopGroup)));
  size_t count = pg::guard([&] {
    const Compiler& compiler = scan->run->compiler;
    return top_groups(*scan->run->groups, compiler.program, compiler.outputs[plan.top_by],
                      plan.descending, most, found);
  });
  auto* merged = static_cast<TopRow*>(palloc(most * sizeof(TopRow)));
  size_t old = 0, fresh = 0, rows = 0;
  for (; rows < most && (old < scan->top_rows || fresh < count); ++rows) {
    bool from_old = old < scan->top_rows;
    if (from_old && fresh < count)
      from_old = plan.descending ? scan->top[old].count >= found[fresh].count
                                 : scan->top[old].count <= found[fresh].count;
    if (from_old) {
      merged[rows] = scan->top[old++];
      continue;
    }
    TupleTableSlot* slot = node->ss.ss_ScanTupleSlot;
    ExecClearTuple(slot);
    scan->part = found[fresh].part;
    fill(scan, slot, found[fresh].group);
    ExecStoreVirtualTuple(slot);
    merged[rows] = {found[fresh].count, ExecCopySlotMinimalTuple(slot)};
    ++fresh;
  }
  scan->top = merged;
  scan->top_rows = rows;
}

// Runs all passes.
void run_top(CustomScanState* node) {
  AggregateScan* scan = as_aggregate(node);
  scan->top = nullptr;
  scan->top_rows = 0;
  AggregatePlan plan = plan_of(node);
  MemoryContext old = MemoryContextSwitchTo(scan->context);
  do take_top(node, plan);
  while (run_next_pass(scan));
  MemoryContextSwitchTo(old);
  scan->next = 0;
}

TupleTableSlot* next_top(CustomScanState* node) {
  AggregateScan* scan = as_aggregate(node);
  ExprContext* context = node->ss.ps.ps_ExprContext;
  TupleTableSlot* slot = node->ss.ss_ScanTupleSlot;
  if (scan->next == scan->top_rows)
    return ExecClearTuple(node->ss.ps.ps_ProjInfo ? node->ss.ps.ps_ResultTupleSlot : slot);
  ResetExprContext(context);
  ExecForceStoreMinimalTuple(scan->top[scan->next++].row, slot, false);
  context->ecxt_scantuple = slot;
  return node->ss.ps.ps_ProjInfo ? ExecProject(node->ss.ps.ps_ProjInfo) : slot;
}

// To a part with a group that has not been returned; false: there is none.
bool has_next(AggregateScan* scan) {
  for (;;) {
    const auto& parts = scan->run->groups->parts();
    if (scan->next < parts[scan->part]->groups()) return true;
    scan->next = 0;
    if (++scan->part < parts.size()) continue;
    if (!run_next_pass(scan)) {
      scan->part = parts.size() - 1;
      scan->next = parts.back()->groups();
      return false;
    }
  }
}

TupleTableSlot* next(CustomScanState* node) {
  AggregateScan* scan = as_aggregate(node);
  if (!scan->run) {
    run(node);
    if (scan->wants_top) run_top(node);
  }
  if (scan->wants_top) return next_top(node);
  ExprContext* context = node->ss.ps.ps_ExprContext;
  TupleTableSlot* slot = node->ss.ss_ScanTupleSlot;
  while (has_next(scan)) {
    CHECK_FOR_INTERRUPTS();
    ResetExprContext(context);
    ExecClearTuple(slot);
    MemoryContext old = MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
    fill(scan, slot, scan->next++);
    MemoryContextSwitchTo(old);
    ExecStoreVirtualTuple(slot);
    context->ecxt_scantuple = slot;
    if (!ExecQual(node->ss.ps.qual, context)) {
      InstrCountFiltered1(node, 1);
      continue;
    }
    return node->ss.ps.ps_ProjInfo ? ExecProject(node->ss.ps.ps_ProjInfo) : slot;
  }
  return ExecClearTuple(node->ss.ps.ps_ProjInfo ? node->ss.ps.ps_ResultTupleSlot : slot);
}

void forget_run(AggregateScan* scan) {
  scan->run = nullptr;
  if (scan->scan) table_endscan(std::exchange(scan->scan, nullptr));
  if (scan->context) MemoryContextReset(scan->context);
}

void end(CustomScanState* node) {
  forget_run(as_aggregate(node));
  ListCell* cell;
  foreach (cell, node->custom_ps) ExecEndNode(static_cast<PlanState*>(lfirst(cell)));
}

void rescan(CustomScanState* node) {
  AggregateScan* scan = as_aggregate(node);
  // The same parameters and the same snapshot give the same groups.
  bool again = scan->run && (scan->run->execution.passes == 1 || scan->wants_top);
  if (again && !node->ss.ps.chgParam) {
    scan->part = 0;
    scan->next = 0;
    return;
  }
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

void explain_list(CustomScanState* node, List* ancestors, ExplainState* out, const char* label,
                  List* expressions, bool conjunction) {
  if (expressions == NIL) return;
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
  if (conjunction) {
    auto* all = reinterpret_cast<Node*>(make_ands_explicit(copy));
    ExplainPropertyText(label, deparse_expression(all, context, prefix, false), out);
    return;
  }
  List* texts = NIL;
  ListCell* cell;
  foreach (cell, copy)
    texts =
        lappend(texts, deparse_expression(static_cast<Node*>(lfirst(cell)), context, prefix, true));
  ExplainPropertyList(label, texts, out);
}

void explain(CustomScanState* node, List* ancestors, ExplainState* out) {
  AggregatePlan plan = plan_of(node);
  explain_list(node, ancestors, out, "Group Key", plan.keys, false);
  if (plan.build) {
    ExplainPropertyText("Join Type",
                        vector::name_of(static_cast<vector::Join::Kind>(plan.join_kind)), out);
    explain_list(node, ancestors, out, "Hash Cond", plan.conditions, true);
  }
  explain_list(node, ancestors, out, "Scan Filter", plan.filters, true);
  if (plan.top) ExplainPropertyInteger("Top Groups", nullptr, plan.top, out);
  if (!out->analyze) return;
  const vector::Counters& c = as_aggregate(node)->total;
  if (as_aggregate(node)->run && as_aggregate(node)->run->execution.passes > 1)
    ExplainPropertyInteger("Passes", nullptr, as_aggregate(node)->run->execution.passes, out);
  ExplainPropertyInteger("Segments", nullptr, static_cast<int64>(c.segments), out);
  if (plan.filters == NIL) return;
  ExplainPropertyInteger("Segments Pruned", nullptr, static_cast<int64>(c.pruned), out);
  ExplainPropertyInteger("Rows Filtered", nullptr, static_cast<int64>(c.rows - c.passed), out);
}

const CustomExecMethods exec_methods = {"Datahike Aggregate",
                                        begin,
                                        next,
                                        end,
                                        rescan,
                                        nullptr,
                                        nullptr,
                                        nullptr,
                                        nullptr,
                                        nullptr,
                                        nullptr,
                                        nullptr,
                                        explain};

}  // namespace

Node* create_aggregate_state(CustomScan*) {
  auto* scan = static_cast<AggregateScan*>(palloc0(sizeof(AggregateScan)));
  NodeSetTag(scan, T_CustomScanState);
  scan->state.methods = &exec_methods;
  return reinterpret_cast<Node*>(scan);
}

const CustomScanMethods aggregate_scan_methods = {"Datahike Aggregate", create_aggregate_state};

}  // namespace datahike::exec
