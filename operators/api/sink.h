#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/clock.h"
#include "runtime/base/io_pool.h"
#include "runtime/record/event_time.h"
#include "runtime/task/operator.h"

namespace weir {

/// What a writer knows of its place.
class SinkContext {
 public:
  virtual ~SinkContext() = default;
  [[nodiscard]] virtual const OperatorContext::Place& place() const = 0;
  [[nodiscard]] virtual IoPool* io_pool() const = 0;
  [[nodiscard]] virtual const Clock* clock() const = 0;
  [[nodiscard]] virtual const std::shared_ptr<TaskHandle>& handle() const = 0;
  /// Metrics of the sink operator in this subtask.
  [[nodiscard]] virtual MetricGroup* metrics() const = 0;
};

/// Makes one epoch's output ready for its commit: flushes, closes, syncs. Runs on the I/O pool and
/// may block. Returns what the committer needs to make the epoch visible; nothing if there is
/// nothing to commit.
using PrepareCommit = absl::AnyInvocable<absl::StatusOr<std::vector<std::string>>()>;

/// Writes the records of one subtask to the outside.
///
/// Lifecycle: made by Sink::CreateWriter → Write and BeginCommit in turn → Close. Threads: all
/// calls within the task's steps, so none may block: writes are queued for the I/O pool and bounded
/// by Ready().
template <class T>
class SinkWriter {
 public:
  virtual ~SinkWriter() = default;
  /// Whether Write may be called. When it turns true again, the writer wakes the task
  /// (context.handle()->Wake()).
  [[nodiscard]] virtual bool Ready() const = 0;
  /// Takes the record into its buffers.
  [[nodiscard]] virtual absl::Status Write(const T& record, EventTime time) = 0;
  /// The task has no more input for now: sends on what is buffered without waiting for more. Must
  /// not block.
  [[nodiscard]] virtual absl::Status Flush() { return absl::OkStatus(); }
  /// Ends the current epoch: all records written so far belong to `checkpoint`, all later ones to
  /// the next. An error of the returned function fails the task.
  [[nodiscard]] virtual absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId checkpoint) = 0;
  /// Stops writing; what was not committed may be thrown away. Called on the task's thread; may be
  /// called twice.
  virtual void Close() {}
};

/// Makes prepared epochs visible, after their checkpoint has completed.
///
/// Threads: on the I/O pool, one call at a time per subtask; may block. Every committable comes at
/// least once, also again after a crash: committing twice must be as good as once.
class Committer {
 public:
  virtual ~Committer() = default;
  /// Commits in order. Errors: kUnavailable and kDeadlineExceeded are retried with backoff; others
  /// fail the task.
  [[nodiscard]] virtual absl::Status Commit(const std::vector<std::string>& committables) = 0;
};

/// Where a stream ends. A value-like description, made in Build; immutable; any thread.
template <class T>
class Sink {
 public:
  using Record = T;
  virtual ~Sink() = default;
  /// May block (connects, makes folders); called before the task runs.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<SinkWriter<T>>> CreateWriter(
      SinkContext& context) const = 0;
  /// Null for a sink whose writer makes everything visible itself (at least once, or idempotent).
  [[nodiscard]] virtual std::unique_ptr<Committer> CreateCommitter() const { return nullptr; }
};

}  // namespace weir
