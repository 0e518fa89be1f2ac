#include "column/vector/states.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "column/bit_packing.h"
#include "column/kernels.h"
#include "column/vector/decimals.h"
#include "column/vector/distinct.h"
#include "column/vector/first_rows.h"
#include "column/vector/moments.h"
#include "column/vector/ordered_values.h"
#include "column/vector/quotient_sums.h"
#include "column/vector/ranked_rows.h"
#include "column/vector/text_extreme.h"
#include "column/vector/values_by_group.h"

namespace datahike::vector {

using column::kernels;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// As float8_gt and float8_lt.
bool greater(double a, double b) { return std::isnan(a) ? !std::isnan(b) : a > b; }
bool less(double a, double b) { return std::isnan(b) ? !std::isnan(a) : a < b; }

class Rows final : public Values<int64_t> {
 public:
  Rows() : Values(-1, 0) {}
  void add(Evaluator& rows, const uint32_t* groups) override {
    const unsigned n = rows.selected();
    if (!groups) {
      values_[0] += n;
    } else {
      for (unsigned i = 0; i < n; ++i) ++values_[groups[i]];
    }
  }
  void add_packed(std::span<const uint64_t> words, const PackedField& field) override {
    const size_t groups = std::min(words.size(), values_.size());
    for (size_t g = 0; g < groups; ++g) values_[g] += static_cast<int64_t>(words[g] & field.rows);
  }
  bool add_zone(Evaluator& rows) override {
    values_[0] += rows.piece().live_rows;
    return true;
  }
  int64_t integer(uint32_t group) const override { return values_[group]; }
};

class Nulls final : public Values<int64_t> {
 public:
  explicit Nulls(int argument) : Values(argument, 0) {}
  void add(Evaluator& rows, const uint32_t* groups) override {
    const Vector& v = rows.value(argument_);
    if (!v.any_null) return;
    for (unsigned i = 0; i < rows.selected(); ++i) values_[groups ? groups[i] : 0] += v.null[i];
  }
  bool add_zone(Evaluator& rows) override {
    const ZoneOfRows* zone = rows.zone_of(argument_);
    if (zone) values_[0] += zone->nulls;
    return zone != nullptr;
  }
  int64_t integer(uint32_t group) const override { return values_[group]; }
};

// Whether a group has a row whose argument is not NULL. Where nothing is NULL that is known of the
// groups that are new, so that rows need not be looked at one by one.
class Present final : public Values<uint8_t> {
 public:
  // `all_rows`: none is left out by a condition.
  Present(int argument, bool all_rows) : Values(argument, 0), absent_(!all_rows) {}
  void merge(State& later, std::span<const uint32_t> to) override {
    Values::merge(later, to);
    absent_ = true;
  }
  bool needs(Evaluator& rows, uint32_t groups) const override {
    return absent_ || known_ < groups || rows.value(argument_).any_null;
  }
  void add(Evaluator& rows, const uint32_t* groups) override {
    const Vector& v = rows.value(argument_);
    const unsigned n = rows.selected();
    uint32_t end = 1;
    for (unsigned i = 0; groups && i < n; ++i) end = std::max(end, groups[i] + 1);
    if (v.any_null || absent_) {
      for (unsigned i = 0; i < n; ++i)
        if (!v.any_null || !v.null[i]) values_[groups ? groups[i] : 0] = 1;
      absent_ = true;
    } else if (n > 0 && end > known_) {
      std::fill(values_.begin() + known_, values_.begin() + end, 1);
    }
    known_ = std::max(known_, end);
  }
  bool add_zone(Evaluator& rows) override {
    const ZoneOfRows* zone = rows.zone_of(argument_);
    if (zone && !zone->all_null()) values_[0] = 1;
    return zone != nullptr;
  }
  int64_t integer(uint32_t group) const override { return values_[group]; }

 protected:
  void combine(uint8_t& present, const uint8_t& later) override { present |= later; }

