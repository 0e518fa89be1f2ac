// The kernels of one instruction set after another: this file includes itself for each
// (hwy/foreach_target.h). The loops that Highway's operations do not spell out are left to the
// compiler's vectoriser, which targets the same instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "column/kernels.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first, or there is one target only.
#include <hwy/highway.h>

#include <cstring>

#include "column/bit_packing.h"
#include "column/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace datahike::column {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Applies `test` to the values of each word of the mask. Lanes behind the last value are read from
// the vector's slack; the mask has no bits for them.
template <class D, class T, class Test>
HWY_INLINE void test_each(D d, const T* v, size_t n, uint64_t* mask, Test test) {
  const size_t lanes = hn::Lanes(d);
  for (size_t begin = 0; begin < n; begin += 64) {
    uint64_t& word = mask[begin / 64];
    if (word == 0) continue;
    const size_t end = HWY_MIN(size_t{64}, n - begin);
    uint64_t passed = 0;
    for (size_t i = 0; i < end; i += lanes) {
      uint8_t bits[8] = {};
      hn::StoreMaskBits(d, test(hn::Load(d, v + begin + i)), bits);
      passed |= uint64_t{bits[0]} << i;
    }
    word &= passed;
  }
}

// At most 8 lanes: what bits[0] of a mask holds.
using Ints = hn::CappedTag<int64_t, 8>;
using Floats = hn::CappedTag<double, 8>;

void test_range(const int64_t* v, size_t n, int64_t low, int64_t high, uint64_t* mask) {
  const Ints d;
  const auto lo = hn::Set(d, low), hi = hn::Set(d, high);
  // Not (v < low or v > high).
  if (low == INT64_MIN)
    return test_each(d, v, n, mask, [&](auto x) { return hn::Not(hn::Gt(x, hi)); });
  if (high == INT64_MAX)
    return test_each(d, v, n, mask, [&](auto x) { return hn::Not(hn::Lt(x, lo)); });
  if (low == high) return test_each(d, v, n, mask, [&](auto x) { return hn::Eq(x, lo); });
  test_each(d, v, n, mask, [&](auto x) { return hn::Not(hn::Or(hn::Lt(x, lo), hn::Gt(x, hi))); });
}

void test_not_equal(const int64_t* v, size_t n, int64_t value, uint64_t* mask) {
  const Ints d;
  const auto other = hn::Set(d, value);
  test_each(d, v, n, mask, [&](auto x) { return hn::Ne(x, other); });
}

// A comparison with NaN is false: a lower bound is tested by its negation, which NaN passes.
void test_float_range(const double* v, size_t n, const FloatRange& r, uint64_t* mask) {
  const Floats d;
  const auto lo = hn::Set(d, r.low), hi = hn::Set(d, r.high);
  if (r.has_low) {
    if (r.low_open)
      test_each(d, v, n, mask, [&](auto x) { return hn::Not(hn::Le(x, lo)); });
    else
      test_each(d, v, n, mask, [&](auto x) { return hn::Not(hn::Lt(x, lo)); });
  }
  if (r.has_high) {
    if (r.high_open)
      test_each(d, v, n, mask, [&](auto x) { return hn::Lt(x, hi); });
    else
      test_each(d, v, n, mask, [&](auto x) { return hn::Le(x, hi); });
  }
}

void test_float_not_equal(const double* v, size_t n, double value, uint64_t* mask) {
  const Floats d;
  const auto other = hn::Set(d, value);
  test_each(d, v, n, mask, [&](auto x) { return hn::Not(hn::Eq(x, other)); });
}

// Four values lie in one load of 64 bits: each lane shifts its own to the bottom.
void unpack_narrow(const uint8_t* packed, uint64_t bit, unsigned width, uint64_t base, size_t n,
                   uint64_t* HWY_RESTRICT out) {
  const hn::CappedTag<uint64_t, 4> d;
  const size_t lanes = hn::Lanes(d);
  const auto mask = hn::Set(d, low_bits(width)), bases = hn::Set(d, base);
  const auto shifts = hn::Mul(hn::Iota(d, 0), hn::Set(d, uint64_t{width}));
  size_t i = 0;
  for (; i + lanes <= n; i += lanes, bit += lanes * width) {
    const auto word = hn::Set(d, load64(packed + bit / 8) >> bit % 8);
    hn::StoreU(hn::Add(hn::And(hn::Shr(word, shifts), mask), bases), d, out + i);
  }
  for (; i < n; ++i, bit += width)
    out[i] = base + (load64(packed + bit / 8) >> bit % 8 & low_bits(width));
}

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
// Where four values lie that begin at bit `start` of a byte: two in 16 bytes from that one on, two
// in 16 bytes from byte `second` on. Each lane's 8 bytes, and how far they are to be shifted.
struct Places {
  alignas(32) uint8_t bytes[32];
  alignas(32) uint64_t shifts[4];
  size_t second;

