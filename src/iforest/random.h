// Random numbers that are the same on every machine and with every standard library: xoshiro256**
// (Blackman and Vigna), seeded through splitmix64.
#pragma once

#include <bit>
#include <cstdint>

namespace datahike::iforest {

inline uint64_t splitmix64(uint64_t& state) {
  uint64_t x = state += 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

class Random {
 public:
  // Streams of one seed are independent of each other.
  Random(uint64_t seed, uint64_t stream) {
    uint64_t mixed = stream;
    uint64_t state = seed ^ splitmix64(mixed);
    for (uint64_t& s : state_) s = splitmix64(state);
  }
  uint64_t next() {
    const uint64_t result = std::rotl(state_[1] * 5, 7) * 9, t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  // Uniform in [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  // Uniform in (0, 1).
  double open_unit() { return (static_cast<double>(next() >> 12) + 0.5) * 0x1p-52; }
  // Uniform in [0, n), without bias. REQUIRES: n > 0
  uint64_t below(uint64_t n) {
    const uint64_t least = (0 - n) % n;  // 2^64 mod n
    for (;;) {
      const auto product = static_cast<unsigned __int128>(next()) * n;
      if (static_cast<uint64_t>(product) >= least) return static_cast<uint64_t>(product >> 64);
    }
  }

 private:
  uint64_t state_[4];
};

}  // namespace datahike::iforest
