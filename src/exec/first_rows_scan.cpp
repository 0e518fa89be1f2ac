// Running "Datahike First Rows": the engine finds out which rows they are (vector/first_rows.h);
// then the table is read once more, only where those are.
#include <algorithm>
#include <deque>

#include "column/vector/first_rows.h"
#include "exec/execute_privilege.h"
#include "exec/pieces.h"
#include "pg/bridge.h"

extern "C" {
#include "catalog/pg_operator_d.h"
#include "commands/explain.h"
#include "miscadmin.h"
#include "utils/tuplesort.h"
#include "utils/tuplestore.h"
}

namespace datahike::exec {

namespace {

// Nothing in it has a destructor: it is PostgreSQL's memory.
struct FirstRowsScan {
  VectorScan vector;
  Tuplestorestate* rows;   // what is returned; nullptr: not known yet
  TupleTableSlot* stored;  // one of them
};
FirstRowsScan* as_first_rows(CustomScanState* state) {
  return reinterpret_cast<FirstRowsScan*>(state);
}

void begin(CustomScanState* node, EState* estate, int flags) {
  begin_vector_scan(node, estate, flags);
  // What numbers the rows is in no expression that the engine computes.
  require_execute(
      reinterpret_cast<Node*>(castNode(CustomScan, node->ss.ps.plan)->custom_scan_tlist));
  if (flags & EXEC_FLAG_EXPLAIN_ONLY) return;
  as_first_rows(node)->stored = ExecInitExtraTupleSlot(
      estate, node->ss.ss_ScanTupleSlot->tts_tupleDescriptor, &TTSOpsMinimalTuple);
}

// A row, and its number in its group, from 1.
struct Chosen {
  vector::RowPlace place;
  uint32_t number;
};

void append_chosen(const Run& run, std::vector<Chosen>& chosen) {
  for (const auto& part : run.groups->parts()) {
    const auto& first = static_cast<const vector::ChosenRows&>(part->state(0));
    for (uint32_t group = 0; group < part->groups(); ++group)
      first.each(group, [&chosen](vector::RowPlace place, uint32_t number) {
        chosen.push_back({place, number});
      });
  }
}

// Of all passes, in the order of the table.
std::vector<Chosen> all_chosen(VectorScan* scan) {
  std::vector<Chosen> chosen;
  do append_chosen(*scan->run, chosen);
  while (run_next_pass(scan));
  scan->run->groups.reset();
  std::sort(chosen.begin(), chosen.end(), [](const Chosen& a, const Chosen& b) {
    return a.place.piece != b.place.piece ? a.place.piece < b.place.piece
                                          : a.place.row < b.place.row;
  });
  return chosen;
}

// Makes tuples of chosen rows, some at a time.
class Writer {
 public:
  Writer(std::vector<ReturnedColumn> sources, TupleDesc desc, Tuplestorestate* out)
      : sources_(std::move(sources)),
        desc_(desc),
        out_(out),
        width_(sources_.size() + 1),
        values_(kBatch * width_),
        nulls_(new bool[kBatch * width_]) {}
  // Of one piece.
  void write(const store::SegmentReader& segment, std::span<const Chosen> rows) {
    for (size_t begin = 0; begin < rows.size();) {
      const std::span<const Chosen> batch =
          rows.subspan(begin, std::min(kBatch, rows.size() - begin));
      begin += read(segment, batch);
    }
  }

 private:
  static constexpr size_t kBatch = 512, kMostBytes = 1 << 20;

  // Returns how many rows it has written: at least one.
  size_t read(const store::SegmentReader& segment, std::span<const Chosen> rows) {
    texts_.clear();
    rows = rows.first(fitting(segment, rows));
    for (size_t c = 0; c < sources_.size(); ++c) {
      const ReturnedColumn& source = sources_[c];
      const int at = segment.find(source.attribute.number);
      if (at >= 0 && column::is_word(source.attribute.kind))
        read_words(segment, at, c, rows);
      else
        for (size_t i = 0; i < rows.size(); ++i) read_value(segment, at, c, i, rows[i].place.row);
    }
    for (size_t i = 0; i < rows.size(); ++i) {
      nulls_[i * width_ + sources_.size()] = false;
      values_[i * width_ + sources_.size()] = Int64GetDatum(int64{rows[i].number});
    }
    const auto count = static_cast<int>(rows.size());
    pg::call([this, count] {
      for (int i = 0; i < count; ++i)
        tuplestore_putvalues(out_, desc_, &values_[i * width_], &nulls_[i * width_]);
    });
    return rows.size();
  }

