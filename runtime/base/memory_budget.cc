#include "runtime/base/memory_budget.h"

#include "runtime/base/check.h"

namespace weir {

void MemoryBudget::Charge(int64_t bytes) {
  DCHECK_GE(bytes, 0);
  RaisePeak(used_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes);
}

bool MemoryBudget::TryReserve(int64_t bytes) {
  DCHECK_GE(bytes, 0);
  int64_t used = used_bytes_.load(std::memory_order_relaxed);
  do {
    if (bytes > 0 && bytes > limit_bytes() - used) return false;
  } while (!used_bytes_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  RaisePeak(used + bytes);
  return true;
}

void MemoryBudget::Release(int64_t bytes) {
  DCHECK_GE(bytes, 0);
  [[maybe_unused]] const int64_t before = used_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  DCHECK_GE(before, bytes) << "more memory was released than charged";
}

void MemoryBudget::RaisePeak(int64_t used) {
  int64_t peak = peak_bytes_.load(std::memory_order_relaxed);
  while (used > peak && !peak_bytes_.compare_exchange_weak(peak, used, std::memory_order_relaxed)) {
  }
}

void MemoryCharge::Resize(int64_t bytes) {
  if (budget_ != nullptr) {
    if (bytes > bytes_) budget_->Charge(bytes - bytes_);
    if (bytes < bytes_) budget_->Release(bytes_ - bytes);
  }
  bytes_ = bytes;
}

bool MemoryCharge::TryResize(int64_t bytes) {
  if (budget_ != nullptr && bytes > bytes_) {
    if (!budget_->TryReserve(bytes - bytes_)) return false;
    bytes_ = bytes;
    return true;
  }
  Resize(bytes);
  return true;
}

void MemoryCharge::Release() {
  if (budget_ != nullptr) budget_->Release(bytes_);
  budget_ = nullptr;
  bytes_ = 0;
}

}  // namespace weir
