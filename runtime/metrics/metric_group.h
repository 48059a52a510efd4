#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

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
/// the same (numLateRecordsDropped, currentInputWatermark …). What is in a group is shown by REST
/// and by Prometheus without more ado.
///
/// Lifecycle: metrics are made while their owner opens, and live as long as their group. Threads:
/// any; the metrics themselves have one writer. Bound: a group holds at most kMaxMetrics with all
/// groups below it; what is asked for beyond is counted into the void, and a warning says so once.
class MetricGroup {
 public:
  static constexpr size_t kMaxMetrics = 1000;

  MetricGroup();
  MetricGroup(const MetricGroup&) = delete;
  MetricGroup& operator=(const MetricGroup&) = delete;

  /// Returns the metric of that name, made at the first call. A name is of one kind.
  [[nodiscard]] Counter* AddCounter(std::string_view name);
  [[nodiscard]] Gauge* AddGauge(std::string_view name);
  [[nodiscard]] Histogram* AddHistogram(std::string_view name);

  /// Returns the group of that name within this one, made at the first call. REST shows its metrics
  /// as `name.metric`, Prometheus as `name_metric`.
  [[nodiscard]] MetricGroup* AddGroup(std::string_view name);
  /// The same for one of many alike, such as a split: REST shows `key.value.metric`, Prometheus
  /// `key_metric{key="value"}`.
  [[nodiscard]] MetricGroup* AddGroup(std::string_view key, std::string_view value);
  /// Removes such a group with its metrics, to which nobody may hold a pointer any more.
  void RemoveGroup(std::string_view key, std::string_view value);

  /// Takes what a group holds: its metrics in the order of names, then the groups within it.
  class Visitor {
   public:
    virtual ~Visitor() = default;
    virtual void OnCounter(std::string_view name, uint64_t value) = 0;
    virtual void OnGauge(std::string_view name, double value) = 0;
    virtual void OnHistogram(std::string_view name, const HistogramSnapshot& snapshot) = 0;
    /// A group within begins. `value` is empty for one that is just a name.
    virtual void OnGroupBegin(std::string_view, std::string_view) {}
    virtual void OnGroupEnd() {}
  };
  /// `visitor` must not call back into the group.
  void Visit(Visitor& visitor) const;

  /// Changes when a metric is made or removed, here or in a group within. As long as it stays the
  /// same, Visit shows the same names in the same order.
  [[nodiscard]] uint64_t version() const {
    return shared_->version.load(std::memory_order_acquire);
  }

 private:
  template <class Metric>
  using Metrics = std::map<std::string, std::unique_ptr<Metric>, std::less<>>;
  // One for a group and all groups within. Where metrics beyond the bound are counted.
  struct Shared {
    std::atomic<uint64_t> version{0};
    std::atomic<size_t> num_metrics{0};
    std::atomic<bool> warned{false};
    Counter counter;
    Gauge gauge;
    Histogram histogram;
  };

  explicit MetricGroup(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  // Counts a metric to be made; false if there are too many.
  bool Reserve(std::string_view name);
  [[nodiscard]] size_t CountMetrics() const;

  const std::shared_ptr<Shared> shared_;
  mutable Mutex mutex_;
  Metrics<Counter> counters_ ABSL_GUARDED_BY(mutex_);
  Metrics<Gauge> gauges_ ABSL_GUARDED_BY(mutex_);
  Metrics<Histogram> histograms_ ABSL_GUARDED_BY(mutex_);
  // By key and value; the value is empty for a plain name.
  std::map<std::pair<std::string, std::string>, std::unique_ptr<MetricGroup>> groups_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
