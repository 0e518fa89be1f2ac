// Running "Datahike Window": all rows are read by column and sorted for each window, then returned
// one by one with their functions' results. Those of all windows but the last are computed before,
// as PostgreSQL does. Where the rows need more memory than they may, or reading them raises an
// error that PostgreSQL may not come to, it is the plan's child that computes all of it.
#include "exec/execute_privilege.h"
#include "exec/pieces.h"
#include "exec/window.h"
#include "pg/bridge.h"

extern "C" {
#include "commands/explain.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"
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
  WindowPlace at;      // the next row
  MemoryContext kept;  // of results that are no words
  bool by_row;         // the child computes it
  bool failed;         // for an error, not for the memory
};
WindowScan* as_window(CustomScanState* state) { return reinterpret_cast<WindowScan*>(state); }

int scale_of(const Run& run, int source) {
  const vector::Program& program = run.compiler.program;
  const int expression = source < 0 ? -1 : program.keys[static_cast<size_t>(source)].expression;
  return expression < 0 ? -1 : program.expressions[static_cast<size_t>(expression)].scale;
}

// What is known of the columns and functions once the program has been compiled.
void bind(WindowScan* scan, const Run& run) {
  const vector::Program& program = run.compiler.program;
  for (int i = 0; i < scan->column_count; ++i)
    scan->columns[i].scale = scale_of(run, scan->columns[i].source);
  for (int i = 0; i < scan->state_count; ++i) {
    WindowState& s = scan->states[i];
    s.scale = scale_of(run, s.function.source);
    s.filter = s.results = -1;
    if (s.function.filter < 0) continue;
    const auto rows = run.compiler.outputs[static_cast<size_t>(s.function.filter)].rows;
    const int condition = program.accumulators[static_cast<size_t>(rows)].filter;
    if (condition >= 0) s.filter = static_cast<int>(program.keys.size()) + condition;
  }
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

// Results of a window's functions for the rows up to `end`. May raise PostgreSQL's errors; owns
// nothing with a destructor. Numerics are copied, texts are those of the rows.
void compute(WindowScan* scan, vector::WindowRows& rows, int window, WindowPlace& at, uint32_t end,
             MemoryContext scratch) {
  MemoryContext old = MemoryContextSwitchTo(scratch);
  for (; at.row < end; ++at.row) {
    CHECK_FOR_INTERRUPTS();
    enter(rows, at);
    for (int i = 0; i < scan->state_count; ++i) {
      WindowState& s = scan->states[i];
      if (s.function.window != window) continue;
      bool is_null;
      const uint64 changes = s.changes;
      Datum value = window_value(rows, s, at, &is_null);
      if (is_null) continue;
      if (s.function.type == NUMERICOID) {
        // Rows with the same frame have the same result.
        if (s.changes == changes && s.kept) {
          value = s.kept;
        } else {
          MemoryContextSwitchTo(scan->kept);
          value = datumCopy(value, false, -1);
          MemoryContextSwitchTo(scratch);
          s.kept = s.changes == changes ? 0 : value;
        }
      }
      rows.set_result(static_cast<unsigned>(s.results), at.row, value);
    }
  }
  MemoryContextSwitchTo(old);
  MemoryContextReset(scratch);
}

void compute_window(WindowScan* scan, vector::WindowRows& rows, int window,
                    const vector::WindowRows::Poll& poll) {
  constexpr uint32_t kRows = 4096;
  MemoryContext scratch = pg::call([scan] {
    if (!scan->kept)
      scan->kept = AllocSetContextCreate(scan->vector.context, "datahike window results",
                                         ALLOCSET_DEFAULT_SIZES);
    return AllocSetContextCreate(scan->vector.context, "datahike window", ALLOCSET_DEFAULT_SIZES);
  });
  for (int i = 0; i < scan->state_count; ++i) {
    WindowState& s = scan->states[i];
    if (s.function.window == window) s.results = static_cast<int>(rows.add_results());
    s.kept = 0;
  }
  WindowPlace at{};
  while (at.row < rows.rows()) {
    const uint32_t end = at.row + std::min(kRows, rows.rows() - at.row);
    try {
      pg::call([&] { compute(scan, rows, window, at, end, scratch); });
    } catch (const pg::PgError& error) {
      if (error.data->sqlerrcode != ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE) throw;
      throw vector::ValueError(vector::ValueError::FloatOverflow);
    }
    rows.set_bytes_elsewhere(MemoryContextMemAllocated(scan->kept, false));
    poll();
  }
}

std::vector<vector::WindowOrder> terms_of(const WindowOfPlan& window) {
  std::vector<vector::WindowOrder> terms;
  ListCell *source, *direction;
  forboth(source, window.order, direction, window.directions) {
    const int flags = lfirst_int(direction);
    terms.push_back(
        {static_cast<unsigned>(lfirst_int(source)), (flags & 1) != 0, (flags & 2) != 0});
  }
  return terms;
}

// Fills the run's rows, or leaves it without where they are too many, or raise an error.
void collect(VectorScan* vector_scan, Run& run) try {
  auto* scan = reinterpret_cast<WindowScan*>(vector_scan);
  const WindowPlan& plan = scan->plan;
  scan->kept = nullptr;
  bind(scan, run);
  const std::unique_ptr<Pieces> all = open_pieces(vector_scan, run.attributes);
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
  const int last = list_length(plan.windows) - 1;
  for (int i = 0; i <= last; ++i) {
    const WindowOfPlan window = unpack_one_window(static_cast<List*>(list_nth(plan.windows, i)));
    run.rows->sort(terms_of(window), static_cast<unsigned>(window.partition), poll);
    if (i < last) compute_window(scan, *run.rows, i, poll);
  }
} catch (const vector::TooManyRows&) {
  run.rows.reset();
} catch (const vector::ValueError&) {
  reinterpret_cast<WindowScan*>(vector_scan)->failed = true;
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

void run(CustomScanState* node) {
  WindowScan* scan = as_window(node);
  run_vector_scan(node);
  scan->by_row = !scan->vector.run->rows;
  if (scan->by_row && scan->kept) MemoryContextDelete(std::exchange(scan->kept, nullptr));
  scan->at = {};
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
  for (int f = 0; f < scan->state_count; ++f, ++i) {
    WindowState& s = scan->states[f];
    if (s.results < 0) {
      slot->tts_values[i] = window_value(rows, s, at, &slot->tts_isnull[i]);
      continue;
    }
    const auto results = static_cast<unsigned>(s.results);
    slot->tts_isnull[i] = rows.is_null(results, at.row);
    slot->tts_values[i] = slot->tts_isnull[i] ? 0 : rows.word(results, at.row);
  }
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
  scan->by_row = scan->failed = false;
  rescan_vector_scan(node);
}

struct Keys {
  List *partition, *order;  // as texts
};

Keys keys_of(const List* sources, const WindowOfPlan& window) {
  Keys keys{NIL, NIL};
  int number = 0;
  ListCell *source, *direction;
  forboth(source, window.order, direction, window.directions) {
    auto* text = static_cast<char*>(list_nth(sources, lfirst_int(source)));
    const bool descending = lfirst_int(direction) & 1, nulls_first = lfirst_int(direction) & 2;
    if (number++ < window.partition)
      keys.partition = lappend(keys.partition, text);
    else
      keys.order = lappend(keys.order, psprintf("%s%s%s", text, descending ? " DESC" : "",
                                                descending == nulls_first ? ""
                                                : nulls_first             ? " NULLS FIRST"
                                                                          : " NULLS LAST"));
  }
  return keys;
}

char* joined(const List* texts) {
  StringInfoData all;
  initStringInfo(&all);
  ListCell* cell;
  foreach (cell, texts)
    appendStringInfo(&all, "%s%s", all.len ? ", " : "", static_cast<char*>(lfirst(cell)));
  return all.data;
}

// One window by its keys; several in the order in which they are computed, as OVER has them.
void explain_windows(CustomScanState* node, List* ancestors, ExplainState* out, List* windows) {
  const List* sources = deparse_list(node, ancestors, out, plan_of(node).keys);
  List* texts = NIL;
  ListCell* cell;
  foreach (cell, windows) {
    const Keys keys = keys_of(sources, unpack_one_window(static_cast<List*>(lfirst(cell))));
    if (list_length(windows) > 1) {
      texts =
          lappend(texts, psprintf("(%s%s%s%s%s)", keys.partition ? "PARTITION BY " : "",
                                  joined(keys.partition), keys.partition && keys.order ? " " : "",
                                  keys.order ? "ORDER BY " : "", joined(keys.order)));
      continue;
    }
    if (keys.partition) ExplainPropertyList("Partition Key", keys.partition, out);
    if (keys.order) ExplainPropertyList("Order By", keys.order, out);
  }
  if (texts) ExplainPropertyList("Windows", texts, out);
}

const char* strategy(const WindowScan* scan) {
  if (!scan->by_row) return "by column";
  return scan->failed ? "by row, for an error" : "by row, beyond the memory";
}

void explain(CustomScanState* node, List* ancestors, ExplainState* out) {
  const WindowScan* scan = as_window(node);
  explain_windows(node, ancestors, out, scan->plan.windows);
  explain_source(node, out);
  explain_list(node, ancestors, out, "Scan Filter", plan_of(node).filters, true);
  if (!out->analyze || !scan->vector.run) return;
  ExplainPropertyText("Strategy", strategy(scan), out);
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
