// Running "Datahike Window": all rows are read by column and sorted, then returned one by one with
// their functions' results. Where they need more memory than they may, it is the plan's child that
// computes all of it.
#include "exec/execute_privilege.h"
#include "exec/pieces.h"
#include "exec/window.h"
#include "pg/bridge.h"

extern "C" {
#include "commands/explain.h"
#include "miscadmin.h"
}

namespace datahike::exec {

namespace {

// A column that is returned.
struct Returned {
  int source, scale;
  Oid type;
};

// Nothing in it has a destructor: it is PostgreSQL's memory.
struct WindowScan {
  VectorScan vector;
  WindowPlan plan;
  Returned* columns;
  int column_count;
  WindowState* states;
  int state_count;
  WindowPlace at;  // the next row
  bool by_row;     // the child computes it
};
WindowScan* as_window(CustomScanState* state) { return reinterpret_cast<WindowScan*>(state); }

// Fills the run's rows, or leaves it without where they are too many.
void collect(VectorScan* scan, Run& run) try {
  const WindowPlan& plan = reinterpret_cast<WindowScan*>(scan)->plan;
  const std::unique_ptr<Pieces> all = open_pieces(scan, run.attributes);
  run.rows = std::make_unique<vector::WindowRows>(run.compiler.program, run.execution.most_bytes);
  const auto poll = [] { pg::call([] { CHECK_FOR_INTERRUPTS(); }); };
  for (;;) {
    const std::vector<vector::Piece> pieces = all->next();
    if (pieces.empty()) break;
    size_t rows = 0;
    for (const vector::Piece& piece : pieces) rows += piece.live_rows;
    if (run.compiler.program.filters.empty()) run.rows->reserve(rows);
    for (const vector::Piece& piece : pieces) run.rows->add(piece, poll);
  }
  std::vector<vector::WindowOrder> terms;
  ListCell *source, *direction;
  forboth(source, plan.order, direction, plan.directions) {
    const int flags = lfirst_int(direction);
    terms.push_back(
        {static_cast<unsigned>(lfirst_int(source)), (flags & 1) != 0, (flags & 2) != 0});
  }
  run.rows->sort(terms, static_cast<unsigned>(plan.partition), poll);
} catch (const vector::TooManyRows&) {
  run.rows.reset();
}

void begin(CustomScanState* node, EState* estate, int flags) {
  WindowScan* scan = as_window(node);
  begin_vector_scan(node, estate, flags);
  auto* plan = castNode(CustomScan, node->ss.ps.plan);
  require_execute(reinterpret_cast<Node*>(plan->custom_scan_tlist));
  scan->plan = unpack_window(plan->custom_private);
  scan->vector.collect = collect;
  if (flags & EXEC_FLAG_EXPLAIN_ONLY) return;
  scan->column_count = list_length(scan->plan.columns);
  scan->state_count = list_length(scan->plan.functions);
  scan->columns = static_cast<Returned*>(palloc0(sizeof(Returned) * (scan->column_count + 1)));
  // Sums need more than palloc's alignment.
  auto* states = palloc0(sizeof(WindowState) * (scan->state_count + 1));
  scan->states = reinterpret_cast<WindowState*>(TYPEALIGN(alignof(WindowState), states));
  TupleDesc desc = node->ss.ss_ScanTupleSlot->tts_tupleDescriptor;
  int i = 0;
  ListCell* cell;
  foreach (cell, scan->plan.columns) {
    scan->columns[i].source = lfirst_int(cell);
    scan->columns[i].type = TupleDescAttr(desc, i)->atttypid;
    ++i;
  }
  i = 0;
  foreach (cell, scan->plan.functions) {
    WindowState& state = scan->states[i++];
    state.function = unpack_function(static_cast<List*>(lfirst(cell)));
    state.context = AllocSetContextCreate(estate->es_query_cxt, "datahike window function",
                                          ALLOCSET_SMALL_SIZES);
  }
}

int scale_of(const Run& run, int source) {
  const vector::Program& program = run.compiler.program;
  const int expression = source < 0 ? -1 : program.keys[static_cast<size_t>(source)].expression;
  return expression < 0 ? -1 : program.expressions[static_cast<size_t>(expression)].scale;
}

void run(CustomScanState* node) {
  WindowScan* scan = as_window(node);
  run_vector_scan(node);
  const Run& run = *scan->vector.run;
  scan->by_row = !run.rows;
  scan->at = {};
  if (scan->by_row) return;
  for (int i = 0; i < scan->column_count; ++i)
    scan->columns[i].scale = scale_of(run, scan->columns[i].source);
  for (int i = 0; i < scan->state_count; ++i)
    scan->states[i].scale = scale_of(run, scan->states[i].function.source);
}

// To the place's partition and peers.
void enter(const vector::WindowRows& rows, WindowPlace& at) {
  if (rows.begins_partition(at.row)) {
    at.partition = at.row;
    at.partition_end = rows.partition_end(at.row);
    at.dense = 0;
  }
  if (rows.begins_peers(at.row)) {
    at.peers = at.row;
    at.peers_end = rows.peers_end(at.row);
    ++at.dense;
  }
}

// False: there is no further row.
bool fill(CustomScanState* node, TupleTableSlot* slot) {
  WindowScan* scan = as_window(node);
  const vector::WindowRows& rows = *scan->vector.run->rows;
  WindowPlace& at = scan->at;
  if (at.row == rows.rows()) return false;
  enter(rows, at);
  MemoryContext old = MemoryContextSwitchTo(node->ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
  int i = 0;
  for (; i < scan->column_count; ++i) {
    const Returned& c = scan->columns[i];
    slot->tts_values[i] =
        source_value(rows, c.source, at.row, c.type, c.scale, &slot->tts_isnull[i]);
  }
  for (int f = 0; f < scan->state_count; ++f, ++i)
    slot->tts_values[i] = window_value(rows, scan->states[f], at, &slot->tts_isnull[i]);
  MemoryContextSwitchTo(old);
  ++at.row;
  return true;
}

// Of the child's row.
bool copy_child(CustomScanState* node, TupleTableSlot* slot) {
  TupleTableSlot* row = ExecProcNode(static_cast<PlanState*>(linitial(node->custom_ps)));
  if (TupIsNull(row)) return false;
  slot_getallattrs(row);
  const auto columns = static_cast<size_t>(slot->tts_tupleDescriptor->natts);
  std::copy_n(row->tts_values, columns, slot->tts_values);
  std::copy_n(row->tts_isnull, columns, slot->tts_isnull);
  return true;
}

TupleTableSlot* next(CustomScanState* node) {
  WindowScan* scan = as_window(node);
  if (!scan->vector.run) run(node);
  CHECK_FOR_INTERRUPTS();
  ExprContext* context = node->ss.ps.ps_ExprContext;
  TupleTableSlot* slot = node->ss.ss_ScanTupleSlot;
  ResetExprContext(context);
  ExecClearTuple(slot);
  if (!(scan->by_row ? copy_child(node, slot) : fill(node, slot)))
    return ExecClearTuple(node->ss.ps.ps_ProjInfo ? node->ss.ps.ps_ResultTupleSlot : slot);
  ExecStoreVirtualTuple(slot);
  context->ecxt_scantuple = slot;
  return node->ss.ps.ps_ProjInfo ? ExecProject(node->ss.ps.ps_ProjInfo) : slot;
}

void rescan(CustomScanState* node) {
  WindowScan* scan = as_window(node);
  ExecClearTuple(node->ss.ss_ScanTupleSlot);
  // The same parameters and the same snapshot give the same rows.
  if (scan->vector.run && !scan->by_row && !node->ss.ps.chgParam) {
    scan->at = {};
    return;
  }
  scan->by_row = false;
  rescan_vector_scan(node);
}

void explain_order(CustomScanState* node, List* ancestors, ExplainState* out,
                   const WindowPlan& window) {
  List* sources = deparse_list(node, ancestors, out, plan_of(node).keys);
  List *partition = NIL, *order = NIL;
  int number = 0;
  ListCell *source, *direction;
  forboth(source, window.order, direction, window.directions) {
    auto* text = static_cast<char*>(list_nth(sources, lfirst_int(source)));
    const bool descending = lfirst_int(direction) & 1, nulls_first = lfirst_int(direction) & 2;
    if (number++ < window.partition)
      partition = lappend(partition, text);
    else
      order = lappend(order, psprintf("%s%s%s", text, descending ? " DESC" : "",
                                      descending == nulls_first ? ""
                                      : nulls_first             ? " NULLS FIRST"
                                                                : " NULLS LAST"));
  }
  if (partition) ExplainPropertyList("Partition Key", partition, out);
  if (order) ExplainPropertyList("Order By", order, out);
}

void explain(CustomScanState* node, List* ancestors, ExplainState* out) {
  const WindowScan* scan = as_window(node);
  explain_order(node, ancestors, out, scan->plan);
  explain_source(node, out);
  explain_list(node, ancestors, out, "Scan Filter", plan_of(node).filters, true);
  if (!out->analyze || !scan->vector.run) return;
  ExplainPropertyText("Strategy", scan->by_row ? "by row, beyond the memory" : "by column", out);
  if (!scan->by_row)
    ExplainPropertyUInteger("Memory", "kB", scan->vector.run->rows->bytes() / 1024, out);
  explain_counters(node, out);
}

const CustomExecMethods exec_methods = {
    "Datahike Window", begin,   next,    end_vector_scan, rescan,  nullptr, nullptr,
    nullptr,           nullptr, nullptr, nullptr,         nullptr, explain};

Node* create_state(CustomScan*) {
  auto* scan = static_cast<WindowScan*>(palloc0(sizeof(WindowScan)));
  NodeSetTag(scan, T_CustomScanState);
  scan->vector.state.methods = &exec_methods;
  return reinterpret_cast<Node*>(scan);
}

}  // namespace

const CustomScanMethods window_scan_methods = {"Datahike Window", create_state};

}  // namespace datahike::exec
