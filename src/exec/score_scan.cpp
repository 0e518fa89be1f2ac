// Running "Datahike Score".
#include <algorithm>
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
constexpr int kMostFlatColumns = 256;   // of rows that are kept as their values

// Nothing in these has a destructor: they are PostgreSQL's memory.
struct Feature {
  int source;  // the child's column that it is; -1: it is an expression
  ExprState* value;
  Conversion conversion;
  double* column;  // of the batch
  bool* null;      // of each row of it
  bool any_null;
};
struct Call {
  Measure measure;
  ExprState *name, *decay, *names;  // nullptr = none
  int passed;
  Feature* features;
  double* results;
  bool* null;
};

struct ScoreScan {
  CustomScanState state;
  PlanState* child;
  TupleTableSlot* stored;  // a row of the batch
  int columns;             // of the child
  int calls;
  Call* call;
  bool all_columns;       // all features are columns of the child
  MemoryContext context;  // of the batch
  // Its rows: where all columns are passed by value, as those, else as tuples.
  Datum* values;  // nullptr: as tuples
  bool* nulls;
  MinimalTuple* rows;
  int size, count, next;
  bool finished;  // the child is
};
ScoreScan* as_score(CustomScanState* state) { return reinterpret_cast<ScoreScan*>(state); }

void begin_call(ScoreScan* scan, Call* call, List* planned, List* arguments) {
  const int names = lthird_int(planned), first = lfourth_int(planned);
  PlanState* parent = &scan->state.ss.ps;
  call->measure = static_cast<Measure>(linitial_int(planned));
  call->name = ExecInitExpr(static_cast<Expr*>(linitial(arguments)), parent);
  const auto state_of = [&](int number) {
    return ExecInitExpr(static_cast<Expr*>(list_nth(arguments, number)), parent);
  };
  if (call->measure == Measure::Weighted) call->decay = state_of(1);
  if (names >= 0) call->names = state_of(names);
  call->passed = list_length(arguments) - first;
  call->features = static_cast<Feature*>(palloc(sizeof(Feature) * call->passed));
  call->results = static_cast<double*>(palloc(sizeof(double) * kMostRows));
  call->null = static_cast<bool*>(palloc(sizeof(bool) * kMostRows));
  for (int i = 0; i < call->passed; ++i) {
    Feature& feature = call->features[i];
    auto* argument = static_cast<Node*>(list_nth(arguments, first + i));
    const bool column = IsA(argument, Var) && castNode(Var, argument)->varno == INDEX_VAR &&
                        castNode(Var, argument)->varattno <= scan->columns;
    feature.source = column ? castNode(Var, argument)->varattno - 1 : -1;
    scan->all_columns &= column;
    feature.value = state_of(first + i);
    feature.conversion = anomaly::conversion_of(exprType(argument));
    feature.column = static_cast<double*>(palloc(sizeof(double) * kMostRows));
    feature.null = static_cast<bool*>(palloc(sizeof(bool) * kMostRows));
    feature.any_null = false;
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
  scan->all_columns = true;
  bool by_value = desc->natts <= kMostFlatColumns;
  for (int i = 0; i < desc->natts; ++i) by_value &= TupleDescAttr(desc, i)->attbyval;
  if (by_value) {
    const auto cells = static_cast<size_t>(kMostRows) * (desc->natts + 1);
    scan->values = static_cast<Datum*>(palloc(sizeof(Datum) * cells));
    scan->nulls = static_cast<bool*>(palloc(sizeof(bool) * cells));
  } else {
    scan->rows = static_cast<MinimalTuple*>(palloc(sizeof(MinimalTuple) * kMostRows));
  }
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
void show(ScoreScan* scan, const Datum* values, const bool* nulls, int number) {
  TupleTableSlot* slot = scan->state.ss.ss_ScanTupleSlot;
  ExecClearTuple(slot);
  std::memcpy(slot->tts_values, values, sizeof(Datum) * scan->columns);
  std::memcpy(slot->tts_isnull, nulls, sizeof(bool) * scan->columns);
  for (int c = 0; c < scan->calls; ++c) {
    const Call& call = scan->call[c];
    const int column = scan->columns + c;
    slot->tts_isnull[column] = number < 0 || call.null[number];
    slot->tts_values[column] = 0;
    if (slot->tts_isnull[column]) continue;
    slot->tts_values[column] = call.measure == Measure::Predict
                                   ? BoolGetDatum(call.results[number] != 0)
                                   : Float8GetDatum(call.results[number]);
  }
  ExecStoreVirtualTuple(slot);
  scan->state.ss.ps.ps_ExprContext->ecxt_scantuple = slot;
}

// Of a row of the child's, whose values are known.
void read_features(ScoreScan* scan, Call* call, const TupleTableSlot* row, int number) {
  ExprContext* context = scan->state.ss.ps.ps_ExprContext;
  MemoryContext old = MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
  for (int i = 0; i < call->passed; ++i) {
    Feature& feature = call->features[i];
    const int source = feature.source;
    bool null = source >= 0 && row->tts_isnull[source];
    Datum value =
        source >= 0 ? row->tts_values[source] : ExecEvalExpr(feature.value, context, &null);
    feature.column[number] = null ? std::numeric_limits<double>::quiet_NaN()
                                  : anomaly::to_double(value, feature.conversion);
    feature.null[number] = null;
    feature.any_null |= null;
  }
  MemoryContextSwitchTo(old);
}

// Adds it to the batch; returns its size.
size_t keep_row(ScoreScan* scan, TupleTableSlot* row) {
  const int number = scan->count++;
  if (scan->values) {
    const size_t first = static_cast<size_t>(number) * scan->columns;
    std::memcpy(scan->values + first, row->tts_values, sizeof(Datum) * scan->columns);
    std::memcpy(scan->nulls + first, row->tts_isnull, sizeof(bool) * scan->columns);
    return 0;  // there is room for all
  }
  MemoryContext old = MemoryContextSwitchTo(scan->context);
  scan->rows[number] = ExecCopySlotMinimalTuple(row);
  MemoryContextSwitchTo(old);
  return scan->rows[number]->t_len;
}

void show_next(ScoreScan* scan) {
  const int number = scan->next++;
  if (scan->values) {
    const size_t first = static_cast<size_t>(number) * scan->columns;
    return show(scan, scan->values + first, scan->nulls + first, number);
  }
  ExecStoreMinimalTuple(scan->rows[number], scan->stored, false);
  slot_getallattrs(scan->stored);
  show(scan, scan->stored->tts_values, scan->stored->tts_isnull, number);
}

// `names`: of what is passed; without them it is in the model's order.
void score(Call* call, const char* name, double decay, const anomaly::GivenNames* names, int rows) {
  pg::guard([=] {
    static iforest::Scratch scratch;
    static std::vector<const Feature*> features;  // the model's, in its order
    static std::vector<const double*> columns;
    const auto passed = static_cast<size_t>(call->passed);
    auto model = anomaly::load_model(name);
    features.clear();
    columns.clear();
    if (names) {
      anomaly::require_values(name, names->span().size(), passed);
      for (const int place : anomaly::places_of(name, *model, names->span()))
        features.push_back(&call->features[place]);
    } else {
      anomaly::require_features(name, *model, passed);
      for (size_t i = 0; i < passed; ++i) features.push_back(&call->features[i]);
    }
    anomaly::require_measurable(name, *model, call->measure, decay);
    for (const Feature* feature : features) columns.push_back(feature->column);
    const auto count = static_cast<size_t>(rows);
    anomaly::measure_rows(*model, call->measure, decay, columns, count, scratch, call->results);
    // A row none of whose features has a value has no score.
    const bool some = std::ranges::all_of(features, &Feature::any_null);
    std::fill_n(call->null, count, some);
    if (!some) return;
    for (const Feature* feature : features)
      for (size_t i = 0; i < count; ++i) call->null[i] &= feature->null[i];
  });
}

// All rows of the batch.
void score_batch(ScoreScan* scan, Call* call) {
  ExprContext* context = scan->state.ss.ps.ps_ExprContext;
  bool null, no_decay = false, no_names = false;
  Datum name = ExecEvalExpr(call->name, context, &null);
  Datum decay = call->decay ? ExecEvalExpr(call->decay, context, &no_decay) : Float8GetDatum(1);
  Datum names = call->names ? ExecEvalExpr(call->names, context, &no_names) : 0;
  if (null || no_decay || no_names) {
    std::fill_n(call->null, scan->count, true);
    return;
  }
  anomaly::GivenNames given{};
  if (call->names) given = anomaly::given_names(names);
  score(call, TextDatumGetCString(name), DatumGetFloat8(decay), call->names ? &given : nullptr,
        scan->count);
}

void read_batch(ScoreScan* scan) {
  ExprContext* context = scan->state.ss.ps.ps_ExprContext;
  MemoryContextReset(scan->context);
  scan->count = scan->next = 0;
  for (int c = 0; c < scan->calls; ++c)
    for (int i = 0; i < scan->call[c].passed; ++i) scan->call[c].features[i].any_null = false;
  size_t bytes = 0;
  while (scan->count < scan->size && bytes < kMostBytes) {
    TupleTableSlot* row = ExecProcNode(scan->child);
    if (TupIsNull(row)) {
      scan->finished = true;
      break;
    }
    ResetExprContext(context);
    slot_getallattrs(row);
    if (!scan->all_columns) show(scan, row->tts_values, row->tts_isnull, -1);
    for (int c = 0; c < scan->calls; ++c) read_features(scan, &scan->call[c], row, scan->count);
    bytes += keep_row(scan, row);
  }
  scan->size = std::min(kMostRows, scan->size * 4);
  if (scan->count == 0) return;
  ResetExprContext(context);
  MemoryContext old = MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
  for (int c = 0; c < scan->calls; ++c) score_batch(scan, &scan->call[c]);
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
    show_next(scan);
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
