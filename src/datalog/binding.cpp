// Bindings of values to variables.
#include <algorithm>

#include "datalog/evaluator.h"

namespace datahike::datalog {

namespace {

std::span<const Value> collection(const Value& v) {
  if (v.is_nil()) return {};
  if (!v.is_sequence() && !v.is(Kind::Set))
    throw QueryError(kMismatch, "a binding expects a collection, found a " +
                                    std::string(name_of(v.kind())) + ": " +
                                    edn::write(v).substr(0, 100));
  return v.items();
}

// All ways in which a value can be bound, one after another.
class Binder {
 public:
  Binder(const std::vector<Var>& vars, Relation& out, std::vector<uint32_t>& rows)
      : vars_(vars), current_(vars.size()), set_(vars.size()), out_(out), rows_(rows) {}

  void bind(const Binding& binding, const Value& value, uint32_t row) {
    row_ = row;
    std::fill(set_.begin(), set_.end(), false);
    bind_all({{&binding, value}});
  }

 private:
  using Worklist = std::vector<std::pair<const Binding*, Value>>;

  void bind_all(Worklist worklist) {
    while (!worklist.empty()) {
      auto [binding, value] = std::move(worklist.back());
      worklist.pop_back();
      switch (binding->kind) {
        case Binding::Blank:
          break;
        case Binding::Scalar:
          if (!set(binding->var, value)) return;
          break;
        case Binding::Tuple:
          if (!add_parts(*binding, value, worklist)) return;
          break;
        case Binding::Collection:
        case Binding::Relation:
          for (const Value& item : collection(value)) {
            Worklist rest = worklist;
            std::vector<Value> current = current_;
            std::vector<bool> was_set = set_;
            bool fits = true;
            if (binding->kind == Binding::Collection)
              rest.emplace_back(&binding->parts[0], item);
            else
              fits = add_parts(*binding, item, rest);
            if (fits) bind_all(std::move(rest));
            current_ = std::move(current);
            set_ = std::move(was_set);
          }
          return;
      }
    }
    emit();
  }

  bool add_parts(const Binding& binding, const Value& value, Worklist& worklist) {
    std::span<const Value> items = collection(value);
    if (value.is_nil()) return false;
    if (items.size() < binding.parts.size())
      throw QueryError(kMismatch, "a tuple of " + std::to_string(binding.parts.size()) +
                                      " values is expected, found " +
                                      edn::write(value).substr(0, 100));
    for (size_t i = 0; i < binding.parts.size(); ++i)
      worklist.emplace_back(&binding.parts[i], items[i]);
    return true;
  }

  // False: the value does not fit, or is nil.
  bool set(Var v, const Value& value) {
    size_t i = static_cast<size_t>(std::find(vars_.begin(), vars_.end(), v) - vars_.begin());
    if (value.is_nil()) return false;
    if (set_[i]) return current_[i] == value;
    set_[i] = true;
    current_[i] = value;
    return true;
  }

  void emit() {
    for (size_t i = 0; i < vars_.size(); ++i) out_.columns[i].push_back(current_[i]);
    rows_.push_back(row_);
    if ((++out_.rows & 0xfff) == 0) {
      out_.budget().poll();
      out_.charge();
    }
  }

  const std::vector<Var>& vars_;
  std::vector<Value> current_;
  std::vector<bool> set_;
  Relation& out_;
  std::vector<uint32_t>& rows_;
  uint32_t row_ = 0;
};

std::vector<Var> vars_of(const Binding& binding) {
  std::set<Var> vars;
  collect_vars(binding, vars);
  return {vars.begin(), vars.end()};
}

Relation keep_equal(Relation rows, Var v, const Column& column) {
  const Column& known = rows.of(v);
  std::vector<uint32_t> kept;
  for (size_t row = 0; row < rows.rows; ++row)
    if (known[row] == column[row]) kept.push_back(static_cast<uint32_t>(row));
  return kept.size() == rows.rows ? std::move(rows) : rows.gather(kept);
}

Relation bind_scalar(Relation rows, const Column& results, Var v) {
  std::vector<uint32_t> kept;
  for (size_t row = 0; row < rows.rows; ++row)
    if (!results[row].is_nil()) kept.push_back(static_cast<uint32_t>(row));
  Column column = results.gather(kept);
  if (kept.size() != rows.rows) rows = rows.gather(kept);
  if (rows.has(v)) return keep_equal(std::move(rows), v, column);
  rows.add_column(v, std::move(column));
  return rows;
}

}  // namespace

Relation bind_results(Relation rows, const Column& results, const Binding& binding) {
  if (binding.kind == Binding::Scalar) return bind_scalar(std::move(rows), results, binding.var);
  std::vector<Var> vars = vars_of(binding);
  Relation bound(rows.budget(), vars);
  std::vector<uint32_t> from;
  Binder binder(vars, bound, from);
  for (size_t row = 0; row < rows.rows; ++row)
    binder.bind(binding, results[row], static_cast<uint32_t>(row));
  bound.charge();
  rows = rows.gather(from);
  for (size_t i = 0; i < vars.size(); ++i) {
    if (!rows.has(vars[i])) {
      rows.add_column(vars[i], std::move(bound.columns[i]));
      continue;
    }
    // Rows go out of both.
    const Column& known = rows.of(vars[i]);
    std::vector<uint32_t> kept;
    for (size_t row = 0; row < rows.rows; ++row)
      if (known[row] == bound.columns[i][row]) kept.push_back(static_cast<uint32_t>(row));
    rows = rows.gather(kept);
    for (size_t k = i + 1; k < vars.size(); ++k) {
      bound.columns[k] = bound.columns[k].gather(kept);
    }
  }
  return rows;
}

Relation Evaluator::bind(const Binding& binding, const Value& value) {
  return bind_results(Relation::unit(budget_), Column(1, value), binding);
}

}  // namespace datahike::datalog
