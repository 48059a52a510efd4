#include "taskmanager/memory_guard.h"

#include <algorithm>

#include "runtime/metrics/process_statistics.h"

namespace weir {

namespace {

// The guard's charge is at most half of the budget: a limit so small that the program alone passes
// it should make state slow, not stop it.
constexpr int64_t kMostOfBudget = 2;
// Freed pages are given back from this many percent of the memory on, if they are worth it.
constexpr int64_t kNearLimitPercent = 90;
constexpr int64_t kWorthwhileParts = 64;
// With less there is no state: the processes of jobs have all of it.
constexpr int64_t kLeastMemoryBytes = int64_t{8} << 20;
// From this many percent on it is measured more often; state grows by some mebibytes meanwhile.
constexpr int64_t kMuchTakenPercent = 60;
constexpr absl::Duration kShortInterval = absl::Milliseconds(20);
constexpr absl::Duration kLongInterval = absl::Milliseconds(100);

}  // namespace

bool MemoryGuard::Update(int64_t resident_bytes, const AllocatorStatistics& allocator) {
  const int64_t freed_bytes =
      std::max<int64_t>(0, allocator.resident_bytes - allocator.active_bytes);
  const int64_t others_bytes = budget_->used_bytes() - charge_.bytes();
  const int64_t memory = memory_bytes();
  const int64_t left_for_uncharged = memory - CountedBytes(memory);
  const int64_t uncharged_bytes = resident_bytes - freed_bytes - others_bytes;
  charge_.Resize(std::clamp<int64_t>(uncharged_bytes - left_for_uncharged, 0,
                                     budget_->limit_bytes() / kMostOfBudget));
  return resident_bytes > memory / 100 * kNearLimitPercent &&
         freed_bytes > memory / kWorthwhileParts;
}

absl::Duration MemoryGuard::Check() {
  const std::optional<AllocatorStatistics> allocator = ReadAllocatorStatistics();
  if (!allocator.has_value()) return absl::InfiniteDuration();
  const int64_t memory = memory_bytes();
  if (memory < kLeastMemoryBytes) return kLongInterval;
  const int64_t resident_bytes = ReadResidentBytes();
  if (Update(resident_bytes, *allocator)) GiveFreedMemoryBackNow();
  return resident_bytes > memory / 100 * kMuchTakenPercent ? kShortInterval : kLongInterval;
}

}  // namespace weir