 private:
  uint32_t known_ = 0;  // groups that had rows by the last chunk
  bool absent_;         // some of them may be without a value
};

template <class T>
class IntSum final : public Values<T> {
 public:
  explicit IntSum(int argument) : Values<T>(argument, 0) {}
  void add(Evaluator& rows, const uint32_t* groups) override {
    const Vector& v = rows.value(this->argument_);
    const int64_t* values = v.ints();
    if constexpr (sizeof(T) == 8) {
      if (!groups && !v.any_null) {
        this->values_[0] += kernels().sum(values, rows.selected());
        return;
      }
    }
    this->each(v, rows.selected(), groups, [=](T& sum, unsigned i) { sum += values[i]; });
  }
  void add_packed(std::span<const uint64_t> words, const PackedField& field) override {
    const size_t groups = std::min(words.size(), this->values_.size());
    const uint64_t mask = column::low_bits(field.bits);
    for (size_t g = 0; g < groups; ++g) {
      const auto distances = static_cast<T>(words[g] >> field.shift & mask);
      this->values_[g] +=
          distances + static_cast<T>(field.base) * static_cast<T>(words[g] & field.rows);
    }
  }
  bool add_zone(Evaluator& rows) override {
    const ZoneOfRows* zone = rows.zone_of(this->argument_);
    if (!zone) return false;
    if (zone->all_null()) return true;
    if (zone->ordered) this->values_[0] += static_cast<T>(zone->sum);
    return zone->ordered;
  }
  int64_t integer(uint32_t group) const override {
    return static_cast<int64_t>(this->values_[group]);
  }
  __int128 wide(uint32_t group) const override { return this->values_[group]; }
};

class Squares final : public Values<__int128> {
 public:
  explicit Squares(int argument) : Values(argument, 0) {}
  void add(Evaluator& rows, const uint32_t* groups) override {
    const Vector& v = rows.value(argument_);
    const int64_t* values = v.ints();
    each(v, rows.selected(), groups,
         [=](__int128& sum, unsigned i) { sum += static_cast<__int128>(values[i]) * values[i]; });
  }
  __int128 wide(uint32_t group) const override { return values_[group]; }
};

class FloatSum final : public Values<double> {
 public:
  // -0 plus anything is that: the first value is the sum's beginning.
  explicit FloatSum(int argument) : Values(argument, -0.0) {}
  void add(Evaluator& rows, const uint32_t* groups) override {
    const Vector& v = rows.value(argument_);
    const double* values = v.floats();
    each(v, rows.selected(), groups, [=](double& sum, unsigned i) {
      const double result = sum + values[i];
      if (std::isinf(result) && !std::isinf(sum) && !std::isinf(values[i]))
        throw ValueError(ValueError::FloatOverflow);
      sum = result;
    });
  }
  double real(uint32_t group) const override { return values_[group]; }

 protected:
  void combine(double& sum, const double& later) override {
    sum += later;
    check_finite(&sum, 1);
  }
};

// float8_accum fails when a sum of squares overflows, which up to here none can.
class BoundedSum final : public Values<double> {
 public:
  explicit BoundedSum(int argument) : Values(argument, -0.0) {}
  void add(Evaluator& rows, const uint32_t* groups) override {
    const Vector& v = rows.value(argument_);
    const double* values = v.floats();
    bool bounded = true;
    each(v, rows.selected(), groups, [&, values](double& sum, unsigned i) {
      bounded &= std::fabs(values[i]) < kBound;
      sum += values[i];
    });
    if (!bounded) throw Unbounded();
  }
  double real(uint32_t group) const override { return values_[group]; }

 private:
  static constexpr double kBound = 1e140;
};

class Float32Sum final : public Values<float> {
 public:
  explicit Float32Sum(int argument) : Values(argument, -0.0f) {}
  void add(Evaluator& rows, const uint32_t* groups) override {
    const Vector& v = rows.value(argument_);
    const double* values = v.floats();
    each(v, rows.selected(), groups, [=](float& sum, unsigned i) {
      const float value = static_cast<float>(values[i]);
      const float result = sum + value;
      if (std::isinf(result) && !std::isinf(sum) && !std::isinf(value))
        throw ValueError(ValueError::FloatOverflow);
      sum = result;
    });
  }
  double real(uint32_t group) const override { return values_[group]; }

