#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <string>

namespace weir {

/// The random numbers of one generated record: the same for the same seed and record, whoever makes
/// it and when. Cheap to make: one per record. Threads: one at a time.
class DataGenRandom {
 public:
  DataGenRandom(uint64_t seed, uint64_t index)
      : state_(Mix(seed ^ 0x9e3779b97f4a7c15) + index * 0xd1342543de82ef95) {}

  /// Returns 64 random bits.
  uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15;
    return Mix(state_);
  }
  /// Returns a number in [0, limit); 0 if `limit` is 0.
  uint64_t Below(uint64_t limit) {
    return static_cast<uint64_t>((static_cast<Wide>(Next()) * limit) >> 64);
  }
  /// Returns a number in [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  /// Returns true with this probability.
  bool Chance(double probability) { return Uniform() < probability; }
  /// Returns a number from a normal distribution.
  double Normal(double mean, double deviation);
  /// Returns the time to the next of events that come at random, `mean` apart on average.
  double Exponential(double mean) { return -mean * std::log1p(-Uniform()); }
  /// Returns `length` letters and digits.
  std::string Text(size_t length);

 private:
  __extension__ using Wide = unsigned __int128;

  static uint64_t Mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }

  uint64_t state_;
};

/// Skewed keys: key k of [0, num_keys) comes with a probability in proportion to
/// 1 / (k + 1)^exponent. Drawing takes constant time, whatever the number of keys. Immutable.
class ZipfKeys {
 public:
  /// `num_keys` is at least 1, `exponent` above 0.
  ZipfKeys(uint64_t num_keys, double exponent);
  [[nodiscard]] uint64_t Draw(DataGenRandom& random) const;

 private:
  // Rejection-inversion after Hörmann and Derflinger (1996).
  [[nodiscard]] double H(double x) const;
  [[nodiscard]] double InverseH(double x) const;

  uint64_t num_keys_;
  double exponent_;
  double h_first_;
  double h_last_;
  double threshold_;
};

/// A few hot keys: with probability `hot_share` one of the first `num_hot` keys, else one of the
/// others; within each group evenly. Immutable.
class HotKeys {
 public:
  HotKeys(uint64_t num_keys, uint64_t num_hot, double hot_share)
      : num_keys_(num_keys), num_hot_(num_hot), hot_share_(hot_share) {}
  [[nodiscard]] uint64_t Draw(DataGenRandom& random) const {
    if (num_hot_ >= num_keys_ || random.Chance(hot_share_)) return random.Below(num_hot_);
    return num_hot_ + random.Below(num_keys_ - num_hot_);
  }

 private:
  uint64_t num_keys_;
  uint64_t num_hot_;
  double hot_share_;
};

}  // namespace weir
