#include "runtime/task/buffer_debloater.h"

#include <algorithm>
#include <cmath>

namespace weir {
namespace {

// A slow operator takes a batch at once and is busy with it for long: the throughput is known only
// over some of them.
constexpr size_t kMinSamples = 2;

}  // namespace

BufferDebloater::BufferDebloater(const BufferDebloatOptions& options, size_t num_queues,
                                 size_t capacity_bytes)
    : target_nanos_(std::max<int64_t>(absl::ToInt64Nanoseconds(options.target), 1)),
      threshold_(options.threshold_percentages / 100.0),
      capacity_bytes_(std::max(capacity_bytes, size_t{1})),
      limit_bytes_(
          std::min(std::max(kInitialBytes / std::max(num_queues, size_t{1}), kMinLimitBytes),
                   capacity_bytes_)),
      samples_(1) {}

BufferDebloater::Consumption BufferDebloater::Difference(const Consumption& later,
                                                         const Consumption& earlier) {
  return {later.num_bytes - earlier.num_bytes, later.num_batches - earlier.num_batches,
          later.active_nanos - earlier.active_nanos};
}

BufferDebloater::Consumption BufferDebloater::Recent(const Consumption& now) const {
  const size_t most = std::min(kMinSamples, samples_.size() - 1);
  size_t begin = samples_.size() - 1 - most;
  while (begin > 0 && now.active_nanos - samples_[begin].active_nanos < target_nanos_) --begin;
  return Difference(now, samples_[begin]);
}

std::optional<size_t> BufferDebloater::Update(const Consumption& now, size_t queues_in_use) {
  if (now.num_batches > samples_.back().num_batches) {
    samples_.push_back(now);
    if (samples_.size() > kMaxSamples + 1) samples_.pop_front();
  }
  const Consumption recent = Recent(now);
  if (recent.num_batches == 0 || recent.active_nanos <= 0) return std::nullopt;
  const double bytes_per_nano =
      static_cast<double>(recent.num_bytes) / static_cast<double>(recent.active_nanos);
  const auto in_use = static_cast<double>(std::max(queues_in_use, size_t{1}));
  const double wanted = bytes_per_nano * static_cast<double>(target_nanos_) / in_use;
  const size_t lowest = std::min(kMinLimitBytes, capacity_bytes_);
  const size_t limit = static_cast<size_t>(
      std::clamp(wanted, static_cast<double>(lowest), static_cast<double>(capacity_bytes_)));
  const auto current = static_cast<double>(limit_bytes_);
  const bool at_end = limit == lowest || limit == capacity_bytes_;
  const bool changes =
      limit != limit_bytes_ &&
      (at_end || std::abs(static_cast<double>(limit) - current) >= threshold_ * current);
  if (changes) limit_bytes_ = limit;
  time_to_consume_ = absl::Nanoseconds(static_cast<double>(limit_bytes_) * in_use /
                                       std::max(bytes_per_nano, 1e-9));
  return changes ? std::optional<size_t>(limit) : std::nullopt;
}

}  // namespace weir
