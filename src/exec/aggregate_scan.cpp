// Running "Datahike Aggregate".
#include "column/vector/time.h"
#include "exec/vector_scan.h"
#include "pg/bridge.h"

extern "C" {
#include "commands/explain.h"
#include "utils/float.h"
#include "utils/numeric.h"
}

namespace datahike::exec {

namespace {

struct TopRow {
  int64_t count;
  MinimalTuple row;
};

// Nothing in it has a destructor: it is PostgreSQL's memory.
struct AggregateScan {
  VectorScan vector;
  size_t part;    // of the run's groups, the one to return from
  uint32_t next;  // group of it to return
  // Of the first groups by a count, if only those are wanted: their rows, in order.
  bool wants_top;
  TopRow* top;
  size_t top_rows;
};
AggregateScan* as_aggregate(CustomScanState* state) {
  return reinterpret_cast<AggregateScan*>(state);
}

void begin(CustomScanState* node, EState* estate, int flags) {
  begin_vector_scan(node, estate, flags);
  as_aggregate(node)->wants_top = plan_of(node).top > 0;
}

bool next_pass(AggregateScan* scan) {
  MemoryContext old = MemoryContextSwitchTo(scan->vector.context);
  const bool found = pg::guard([scan] { return run_next_pass(&scan->vector); });
  MemoryContextSwitchTo(old);
  if (!found) return false;
  scan->part = 0;
  scan->next = 0;
  return true;
}

Datum key_value(const Run& run, const vector::Aggregation& groups, uint32_t group, int key,
                Oid type) {
  if (run.compiler.program.keys[key].text < 0) {
    uint64_t word = groups.key_word(group, static_cast<unsigned>(key));
    const vector::Program& program = run.compiler.program;
    int scale = program.expressions[program.keys[key].expression].scale;
    if (type == NUMERICOID && scale >= 0) return decimal_numeric(static_cast<int64_t>(word), scale);
    // extract() and date_part() of a timestamp; an infinite one's year is infinite.
    const auto number = static_cast<int64_t>(word);
    const bool infinite = number == vector::kNoBegin || number == vector::kNoEnd;
    const bool is_integer =
        program.expressions[program.keys[key].expression].type == vector::Type::Int;
    if (type == NUMERICOID && infinite)
      return DirectFunctionCall3(numeric_in, CStringGetDatum(number > 0 ? "Infinity" : "-Infinity"),
                                 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
    if (type == NUMERICOID) return NumericGetDatum(int64_to_numeric(number));
    if (type == FLOAT8OID && is_integer)
      return Float8GetDatum(!infinite    ? static_cast<double>(number)
                            : number > 0 ? get_float8_infinity()
                                         : -get_float8_infinity());
    if (type != FLOAT4OID) return static_cast<Datum>(word);
    return Float4GetDatum(static_cast<float4>(DatumGetFloat8(static_cast<Datum>(word))));
  }
  // The run's copy itself, which outlives the row.
  static_assert(vector::TextNumbers::kHeaderBytes == VARHDRSZ);
  const ByteView text = groups.key_text(group, static_cast<unsigned>(key));
  uint8_t* value = groups.key_text_header(group, static_cast<unsigned>(key));
  SET_VARSIZE(value, text.size() + VARHDRSZ);
  return PointerGetDatum(value);
}

void fill(const AggregateScan* scan, TupleTableSlot* slot, uint32_t group) {
  const Run& run = *scan->vector.run;
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
    const Compiler& compiler = scan->vector.run->compiler;
    return top_groups(*scan->vector.run->groups, compiler.program, compiler.outputs[plan.top_by],
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
  MemoryContext old = MemoryContextSwitchTo(scan->vector.context);
  do take_top(node, plan);
  while (next_pass(scan));
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
    const auto& parts = scan->vector.run->groups->parts();
    if (scan->next < parts[scan->part]->groups()) return true;
    scan->next = 0;
    if (++scan->part < parts.size()) continue;
    if (!next_pass(scan)) {
      scan->part = parts.size() - 1;
      scan->next = parts.back()->groups();
      return false;
    }
  }
}

TupleTableSlot* next(CustomScanState* node) {
  AggregateScan* scan = as_aggregate(node);
  if (!scan->vector.run) {
    run_vector_scan(node);
    scan->part = 0;
    scan->next = 0;
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

void rescan(CustomScanState* node) {
  AggregateScan* scan = as_aggregate(node);
  const Run* run = scan->vector.run;
  // The same parameters and the same snapshot give the same groups.
  bool again = run && (run->execution.passes == 1 || scan->wants_top);
  if (!again || node->ss.ps.chgParam) return rescan_vector_scan(node);
  scan->part = 0;
  scan->next = 0;
}

void explain(CustomScanState* node, List* ancestors, ExplainState* out) {
  AggregatePlan plan = plan_of(node);
  explain_list(node, ancestors, out, "Group Key", plan.keys, false);
  if (plan.build) {
    ExplainPropertyText("Join Type",
                        vector::name_of(static_cast<vector::Join::Kind>(plan.join_kind)), out);
    explain_list(node, ancestors, out, "Hash Cond", plan.conditions, true);
  }
  explain_source(node, out);
  explain_list(node, ancestors, out, "Scan Filter", plan.filters, true);
  if (plan.top) ExplainPropertyInteger("Top Groups", nullptr, plan.top, out);
  if (out->analyze) explain_counters(node, out);
}

const CustomExecMethods exec_methods = {"Datahike Aggregate",
                                        begin,
                                        next,
                                        end_vector_scan,
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
  scan->vector.state.methods = &exec_methods;
  return reinterpret_cast<Node*>(scan);
}

const CustomScanMethods aggregate_scan_methods = {"Datahike Aggregate", create_aggregate_state};

}  // namespace datahike::exec
