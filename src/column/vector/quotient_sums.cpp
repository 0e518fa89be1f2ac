#include "column/vector/quotient_sums.h"

#include <algorithm>
#include <array>

namespace datahike::vector {

namespace {

using Unsigned = unsigned __int128;

constexpr int kMostPower = 38;  // of ten in 128 bits

constexpr std::array<Unsigned, kMostPower + 1> kPowers = [] {
  std::array<Unsigned, kMostPower + 1> powers{};
  powers[0] = 1;
  for (int i = 1; i <= kMostPower; ++i) powers[i] = powers[i - 1] * 10;
  return powers;
}();

// Of numeric.c: digits of base 10000, of which a quotient has at least kSignificant decimal ones.
constexpr int kBaseDigits = 4, kSignificant = 16;

int floor_div(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

int digits_of(uint64_t value) {
  int digits = 1;
  while (digits < 20 && value >= kPowers[digits]) ++digits;
  return digits;
}

// The power of 10000 of the first digit, and that digit; of 0 both are 0.
struct Leading {
  int weight = 0;
  uint64_t digit = 0;
};

Leading leading_of(uint64_t value, int scale) {
  if (value == 0) return {};
  const int weight = floor_div(digits_of(value) - scale - 1, kBaseDigits);
  const int below = scale + kBaseDigits * weight;  // decimal digits behind that digit
  const auto power = static_cast<uint64_t>(kPowers[std::abs(below)]);
  return {weight, below >= 0 ? value / power : value * power};
}

// select_div_scale of numeric.c.
int scale_of(uint64_t a, int scale_a, uint64_t b, int scale_b) {
  const Leading first = leading_of(a, scale_a), second = leading_of(b, scale_b);
  int weight = first.weight - second.weight;
  if (first.digit <= second.digit) --weight;
  return std::max({kSignificant - weight * kBaseDigits, scale_a, scale_b, 0});
}

uint64_t magnitude(int64_t value) {
  return value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
}

// a * b, whose upper half has no sign bit.
void add_product(DecimalSum& sum, Unsigned a, Unsigned b, bool negative) {
  const auto low = [](Unsigned x) { return Unsigned{static_cast<uint64_t>(x)}; };
  const Unsigned a0 = low(a), a1 = a >> 64, b0 = low(b), b1 = b >> 64;
  const Unsigned middle = a1 * b0 + (a0 * b0 >> 64), other = a0 * b1 + low(middle);
  Unsigned upper = a1 * b1 + (middle >> 64) + (other >> 64);
  Unsigned lower = other << 64 | low(a0 * b0);
  if (negative) {
    lower = -lower;
    upper = ~upper + (lower == 0);
  }
  sum.add(static_cast<__int128>(upper), lower);
}

class QuotientSums final : public State {
 public:
  QuotientSums(const Program& program, int dividend, int divisor)
      : dividend_(dividend),
        divisor_(divisor),
        scale_a_(program.expressions[dividend].scale),
        scale_b_(program.expressions[divisor].scale),
        scale_(*quotient_scale({scale_a_, program.expressions[dividend].digits},
                               {scale_b_, program.expressions[divisor].digits})) {}
  void resize(uint32_t groups) override { sums_.resize(groups); }
  size_t bytes() const override { return sums_.capacity() * sizeof(Sum); }
  size_t bytes_of_group() const override { return sizeof(Sum); }
  void add(Evaluator& rows, const uint32_t* groups) override {
    const Vector& a = rows.value(dividend_);
    const Vector& b = rows.value(divisor_);
    for (unsigned i = 0; i < rows.selected(); ++i)
      if ((!a.any_null || !a.null[i]) && (!b.any_null || !b.null[i]))
        add_row(sums_[groups ? groups[i] : 0], a.ints()[i], b.ints()[i]);
  }
  void merge(State& later, std::span<const uint32_t> to) override {
    const std::vector<Sum>& from = static_cast<QuotientSums&>(later).sums_;
    for (size_t g = 0; g < to.size(); ++g) {
      Sum& sum = sums_[to[g]];
      sum.sum.nans += from[g].sum.nans;
      sum.sum.rows += from[g].sum.rows;
      sum.sum.add(from[g].sum.high, from[g].sum.low);
      sum.shown = std::max(sum.shown, from[g].shown);
    }
  }
  DecimalSum decimal(uint32_t group) const override { return sums_[group].sum; }
  int64_t integer(uint32_t group) const override { return sums_[group].shown; }

 private:
  struct Sum {
    DecimalSum sum;
    int64_t shown = 0;
  };

  void add_row(Sum& sum, int64_t a, int64_t b) const {
    ++sum.sum.rows;
    if (a == kNaNDecimal || b == kNaNDecimal) {
      ++sum.sum.nans;
      return;
    }
    if (b == 0) throw ValueError(ValueError::DivisionByZero);
    const uint64_t above = magnitude(a), below = magnitude(b);
    const int scale = scale_of(above, scale_a_, below, scale_b_);
    sum.shown = std::max<int64_t>(sum.shown, scale);
    if (above == 0) return;
    // Rounded away from zero in the middle. It has no more than 128 bits: see quotient_scale().
    const Unsigned shifted = above * kPowers[scale + scale_b_ - scale_a_];
    Unsigned quotient = shifted / below;
    const auto rest = static_cast<uint64_t>(shifted % below);
    quotient += rest >= below - rest;
    add_product(sum.sum, quotient, kPowers[scale_ - scale], (a < 0) != (b < 0));
  }

  int dividend_, divisor_;
  int scale_a_, scale_b_, scale_;
  std::vector<Sum> sums_;
};

}  // namespace

std::optional<int> quotient_scale(Operand a, Operand b) {
  constexpr int kMostDigits = 76, kRowDigits = 13;  // of 255 bits; of the number of rows
  const int more = std::max(a.scale, b.scale);
  // The least dividend but 0, and the greatest divisor.
  const int least = floor_div(-a.scale, kBaseDigits);
  const int greatest = floor_div(b.digits - b.scale - 1, kBaseDigits);
  const int scale =
      std::max(kSignificant - (least - std::max(greatest, 0) - 1) * kBaseDigits, more);
  // A dividend that is shifted has 20 digits more than the divisor, or these.
  const bool shifts = a.digits <= 18 && b.digits <= 18 &&
                      a.digits + more + b.scale - a.scale <= kMostPower &&
                      std::max(a.scale, b.scale) <= 18;
  const int digits = a.digits - a.scale + b.scale + scale;
  if (!shifts || scale - more > kMostPower || digits + kRowDigits > kMostDigits)
    return std::nullopt;
  return scale;
}

std::unique_ptr<State> make_quotient_sum(const Program& program, int dividend, int divisor) {
  return std::make_unique<QuotientSums>(program, dividend, divisor);
}

}  // namespace datahike::vector