  Places(unsigned start, unsigned width) : second((start + 2 * width) / 8) {
    for (unsigned lane = 0; lane < 4; ++lane) {
      const size_t bit = start + lane * width - (lane < 2 ? 0 : 8 * second);
      for (unsigned i = 0; i < 8; ++i) bytes[8 * lane + i] = static_cast<uint8_t>(bit / 8 + i);
      shifts[lane] = bit % 8;
    }
  }
};

// Four at a time, as many as 16 bytes may be loaded for, of at most 56 bits; returns how many.
size_t unpack_wide(const uint8_t* packed, uint64_t bit, unsigned width, uint64_t base, size_t n,
                   uint64_t* HWY_RESTRICT out) {
  const hn::FixedTag<uint64_t, 4> d;
  const hn::FixedTag<uint64_t, 2> half;
  const hn::Repartition<uint8_t, decltype(d)> bytes;
  const hn::Repartition<uint8_t, decltype(half)> half_bytes;
  const auto mask = hn::Set(d, low_bits(width)), bases = hn::Set(d, base);
  // 4 * width is a multiple of 4, so fours begin at one of two bits.
  const Places places[2] = {Places(bit % 8, width), Places((bit + 4 * width) % 8, width)};
  const decltype(hn::Zero(bytes)) order[2] = {hn::Load(bytes, places[0].bytes),
                                              hn::Load(bytes, places[1].bytes)};
  const decltype(hn::Zero(d)) shifts[2] = {hn::Load(d, places[0].shifts),
                                           hn::Load(d, places[1].shifts)};
  const uint64_t end = (bit + (n - 1) * width) / 8 + 8;  // what may be read
  size_t i = 0;
  for (unsigned phase = 0; i + 4 <= n; i += 4, bit += 4 * width, phase ^= 1) {
    const uint64_t at = bit / 8;
    if (at + places[phase].second + 16 > end) break;
    const auto low = hn::BitCast(half, hn::LoadU(half_bytes, packed + at));
    const auto high = hn::BitCast(half, hn::LoadU(half_bytes, packed + at + places[phase].second));
    const auto lanes =
        hn::TableLookupBytes(hn::BitCast(bytes, hn::Combine(d, high, low)), order[phase]);
    const auto values = hn::And(hn::Shr(hn::BitCast(d, lanes), shifts[phase]), mask);
    hn::StoreU(hn::Add(values, bases), d, out + i);
  }
  return i;
}
#else
size_t unpack_wide(const uint8_t*, uint64_t, unsigned, uint64_t, size_t, uint64_t*) { return 0; }
#endif

void unpack(const uint8_t* packed, uint64_t first, unsigned width, uint64_t base, size_t n,
            uint64_t* HWY_RESTRICT out) {
  constexpr unsigned kWidest = 56;  // with a shift of up to 7 in 64 bits
  uint64_t bit = first * width;
  // 4 * width bits from bit `bit` on are among 64 bits from that byte on.
  if (width <= 14 || (width == 15 && bit % 4 == 0) || (width == 16 && bit % 8 == 0))
    return unpack_narrow(packed, bit, width, base, n, out);
  const uint64_t mask = low_bits(width);
  size_t i = width <= kWidest && n >= 8 ? unpack_wide(packed, bit, width, base, n, out) : 0;
  for (bit += i * width; i < n; ++i, bit += width)
    out[i] = base + (load64(packed + bit / 8) >> bit % 8 & mask);
}

const uint8_t* find(const uint8_t* bytes, size_t n, const uint8_t* needle, size_t length) {
  if (n < length) return nullptr;
  const size_t starts = n - length + 1;  // where it may begin
  const hn::CappedTag<uint8_t, 64> d;
  const size_t lanes = hn::Lanes(d);
  const auto first = hn::Set(d, needle[0]), last = hn::Set(d, needle[length - 1]);
  size_t i = 0;
  for (; i + lanes <= starts; i += lanes) {
    const auto both = hn::And(hn::Eq(hn::LoadU(d, bytes + i), first),
                              hn::Eq(hn::LoadU(d, bytes + i + length - 1), last));
    if (hn::AllFalse(d, both)) continue;
    uint64_t candidates = 0;
    uint8_t bits[8] = {};
    hn::StoreMaskBits(d, both, bits);
    memcpy(&candidates, bits, sizeof candidates);
    for (; candidates; candidates &= candidates - 1) {
      const uint8_t* at = bytes + i + static_cast<unsigned>(__builtin_ctzll(candidates));
      if (memcmp(at, needle, length) == 0) return at;
    }
  }
  for (; i < starts; ++i)
    if (bytes[i] == needle[0] && memcmp(bytes + i, needle, length) == 0) return bytes + i;
  return nullptr;
}

