#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/metrics/metric_group.h"

namespace weir::internal {

/// The group in which an operator shows what it knows of one of its states, by Flink's names.
[[nodiscard]] MetricGroup* MetricGroupOfState(MetricGroup* of_operator, std::string_view state);

/// Measures how long each 1,024th access to one state takes, so that all others pay one decrement.
///
/// Threads: the task's. Metrics are made at the first measurement, the 64th access.
class LatencySampler {
 public:
  /// `of_operator` is borrowed; null measures nothing.
  LatencySampler(MetricGroup* of_operator, std::string state)
      : of_operator_(of_operator), state_(std::move(state)) {}

  /// Returns operation(); `metric` is where its time is recorded in nanoseconds, if it is.
  template <class Operation>
  decltype(auto) Run(const char* metric, Operation&& operation) {
    if (--until_next_ == 0) [[unlikely]]
      return RunMeasured(metric, operation);
    return operation();
  }

 private:
  static constexpr uint32_t kFirst = 64;
  static constexpr uint32_t kInterval = 1024;

  class Measurement {
   public:
    Measurement(LatencySampler* sampler, const char* metric);
    Measurement(const Measurement&) = delete;
    Measurement& operator=(const Measurement&) = delete;
    ~Measurement();

   private:
    LatencySampler* const sampler_;
    const char* const metric_;
    const int64_t begin_nanos_;
  };

  template <class Operation>
  [[gnu::noinline]] decltype(auto) RunMeasured(const char* metric, Operation& operation) {
    until_next_ = kInterval;
    const Measurement measurement(this, metric);
    return operation();
  }

  uint32_t until_next_ = kFirst;
  MetricGroup* const of_operator_;
  const std::string state_;
  MetricGroup* group_ = nullptr;  // Of the state, once something was measured.
};

}  // namespace weir::internal
