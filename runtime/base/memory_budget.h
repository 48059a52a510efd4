#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace weir {

/// Counts the memory that batches, state tables, timers and caches of one process hold, against one
/// limit.
///
/// Lifecycle: made once by the process's main, passed down by pointer, outlives all that charge it.
/// Threads: any; relaxed atomics, so the sums are exact but order nothing else.
/// Invariant: used_bytes() is never negative: what is released was charged before.
class MemoryBudget {
 public:
  /// `limit_bytes` is what TryReserve keeps to; Charge may pass it.
  explicit MemoryBudget(int64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  /// Counts memory that is taken in any case. Never fails; whoever can shed memory looks at
  /// used_bytes().
  void Charge(int64_t bytes);

  /// Counts `bytes` if they fit under the limit; returns whether they did. Zero bytes always fit.
  [[nodiscard]] bool TryReserve(int64_t bytes);

  /// Gives back what Charge or TryReserve counted.
  void Release(int64_t bytes);

  [[nodiscard]] int64_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }
  /// Returns the most that was ever in use at once.
  [[nodiscard]] int64_t peak_bytes() const { return peak_bytes_.load(std::memory_order_relaxed); }
  [[nodiscard]] int64_t limit_bytes() const { return limit_bytes_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool OverLimit() const { return used_bytes() > limit_bytes(); }

  /// Makes the limit another one. What was reserved stays, above it too.
  void SetLimit(int64_t limit_bytes) { limit_bytes_.store(limit_bytes, std::memory_order_relaxed); }

 private:
  void RaisePeak(int64_t used);

  std::atomic<int64_t> limit_bytes_;
  alignas(64) std::atomic<int64_t> used_bytes_{
      0};  // Of a cache line of its own: every thread writes it.
  alignas(64) std::atomic<int64_t> peak_bytes_{0};
};

/// Holds a charge and releases it when destroyed. Movable; without a budget it counts nothing, so
/// that tests and tools need none. Threads: one at a time.
class MemoryCharge {
 public:
  MemoryCharge() = default;
  /// Charges `bytes` to `budget`, which is borrowed and may be null.
  MemoryCharge(MemoryBudget* budget, int64_t bytes) : budget_(budget), bytes_(bytes) {
    if (budget_ != nullptr) budget_->Charge(bytes_);
  }
  MemoryCharge(MemoryCharge&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryCharge& operator=(MemoryCharge&& other) noexcept {
    if (this != &other) {
      Release();
      budget_ = std::exchange(other.budget_, nullptr);
      bytes_ = std::exchange(other.bytes_, 0);
    }
    return *this;
  }
  ~MemoryCharge() { Release(); }

  /// Makes the charge `bytes`, up or down. Never fails.
  void Resize(int64_t bytes);

  /// Makes the charge `bytes` if the difference fits the budget; else changes nothing and returns
  /// false.
  [[nodiscard]] bool TryResize(int64_t bytes);

  /// Gives all of it back and lets go of the budget. May be called twice.
  void Release();

  [[nodiscard]] int64_t bytes() const { return bytes_; }

 private:
  MemoryBudget* budget_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace weir
