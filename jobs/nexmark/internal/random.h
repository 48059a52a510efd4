#pragma once

#include <cmath>
#include <cstdint>

namespace weir::nexmark::internal {

/// Pseudo-random numbers, a nanosecond each (wyrand, by Wang Yi). Begun anew for each event from
/// its id, so that an event does not depend on those before it. Threads: one at a time.
class Random {
 public:
  Random() = default;
  Random(uint64_t seed, uint64_t stream) : state_(Fold(seed ^ kStep, stream ^ kMultiplier)) {}

  uint64_t Next() {
    state_ += kStep;
    return Fold(state_, state_ ^ kMultiplier);
  }
  /// In [0, n), for n from 1 to 2^32.
  uint64_t Below(uint64_t n) { return ((Next() >> 32) * n) >> 32; }
  int64_t Below(int64_t n) { return static_cast<int64_t>(Below(static_cast<uint64_t>(n))); }
  /// In [0, 1).
  double Fraction() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

 private:
  static constexpr uint64_t kStep = 0xa0761d6478bd642f;
  static constexpr uint64_t kMultiplier = 0xe7037ed1a0b428db;
  static uint64_t Fold(uint64_t a, uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }

  uint64_t state_ = 0;
};

/// A price in cents from 100 to 10^8, its logarithm evenly spread.
inline int64_t NextPrice(Random& random) {
  constexpr double kLog2Of1e6 = 19.931568569324174;
  return static_cast<int64_t>(std::exp2(random.Fraction() * kLog2Of1e6) * 100.0 + 0.5);
}

}  // namespace weir::nexmark::internal
