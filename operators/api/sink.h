#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/clock.h"
#include "runtime/base/io_pool.h"
#include "runtime/record/event_time.h"
#include "runtime/state/state_file_store.h"
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
  /// Where the files of committables are fetched from.
  [[nodiscard]] virtual const std::shared_ptr<StateFileStore>& state_store() const = 0;
};

/// What a committer needs to make an epoch's output, or a part of it, visible. Plain data.
struct Committable {
  std::string bytes{};  ///< The sink's own encoding.
  /// Files in the checkpoint's store that `bytes` refers to. They live as long as a checkpoint that
  /// holds the committable, and are deleted after; the committer deletes none.
  std::vector<StoredFile> files{};
};

/// Makes one epoch's output ready for its commit: flushes, closes, syncs. Runs on the I/O pool and
/// may block. Returns what the committer needs to make the epoch visible; nothing if there is
/// nothing to commit. Output that belongs into the checkpoint itself goes to the given store.
using PrepareCommit =
    absl::AnyInvocable<absl::StatusOr<std::vector<Committable>>(StateFileStore& store)>;

/// What of a SinkWriter does not depend on the type of its records.
class SinkWriterBase {
 public:
  virtual ~SinkWriterBase() = default;
  /// Whether Write may be called. When it turns true again, the writer wakes the task
  /// (context.handle()->Wake()).
  [[nodiscard]] virtual bool Ready() const = 0;
  /// The task has no more input for now: sends on what is buffered without waiting for more. Must
  /// not block.
  [[nodiscard]] virtual absl::Status Flush() { return absl::OkStatus(); }
  /// No record comes any more: the next epoch is the last one.
  [[nodiscard]] virtual absl::Status EndInput() { return absl::OkStatus(); }
  /// Ends the current epoch: all records written so far belong to `checkpoint`, all later ones to
  /// the next. An error of the returned function fails the task.
  [[nodiscard]] virtual absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId checkpoint) = 0;
  /// Stops writing; what was not committed may be thrown away. Called on the task's thread; may be
  /// called twice.
  virtual void Close() {}
};

/// Writes the records of one subtask to the outside.
///
/// Lifecycle: made by Sink::CreateWriter → Write and BeginCommit in turn → Close. Threads: all
/// calls within the task's steps, so none may block: writes are queued for the I/O pool and bounded
/// by Ready().
template <class T>
class SinkWriter : public SinkWriterBase {
 public:
  /// Takes the record into its buffers.
  [[nodiscard]] virtual absl::Status Write(const T& record, EventTime time) = 0;
};

/// Makes prepared epochs visible, after their checkpoint has completed.
///
/// Lifecycle: Open → Commit, again and again → Close. Threads: Open on the task's thread before it
/// runs; Commit on the I/O pool, one call at a time per subtask; both may block. Close on the
/// task's thread, perhaps during a Commit. Every committable comes at least once, also again after
/// a crash: committing twice must be as good as once. All committables of one subtask come to one
/// committer, in the order of their checkpoints, also after a change of parallelism.
class Committer {
 public:
  virtual ~Committer() = default;
  /// What this committer's unfinished work is known by outside (a transactional id); empty if there
  /// is never any. Kept in every checkpoint.
  [[nodiscard]] virtual std::string Identity() const { return {}; }
  /// Ends what former committers left unfinished. `restored` says whether the subtask starts from a
  /// checkpoint; `predecessors` are the identities of those whose committables fall to this one,
  /// each once, also of those that had none.
  [[nodiscard]] virtual absl::Status Open(bool /*restored*/,
                                          const std::vector<std::string>& /*predecessors*/) {
    return absl::OkStatus();
  }
  /// Commits in order. Errors: kUnavailable and kDeadlineExceeded are retried with backoff; others
  /// fail the task.
  [[nodiscard]] virtual absl::Status Commit(const std::vector<Committable>& committables) = 0;
  /// The task ends: a Commit under way returns soon. May be called twice.
  virtual void Close() {}
};

/// What of a Sink does not depend on the type of its records.
class SinkBase {
 public:
  virtual ~SinkBase() = default;
  /// Null for a sink whose writer makes everything visible itself (at least once, or idempotent).
  [[nodiscard]] virtual std::unique_ptr<Committer> CreateCommitter(SinkContext& /*context*/) const {
    return nullptr;
  }
};

/// Where a stream ends. A value-like description, made in Build; immutable; any thread.
template <class T>
class Sink : public SinkBase {
 public:
  using Record = T;
  /// May block (connects, makes folders); called before the task runs.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<SinkWriter<T>>> CreateWriter(
      SinkContext& context) const = 0;
};

}  // namespace weir
