// Every kernel, for every instruction set of this machine, against the plainest loop.
#include "column/kernels.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "column/bit_packing.h"

namespace datahike::column {
namespace {

constexpr size_t kMost = 2048;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

struct Arrays {
  alignas(64) int64_t a[kMost], b[kMost], out[kMost];
  alignas(64) double x[kMost], y[kMost], z[kMost];
};

class Kernel : public testing::Test {
 protected:
  // body(kernels, n) for each instruction set and many lengths.
  void each(const std::function<void(const Kernels&, size_t)>& body) {
    ASSERT_GE(kernel_targets(), 1u);
    for (size_t target = 0; target < kernel_targets(); ++target)
      for (size_t n : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{63}, size_t{64},
                       size_t{65}, size_t{1000}, kMost}) {
        fill();
        body(kernels_of_target(target), n);
      }
  }
  void fill() {
    static constexpr int64_t kInts[] = {0, 1, -1, INT64_MIN, INT64_MAX, INT32_MIN, INT32_MAX, 100};
    static constexpr double kDoubles[] = {0.0, -0.0, 1.5, -1.5, kNaN, kInf, -kInf, 1e308, 1e-308};
    for (size_t i = 0; i < kMost; ++i) {
      v.a[i] = random_() % 4 ? static_cast<int64_t>(random_() % 21) - 10
                             : kInts[random_() % std::size(kInts)];
      v.b[i] = random_() % 4 ? static_cast<int64_t>(random_() % 21) - 10
                             : kInts[random_() % std::size(kInts)];
      v.x[i] = random_() % 4 ? static_cast<double>(random_() % 7)
                             : kDoubles[random_() % std::size(kDoubles)];
      v.y[i] = random_() % 4 ? static_cast<double>(random_() % 7)
                             : kDoubles[random_() % std::size(kDoubles)];
    }
  }
  // Checks which bits of a random mask are left.
  void masked(size_t n, const std::function<void(uint64_t*)>& kernel,
              const std::function<bool(size_t)>& passes) {
    uint64_t mask[kMost / 64], before[kMost / 64];
    for (size_t w = 0; w < kMost / 64; ++w) before[w] = w % 5 == 3 ? 0 : random_() | random_();
    for (size_t i = n; i < kMost; ++i) before[i / 64] &= ~(uint64_t{1} << i % 64);
    std::copy(std::begin(before), std::end(before), mask);
    kernel(mask);
    for (size_t i = 0; i < n; ++i)
      ASSERT_EQ(mask[i / 64] >> i % 64 & 1, (before[i / 64] >> i % 64 & 1) && passes(i))
          << "row " << i << " of " << n;
    for (size_t i = n; i < kMost; ++i)
      ASSERT_EQ(mask[i / 64] >> i % 64 & 1, 0u) << "row " << i << " behind " << n;
  }
  Arrays v;
  std::mt19937_64 random_{1};
};

TEST_F(Kernel, CharactersAreBytesThatContinueNone) {
  each([&](const Kernels& k, size_t n) {
    std::vector<uint8_t> bytes(n);
    size_t characters = 0;
    for (uint8_t& byte : bytes) {
      byte = static_cast<uint8_t>(random_() % 3 ? random_() : 'a');
      characters += (byte & 0xc0) != 0x80;
    }
    EXPECT_EQ(k.count_characters(bytes.data(), n), characters);
  });
}

TEST_F(Kernel, IntegersAreTestedAgainstRanges) {
  each([&](const Kernels& k, size_t n) {
    for (auto [low, high] : {std::pair<int64_t, int64_t>{-3, 5},
                             {INT64_MIN, 0},
                             {0, INT64_MAX},
                             {INT64_MIN, INT64_MAX},
                             {4, 4},
                             {5, -5},
                             {INT64_MIN, INT64_MIN}})
      masked(
          n, [&](uint64_t* m) { k.test_range(v.a, n, low, high, m); },
          [&](size_t i) { return v.a[i] >= low && v.a[i] <= high; });
    for (int64_t value : {int64_t{0}, INT64_MIN, INT64_MAX})
      masked(
          n, [&](uint64_t* m) { k.test_not_equal(v.a, n, value, m); },
          [&](size_t i) { return v.a[i] != value; });
  });
}

TEST_F(Kernel, NaNIsAboveAllDoubles) {
  each([&](const Kernels& k, size_t n) {
    for (double bound : {0.0, -0.0, 3.0, kInf, -kInf})
      for (int form = 0; form < 6; ++form) {
        FloatRange r{.has_low = form != 1 && form != 3,
                     .has_high = form != 0 && form != 2,
                     .low_open = form >= 2,
                     .high_open = form == 3 || form == 5,
                     .low = bound - (form > 3 ? 2 : 0),
                     .high = bound};
        masked(
            n, [&](uint64_t* m) { k.test_float_range(v.x, n, r, m); },
            [&](size_t i) {
              const double x = v.x[i];
              const bool low = !r.has_low || std::isnan(x) || (r.low_open ? x > r.low : x >= r.low);
              const bool high =
                  !r.has_high || (!std::isnan(x) && (r.high_open ? x < r.high : x <= r.high));
              return low && high;
            });
      }
    masked(
        n, [&](uint64_t* m) { k.test_float_not_equal(v.x, n, 0.0, m); },
        [&](size_t i) { return v.x[i] != 0; });
  });
}

TEST_F(Kernel, ArithmeticSaysWhatDoesNotFit) {
  each([&](const Kernels& k, size_t n) {
    for (unsigned bytes : {2u, 4u, 8u}) {
      const int64_t high = bytes == 8 ? INT64_MAX : (int64_t{1} << (8 * bytes - 1)) - 1;
      for (bool small : {true, false}) {
        for (size_t i = 0; i < n; ++i) {
          const int64_t limit = small ? 10 : high;
          v.a[i] = std::clamp<int64_t>(v.a[i], -limit - 1, limit);
          v.b[i] = std::clamp<int64_t>(v.b[i], -limit - 1, limit);
        }
        auto check = [&](auto kernel, auto exact) {
          bool fits = true;
          const bool said = kernel(v.a, v.b, n, bytes, v.out);
          for (size_t i = 0; i < n; ++i) {
            const __int128 result =
                exact(static_cast<__int128>(v.a[i]), static_cast<__int128>(v.b[i]));
            fits &= result >= -static_cast<__int128>(high) - 1 && result <= high;
            if (fits) {
              ASSERT_EQ(v.out[i], static_cast<int64_t>(result));
            }
          }
          ASSERT_EQ(said, fits) << bytes << " bytes, " << n << " values";
        };
        check(k.add, [](__int128 a, __int128 b) { return a + b; });
        check(k.subtract, [](__int128 a, __int128 b) { return a - b; });
        check(k.multiply, [](__int128 a, __int128 b) { return a * b; });
        if (small) fill();
      }
    }
  });
}

TEST_F(Kernel, FloatArithmeticSaysWhetherToLookCloser) {
  each([&](const Kernels& k, size_t n) {
    for (bool tame : {true, false}) {
      for (size_t i = 0; i < n && tame; ++i) v.x[i] = 1 + static_cast<double>(i), v.y[i] = 0.5;
      auto check = [&](auto kernel, auto exact, bool zeros) {
        bool plain = true;
        const bool said = kernel(v.x, v.y, n, v.z);
        for (size_t i = 0; i < n; ++i) {
          const double result = exact(v.x[i], v.y[i]);
          plain &= std::isfinite(result) && !(zeros && result == 0);
          ASSERT_EQ(std::bit_cast<uint64_t>(v.z[i]) & ~(std::isnan(result) ? ~uint64_t{0} : 0),
                    std::bit_cast<uint64_t>(result) & ~(std::isnan(result) ? ~uint64_t{0} : 0));
        }
        ASSERT_EQ(said, plain);
      };
      check(
          k.add_float, [](double a, double b) { return a + b; }, false);
      check(
          k.subtract_float, [](double a, double b) { return a - b; }, false);
      check(
          k.multiply_float, [](double a, double b) { return a * b; }, true);
    }
    k.to_float(v.a, n, v.z);
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(v.z[i], static_cast<double>(v.a[i]));
    k.to_fraction(v.a, n, 1000, v.z);
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(v.z[i], static_cast<double>(v.a[i]) / 1000);
  });
}

TEST_F(Kernel, SumsAndExtremes) {
  each([&](const Kernels& k, size_t n) {
    uint64_t sum = 0;
    int64_t min = 5, max = 5;
    for (size_t i = 0; i < n; ++i) {
      sum += static_cast<uint64_t>(v.a[i]);
      min = std::min(min, v.a[i]);
      max = std::max(max, v.a[i]);
    }
    ASSERT_EQ(k.sum(v.a, n), static_cast<int64_t>(sum));
    ASSERT_EQ(k.min(v.a, n, 5), min);
    ASSERT_EQ(k.max(v.a, n, 5), max);
  });
}

TEST_F(Kernel, UnpacksEveryWidth) {
  each([&](const Kernels& k, size_t n) {
    for (unsigned width = 0; width <= 57; ++width) {
      Bytes packed;
      std::vector<uint64_t> values(n + 70);
      for (uint64_t& value : values) value = random_() & low_bits(width);
      pack(
          values.size(), width, [&](uint64_t i) { return values[i]; }, packed);
      packed.resize(packed.size() + 8);
      for (uint64_t first : {0, 64, 67}) {
        std::vector<uint64_t> out(n);
        k.unpack(packed.data(), first, width, 1000, n, out.data());
        for (size_t i = 0; i < n; ++i)
          ASSERT_EQ(out[i], values[first + i] + 1000) << "width " << width;
        // No byte is read behind the eight from the last value's first one on.
        const Bytes enough(packed.begin(),
                           packed.begin() + static_cast<long>((first + n - 1) * width / 8 + 8));
        k.unpack(enough.data(), first, width, 0, n, out.data());
        for (size_t i = 0; i < n; ++i) ASSERT_EQ(out[i], values[first + i]) << "width " << width;
      }
    }
  });
}

TEST_F(Kernel, PlacesTellWhatIsOutside) {
  each([&](const Kernels& k, size_t n) {
    for (const int64_t low : {int64_t{-10}, int64_t{0}, INT64_MIN, INT64_MAX - 3}) {
      constexpr uint32_t kWidth = 21, kStride = 22;
      std::vector<uint32_t> place(n), or_none(n);
      bool inside = true;
      for (size_t i = 0; i < n; ++i)
        inside &= static_cast<uint64_t>(v.a[i]) - static_cast<uint64_t>(low) < kWidth;
      for (size_t i = 0; i < n; ++i) place[i] = or_none[i] = static_cast<uint32_t>(i % 3);
      const auto* words = reinterpret_cast<const uint64_t*>(v.a);
      ASSERT_EQ(k.places(words, n, static_cast<uint64_t>(low), kWidth, kStride, place.data()),
                inside);
      k.places_or_none(words, n, static_cast<uint64_t>(low), kWidth, kStride, or_none.data());
      for (size_t i = 0; i < n; ++i) {
        const uint64_t distance = static_cast<uint64_t>(v.a[i]) - static_cast<uint64_t>(low);
        if (inside) {
          ASSERT_EQ(place[i], i % 3 * kStride + distance);
        }
        ASSERT_EQ(or_none[i], i % 3 * kStride + (distance < kWidth ? distance : kWidth));
      }
    }
  });
}

TEST_F(Kernel, SelectedRowsAreGathered) {
  each([&](const Kernels& k, size_t n) {
    uint64_t mask[kMost / 64] = {};
    std::vector<uint16_t> expected;
    for (size_t i = 0; i < n; ++i)
      if (random_() % 3 == 0) {
        mask[i / 64] |= uint64_t{1} << i % 64;
        expected.push_back(static_cast<uint16_t>(i));
      }
    uint16_t rows[kMost];
    ASSERT_EQ(select_rows(mask, kMost / 64, rows), expected.size());
    ASSERT_TRUE(std::equal(expected.begin(), expected.end(), rows));
    std::vector<uint64_t> out(expected.size());
    k.gather(reinterpret_cast<const uint64_t*>(v.a), rows, expected.size(), out.data());
    for (size_t i = 0; i < expected.size(); ++i)
      ASSERT_EQ(out[i], static_cast<uint64_t>(v.a[expected[i]]));
  });
}

}  // namespace
}  // namespace datahike::column
