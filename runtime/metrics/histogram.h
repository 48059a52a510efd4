#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace weir {

/// What a histogram held at one moment. Quantiles are off by at most 1/16 of their value.
struct HistogramSnapshot {
  uint64_t count = 0;
  int64_t min = 0;
  int64_t max = 0;
  int64_t sum = 0;
  double mean = 0;
  /// Of the values as their buckets know them.
  double standard_deviation = 0;

  /// Returns the value below or at which the part `quantile` (0 to 1) of all values lies; 0 if
  /// there are none.
  [[nodiscard]] int64_t Quantile(double quantile) const;

  static constexpr size_t kNumBuckets = 61 * 16;
  std::array<uint64_t, kNumBuckets> buckets = {};
};

/// Counts values of 0 and above in buckets whose width is a sixteenth of their value. Negative
/// values count as 0. Threads: one writer; any reader, which may see a value in one sum and not yet
/// in another.
class Histogram {
 public:
  void Record(int64_t value);
  [[nodiscard]] HistogramSnapshot Snapshot() const;

 private:
  std::array<std::atomic<uint64_t>, HistogramSnapshot::kNumBuckets> buckets_ = {};
  std::atomic<uint64_t> count_{0};
  std::atomic<int64_t> sum_{0};
  std::atomic<int64_t> min_{0};
  std::atomic<int64_t> max_{0};
};

}  // namespace weir
