#include "runtime/state/timer_service.h"

namespace weir::internal {

std::optional<int64_t> MedianBeforeLatest(std::vector<int64_t> times) {
  const auto median = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), median, times.end());
  if (*median == *std::max_element(median, times.end())) return std::nullopt;
  return *median;
}

}  // namespace weir::internal
