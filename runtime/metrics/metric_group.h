#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "runtime/base/mutex.h"
#include "runtime/metrics/histogram.h"

namespace weir {

/// A number that only grows. Threads: one writer, any reader.
class Counter {
 public:
  void Add(uint64_t count = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  [[nodiscard]] uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

/// A number that goes up and down. Threads: one writer, any reader.
class Gauge {
 public:
  void Set(double value) { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// The metrics of one operator, task or process, by name. Names are Flink's where the concept is
/// the same (numLateRecordsDropped, currentInputWatermark …).
///
/// Lifecycle: metrics are made while their owner opens, and live as long as the group. Threads:
/// any; the metrics themselves have one writer.
class MetricGroup {
 public:
  /// Returns the metric of that name, made at the first call. A name is of one kind.
  [[nodiscard]] Counter* AddCounter(std::string_view name);
  [[nodiscard]] Gauge* AddGauge(std::string_view name);
  [[nodiscard]] Histogram* AddHistogram(std::string_view name);

  /// Takes what a group holds, in the order of names.
  class Visitor {
   public:
    virtual ~Visitor() = default;
    virtual void OnCounter(std::string_view name, uint64_t value) = 0;
    virtual void OnGauge(std::string_view name, double value) = 0;
    virtual void OnHistogram(std::string_view name, const HistogramSnapshot& snapshot) = 0;
  };
  /// `visitor` must not call back into the group.
  void Visit(Visitor& visitor) const;

 private:
  template <class Metric>
  using Metrics = std::map<std::string, std::unique_ptr<Metric>, std::less<>>;

  mutable Mutex mutex_;
  Metrics<Counter> counters_ ABSL_GUARDED_BY(mutex_);
  Metrics<Gauge> gauges_ ABSL_GUARDED_BY(mutex_);
  Metrics<Histogram> histograms_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
