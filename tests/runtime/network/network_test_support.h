#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "runtime/base/clock.h"
#include "runtime/base/mutex.h"
#include "runtime/network/channel_queue.h"
#include "runtime/record/stream_element.h"
#include "runtime/record/typed_batch.h"

namespace weir {

/// Waits until `condition` holds, looking again after each Notify and every few milliseconds.
/// Returns false after a minute, which fails the test loudly.
class Waiter {
 public:
  void Notify() {
    MutexLock lock(&mutex_);
    changed_.SignalAll();
  }
  [[nodiscard]] bool Until(const std::function<bool()>& condition) {
    const int64_t deadline = MonotonicNanos() + absl::ToInt64Nanoseconds(absl::Minutes(1));
    while (!condition()) {
      if (MonotonicNanos() > deadline) return false;
      MutexLock lock(&mutex_);
      changed_.WaitFor(&mutex_, absl::Milliseconds(2));
    }
    return true;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
};

inline ChannelKey TestKey(uint32_t subpartition, uint64_t attempt = 1) {
  return {ExecutionAttemptId(7, attempt), 3, subpartition};
}

template <class T>
BatchPtr MakeBatch(std::vector<T> values) {
  TypedBatchBuilder<T> builder;
  for (T& value : values) builder.Add(std::move(value), EventTime::Min());
  return builder.Finish();
}

/// Returns a batch whose one record is `size` bytes long.
inline StreamElement Text(size_t size, char letter = 'x') {
  return MakeBatch<std::string>({std::string(size, letter)});
}

}  // namespace weir
