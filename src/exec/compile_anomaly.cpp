// Calls of the anomaly_* functions in programs of the vector engine: scored chunk by chunk, for the
// rows alone that are left where the call is asked for.
#include <exception>
#include <limits>

#include "iforest/sql/measures.h"
#include "column/vector/evaluator.h"
#include "exec/compile_types.h"

namespace datahike::exec {

namespace {

using vector::Type;
using vector::Vector;

struct Scores final : vector::RowFunction {
  std::shared_ptr<const anomaly::LoadedModel> model;  // nullptr while it is only compiled
  anomaly::Measure measure = anomaly::Measure::Score;
  double decay = 1;
  // Why there is no score: an error of the call, once a row comes to it. Called by any thread.
  std::exception_ptr error;

  bool same(const Scores& other) const {
    return !error && !other.error && model == other.model && measure == other.measure &&
           decay == other.decay;
  }

  void compute(std::span<const Vector* const> operands, std::span<const Type> types, unsigned rows,
               Vector& out) const override {
    if (error) {
      if (rows > 0) std::rethrow_exception(error);
      return;
    }
    // Kept by the thread: chunk follows chunk.
    thread_local iforest::Scratch scratch;
    thread_local std::vector<double> copies, scores;
    copies.resize(operands.size() * vector::kChunkRows);
    scores.resize(vector::kChunkRows);
    std::vector<const double*> columns;
    for (size_t k = 0; k < operands.size(); ++k) {
      const Vector& v = *operands[k];
      double* copy = copies.data() + k * vector::kChunkRows;
      if (types[k] == Type::Float && !v.any_null) {
        columns.push_back(v.floats());
        continue;
      }
      for (unsigned i = 0; i < rows; ++i)
        copy[i] = types[k] == Type::Float ? v.floats()[i] : static_cast<double>(v.ints()[i]);
      if (v.any_null)
        for (unsigned i = 0; i < rows; ++i)
          if (v.null[i]) copy[i] = std::numeric_limits<double>::quiet_NaN();
      columns.push_back(copy);
    }
    set_nulls(operands, rows, out);
    const bool predicts = measure == anomaly::Measure::Predict;
    anomaly::measure_rows(*model, measure, decay, columns, rows, scratch,
                          predicts ? scores.data() : out.floats());
    if (predicts)
      for (unsigned i = 0; i < rows; ++i) out.words[i] = scores[i] != 0;
  }

  // A row none of whose features has a value has no score.
  static void set_nulls(std::span<const Vector* const> operands, unsigned rows, Vector& out) {
    out.any_null = true;
    for (const Vector* v : operands) out.any_null &= v->any_null;
    if (!out.any_null) return;
    uint8_t any = 0;
    for (unsigned i = 0; i < rows; ++i) {
      uint8_t null = 1;
      for (const Vector* v : operands) null &= v->null[i];
      any |= out.null[i] = null;
    }
    out.any_null = any;
  }
};

// The list of features; NIL where they are not to be told apart.
List* features_of(FuncExpr* call, int first) {
  if (!call->funcvariadic) return list_copy_tail(call->args, first);
  auto* array = static_cast<Node*>(list_nth(call->args, first));
  return IsA(array, ArrayExpr) ? reinterpret_cast<ArrayExpr*>(array)->elements : NIL;
}

// Those that are the model's features, in its order.
std::vector<int> named_operands(const char* name, const anomaly::LoadedModel& model, Datum names,
                                const std::vector<int>& passed) {
  const anomaly::GivenNames given = pg::call([=] { return anomaly::given_names(names); });
  anomaly::require_values(name, given.span().size(), passed.size());
  std::vector<int> operands;
  for (const int place : anomaly::places_of(name, model, given.span()))
    operands.push_back(passed[static_cast<size_t>(place)]);
  return operands;
}

}  // namespace

int Compiler::anomaly(FuncExpr* call) {
  const Oid function = call->funcid;
  if (function < FirstNormalObjectId) return -1;
  const std::optional<anomaly::KnownFunction> known =
      pg::call([=] { return anomaly::known_function(function); });
  if (!known || known->short_form) return -1;
  for (int i = 0; i < known->first_feature; ++i)
    if (!IsA(list_nth(call->args, i), Const)) return -1;
  const auto constant = [&](int number) {
    return number < 0 ? nullptr : static_cast<Const*>(list_nth(call->args, number));
  };
  Expression e;
  e.op = vector::Op::Row;
  const bool predicts = known->measure == anomaly::Measure::Predict;
  e.type = predicts ? Type::Int : Type::Float;
  e.bytes = predicts ? 1 : 8;
  ListCell* cell;
  foreach (cell, features_of(call, known->first_feature)) {
    auto* feature = static_cast<Node*>(lfirst(cell));
    const Oid type = exprType(feature);
    if (!is_integer(type) && !is_float(type)) return -1;
    const int operand = expression(feature);
    if (operand < 0) return -1;
    e.operands.push_back(operand);
  }
  if (e.operands.empty()) return -1;
  const Const *name = constant(0), *decay = constant(known->decay), *names = constant(known->names);
  auto scores = std::make_shared<Scores>();
  scores->measure = known->measure;
  if (!planning) {
    if (name->constisnull || (decay && decay->constisnull) || (names && names->constisnull)) {
      e.op = vector::Op::Constant;
      e.operands.clear();
      e.null = true;
      return add(e);
    }
    const std::string text = text_of(name->constvalue);
    if (decay) scores->decay = DatumGetFloat8(decay->constvalue);
    try {
      scores->model = anomaly::load_model(text.c_str());
      if (names)
        e.operands = named_operands(text.c_str(), *scores->model, names->constvalue, e.operands);
      else
        anomaly::require_features(text.c_str(), *scores->model, e.operands.size());
      anomaly::require_measurable(text.c_str(), *scores->model, scores->measure, scores->decay);
    } catch (const pg::SqlError&) {
      scores->error = std::current_exception();
    }
  }
  for (size_t i = 0; i < program.expressions.size(); ++i) {
    const Expression& other = program.expressions[i];
    if (other.op == e.op && other.operands == e.operands &&
        static_cast<const Scores&>(*other.function).same(*scores))
      return static_cast<int>(i);
  }
  e.function = std::move(scores);
  return add(e);
}

}  // namespace datahike::exec