  // How many of the rows have no more than kMostBytes of strings; at least one.
  size_t fitting(const store::SegmentReader& segment, std::span<const Chosen> rows) {
    size_t bytes = 0, count = 0;
    for (; count < rows.size() && (count == 0 || bytes < kMostBytes); ++count) {
      for (const ReturnedColumn& source : sources_) {
        if (source.attribute.kind != column::Kind::Bytes) continue;
        const int at = segment.find(source.attribute.number);
        if (at < 0 || segment.is_null(at, rows[count].place.row)) continue;
        bytes += segment.stored(at, rows[count].place.row, scratch_).bytes.size();
      }
    }
    return count;
  }

  void read_words(const store::SegmentReader& segment, int at, size_t column,
                  std::span<const Chosen> rows) {
    for (size_t i = 0; i < rows.size(); ++i) {
      const size_t place = i * width_ + column;
      nulls_[place] = segment.is_null(at, rows[i].place.row);
      values_[place] = nulls_[place] ? 0 : static_cast<Datum>(segment.bits(at, rows[i].place.row));
    }
  }

  void read_value(const store::SegmentReader& segment, int at, size_t column, size_t row,
                  uint32_t from) {
    const ReturnedColumn& source = sources_[column];
    const size_t place = row * width_ + column;
    values_[place] = 0;
    nulls_[place] = at < 0 ? source.missing.null : segment.is_null(at, from);
    if (nulls_[place]) return;
    if (at < 0) {
      values_[place] = source.missing.value;
      return;
    }
    const auto [bytes, compressed] = segment.stored(at, from, scratch_);
    const bool fixed = source.attribute.kind == column::Kind::Fixed;
    Bytes& copy = texts_.emplace_back((fixed ? 0 : VARHDRSZ) + bytes.size());
    std::copy(bytes.begin(), bytes.end(), copy.begin() + (fixed ? 0 : VARHDRSZ));
    if (compressed)
      SET_VARSIZE_COMPRESSED(copy.data(), copy.size());
    else if (!fixed)
      SET_VARSIZE(copy.data(), copy.size());
    values_[place] = PointerGetDatum(copy.data());
  }

