#include "runtime/metrics/metric_group.h"

#include "runtime/base/logging.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

template <class Metric>
Metric* Find(const std::map<std::string, std::unique_ptr<Metric>, std::less<>>& metrics,
             std::string_view name) {
  const auto found = metrics.find(name);
  return found == metrics.end() ? nullptr : found->second.get();
}

template <class Metric>
Metric* Add(std::map<std::string, std::unique_ptr<Metric>, std::less<>>& metrics,
            std::string_view name) {
  return metrics.emplace(std::string(name), std::make_unique<Metric>()).first->second.get();
}

}  // namespace

MetricGroup::MetricGroup() : MetricGroup(std::make_shared<Shared>()) {}

bool MetricGroup::Reserve(std::string_view name) {
  if (shared_->num_metrics.fetch_add(1, std::memory_order_relaxed) < kMaxMetrics) {
    shared_->version.fetch_add(1, std::memory_order_release);
    return true;
  }
  shared_->num_metrics.fetch_sub(1, std::memory_order_relaxed);
  if (!shared_->warned.exchange(true, std::memory_order_relaxed)) {
    LogWarning("metrics",
               StrCat("an operator has too many metrics; no further ones are shown: max=",
                      kMaxMetrics, " first_left_out=", name));
  }
  return false;
}

Counter* MetricGroup::AddCounter(std::string_view name) {
  const MutexLock lock(&mutex_);
  if (Counter* const found = Find(counters_, name)) return found;
  return Reserve(name) ? Add(counters_, name) : &shared_->counter;
}

Gauge* MetricGroup::AddGauge(std::string_view name) {
  const MutexLock lock(&mutex_);
  if (Gauge* const found = Find(gauges_, name)) return found;
  return Reserve(name) ? Add(gauges_, name) : &shared_->gauge;
}

Histogram* MetricGroup::AddHistogram(std::string_view name) {
  const MutexLock lock(&mutex_);
  if (Histogram* const found = Find(histograms_, name)) return found;
  return Reserve(name) ? Add(histograms_, name) : &shared_->histogram;
}

MetricGroup* MetricGroup::AddGroup(std::string_view name) { return AddGroup(name, ""); }

MetricGroup* MetricGroup::AddGroup(std::string_view key, std::string_view value) {
  const MutexLock lock(&mutex_);
  auto& group = groups_[{std::string(key), std::string(value)}];
  if (group == nullptr) group.reset(new MetricGroup(shared_));
  return group.get();
}

void MetricGroup::RemoveGroup(std::string_view key, std::string_view value) {
  const MutexLock lock(&mutex_);
  const auto found = groups_.find({std::string(key), std::string(value)});
  if (found == groups_.end()) return;
  shared_->num_metrics.fetch_sub(found->second->CountMetrics(), std::memory_order_relaxed);
  groups_.erase(found);
  shared_->version.fetch_add(1, std::memory_order_release);
}

size_t MetricGroup::CountMetrics() const {
  const MutexLock lock(&mutex_);
  size_t count = counters_.size() + gauges_.size() + histograms_.size();
  for (const auto& [name, group] : groups_) count += group->CountMetrics();
  return count;
}

void MetricGroup::Visit(Visitor& visitor) const {
  const MutexLock lock(&mutex_);
  for (const auto& [name, counter] : counters_) visitor.OnCounter(name, counter->value());
  for (const auto& [name, gauge] : gauges_) visitor.OnGauge(name, gauge->value());
  for (const auto& [name, histogram] : histograms_) {
    visitor.OnHistogram(name, histogram->Snapshot());
  }
  for (const auto& [name, group] : groups_) {
    visitor.OnGroupBegin(name.first, name.second);
    group->Visit(visitor);
    visitor.OnGroupEnd();
  }
}

}  // namespace weir
