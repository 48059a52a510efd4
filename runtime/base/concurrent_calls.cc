#include "runtime/base/concurrent_calls.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/base/mutex.h"

namespace weir {

absl::Status CallConcurrently(size_t num_calls, int num_threads,
                              absl::FunctionRef<absl::Status(size_t index)> call) {
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  Mutex mutex;
  size_t first_failed = num_calls;
  absl::Status first_error;
  const auto work = [&] {
    while (!failed.load(std::memory_order_relaxed)) {
      const size_t index = next.fetch_add(1, std::memory_order_relaxed);
      if (index >= num_calls) return;
      absl::Status status = call(index);
      if (status.ok()) continue;
      failed.store(true, std::memory_order_relaxed);
      const MutexLock lock(&mutex);
      if (index > first_failed) return;
      first_failed = index;
      first_error = std::move(status);
    }
  };
  const size_t num_helpers =
      std::min(num_calls, static_cast<size_t>(std::max(num_threads, 1))) - (num_calls > 0 ? 1 : 0);
  std::vector<std::jthread> helpers;
  helpers.reserve(num_helpers);
  for (size_t i = 0; i < num_helpers; ++i) {
    helpers.emplace_back([&work] {
      pthread_setname_np(pthread_self(), "weir-transfer");
      work();
    });
  }
  work();
  helpers.clear();  // Joined: what they have written is seen from here on.
  return first_error;
}

}  // namespace weir
