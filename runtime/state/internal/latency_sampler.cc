#include "runtime/state/internal/latency_sampler.h"

#include "runtime/base/clock.h"

namespace weir::internal {

MetricGroup* MetricGroupOfState(MetricGroup* of_operator, std::string_view state) {
  return of_operator->AddGroup("state_name", state);
}

LatencySampler::Measurement::Measurement(LatencySampler* sampler, const char* metric)
    : sampler_(sampler), metric_(metric), begin_nanos_(MonotonicNanos()) {}

LatencySampler::Measurement::~Measurement() {
  const int64_t nanos = MonotonicNanos() - begin_nanos_;
  if (sampler_->of_operator_ == nullptr) return;
  if (sampler_->group_ == nullptr) {
    sampler_->group_ = MetricGroupOfState(sampler_->of_operator_, sampler_->state_);
  }
  sampler_->group_->AddHistogram(metric_)->Record(nanos);
}

}  // namespace weir::internal