size_t count_bits(const uint64_t* mask, size_t words) {
  size_t count = 0;
  for (size_t i = 0; i < words; ++i) count += static_cast<unsigned>(__builtin_popcountll(mask[i]));
  return count;
}

size_t count_characters(const uint8_t* bytes, size_t n) {
  const hn::CappedTag<int8_t, 64> d;
  const size_t lanes = hn::Lanes(d);
  const auto last_continuing = hn::Set(d, int8_t{-65});
  const auto* signed_bytes = reinterpret_cast<const int8_t*>(bytes);
  size_t count = 0, i = 0;
  for (; i + lanes <= n; i += lanes)
    count += hn::CountTrue(d, hn::Gt(hn::LoadU(d, signed_bytes + i), last_continuing));
  for (; i + 8 <= n; i += 8) {  // without the bytes 10xxxxxx
    const uint64_t word = load64(bytes + i);
    constexpr uint64_t kOnes = 0x0101010101010101;
    count += 8 - static_cast<unsigned>(__builtin_popcountll(word >> 7 & ~(word >> 6) & kOnes));
  }
  for (; i < n; ++i) count += signed_bytes[i] >= -64;
  return count;
}

void gather(const uint64_t* v, const uint16_t* rows, size_t n, uint64_t* HWY_RESTRICT out) {
  for (size_t i = 0; i < n; ++i) out[i] = v[rows[i]];
}

template <unsigned Bytes>
HWY_INLINE bool all_fit(const int64_t* v, size_t n) {
  constexpr int64_t kBias = int64_t{1} << (8 * Bytes - 1);
  uint64_t outside = 0;
  for (size_t i = 0; i < n; ++i)
    outside |= (static_cast<uint64_t>(v[i]) + kBias) & ~low_bits(8 * Bytes);
  return outside == 0;
}

bool fits(const int64_t* v, size_t n, unsigned bytes) {
  return bytes == 2 ? all_fit<2>(v, n) : all_fit<4>(v, n);
}

bool add(const int64_t* a, const int64_t* b, size_t n, unsigned bytes, int64_t* HWY_RESTRICT out) {
  int64_t overflow = 0;
  for (size_t i = 0; i < n; ++i) {
    out[i] = static_cast<int64_t>(static_cast<uint64_t>(a[i]) + static_cast<uint64_t>(b[i]));
    overflow |= (a[i] ^ out[i]) & (b[i] ^ out[i]);
  }
  return bytes == 8 ? overflow >= 0 : fits(out, n, bytes);
}

bool subtract(const int64_t* a, const int64_t* b, size_t n, unsigned bytes,
              int64_t* HWY_RESTRICT out) {
  int64_t overflow = 0;
  for (size_t i = 0; i < n; ++i) {
    out[i] = static_cast<int64_t>(static_cast<uint64_t>(a[i]) - static_cast<uint64_t>(b[i]));
    overflow |= (a[i] ^ b[i]) & (a[i] ^ out[i]);
  }
  return bytes == 8 ? overflow >= 0 : fits(out, n, bytes);
}

bool multiply(const int64_t* a, const int64_t* b, size_t n, unsigned bytes,
              int64_t* HWY_RESTRICT out) {
  bool overflow = false;
  for (size_t i = 0; i < n; ++i) overflow |= __builtin_mul_overflow(a[i], b[i], &out[i]);
  return !overflow && (bytes == 8 || fits(out, n, bytes));
}

// Whether none of the values is infinite or NaN, and with Zeros none is 0: by the bits of the
// exponent.
template <bool Zeros>
HWY_INLINE bool all_plain(const double* v, size_t n) {
  const Floats d;
  const size_t lanes = hn::Lanes(d);
  const auto inf = hn::Set(d, __builtin_inf());
  const auto zero = hn::Zero(d);
  auto good = hn::Eq(zero, zero);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto x = hn::Abs(hn::Load(d, v + i));
    good = hn::And(good, hn::Lt(x, inf));
    if (Zeros) good = hn::And(good, hn::Gt(x, zero));
  }
  bool rest = true;
  for (; i < n; ++i) rest &= __builtin_fabs(v[i]) < __builtin_inf() && (!Zeros || v[i] != 0);
  return rest && hn::AllTrue(d, good);
}

bool add_float(const double* a, const double* b, size_t n, double* HWY_RESTRICT out) {
  for (size_t i = 0; i < n; ++i) out[i] = a[i] + b[i];
  return all_plain<false>(out, n);
}

bool subtract_float(const double* a, const double* b, size_t n, double* HWY_RESTRICT out) {
  for (size_t i = 0; i < n; ++i) out[i] = a[i] - b[i];
  return all_plain<false>(out, n);
}

