#include "runtime/metrics/rate_meter.h"

#include <algorithm>

namespace weir {
namespace {

constexpr int64_t kWindowNanos = 11'000'000'000;

}  // namespace

double RateMeter::Update(double total, int64_t now_nanos) {
  const auto look = [&](size_t age) -> const Look& {
    return looks_[(next_ + looks_.size() - 1 - age) % looks_.size()];
  };
  if (size_ > 0 && total < look(0).total) size_ = 0;
  // The oldest look within the window, or the newest beyond it.
  const Look* base = nullptr;
  for (size_t age = 0; age < size_; ++age) {
    base = &look(age);
    if (now_nanos - base->nanos > kWindowNanos) break;
  }
  double rate = 0;
  if (base != nullptr && now_nanos > base->nanos) {
    rate = (total - base->total) * 1e9 / static_cast<double>(now_nanos - base->nanos);
  }
  looks_[next_] = {now_nanos, total};
  next_ = (next_ + 1) % looks_.size();
  size_ = std::min(size_ + 1, looks_.size());
  return rate;
}

}  // namespace weir
