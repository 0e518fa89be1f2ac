// Numerics as scaled integers: reading and arithmetic. What results have to hold is known when a
// query is compiled (exec/compile_decimals.cpp): nothing overflows.
#include <cstring>

#include "column/decimal.h"
#include "column/vector/decimals.h"
#include "column/vector/evaluator.h"

namespace datahike::vector {

int64_t scaled_of(ByteView numeric, int scale) {
  constexpr uint16_t kNaN = 0xc000;  // the header, of numeric.c
  if (numeric.size() == 2) {
    uint16_t header;
    std::memcpy(&header, numeric.data(), sizeof header);
    if (header == kNaN) return kNaNDecimal;
  }
  const auto scaled = column::numeric_to_scaled(numeric);
  if (!scaled || scaled->scale != static_cast<unsigned>(scale))
    throw CorruptError("a numeric is not of its column's precision and scale");
  return scaled->value;
}

column::ZoneMap zone_of(const store::SegmentReader& segment, int at, const Column& column) {
  if (column.decimal < 0) return segment.zone(at);
  const auto digits = segment.decimal_digits(at);
  if (digits == static_cast<unsigned>(column.decimal)) return segment.decimal_zone(at);
  return {.nulls = segment.nulls(at), .ordered = false};
}

column::ZoneMap Evaluator::zone_of_column(int column) const {
  return vector::zone_of(piece_->segment, read_at(column), program_.columns[column]);
}

void Evaluator::read_decimals(int column, Vector& out) {
  const Column& c = program_.columns[column];
  const int at = read_at(column);
  if (piece_->segment.decimal_digits(at) == static_cast<unsigned>(c.decimal))
    return piece_->segment.bits(at, base_, std::span(out.words, rows_));
  const ByteView* texts = strings(column);
  const uint64_t* nulls = null_bits(column);
  for (unsigned i = 0; i < rows_; ++i) {
    const bool null = nulls && nulls[i / 64] >> i % 64 & 1;
    out.ints()[i] = null ? 0 : scaled_of(texts[i], c.decimal);
    out.any_nan |= out.ints()[i] == kNaNDecimal;
  }
}

namespace {

__int128 wide_at(const Vector& v, Type type, unsigned i) {
  if (type == Type::Int) return v.ints()[i];
  return static_cast<__int128>(v.high[i]) << 64 | v.words[i];
}

bool nan_at(const Vector& v, Type type, unsigned i) {
  return v.any_nan && (type == Type::Int ? v.ints()[i] == kNaNDecimal : v.high[i] == kNaNHigh);
}

void put(Vector& out, Type type, unsigned i, __int128 value) {
  out.words[i] = static_cast<uint64_t>(value);
  if (type == Type::Wide) out.high[i] = static_cast<int64_t>(value >> 64);
}

// What NULL rows hold may be anything: it may wrap around, but not be undefined.
template <Op Operation>
void compute_rows(const Vector& a, Type type_a, const Vector& b, Type type_b, unsigned n, Type type,
                  Vector& out) {
  using Unsigned = unsigned __int128;
  const auto wrapped = [](__int128 x, __int128 y) {
    const auto u = static_cast<Unsigned>(x), v = static_cast<Unsigned>(y);
    if constexpr (Operation == Op::DecimalAdd) return static_cast<__int128>(u + v);
    if constexpr (Operation == Op::DecimalSubtract) return static_cast<__int128>(u - v);
    return static_cast<__int128>(u * v);
  };
  if (type_a == Type::Int && type_b == Type::Int) {
    for (unsigned i = 0; i < n; ++i) put(out, type, i, wrapped(a.ints()[i], b.ints()[i]));
  } else {
    for (unsigned i = 0; i < n; ++i)
      put(out, type, i, wrapped(wide_at(a, type_a, i), wide_at(b, type_b, i)));
  }
}

}  // namespace

void Evaluator::compute_decimal(const Expression& e, const Vector& left, const Vector& right,
                                Vector& out) {
  if (e.type == Type::Wide && !out.high) out.high.reset(new int64_t[kChunkRows]);
  const Type a = program_.expressions[e.left].type, b = program_.expressions[e.right].type;
  const unsigned n = selected_;
  if (e.op == Op::DecimalAdd)
    compute_rows<Op::DecimalAdd>(left, a, right, b, n, e.type, out);
  else if (e.op == Op::DecimalSubtract)
    compute_rows<Op::DecimalSubtract>(left, a, right, b, n, e.type, out);
  else
    compute_rows<Op::DecimalMultiply>(left, a, right, b, n, e.type, out);
  out.any_nan = left.any_nan || right.any_nan;
  for (unsigned i = 0; out.any_nan && i < n; ++i) {
    if (!nan_at(left, a, i) && !nan_at(right, b, i)) continue;
    if (e.type == Type::Wide) {
      out.words[i] = 0;
      out.high[i] = kNaNHigh;
    } else {
      out.ints()[i] = kNaNDecimal;
    }
  }
}

namespace {

class AnyDecimalSums : public State {
 public:
  void resize(uint32_t groups) override { sums_.resize(groups); }
  size_t bytes() const override { return sums_.capacity() * sizeof(DecimalSum); }
  size_t bytes_of_group() const override { return sizeof(DecimalSum); }
  void merge(State& later, std::span<const uint32_t> to) override {
    const std::vector<DecimalSum>& from = static_cast<AnyDecimalSums&>(later).sums_;
    for (size_t g = 0; g < to.size(); ++g) {
      DecimalSum& sum = sums_[to[g]];
      sum.nans += from[g].nans;
      sum.rows += from[g].rows;
      sum.add(from[g].high, from[g].low);
    }
  }
  DecimalSum decimal(uint32_t group) const override { return sums_[group]; }

