#include "exec/scan_filter.h"

#include <bit>

#include "am/batch_cursor.h"
#include "am/row_filter.h"
#include "am/slot.h"
#include "column/vector/evaluator.h"
#include "exec/compile_types.h"
#include "exec/vector_scan.h"
#include "pg/vector_settings.h"
#include "store/segment.h"

extern "C" {
#include "executor/instrument.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
}

namespace datahike::exec {

namespace {

// A copy with the values of the parameters that the query was called with. What stays a parameter
// does not compile.
Node* bind_externals(Node* node, void* context) {
  if (!node) return nullptr;
  auto* parameters = static_cast<ParamListInfo>(context);
  if (IsA(node, Param)) {
    auto* parameter = reinterpret_cast<Param*>(node);
    if (parameter->paramkind != PARAM_EXTERN || !parameters || parameter->paramid <= 0 ||
        parameter->paramid > parameters->numParams)
      return static_cast<Node*>(copyObjectImpl(node));
    ParamExternData fetched;
    ParamExternData* value =
        parameters->paramFetch
            ? parameters->paramFetch(parameters, parameter->paramid, false, &fetched)
            : &parameters->params[parameter->paramid - 1];
    if (value->ptype != parameter->paramtype) return static_cast<Node*>(copyObjectImpl(node));
    int16 length;
    bool by_value;
    get_typlenbyval(parameter->paramtype, &length, &by_value);
    const Datum copy = value->isnull ? 0 : datumCopy(value->value, by_value, length);
    return reinterpret_cast<Node*>(makeConst(parameter->paramtype, parameter->paramtypmod,
                                             parameter->paramcollid, length, copy, value->isnull,
                                             by_value));
  }
  auto* mutator = reinterpret_cast<Node* (*)()>(reinterpret_cast<void*>(bind_externals));
  return expression_tree_mutator(node, mutator, context);
}

// Whether expressions from number `first` on can be computed for rows that an earlier condition
// excludes.
bool is_harmless(const vector::Program& program, size_t first) {
  return std::all_of(program.expressions.begin() + static_cast<ptrdiff_t>(first),
                     program.expressions.end(), [](const vector::Expression& e) {
                       return e.op == vector::Op::Column || e.op == vector::Op::Constant ||
                              e.op == vector::Op::Length || e.op == vector::Op::IntToFloat ||
                              e.op >= vector::Op::DecimalAdd;
                     });
}

// Clears up to 64 bits from `bit` on, of which some may lie outside.
void clear_bits(tree::Container& container, int64_t bit, uint64_t failed) {
  if (bit <= -64 || bit >= 65536) return;
  if (bit < 0) {
    failed >>= -bit;
    bit = 0;
  }
  const auto word = static_cast<size_t>(bit / 64);
  const auto shift = static_cast<unsigned>(bit % 64);
  container.words[word] &= ~(failed << shift);
  if (shift > 0 && word + 1 < container.words.size())
    container.words[word + 1] &= ~(failed >> (64 - shift));
}

// The first member from `from` on, or 65536.
uint32_t first_member(const tree::Container& container, uint32_t from) {
  for (uint32_t at = from; at < 65536; at = (at | 63) + 1)
    if (uint64_t word = container.words[at / 64] >> at % 64)
      return at + static_cast<uint32_t>(std::countr_zero(word));
  return 65536;
}

class ScanFilter : public am::RowFilter {
 public:
  explicit ScanFilter(SeqScanState* scan) : scan_(scan) {}

  void count(uint64_t rows) override { InstrCountFiltered1(scan_, rows); }

  void narrow(const am::TableView& view, uint64_t high, uint64_t first, uint64_t last,
              tree::Container& container) override {
    if (compiled_ && !evaluator_) return;
    Relation relation = scan_->ss.ss_currentRelation;
    const am::RelationInfo& info = am::relation_info(relation);
    if (!compiled_) compile(relation, info);
    if (!evaluator_) return;
    const uint64_t from = std::max(first, high << 16);
    const uint64_t to = std::min(last, high << 16 | 0xffff);
    for (uint64_t rowid = from; rowid <= to;) {
      const uint32_t member = first_member(container, static_cast<uint32_t>(rowid & 0xffff));
      if (member == 65536) break;
      rowid = high << 16 | member;
      if (rowid > to) break;
      auto found = versioning::find_row(view.view, *view.table, view.table_id, rowid);
      if (!found || !found->in_store) {
        ++rowid;
        continue;
      }
      const uint64_t end = std::min(to, found->segment.last_rowid());
      if (can_test(found->segment, info)) test(found->segment, high, rowid, end, container);
      rowid = end + 1;
    }
  }