 protected:
  void combine(float&, const float&) override { throw InRowOrder(); }
};

template <bool Greatest>
class IntExtreme final : public Values<int64_t> {
 public:
  explicit IntExtreme(int argument) : Values(argument, Greatest ? INT64_MIN : INT64_MAX) {}
  void add(Evaluator& rows, const uint32_t* groups) override {
    const Vector& v = rows.value(argument_);
    const int64_t* values = v.ints();
    if (!groups && !v.any_null) {
      values_[0] = (Greatest ? kernels().max : kernels().min)(values, rows.selected(), values_[0]);
      return;
    }
    each(v, rows.selected(), groups, [=](int64_t& best, unsigned i) {
      best = Greatest ? std::max(best, values[i]) : std::min(best, values[i]);
    });
  }
  bool add_zone(Evaluator& rows) override {
    const ZoneOfRows* zone = rows.zone_of(argument_);
    if (!zone) return false;
    if (zone->all_null()) return true;
    if (!zone->ordered) return false;
    const auto take = [&] {
      return Greatest ? std::max(values_[0], zone->max) : std::min(values_[0], zone->min);
    };
    // A bound is enough where the rows before have had as much.
    if (!(Greatest ? zone->has_max : zone->has_min) && take() != values_[0])
      zone = rows.exact_zone_of(argument_);
    values_[0] = take();
    return true;
  }
  int64_t integer(uint32_t group) const override { return values_[group]; }

 protected:
  void combine(int64_t& best, const int64_t& later) override {
    best = Greatest ? std::max(best, later) : std::min(best, later);
  }
};

// Of values that are equal the last is kept, as float8larger and float8smaller do: -0 and 0 differ.
template <bool Greatest>
class FloatExtreme final : public Values<double> {
 public:
  explicit FloatExtreme(int argument)
      : Values(argument, Greatest ? -std::numeric_limits<double>::infinity() : kNaN) {}
  void add(Evaluator& rows, const uint32_t* groups) override {
    const Vector& v = rows.value(argument_);
    const double* values = v.floats();
    each(v, rows.selected(), groups, [=](double& best, unsigned i) { take(best, values[i]); });
  }
  double real(uint32_t group) const override { return values_[group]; }

 protected:
  void combine(double& best, const double& later) override { take(best, later); }

 private:
  static void take(double& best, double value) {
    if (!(Greatest ? greater(best, value) : less(best, value))) best = value;
  }
};

}  // namespace

std::unique_ptr<State> make_state(const Program& program, const Accumulator& a) {
  switch (a.sum) {
    case Sum::Rows:
      return std::make_unique<Rows>();
    case Sum::Present:
      return std::make_unique<Present>(a.argument, a.filter < 0);
    case Sum::Nulls:
      return std::make_unique<Nulls>(a.argument);
    case Sum::Int64:
      return std::make_unique<IntSum<int64_t>>(a.argument);
    case Sum::Int128:
      return std::make_unique<IntSum<__int128>>(a.argument);
    case Sum::Squares:
      return std::make_unique<Squares>(a.argument);
    case Sum::Float:
      return std::make_unique<FloatSum>(a.argument);
    case Sum::Bounded:
      return std::make_unique<BoundedSum>(a.argument);
    case Sum::Float32:
      return std::make_unique<Float32Sum>(a.argument);
    case Sum::Decimal:
      return make_decimal_sum(program, a.argument);
    case Sum::MinText:
    case Sum::MaxText:
      return make_text_extreme(a);
    case Sum::DecimalProduct:
      return make_decimal_product_sum(program, a.argument, a.second);
    case Sum::Quotient:
      return make_quotient_sum(program, a.argument, a.second);
    case Sum::Min:
      return std::make_unique<IntExtreme<false>>(a.argument);
    case Sum::Max:
      return std::make_unique<IntExtreme<true>>(a.argument);
    case Sum::MinFloat:
      return std::make_unique<FloatExtreme<false>>(a.argument);
    case Sum::MaxFloat:
      return std::make_unique<FloatExtreme<true>>(a.argument);
    case Sum::Moments:
      return make_moments(a.argument);
    case Sum::CoMoments:
      return make_co_moments(a.argument, a.second);
    case Sum::Distinct:
    case Sum::DistinctSum:
      return make_distinct(a);
    case Sum::Values:
      return make_ordered_values(program, a.argument);
    case Sum::First:
      if (a.second != static_cast<int>(Ranking::RowNumber))
        return std::make_unique<RankedRows>(program, static_cast<Ranking>(a.second));
      return std::make_unique<FirstRows>(program);
  }
  throw std::logic_error("no such accumulator");
}

}  // namespace datahike::vector
