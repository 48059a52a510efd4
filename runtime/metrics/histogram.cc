#include "runtime/metrics/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace weir {
namespace {

constexpr int kSubBits = 4;  // 16 buckets for each power of two.

size_t BucketOf(uint64_t value) {
  if (value < (uint64_t{1} << kSubBits)) return static_cast<size_t>(value);
  const int exponent = 63 - std::countl_zero(value);
  const uint64_t sub = (value >> (exponent - kSubBits)) & ((1 << kSubBits) - 1);
  return static_cast<size_t>(exponent - kSubBits + 1) << kSubBits | static_cast<size_t>(sub);
}

// The largest value of a bucket.
uint64_t UpperBound(size_t bucket) {
  const size_t group = bucket >> kSubBits;
  if (group == 0) return bucket;
  const uint64_t sub = (bucket & ((1 << kSubBits) - 1)) + (uint64_t{1} << kSubBits);
  return ((sub + 1) << (group - 1)) - 1;
}

double Middle(size_t bucket) {
  const auto upper = static_cast<double>(UpperBound(bucket));
  return bucket == 0 ? 0 : (static_cast<double>(UpperBound(bucket - 1)) + 1 + upper) / 2;
}

// One writer, so a plain addition between two relaxed accesses.
template <class T>
void Increase(std::atomic<T>& target, T by) {
  target.store(target.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

}  // namespace

int64_t HistogramSnapshot::Quantile(double quantile) const {
  if (count == 0) return 0;
  const auto rank =
      static_cast<uint64_t>(std::ceil(std::clamp(quantile, 0.0, 1.0) * static_cast<double>(count)));
  uint64_t seen = 0;
  for (size_t bucket = 0; bucket < kNumBuckets; ++bucket) {
    seen += buckets[bucket];
    if (seen >= std::max<uint64_t>(rank, 1)) {
      return std::clamp(static_cast<int64_t>(UpperBound(bucket)), min, max);
    }
  }
  return max;
}

void Histogram::Record(int64_t value) {
  value = std::max<int64_t>(value, 0);
  if (count_.load(std::memory_order_relaxed) == 0) min_.store(value, std::memory_order_relaxed);
  Increase<uint64_t>(buckets_[BucketOf(static_cast<uint64_t>(value))], 1);
  Increase<int64_t>(sum_, value);
  if (value < min_.load(std::memory_order_relaxed)) min_.store(value, std::memory_order_relaxed);
  if (value > max_.load(std::memory_order_relaxed)) max_.store(value, std::memory_order_relaxed);
  Increase<uint64_t>(count_, 1);
}

HistogramSnapshot Histogram::Snapshot() const {
  HistogramSnapshot snapshot;
  for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    snapshot.buckets[bucket] = buckets_[bucket].load(std::memory_order_relaxed);
    snapshot.count += snapshot.buckets[bucket];
  }
  snapshot.min = min_.load(std::memory_order_relaxed);
  snapshot.max = max_.load(std::memory_order_relaxed);
  snapshot.sum = sum_.load(std::memory_order_relaxed);
  if (snapshot.count == 0) return snapshot;
  const auto count = static_cast<double>(snapshot.count);
  snapshot.mean = static_cast<double>(snapshot.sum) / count;
  double squares = 0;
  for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    if (snapshot.buckets[bucket] == 0) continue;
    const double distance = Middle(bucket) - snapshot.mean;
    squares += distance * distance * static_cast<double>(snapshot.buckets[bucket]);
  }
  snapshot.standard_deviation = std::sqrt(squares / count);
  return snapshot;
}

}  // namespace weir
