// Arithmetic of vectors, with PostgreSQL's errors.
#include <cmath>

#include "column/kernels.h"
#include "column/vector/evaluator.h"

namespace datahike::vector {

using column::kernels;

namespace {

ValueError::Kind range_error(unsigned bytes) {
  return bytes == 2   ? ValueError::SmallintRange
         : bytes == 4 ? ValueError::IntegerRange
                      : ValueError::BigintRange;
}

bool null_at(const Vector& v, unsigned i) { return v.any_null && v.null[i]; }

// What an operation on the two values gives, one row at a time: where the fast way found that some
// result is not plain, which NULL rows' values may be to blame for, too.
bool exact(Op op, unsigned bytes, int64_t a, int64_t b, int64_t* out) {
  bool overflow = op == Op::Add        ? __builtin_add_overflow(a, b, out)
                  : op == Op::Subtract ? __builtin_sub_overflow(a, b, out)
                                       : __builtin_mul_overflow(a, b, out);
  const int64_t high = bytes == 8 ? INT64_MAX : (int64_t{1} << (8 * bytes - 1)) - 1;
  return !overflow && *out <= high && *out >= -high - 1;
}

void check_float(Op op, double a, double b, double result) {
  if (std::isinf(result) && !std::isinf(a) && !std::isinf(b))
    throw ValueError(ValueError::FloatOverflow);
  if (op == Op::Multiply && result == 0 && a != 0 && b != 0)
    throw ValueError(ValueError::FloatUnderflow);
  if (op == Op::Divide && result == 0 && a != 0 && !std::isinf(b))
    throw ValueError(ValueError::FloatUnderflow);
}

// Of values from 0 to 2^32 - 1 by a constant that is one of them: the quotient by multiplication,
// after Lemire et al., "Faster remainder by direct computation" (2019). False for all others.
bool modulo_constant(const Expression& by, const int64_t* a, unsigned n, int64_t* out) {
  if (by.op != Op::Constant || by.null || by.value < 2 || by.value >> 32) return false;
  const uint64_t divisor = by.value, inverse = ~uint64_t{0} / divisor + 1;
  uint64_t all = 0;
  for (unsigned i = 0; i < n; ++i) {
    const auto value = static_cast<uint64_t>(a[i]);
    const auto quotient =
        static_cast<uint64_t>(static_cast<unsigned __int128>(inverse) * value >> 64);
    out[i] = static_cast<int64_t>(value - quotient * divisor);
    all |= value;
  }
  return all >> 32 == 0;
}

}  // namespace

void Evaluator::compute(int expression, Vector& out) {
  const Expression& e = program_.expressions[expression];
  const Vector& left = value(e.left);
  const Vector& right = e.op == Op::IntToFloat ? left : value(e.right);
  out.any_null = left.any_null || right.any_null;
  if (out.any_null) {
    for (unsigned i = 0; i < selected_; ++i) out.null[i] = null_at(left, i) || null_at(right, i);
  }
  if (e.op >= Op::DecimalAdd)
    compute_decimal(e, left, right, out);
  else if (e.op == Op::IntToFloat)
    kernels().to_float(left.ints(), selected_, out.floats());
  else if (e.type == Type::Int)
    compute_int(e, left, right, out);
  else
    compute_float(e, left, right, out);
}

void Evaluator::compute_int(const Expression& e, const Vector& left, const Vector& right,
                            Vector& out) {
  const int64_t *a = left.ints(), *b = right.ints();
  const unsigned n = selected_;
  if (e.op == Op::Modulo && modulo_constant(program_.expressions[e.right], a, n, out.ints()))
    return;
  if (e.op == Op::Divide || e.op == Op::Modulo) {
    for (unsigned i = 0; i < n; ++i) {
      if (out.any_null && out.null[i]) continue;
      if (b[i] == 0) throw ValueError(ValueError::DivisionByZero);
      // The quotient of the lowest value by -1 is out of range, the remainder 0.
      if (b[i] == -1)
        out.ints()[i] = e.op == Op::Modulo ? 0 : -static_cast<__int128>(a[i]);
      else
        out.ints()[i] = e.op == Op::Modulo ? a[i] % b[i] : a[i] / b[i];
      const int64_t lowest = e.bytes == 8 ? INT64_MIN : -(int64_t{1} << (8 * e.bytes - 1));
      if (e.op == Op::Divide && b[i] == -1 && a[i] == lowest)
        throw ValueError(range_error(e.bytes));
    }
    return;
  }
  const auto kernel = e.op == Op::Add        ? kernels().add
                      : e.op == Op::Subtract ? kernels().subtract
                                             : kernels().multiply;
  if (kernel(a, b, n, e.bytes, out.ints())) return;
  for (unsigned i = 0; i < n; ++i) {
    int64_t result;
    if (!(out.any_null && out.null[i]) && !exact(e.op, e.bytes, a[i], b[i], &result))
      throw ValueError(range_error(e.bytes));
  }
}

void Evaluator::compute_float(const Expression& e, const Vector& left, const Vector& right,
                              Vector& out) {
  const double *a = left.floats(), *b = right.floats();
  const unsigned n = selected_;
  bool plain = false;
  if (e.op == Op::Divide) {
    for (unsigned i = 0; i < n; ++i) {
      if (b[i] == 0 && !(out.any_null && out.null[i]) && !std::isnan(a[i]))
        throw ValueError(ValueError::DivisionByZero);
      out.floats()[i] = a[i] / b[i];
    }
  } else {
    const auto kernel = e.op == Op::Add        ? kernels().add_float
                        : e.op == Op::Subtract ? kernels().subtract_float
                                               : kernels().multiply_float;
    plain = kernel(a, b, n, out.floats());
  }
  if (plain) return;
  for (unsigned i = 0; i < n; ++i)
    if (!(out.any_null && out.null[i])) check_float(e.op, a[i], b[i], out.floats()[i]);
}

}  // namespace datahike::vector
