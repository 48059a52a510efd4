#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/mutex.h"
#include "runtime/graph/job_library.h"
#include "runtime/graph/stream_graph.h"
#include "taskmanager/blob_cache.h"
#include "taskmanager/timer_thread.h"

namespace weir {

namespace proto {
class JobInformation;
}

/// A job's code as this process has it. Immutable.
struct LoadedJob {
  std::shared_ptr<const JobLibrary> library;
  std::shared_ptr<const StreamGraph> graph;
};

/// Gets at jobs' operators: fetches the library, loads it and runs Build, once per (library, entry,
/// arguments, files) for as long as somebody holds the result.
///
/// Threads: any. The work, user code too, runs on the registry's pool, off the workers. Build
/// cannot be interrupted: after the time limit its job fails, but its thread is lost until Build
/// returns.
class JobRegistry {
 public:
  using Result = absl::StatusOr<std::shared_ptr<const LoadedJob>>;
  using Callback = absl::AnyInvocable<void(Result)>;

  /// All are borrowed, and outlive the registry.
  JobRegistry(BlobCache* blobs, IoPool* pool, TimerThread* timers, absl::Duration time_limit);
  JobRegistry(const JobRegistry&) = delete;
  JobRegistry& operator=(const JobRegistry&) = delete;

  /// Calls `callback` once: before this returns, on the pool or on the timer thread. It must only
  /// pass the word on. Errors: those of JobLibrary::Load, of the fetch and of Build;
  /// kDeadlineExceeded after the time limit.
  void Obtain(const proto::JobInformation& job, Callback callback);

 private:
  struct Request;
  struct State;

  const std::shared_ptr<State> state_;  // Shared with work under way.
};

}  // namespace weir