bool multiply_float(const double* a, const double* b, size_t n, double* HWY_RESTRICT out) {
  for (size_t i = 0; i < n; ++i) out[i] = a[i] * b[i];
  return all_plain<true>(out, n);
}

// Both halves of an int64 are exact as doubles, so their sum is rounded once, as a cast is.
void to_float(const int64_t* v, size_t n, double* HWY_RESTRICT out) {
  const Ints ints;
  const Floats floats;
  const size_t lanes = hn::Lanes(ints);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes)
    hn::StoreU(hn::ConvertTo(floats, hn::LoadU(ints, v + i)), floats, out + i);
  for (; i < n; ++i) out[i] = static_cast<double>(v[i]);
}

void to_fraction(const int64_t* v, size_t n, double divisor, double* out) {
  const Ints ints;
  const Floats floats;
  const size_t lanes = hn::Lanes(ints);
  const auto divisors = hn::Set(floats, divisor);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes)
    hn::StoreU(hn::Div(hn::ConvertTo(floats, hn::LoadU(ints, v + i)), divisors), floats, out + i);
  for (; i < n; ++i) out[i] = static_cast<double>(v[i]) / divisor;
}

int64_t sum(const int64_t* v, size_t n) {
  uint64_t total = 0;
  for (size_t i = 0; i < n; ++i) total += static_cast<uint64_t>(v[i]);
  return static_cast<int64_t>(total);
}

int64_t min(const int64_t* v, size_t n, int64_t start) {
  for (size_t i = 0; i < n; ++i) start = v[i] < start ? v[i] : start;
  return start;
}

int64_t max(const int64_t* v, size_t n, int64_t start) {
  for (size_t i = 0; i < n; ++i) start = v[i] > start ? v[i] : start;
  return start;
}

// What lies outside of 32 bits is told apart from what does not by its upper half.
bool places(const uint64_t* v, size_t n, uint64_t low, uint32_t width, uint32_t stride,
            uint32_t* HWY_RESTRICT place) {
  uint64_t upper = 0;
  uint32_t largest = 0;
  for (size_t i = 0; i < n; ++i) {
    const uint64_t distance = v[i] - low;
    const auto lower = static_cast<uint32_t>(distance);
    upper |= distance >> 32;
    largest = largest > lower ? largest : lower;
    place[i] = place[i] * stride + lower;
  }
  return upper == 0 && largest < width;
}

void places_or_none(const uint64_t* v, size_t n, uint64_t low, uint32_t width, uint32_t stride,
                    uint32_t* HWY_RESTRICT place) {
  for (size_t i = 0; i < n; ++i) {
    const uint64_t distance = v[i] - low;
    const uint32_t far = distance >> 32 ? ~uint32_t{0} : 0;
    const uint32_t lower = static_cast<uint32_t>(distance) | far;
    place[i] = place[i] * stride + (lower < width ? lower : width);
  }
}

}  // namespace

// Not inlined elsewhere: called once for each target.
const Kernels* table() {
  static constexpr Kernels kTable = {test_range,
                                     test_not_equal,
                                     test_float_range,
                                     test_float_not_equal,
                                     unpack,
                                     find,
                                     count_bits,
                                     count_characters,
                                     gather,
                                     add,
                                     subtract,
                                     multiply,
                                     add_float,
                                     subtract_float,
                                     multiply_float,
                                     to_float,
                                     to_fraction,
                                     sum,
                                     min,
                                     max,
                                     places,
                                     places_or_none};
  return &kTable;
}

}  // namespace HWY_NAMESPACE
}  // namespace datahike::column
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <bit>

namespace datahike::column {

HWY_EXPORT(table);

const Kernels& kernels() {
  static const Kernels& chosen = *HWY_DYNAMIC_DISPATCH(table)();
  return chosen;
}

namespace {

std::vector<const Kernels*> all_targets() {
  std::vector<const Kernels*> all;
  for (uint32_t left = static_cast<uint32_t>(hwy::SupportedTargets() & HWY_TARGETS); left;
       left &= left - 1) {
    hwy::SetSupportedTargetsForTest(left & -left);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    all.push_back(HWY_DYNAMIC_DISPATCH(table)());
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return all;
}

const std::vector<const Kernels*>& targets() {
  static const std::vector<const Kernels*> all = all_targets();
  return all;
}

}  // namespace

size_t kernel_targets() { return targets().size(); }
const Kernels& kernels_of_target(size_t target) { return *targets()[target]; }

size_t select_rows(const uint64_t* mask, size_t words, uint16_t* rows) {
  uint16_t* out = rows;
  for (size_t w = 0; w < words; ++w) {
    for (uint64_t word = mask[w]; word; word &= word - 1)
      *out++ = static_cast<uint16_t>(w * 64 + static_cast<unsigned>(std::countr_zero(word)));
  }
  return static_cast<size_t>(out - rows);
}

}  // namespace datahike::column
#endif