 protected:
  std::vector<DecimalSum> sums_;
};

template <Type Of>
class DecimalSums final : public AnyDecimalSums {
 public:
  explicit DecimalSums(int argument) : argument_(argument) {}
  void add(Evaluator& rows, const uint32_t* groups) override {
    const Vector& v = rows.value(argument_);
    const unsigned n = rows.selected();
    if (v.any_null || v.any_nan) {
      for (unsigned i = 0; i < n; ++i) {
        if (v.any_null && v.null[i]) continue;
        DecimalSum& sum = sums_[groups ? groups[i] : 0];
        if (nan_at(v, Of, i))
          ++sum.nans;
        else
          sum.add(wide_at(v, Of, i));
      }
    } else if (groups) {
      for (unsigned i = 0; i < n; ++i) sums_[groups[i]].add(wide_at(v, Of, i));
    } else if (Of == Type::Int) {  // of less than 2^60 each
      __int128 sum = 0;
      for (unsigned i = 0; i < n; ++i) sum += v.ints()[i];
      sums_[0].add(sum);
    } else {
      DecimalSum sum = sums_[0];
      for (unsigned i = 0; i < n; ++i) sum.add(wide_at(v, Of, i));
      sums_[0] = sum;
    }
  }
  bool add_zone(Evaluator& rows) override {
    const ZoneOfRows* zone = rows.zone_of(argument_);
    if (!zone) return false;
    if (zone->all_null()) return true;
    if (zone->ordered) sums_[0].add(zone->sum);
    return zone->ordered;
  }

 private:
  int argument_;
};

class DecimalProductSums final : public AnyDecimalSums {
 public:
  DecimalProductSums(int argument, Type type, int factor)
      : argument_(argument), factor_(factor), type_(type) {}
  void add(Evaluator& rows, const uint32_t* groups) override {
    const Vector& a = rows.value(argument_);
    const Vector& b = rows.value(factor_);
    for (unsigned i = 0; i < rows.selected(); ++i) {
      if ((a.any_null && a.null[i]) || (b.any_null && b.null[i])) continue;
      DecimalSum& sum = sums_[groups ? groups[i] : 0];
      ++sum.rows;
      if (nan_at(a, type_, i) || nan_at(b, Type::Int, i)) {
        ++sum.nans;
        continue;
      }
      // value = upper * 2^64 + lower: the products of both halves, the upper one shifted.
      const __int128 value = wide_at(a, type_, i);
      const __int128 factor = b.ints()[i];
      const __int128 upper = (value >> 64) * factor;
      const __int128 lower = static_cast<__int128>(static_cast<uint64_t>(value)) * factor;
      sum.add(upper >> 64, static_cast<unsigned __int128>(upper) << 64);
      sum.add(lower);
    }
  }

 private:
  int argument_, factor_;
  Type type_;
};

}  // namespace

std::unique_ptr<State> make_decimal_sum(const Program& program, int argument) {
  if (program.expressions[argument].type == Type::Wide)
    return std::make_unique<DecimalSums<Type::Wide>>(argument);
  return std::make_unique<DecimalSums<Type::Int>>(argument);
}

std::unique_ptr<State> make_decimal_product_sum(const Program& program, int argument, int factor) {
  return std::make_unique<DecimalProductSums>(argument, program.expressions[argument].type, factor);
}

}  // namespace datahike::vector