 private:
  // Of the node's conditions as many as can be tested by column.
  void compile(Relation relation, const am::RelationInfo& info) {
    compiled_ = true;
    SeqScanState* scan = scan_;
    List* conditions = pg::call([scan] {
      MemoryContext old = MemoryContextSwitchTo(scan->ss.ps.state->es_query_cxt);
      List* all = NIL;
      ListCell* cell;
      foreach (cell, scan->ss.ps.plan->qual) {
        auto* condition = static_cast<Node*>(lfirst(cell));
        // It may have been called for each row so far.
        if (contain_volatile_functions(condition)) break;
        all = lappend(all, bind_externals(condition, scan->ss.ps.state->es_param_list_info));
      }
      MemoryContextSwitchTo(old);
      return all;
    });
    auto* plan = reinterpret_cast<SeqScan*>(scan_->ss.ps.plan);
    compiler_ = std::make_unique<Compiler>(relation, plan->scan.scanrelid);
    compiler_->planning = true;  // models are not looked at: scores are not tested here
    vector::Program& program = compiler_->program;
    for (int i = 0; i < list_length(conditions); ++i) {
      vector::Program before = program;
      const size_t attributes = compiler_->attributes.size();
      if (compiler_->filter(static_cast<Node*>(list_nth(conditions, i))) &&
          is_harmless(program, before.expressions.size()))
        continue;
      program = std::move(before);
      compiler_->attributes.resize(attributes);
    }
    if (program.filters.empty()) return;
    for (int attribute : compiler_->attributes)
      if (am::missing_value(relation, info, attribute).converts) return;
    set_missing_values(program, compiler_->attributes, relation, info);
    evaluator_ = std::make_unique<vector::Evaluator>(program);
    const auto tested = static_cast<int>(program.filters.size());
    pg::call([=] {
      elog(DEBUG1, "scan of \"%s\": %d tests by column", RelationGetRelationName(relation), tested);
    });
  }

  // Rows from before a column changed its type are left to the node's conditions.
  bool can_test(const store::SegmentReader& segment, const am::RelationInfo& info) const {
    for (int column : compiler_->attributes) {
      const am::Attribute& a = info.attribute[column];
      const int at = segment.find(a.number);
      if (at < 0) continue;
      const store::ColumnSpec spec = segment.spec(at);
      if (spec.type != a.type || spec.typmod != a.typmod || spec.kind != a.kind ||
          spec.width != a.width)
        return false;
    }
    return true;
  }

  void test(const store::SegmentReader& segment, uint64_t high, uint64_t first, uint64_t last,
            tree::Container& container) {
    const uint64_t base = segment.first_rowid();
    const auto bit_of = [&](uint64_t row) {
      return static_cast<int64_t>(base + row) - static_cast<int64_t>(high << 16);
    };
    piece_.segment = segment;
    piece_.live_rows = segment.rows();
    if (!evaluator_->begin(piece_)) {
      for (uint64_t row = first - base; row <= last - base;) {
        const uint64_t n = std::min<uint64_t>(64, last - base - row + 1);
        clear_bits(container, bit_of(row), low_bits(n));
        row += n;
      }
      return;
    }
    if (evaluator_->all_pass()) return;
    const auto from =
        static_cast<uint32_t>((first - base) / vector::kChunkRows * vector::kChunkRows);
    for (uint32_t at = from; at <= last - base; at += vector::kChunkRows) {
      evaluator_->chunk(at);
      const uint64_t* passed = evaluator_->passed();
      const uint32_t rows = std::min<uint32_t>(vector::kChunkRows, segment.rows() - at);
      for (uint32_t word = 0; word * 64 < rows; ++word) {
        const uint64_t row = at + word * 64;
        uint64_t failed = ~passed[word];
        if (rows - word * 64 < 64) failed &= low_bits(rows - word * 64);
        // Rows outside are another's to count.
        if (row < first - base) failed &= ~low_bits(std::min<uint64_t>(first - base - row, 64));
        if (row + 63 > last - base)
          failed &= row > last - base ? 0 : low_bits(last - base - row + 1);
        if (failed) clear_bits(container, bit_of(at + word * 64), failed);
      }
    }
  }

  static uint64_t low_bits(uint64_t n) { return n == 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1; }

  SeqScanState* scan_;
  bool compiled_ = false;
  std::unique_ptr<Compiler> compiler_;  // whose program the evaluator runs
  std::unique_ptr<vector::Evaluator> evaluator_;
  vector::Piece piece_;
};

struct Owner {
  MemoryContextCallback callback;
  ScanFilter* filter;
};

}  // namespace

void add_scan_filter(SeqScanState* scan) {
  if (!pg::setting_vectorized || scan->ss.ps.plan->qual == NIL) return;
  TupleTableSlot* slot = scan->ss.ss_ScanTupleSlot;
  if (!am::is_datahike_slot(slot)) return;
  auto* owner =
      static_cast<Owner*>(MemoryContextAllocZero(scan->ss.ps.state->es_query_cxt, sizeof(Owner)));
  owner->callback.func = [](void* of) { delete static_cast<Owner*>(of)->filter; };
  owner->callback.arg = owner;
  MemoryContextRegisterResetCallback(scan->ss.ps.state->es_query_cxt, &owner->callback);
  pg::guard([=] { owner->filter = new ScanFilter(scan); });
  am::set_row_filter(slot, owner->filter);
}

}  // namespace datahike::exec
