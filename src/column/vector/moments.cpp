#include "column/vector/moments.h"

#include <cmath>
#include <limits>

#include "column/vector/values_by_group.h"

namespace datahike::vector {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// N, and for each of the variables its sum and sum of squares.
struct Moments3 {
  double v[3] = {};
};

class Moments final : public Values<Moments3> {
 public:
  explicit Moments(int argument) : Values(argument, {}) {}
  void add(Evaluator& rows, const uint32_t* groups) override {
    const Vector& v = rows.value(argument_);
    const double* values = v.floats();
    each(v, rows.selected(), groups, [=](Moments3& m, unsigned i) { add_value(m.v, values[i]); });
  }
  const double* moments(uint32_t group) const override { return values_[group].v; }

 protected:
  // float8_combine in PostgreSQL's float.c.
  void combine(Moments3& state, const Moments3& later) override {
    double* a = state.v;
    const double* b = later.v;
    if (b[0] == 0) return;
    if (a[0] == 0) {
      state = later;
      return;
    }
    const double n = a[0] + b[0], distance = a[1] / a[0] - b[1] / b[0];
    a[2] = a[2] + b[2] + a[0] * b[0] * distance * distance / n;
    a[0] = n;
    a[1] += b[1];
    check_finite(a, 3);
  }

 private:
  // float8_accum in PostgreSQL's float.c.
  static void add_value(double* m, double value) {
    const double before = m[0], sum_before = m[1];
    const double n = before + 1;
    const double sum = sum_before + value;
    double squares = m[2];
    if (before > 0) {
      const double distance = value * n - sum;
      squares += distance * distance / (n * before);
      // Where the sum is not finite this is not, either.
      if (!std::isfinite(squares)) [[unlikely]] {
        if (std::isinf(sum) || std::isinf(squares)) {
          if (!std::isinf(sum_before) && !std::isinf(value))
            throw ValueError(ValueError::FloatOverflow);
          squares = kNaN;
        }
      }
    } else if (std::isnan(value) || std::isinf(value)) {
      squares = kNaN;
    }
    m[0] = n;
    m[1] = sum;
    m[2] = squares;
  }
};

struct Moments6 {
  double v[6] = {};
};

class CoMoments final : public Values<Moments6> {
 public:
  CoMoments(int y, int x) : Values(y, {}), x_(x) {}
  void add(Evaluator& rows, const uint32_t* groups) override {
    const Vector& y = rows.value(argument_);
    const Vector& x = rows.value(x_);
    const unsigned n = rows.selected();
    const bool any_null = y.any_null || x.any_null;
    Moments6* const states = values_.data();
    for (unsigned i = 0; i < n; ++i) {
      if (any_null && ((y.any_null && y.null[i]) || (x.any_null && x.null[i]))) continue;
      add_pair(states[groups ? groups[i] : 0].v, y.floats()[i], x.floats()[i]);
    }
  }
  const double* moments(uint32_t group) const override { return values_[group].v; }

 protected:
  // float8_regr_combine in PostgreSQL's float.c.
  void combine(Moments6& state, const Moments6& later) override {
    double* a = state.v;
    const double* b = later.v;
    if (b[0] == 0) return;
    if (a[0] == 0) {
      state = later;
      return;
    }
    const double n = a[0] + b[0];
    const double dx = a[1] / a[0] - b[1] / b[0], dy = a[3] / a[0] - b[3] / b[0];
    const double weight = a[0] * b[0];
    a[2] = a[2] + b[2] + weight * dx * dx / n;
    a[4] = a[4] + b[4] + weight * dy * dy / n;
    a[5] = a[5] + b[5] + weight * dx * dy / n;
    a[0] = n;
    a[1] += b[1];
    a[3] += b[3];
    check_finite(a, 6);
  }

 private:
  // float8_regr_accum in PostgreSQL's float.c.
  static void add_pair(double* m, double y, double x) {
    const double before = m[0];
    const double n = before + 1, sx = m[1] + x, sy = m[3] + y;
    double sxx = m[2], syy = m[4], sxy = m[5];
    if (before > 0) {
      const double dx = x * n - sx, dy = y * n - sy;
      const double scale = 1.0 / (n * before);
      sxx += dx * dx * scale;
      syy += dy * dy * scale;
      sxy += dx * dy * scale;
      // Where a sum is not finite its squares are not, either.
      if (!std::isfinite(sxx) || !std::isfinite(syy) || !std::isfinite(sxy)) [[unlikely]] {
        const bool x_was_infinite = std::isinf(m[1]) || std::isinf(x);
        const bool y_was_infinite = std::isinf(m[3]) || std::isinf(y);
        const bool x_infinite = std::isinf(sx) || std::isinf(sxx);
        const bool y_infinite = std::isinf(sy) || std::isinf(syy);
        if ((x_infinite && !x_was_infinite) || (y_infinite && !y_was_infinite) ||
            (std::isinf(sxy) && !x_was_infinite && !y_was_infinite))
          throw ValueError(ValueError::FloatOverflow);
        if (std::isinf(sxx)) sxx = kNaN;
        if (std::isinf(syy)) syy = kNaN;
        if (std::isinf(sxy)) sxy = kNaN;
      }
    } else {
      if (!std::isfinite(x)) sxx = sxy = kNaN;
      if (!std::isfinite(y)) syy = sxy = kNaN;
    }
    m[0] = n;
    m[1] = sx;
    m[2] = sxx;
    m[3] = sy;
    m[4] = syy;
    m[5] = sxy;
  }

  int x_;
};

}  // namespace

std::unique_ptr<State> make_moments(int argument) { return std::make_unique<Moments>(argument); }
std::unique_ptr<State> make_co_moments(int y, int x) { return std::make_unique<CoMoments>(y, x); }

}  // namespace datahike::vector
