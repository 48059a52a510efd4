#include "runtime/metrics/metric_group.h"

namespace weir {
namespace {

template <class Metric>
Metric* FindOrAdd(std::map<std::string, std::unique_ptr<Metric>, std::less<>>& metrics,
                  std::string_view name) {
  auto found = metrics.find(name);
  if (found == metrics.end()) {
    found = metrics.emplace(std::string(name), std::make_unique<Metric>()).first;
  }
  return found->second.get();
}

}  // namespace

Counter* MetricGroup::AddCounter(std::string_view name) {
  const MutexLock lock(&mutex_);
  return FindOrAdd(counters_, name);
}

Gauge* MetricGroup::AddGauge(std::string_view name) {
  const MutexLock lock(&mutex_);
  return FindOrAdd(gauges_, name);
}

Histogram* MetricGroup::AddHistogram(std::string_view name) {
  const MutexLock lock(&mutex_);
  return FindOrAdd(histograms_, name);
}

void MetricGroup::Visit(Visitor& visitor) const {
  const MutexLock lock(&mutex_);
  for (const auto& [name, counter] : counters_) visitor.OnCounter(name, counter->value());
  for (const auto& [name, gauge] : gauges_) visitor.OnGauge(name, gauge->value());
  for (const auto& [name, histogram] : histograms_) {
    visitor.OnHistogram(name, histogram->Snapshot());
  }
}

}  // namespace weir
