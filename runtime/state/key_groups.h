#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/base/check.h"

namespace weir {

/// One of max_parallelism equal parts of the key space: the unit in which keyed state moves between
/// subtasks. Counts from 0.
using KeyGroup = uint32_t;

/// The largest number of key groups a job may have, as in Flink. A key group fits 16 bits on disk.
inline constexpr uint32_t kMaxMaxParallelism = 1u << 15;
inline constexpr uint32_t kDefaultMaxParallelism = 128;

/// The key groups first to last, both included; empty if last < first. Plain data.
struct KeyGroupRange {
  KeyGroup first = 1;
  KeyGroup last = 0;

  static constexpr KeyGroupRange Empty() { return {}; }
  [[nodiscard]] constexpr bool IsEmpty() const { return last < first; }
  [[nodiscard]] constexpr uint32_t size() const { return IsEmpty() ? 0 : last - first + 1; }
  [[nodiscard]] constexpr bool Contains(KeyGroup group) const {
    return group >= first && group <= last;
  }
  /// Returns the key groups that are in both; Empty() if there are none.
  [[nodiscard]] constexpr KeyGroupRange Intersect(KeyGroupRange other) const {
    const KeyGroupRange both{std::max(first, other.first), std::min(last, other.last)};
    return both.IsEmpty() ? Empty() : both;
  }

  friend constexpr bool operator==(const KeyGroupRange&, const KeyGroupRange&) = default;
};

/// Returns the key group of a key by its hash (KeyHash in runtime/record/key_codec.h): the high 32
/// bits choose, so that the low ones stay independent of it and serve tables.
[[nodiscard]] constexpr KeyGroup KeyGroupOf(uint64_t hash, uint32_t max_parallelism) {
  return static_cast<KeyGroup>(((hash >> 32) * max_parallelism) >> 32);
}

// The formulas of Flink's KeyGroupRangeAssignment, so that the same parallelism means the same
// ranges.

/// Returns the index of the subtask that owns `group`. Needs 1 <= parallelism <= max_parallelism.
[[nodiscard]] constexpr uint32_t SubtaskOfKeyGroup(KeyGroup group, uint32_t max_parallelism,
                                                   uint32_t parallelism) {
  return static_cast<uint32_t>(uint64_t{group} * parallelism / max_parallelism);
}

/// Returns the index of the subtask that a key with this hash is sent to.
[[nodiscard]] constexpr uint32_t SubtaskOfHash(uint64_t hash, uint32_t max_parallelism,
                                               uint32_t parallelism) {
  return SubtaskOfKeyGroup(KeyGroupOf(hash, max_parallelism), max_parallelism, parallelism);
}

/// Returns the key groups that subtask `index` owns; the ranges of all subtasks divide the space.
/// Never empty. Needs index < parallelism <= max_parallelism.
[[nodiscard]] inline KeyGroupRange RangeOfSubtask(uint32_t index, uint32_t max_parallelism,
                                                  uint32_t parallelism) {
  DCHECK_LT(index, parallelism);
  DCHECK_LE(parallelism, max_parallelism);
  const uint64_t first = (uint64_t{index} * max_parallelism + parallelism - 1) / parallelism;
  const uint64_t last = ((uint64_t{index} + 1) * max_parallelism - 1) / parallelism;
  return {static_cast<KeyGroup>(first), static_cast<KeyGroup>(last)};
}

}  // namespace weir
