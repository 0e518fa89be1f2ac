// Conditions within others, and of aggregates: tested for the selected rows, each for those alone
// that the ones before it have left undecided, as PostgreSQL does.
#include <algorithm>
#include <numeric>

#include "column/vector/matches.h"

namespace datahike::vector {

struct Evaluator::Selection {
  uint16_t chosen[kChunkRows];
  uint32_t build[kChunkRows];
  unsigned selected;
  bool all_chosen, in_runs, moved;
};

void Evaluator::save(Selection& to) {
  std::copy_n(chosen(), selected_, to.chosen);
  if (matches_) std::copy_n(matches_->build, selected_, to.build);
  to.selected = selected_;
  to.all_chosen = all_chosen_;
  to.in_runs = in_runs_;
  to.moved = moved_;
}

void Evaluator::restore(const Selection& from) {
  std::copy_n(from.chosen, from.selected, chosen_);
  has_chosen_ = true;
  if (matches_) std::copy_n(from.build, from.selected, matches_->build);
  selected_ = from.selected;
  all_chosen_ = from.all_chosen;
  in_runs_ = from.in_runs;
  moved_ = from.moved;
  ++epoch_;  // what was computed is of other rows
}

void Evaluator::with_condition(const Condition& condition,
                               const std::function<void(const uint16_t*)>& body) {
  make_selection();
  auto before = std::make_unique<Selection>();
  save(*before);
  uint16_t places[kChunkRows];
  narrow(condition, places);
  if (selected_ > 0) body(places);
  restore(*before);
}

// Of the selected rows only those that pass are left; `places`: which of them.
void Evaluator::narrow(const Condition& condition, uint16_t* places) {
  std::iota(places, places + selected_, uint16_t{0});
  for (const Filter& filter : condition) {
    if (selected_ == 0) return;
    uint64_t passed[kMaskWords] = {};
    if (filter.test == Test::Any)
      test_any(filter, passed);
    else
      test_selected(filter, passed);
    uint16_t left[kChunkRows];
    unsigned n = 0;
    for (unsigned i = 0; i < selected_; ++i) {
      if (!(passed[i / 64] >> i % 64 & 1)) continue;
      left[n] = static_cast<uint16_t>(i);
      places[n++] = places[i];
    }
    if (n < selected_) keep(left, n);
  }
}

void Evaluator::test_any(const Filter& filter, uint64_t* passed) {
  auto all = std::make_unique<Selection>();
  save(*all);
  std::vector<uint16_t> open(selected_);
  std::iota(open.begin(), open.end(), uint16_t{0});
  for (const Condition& alternative : filter.alternatives) {
    keep(open.data(), static_cast<unsigned>(open.size()));
    uint16_t places[kChunkRows];
    narrow(alternative, places);
    for (unsigned i = 0; i < selected_; ++i) {
      const uint16_t row = open[places[i]];
      passed[row / 64] |= uint64_t{1} << row % 64;
    }
    restore(*all);
    std::erase_if(open, [&](uint16_t row) { return passed[row / 64] >> row % 64 & 1; });
    if (open.empty()) return;
  }
}

// Bits of the selected rows; none is set yet.
void Evaluator::test_selected(const Filter& f, uint64_t* passed) {
  if (f.test == Test::Never) return;
  if (f.test == Test::IsNull || f.test == Test::IsNotNull) {
    Vector& nulls = scratch();
    compact_nulls(f.column, nulls);
    for (unsigned i = 0; i < selected_; ++i) {
      const bool null = nulls.any_null && nulls.null[i];
      passed[i / 64] |= uint64_t{null == (f.test == Test::IsNull)} << i % 64;
    }
    return;
  }
  if (is_text_test(f.test)) return test_selected_text(f, passed);
  const Vector& v = value(f.expression);
  std::fill_n(passed, kMaskWords, ~uint64_t{0});
  test_values(f, program_.expressions[f.expression].type, v, selected_, passed);
  if (!v.any_null) return;
  for (unsigned i = 0; i < selected_; ++i)
    if (v.null[i]) passed[i / 64] &= ~(uint64_t{1} << i % 64);
}

void Evaluator::test_selected_text(const Filter& f, uint64_t* passed) {
  Vector& nulls = scratch();
  compact_nulls(f.column, nulls);
  const uint16_t* chosen = all_chosen_ ? nullptr : this->chosen();
  const auto of_row = [=](unsigned i) { return chosen ? chosen[i] : i; };
  const auto each = [&](const auto& test) {
    for (unsigned i = 0; i < selected_; ++i)
      if (!(nulls.any_null && nulls.null[i]) && test(i)) passed[i / 64] |= uint64_t{1} << i % 64;
  };
  if (const Column& c = program_.columns[f.column]; c.build >= 0) {
    const TextNumbers& texts = program_.join.build->texts(c.build);
    const uint64_t* words = program_.join.build->words(c.build);
    return each([&](unsigned i) {
      return passes(f, texts.text(static_cast<uint32_t>(words[matches_->build[i]])));
    });
  }
  if (code_count(f.column) == 0) {
    const ByteView* texts = strings(f.column);
    return each([&](unsigned i) { return passes(f, texts[of_row(i)]); });
  }
  const uint32_t* code = codes(f.column);
  TextTest& test = condition_texts_[&f];
  if (test.codes_of != pieces_) {
    test.codes_of = pieces_;
    test.of_code.resize(code_count(f.column));
    test_texts(f, coded_strings(f.column), code_count(f.column), test.of_code.data());
  }
  each([&](unsigned i) { return test.of_code[code[of_row(i)]] != 0; });
}

// A condition of the table's rows, before they are joined.
void Evaluator::apply_any(const Filter& filter) {
  make_selection();
  uint64_t passed[kMaskWords] = {};
  test_any(filter, passed);
  restrict_selection(passed);
}

}  // namespace datahike::vector
