// Running "Datahike Score".
#include <limits>

#include "exec/execute_privilege.h"
#include "exec/score.h"
#include "pg/bridge.h"

extern "C" {
#include "nodes/nodeFuncs.h"
}

namespace datahike::exec {

namespace {

using anomaly::Conversion;
using anomaly::Measure;

// Batches grow, so that who wants few rows does not wait for many.
constexpr int kFirstBatch = 16, kMostRows = 1024;
constexpr size_t kMostBytes = 4 << 20;  // of a batch, but for its last row

// Nothing in these has a destructor: they are PostgreSQL's memory.
struct Call {
  Measure measure;
  ExprState *name, *decay;  // decay: nullptr = none
  int features;
  ExprState** arguments;
  Conversion* conversions;
  double** columns;  // of the batch, by feature
  bool* any;         // whether a row has any value
  double* results;
  bool none;  // the model or decay is NULL: no row has a score
};

struct ScoreScan {
  CustomScanState state;
  PlanState* child;
  TupleTableSlot* stored;  // a row of the batch
  int columns;             // of the child
  int calls;
  Call* call;
  MemoryContext context;  // of the batch
  MinimalTuple* rows;
  int size, count, next;
  bool finished;  // the child is
};
ScoreScan* as_score(CustomScanState* state) { return reinterpret_cast<ScoreScan*>(state); }

void begin_call(ScoreScan* scan, Call* call, List* planned, List* arguments) {
  const int first = lthird_int(planned);
  PlanState* parent = &scan->state.ss.ps;
  call->measure = static_cast<Measure>(linitial_int(planned));
  call->name = ExecInitExpr(static_cast<Expr*>(linitial(arguments)), parent);
  call->decay = first == 2 ? ExecInitExpr(static_cast<Expr*>(lsecond(arguments)), parent) : nullptr;
  call->features = list_length(arguments) - first;
  call->arguments = static_cast<ExprState**>(palloc(sizeof(ExprState*) * call->features));
  call->conversions = static_cast<Conversion*>(palloc(sizeof(Conversion) * call->features));
  call->columns = static_cast<double**>(palloc(sizeof(double*) * call->features));
  call->any = static_cast<bool*>(palloc(sizeof(bool) * kMostRows));
  call->results = static_cast<double*>(palloc(sizeof(double) * kMostRows));
  for (int i = 0; i < call->features; ++i) {
    auto* argument = static_cast<Expr*>(list_nth(arguments, first + i));
    call->arguments[i] = ExecInitExpr(argument, parent);
    call->conversions[i] = anomaly::conversion_of(exprType(reinterpret_cast<Node*>(argument)));
    call->columns[i] = static_cast<double*>(palloc(sizeof(double) * kMostRows));
  }
}

void begin(CustomScanState* node, EState* estate, int flags) {
  ScoreScan* scan = as_score(node);
  auto* plan = castNode(CustomScan, node->ss.ps.plan);
  require_execute(reinterpret_cast<Node*>(plan->custom_scan_tlist));
  scan->child = ExecInitNode(static_cast<Plan*>(linitial(plan->custom_plans)), estate, flags);
  node->custom_ps = list_make1(scan->child);
  TupleDesc desc = ExecGetResultType(scan->child);
  scan->columns = desc->natts;
  scan->stored = ExecInitExtraTupleSlot(estate, desc, &TTSOpsMinimalTuple);
  scan->context =
      AllocSetContextCreate(estate->es_query_cxt, "datahike score", ALLOCSET_DEFAULT_SIZES);
  scan->rows = static_cast<MinimalTuple*>(palloc(sizeof(MinimalTuple) * kMostRows));
  scan->calls = list_length(plan->custom_private);
  scan->call = static_cast<Call*>(palloc0(sizeof(Call) * scan->calls));
  scan->size = kFirstBatch;
  int at = 0, number = 0;
  ListCell* cell;
  foreach (cell, plan->custom_private) {
    auto* planned = static_cast<List*>(lfirst(cell));
    List* arguments = NIL;
    for (int i = 0; i < lsecond_int(planned); ++i)
      arguments = lappend(arguments, list_nth(plan->custom_exprs, at++));
    begin_call(scan, &scan->call[number++], planned, arguments);
  }
}

// The scan's row: the child's columns, then the scores, which are NULL until they are known.
void show(ScoreScan* scan, TupleTableSlot* row, int number) {
  TupleTableSlot* slot = scan->state.ss.ss_ScanTupleSlot;
  slot_getallattrs(row);
  ExecClearTuple(slot);
  std::memcpy(slot->tts_values, row->tts_values, sizeof(Datum) * scan->columns);
  std::memcpy(slot->tts_isnull, row->tts_isnull, sizeof(bool) * scan->columns);
  for (int c = 0; c < scan->calls; ++c) {
    const Call& call = scan->call[c];
    const int column = scan->columns + c;
    slot->tts_isnull[column] = number < 0 || call.none || !call.any[number];
    slot->tts_values[column] = 0;
    if (slot->tts_isnull[column]) continue;
    slot->tts_values[column] = call.measure == Measure::Predict
                                   ? BoolGetDatum(call.results[number] != 0)
                                   : Float8GetDatum(call.results[number]);
  }
  ExecStoreVirtualTuple(slot);
  scan->state.ss.ps.ps_ExprContext->ecxt_scantuple = slot;
}

void read_features(ScoreScan* scan, Call* call, int number) {
  ExprContext* context = scan->state.ss.ps.ps_ExprContext;
  call->any[number] = false;
  for (int i = 0; i < call->features; ++i) {
    bool null;
    MemoryContext old = MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
    Datum value = ExecEvalExpr(call->arguments[i], context, &null);
    call->columns[i][number] = null ? std::numeric_limits<double>::quiet_NaN()
                                    : anomaly::to_double(value, call->conversions[i]);
    MemoryContextSwitchTo(old);
    call->any[number] |= !null;
  }
}

void score(Call* call, const char* name, double decay, int rows) {
  pg::guard([=] {
    static iforest::Scratch scratch;
    auto model = anomaly::load_model(name);
    anomaly::require_features(name, *model, static_cast<size_t>(call->features));
    anomaly::require_measurable(name, *model, call->measure, decay);
    anomaly::measure_rows(
        *model, call->measure, decay,
        std::span<const double* const>(call->columns, static_cast<size_t>(call->features)),
        static_cast<size_t>(rows), scratch, call->results);
  });
}

void read_batch(ScoreScan* scan) {
  ExprContext* context = scan->state.ss.ps.ps_ExprContext;
  MemoryContextReset(scan->context);
  scan->count = scan->next = 0;
  size_t bytes = 0;
  while (scan->count < scan->size && bytes < kMostBytes) {
    TupleTableSlot* row = ExecProcNode(scan->child);
    if (TupIsNull(row)) {
      scan->finished = true;
      break;
    }
    ResetExprContext(context);
    show(scan, row, -1);
    for (int c = 0; c < scan->calls; ++c) read_features(scan, &scan->call[c], scan->count);
    MemoryContext old = MemoryContextSwitchTo(scan->context);
    scan->rows[scan->count] = ExecCopySlotMinimalTuple(row);
    bytes += scan->rows[scan->count++]->t_len;
    MemoryContextSwitchTo(old);
  }
  scan->size = std::min(kMostRows, scan->size * 4);
  if (scan->count == 0) return;
  ResetExprContext(context);
  MemoryContext old = MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
  for (int c = 0; c < scan->calls; ++c) {
    Call* call = &scan->call[c];
    bool null, no_decay = false;
    Datum name = ExecEvalExpr(call->name, context, &null);
    Datum decay = call->decay ? ExecEvalExpr(call->decay, context, &no_decay) : Float8GetDatum(1);
    call->none = null || no_decay;
    if (!call->none) score(call, TextDatumGetCString(name), DatumGetFloat8(decay), scan->count);
  }
  MemoryContextSwitchTo(old);
}

TupleTableSlot* next(CustomScanState* node) {
  ScoreScan* scan = as_score(node);
  ExprContext* context = node->ss.ps.ps_ExprContext;
  ProjectionInfo* projection = node->ss.ps.ps_ProjInfo;
  for (;;) {
    CHECK_FOR_INTERRUPTS();
    if (scan->next == scan->count) {
      if (!scan->finished) read_batch(scan);
      if (scan->next == scan->count)
        return ExecClearTuple(projection ? node->ss.ps.ps_ResultTupleSlot
                                         : node->ss.ss_ScanTupleSlot);
    }
    ResetExprContext(context);
    ExecStoreMinimalTuple(scan->rows[scan->next], scan->stored, false);
    show(scan, scan->stored, scan->next++);
    if (!ExecQual(node->ss.ps.qual, context)) {
      InstrCountFiltered1(node, 1);
      continue;
    }
    return projection ? ExecProject(projection) : node->ss.ss_ScanTupleSlot;
  }
}

void forget_batch(ScoreScan* scan) {
  if (scan->stored) ExecClearTuple(scan->stored);
  scan->count = scan->next = 0;
  scan->size = kFirstBatch;
  scan->finished = false;
}

void end(CustomScanState* node) {
  ScoreScan* scan = as_score(node);
  forget_batch(scan);
  ExecEndNode(scan->child);
}

void rescan(CustomScanState* node) {
  ScoreScan* scan = as_score(node);
  forget_batch(scan);
  if (node->ss.ps.chgParam) UpdateChangedParamSet(scan->child, node->ss.ps.chgParam);
  if (!scan->child->chgParam) ExecReScan(scan->child);
}

const CustomExecMethods exec_methods = {"Datahike Score", begin,   next,    end,     rescan,
                                        nullptr,          nullptr, nullptr, nullptr, nullptr,
                                        nullptr,          nullptr, nullptr};

}  // namespace

Node* create_score_state(CustomScan*) {
  auto* scan = static_cast<ScoreScan*>(palloc0(sizeof(ScoreScan)));
  NodeSetTag(scan, T_CustomScanState);
  scan->state.methods = &exec_methods;
  return reinterpret_cast<Node*>(scan);
}

const CustomScanMethods score_scan_methods = {"Datahike Score", create_score_state};

}  // namespace datahike::exec
