#pragma once

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "runtime/base/allocator.h"
#include "runtime/base/memory_budget.h"

namespace weir {

/// Keeps a process within its memory although not all of it is counted: what nobody charges (code,
/// stacks, buffers of libraries, what the allocator loses between allocations) may take a quarter
/// of it, and what it takes beyond that is charged to the budget here, so that state makes room.
///
/// Place: one per TaskManager. Threads: one at a time.
class MemoryGuard {
 public:
  /// The part of a process's memory that a budget counts.
  [[nodiscard]] static int64_t CountedBytes(int64_t memory_bytes) { return memory_bytes / 4 * 3; }

  /// `budget` is borrowed; its limit is CountedBytes of the process's memory, which may change.
  explicit MemoryGuard(MemoryBudget* budget) : budget_(budget), charge_(budget, 0) {}

  /// Charges anew what was measured: `resident_bytes` of the process. Freed pages that the
  /// allocator keeps do not count, as it can give them back. Returns whether it should do so now,
  /// because the process is near its limit.
  [[nodiscard]] bool Update(int64_t resident_bytes, const AllocatorStatistics& allocator);

  /// Measures this process, and does what Update says. Returns after how long it should be called
  /// again: soon if much of the memory is taken. Where the allocator does not tell what it holds,
  /// it does nothing, and returns an infinite time.
  [[nodiscard]] absl::Duration Check();

  /// What is charged for what nobody else does.
  [[nodiscard]] int64_t charged_bytes() const { return charge_.bytes(); }

 private:
  [[nodiscard]] int64_t memory_bytes() const { return budget_->limit_bytes() / 3 * 4; }

  MemoryBudget* const budget_;
  MemoryCharge charge_;
};

}  // namespace weir
