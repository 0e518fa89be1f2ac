// The program's filters, on all rows of a chunk one after the other.
#include <algorithm>
#include <bit>
#include <cmath>

#include "column/bit_packing.h"
#include "column/kernels.h"
#include "column/vector/evaluator_read.h"

namespace datahike::vector {

using column::FloatRange;
using column::kernels;
using column::low_bits;

namespace {

FloatRange float_range(const Filter& f) {
  return {f.has_low,
          f.has_high,
          f.low_open,
          f.high_open,
          std::bit_cast<double>(f.low),
          std::bit_cast<double>(f.high)};
}

}  // namespace

void Evaluator::apply(const Filter& f, int number) {
  if (f.test == Test::Any) return apply_any(f);
  if (is_text_test(f.test)) return apply_text(f, number);
  if (f.column >= 0) {  // IsNull, IsNotNull
    Read& read = reads_[f.column];
    if (read.nullable) read_nulls(read);
    for (unsigned w = 0; w < kMaskWords; ++w) {
      const uint64_t null = read.nullable ? read.nulls[w] : 0;
      mask_[w] &= f.test == Test::IsNull ? null : ~null;
    }
    has_selection_ = false;
    return;
  }
  if (is_column(f.expression))
    apply_to_column(f, program_.expressions[f.expression].argument);
  else
    apply_to_expression(f);
}

void test_values(const Filter& f, Type type, const Vector& v, unsigned n, uint64_t* mask) {
  const column::Kernels& k = kernels();
  switch (f.test) {
    case Test::Range:
      if (type == Type::Int)
        k.test_range(v.ints(), n, low_of(f), high_of(f), mask);
      else
        k.test_float_range(v.floats(), n, float_range(f), mask);
      return;
    case Test::NotEqual:
      if (type == Type::Int)
        k.test_not_equal(v.ints(), n, static_cast<int64_t>(f.low), mask);
      else
        k.test_float_not_equal(v.floats(), n, std::bit_cast<double>(f.low), mask);
      return;
    default: {  // OneOf, NoneOf
      for (unsigned i = 0; i < n; ++i) {
        bool found;
        if (type == Type::Int) {
          found = std::binary_search(f.words.begin(), f.words.end(), v.words[i],
                                     [](uint64_t a, uint64_t b) {
                                       return static_cast<int64_t>(a) < static_cast<int64_t>(b);
                                     });
        } else {
          const double x = v.floats()[i];
          found = std::any_of(f.words.begin(), f.words.end(), [&](uint64_t w) {
            const double y = std::bit_cast<double>(w);
            return x == y || (std::isnan(x) && std::isnan(y));
          });
        }
        if (found != (f.test == Test::OneOf)) mask[i / 64] &= ~(uint64_t{1} << i % 64);
      }
    }
  }
}

void Evaluator::apply_to_column(const Filter& f, int column) {
  Read& read = reads_[column];
  test_values(f, program_.columns[column].type, raw(column), rows_, mask_);
  if (read.nullable) {
    read_nulls(read);
    for (unsigned w = 0; w < kMaskWords; ++w) mask_[w] &= ~read.nulls[w];
  }
  has_selection_ = false;
}

void Evaluator::apply_to_expression(const Filter& f) {
  make_selection();
  if (selected_ == 0) return;
  const Vector& v = value(f.expression);
  uint64_t passed[kMaskWords];
  std::fill(std::begin(passed), std::end(passed), ~uint64_t{0});
  test_values(f, program_.expressions[f.expression].type, v, selected_, passed);
  if (v.any_null) {
    for (unsigned i = 0; i < selected_; ++i)
      if (v.null[i]) passed[i / 64] &= ~(uint64_t{1} << i % 64);
  }
  restrict_selection(passed);
}

// Of the selected rows only those whose bit is set are left.
void Evaluator::restrict_selection(const uint64_t* passed) {
  if (all_chosen_) {
    for (unsigned w = 0; w < kMaskWords; ++w) mask_[w] &= passed[w];
  } else {
    const uint16_t* chosen = this->chosen();
    for (unsigned begin = 0; begin < selected_; begin += 64) {
      uint64_t failed = ~passed[begin / 64] & low_bits(std::min(64u, selected_ - begin));
      for (; failed; failed &= failed - 1) {
        const unsigned row = chosen[begin + static_cast<unsigned>(std::countr_zero(failed))];
        mask_[row / 64] &= ~(uint64_t{1} << row % 64);
      }
    }
  }
  has_selection_ = false;
  ++epoch_;  // what was computed is of other rows
}

void Evaluator::apply_text(const Filter& f, int number) {
  make_selection();
  if (selected_ == 0) return;
  const Read& read = reads_[f.column];
  TextTest& test = text_tests_[number];
  const bool coded = read.codes > 0;
  const uint32_t* code = coded ? codes(f.column) : nullptr;
  if (coded && test.codes_of != pieces_) {
    test.codes_of = pieces_;
    test.of_code.resize(read.codes);
    test_texts(f, read.coded.data(), read.codes, test.of_code.data());
  }
  const bool all = all_chosen_;
  if (read.nullable) read_nulls(reads_[f.column]);
  uint64_t passed[kMaskWords] = {};
  const ByteView* texts = coded ? nullptr : strings(f.column);
  uint64_t contains[kMaskWords];
  const bool at_once =
      texts && all && !read.nullable && is_contains(f) && are_contiguous(texts, rows_);
  if (at_once) find_in_all(f, texts, rows_, contains);
  const uint16_t* chosen = all ? nullptr : this->chosen();
  for (unsigned i = 0; i < selected_; ++i) {
    const unsigned row = chosen ? chosen[i] : i;
    if (read.nullable && read.nulls[row / 64] >> row % 64 & 1) continue;
    bool pass;
    if (at_once) {
      pass = contains[row / 64] >> row % 64 & 1;
    } else if (coded) {
      pass = test.of_code[code[row]];
    } else {
      pass = passes(f, texts[row]);
    }
    passed[i / 64] |= uint64_t{pass} << i % 64;
  }
  restrict_selection(passed);
}

}  // namespace datahike::vector