  std::vector<ReturnedColumn> sources_;
  TupleDesc desc_;
  Tuplestorestate* out_;
  size_t width_;
  std::vector<Datum> values_;
  std::unique_ptr<bool[]> nulls_;
  std::deque<Bytes> texts_;
  column::ShortScratch scratch_;
};

// False where the pieces are not those of the passes any more.
bool write_rows(FirstRowsScan* node, const List* columns, TupleDesc desc) {
  VectorScan* scan = &node->vector;
  const std::vector<Chosen> chosen = all_chosen(scan);
  if (scan->run->changed) return false;
  Writer writer(returned_columns(scan, columns), desc, node->rows);
  const std::unique_ptr<Pieces> all = open_pieces(scan, scan->run->attributes);
  for (auto at = chosen.begin(); at != chosen.end();) {
    std::vector<vector::Piece> pieces = all->next();
    if (pieces.empty()) return false;
    for (const vector::Piece& piece : pieces) {
      const std::vector<PieceRows>& known = scan->run->pieces;
      if (piece.number >= known.size() || rows_of(piece) != known[piece.number]) return false;
      const auto from = at;
      while (at != chosen.end() && at->place.piece == piece.number) ++at;
      if (at == from) continue;
      pg::call([] { CHECK_FOR_INTERRUPTS(); });
      writer.write(piece.segment, std::span(from, at));
    }
  }
  return true;
}

void write_rows_somehow(FirstRowsScan* node, const List* columns, TupleDesc desc) {
  constexpr int kMostAttempts = 10;
  for (int attempt = 1; !write_rows(node, columns, desc); ++attempt) {
    if (attempt == kMostAttempts)
      throw pg::SqlError(ERRCODE_T_R_SERIALIZATION_FAILURE,
                         "the segments of a table changed again and again while it was read",
                         "Retry.");
    pg::call([node] { tuplestore_clear(node->rows); });
    run_first_pass(&node->vector);
  }
}

// By their numbers, which are in the last column.
void sort_rows(FirstRowsScan* scan, TupleDesc desc) {
  auto column = static_cast<AttrNumber>(desc->natts);
  Oid less = Int8LessOperator, collation = InvalidOid;
  bool nulls_first = false;
  Tuplesortstate* sort = tuplesort_begin_heap(desc, 1, &column, &less, &collation, &nulls_first,
                                              work_mem, nullptr, TUPLESORT_NONE);
  while (tuplestore_gettupleslot(scan->rows, true, false, scan->stored))
    tuplesort_puttupleslot(sort, scan->stored);
  tuplesort_performsort(sort);
  tuplestore_clear(scan->rows);
  while (tuplesort_gettupleslot(sort, true, false, scan->stored, nullptr))
    tuplestore_puttupleslot(scan->rows, scan->stored);
  ExecClearTuple(scan->stored);
  tuplesort_end(sort);
}

void run(CustomScanState* node) {
  FirstRowsScan* scan = as_first_rows(node);
  run_vector_scan(node);
  MemoryContext old = MemoryContextSwitchTo(scan->vector.context);
  scan->rows = tuplestore_begin_heap(true, false, work_mem);
  const FirstRowsPlan first = plan_of(node).first;
  const List* columns = first.columns;
  TupleDesc desc = node->ss.ss_ScanTupleSlot->tts_tupleDescriptor;
  pg::guard([=] { write_rows_somehow(scan, columns, desc); });
  if (first.sorted) sort_rows(scan, desc);
  MemoryContextSwitchTo(old);
}

TupleTableSlot* next(CustomScanState* node) {
  FirstRowsScan* scan = as_first_rows(node);
  if (!scan->rows) run(node);
  CHECK_FOR_INTERRUPTS();
  ExprContext* context = node->ss.ps.ps_ExprContext;
  TupleTableSlot* slot = node->ss.ss_ScanTupleSlot;
  ResetExprContext(context);
  ExecClearTuple(slot);
  if (!tuplestore_gettupleslot(scan->rows, true, false, scan->stored))
    return ExecClearTuple(node->ss.ps.ps_ProjInfo ? node->ss.ps.ps_ResultTupleSlot : slot);
  slot_getallattrs(scan->stored);
  const auto columns = static_cast<size_t>(slot->tts_tupleDescriptor->natts);
  std::copy_n(scan->stored->tts_values, columns, slot->tts_values);
  std::copy_n(scan->stored->tts_isnull, columns, slot->tts_isnull);
  ExecStoreVirtualTuple(slot);
  context->ecxt_scantuple = slot;
  return node->ss.ps.ps_ProjInfo ? ExecProject(node->ss.ps.ps_ProjInfo) : slot;
}

void forget_rows(CustomScanState* node) {
  FirstRowsScan* scan = as_first_rows(node);
  if (scan->stored) ExecClearTuple(scan->stored);
  ExecClearTuple(node->ss.ss_ScanTupleSlot);
  if (scan->rows) tuplestore_end(std::exchange(scan->rows, nullptr));
}

void end(CustomScanState* node) {
  forget_rows(node);
  end_vector_scan(node);
}

void rescan(CustomScanState* node) {
  FirstRowsScan* scan = as_first_rows(node);
  // The same parameters and the same snapshot give the same rows.
  if (scan->rows && !node->ss.ps.chgParam) return tuplestore_rescan(scan->rows);
  forget_rows(node);
  rescan_vector_scan(node);
}

void explain(CustomScanState* node, List* ancestors, ExplainState* out) {
  AggregatePlan plan = plan_of(node);
  explain_list(node, ancestors, out, "Partition Key", plan.keys, false);
  List* order = deparse_list(node, ancestors, out, plan.first.order);
  ListCell *cell, *direction;
  forboth(cell, order, direction, plan.first.directions) {
    bool descending = lfirst_int(direction) & 1, nulls_first = lfirst_int(direction) & 2;
    if (descending || nulls_first)
      lfirst(cell) = psprintf("%s%s%s", static_cast<char*>(lfirst(cell)), descending ? " DESC" : "",
                              descending == nulls_first ? ""
                              : nulls_first             ? " NULLS FIRST"
                                                        : " NULLS LAST");
  }
  if (order) ExplainPropertyList("Order By", order, out);
  if (plan.first.ranking != static_cast<int>(vector::Ranking::RowNumber))
    ExplainPropertyText(
        "Ranking",
        plan.first.ranking == static_cast<int>(vector::Ranking::Rank) ? "rank" : "dense_rank", out);
  ExplainPropertyInteger("First Rows", nullptr, plan.first.most, out);
  explain_source(node, out);
  explain_list(node, ancestors, out, "Scan Filter", plan.filters, true);
  if (out->analyze) explain_counters(node, out);
}

const CustomExecMethods exec_methods = {"Datahike First Rows",
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

Node* create_first_rows_state(CustomScan*) {
  auto* scan = static_cast<FirstRowsScan*>(palloc0(sizeof(FirstRowsScan)));
  NodeSetTag(scan, T_CustomScanState);
  scan->vector.state.methods = &exec_methods;
  return reinterpret_cast<Node*>(scan);
}

const CustomScanMethods first_rows_scan_methods = {"Datahike First Rows", create_first_rows_state};

}  // namespace datahike::exec
