#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/base/clock.h"
#include "runtime/base/io_pool.h"
#include "runtime/record/event_time.h"
#include "runtime/task/operator.h"

namespace weir {

/// A piece of a source that one reader reads: a file, a Kafka partition, a range of numbers. Its id
/// names it among all splits of the source; its bytes are the source's own business, and hold the
/// position read so far.
struct SourceSplit {
  std::string id;
  std::string bytes;
};

/// A record that a source could not make sense of, as it came. Plain data.
struct DeadLetter {
  std::string split;      ///< The id of its split: "/logs/auth.log#0", "topic#3".
  uint64_t position = 0;  ///< Where it begins: a byte of the file, an offset of the partition.
  std::string bytes;      ///< The record, raw.
  std::string error;      ///< What is wrong with it.
};

/// Where a reader puts what it read. Records of a split keep their order. Threads: within Poll
/// only.
template <class T>
class SourceOutput {
 public:
  virtual ~SourceOutput() = default;
  /// Emits a record of the split `split_id`. `time` is the record's time as the source knows it, or
  /// Min; the stream's watermark strategy may take another one from the record.
  virtual void Collect(T record, EventTime time, std::string_view split_id) = 0;
  /// The same for a record that begins at `position` of its split (see DeadLetter): readers that
  /// know where their records begin call this one.
  virtual void CollectAt(T record, EventTime time, std::string_view split_id,
                         uint64_t /*position*/) {
    Collect(std::move(record), time, split_id);
  }
  /// Puts out a record that cannot be read, on the side output DeadLetterTag. Dropped if the job
  /// does not read that.
  virtual void CollectDeadLetter(DeadLetter /*letter*/) {}
  /// The split was read to its end: it no longer holds event time back.
  virtual void SplitFinished(std::string_view split_id) = 0;
  /// Whether Poll should return: what follows cannot take more for now.
  [[nodiscard]] virtual bool Full() const = 0;
};

/// What a reader knows of its place. `handle()` may be used on any thread, e.g. to wake the task
/// when data is there.
class SourceReaderContext {
 public:
  virtual ~SourceReaderContext() = default;
  [[nodiscard]] virtual const OperatorContext::Place& place() const = 0;
  [[nodiscard]] virtual IoPool* io_pool() const = 0;
  [[nodiscard]] virtual const Clock* clock() const = 0;
  [[nodiscard]] virtual const std::shared_ptr<TaskHandle>& handle() const = 0;
  /// Metrics of the source operator in this subtask.
  [[nodiscard]] virtual MetricGroup* metrics() const = 0;
  /// Asks the enumerator for a further split (HandleSplitRequest).
  virtual void RequestSplit() = 0;
  /// Sends the enumerator an event of the source's own.
  virtual void SendToEnumerator(std::string event) = 0;
};

enum class ReadStatus {
  kMore,     ///< Poll again.
  kNothing,  ///< Nothing now; the reader wakes the task when there is.
  kEnd,      ///< All splits are read to their end and no more will come.
};

/// What of a SourceReader does not depend on the type of its records.
class SourceReaderBase {
 public:
  virtual ~SourceReaderBase() = default;
  [[nodiscard]] virtual absl::Status Start(SourceReaderContext& context) = 0;
  [[nodiscard]] virtual absl::Status AddSplits(std::vector<SourceSplit> splits) = 0;
  /// The enumerator has no further splits, ever.
  virtual void NotifyNoMoreSplits() = 0;
  /// Returns all splits that are not read to their end, with their positions. What was emitted lies
  /// before them.
  [[nodiscard]] virtual std::vector<SourceSplit> Snapshot(CheckpointId checkpoint) = 0;
  /// The positions of `checkpoint` are safe; may be told to the outside (a consumer group's
  /// offsets).
  [[nodiscard]] virtual absl::Status NotifyCheckpointComplete(CheckpointId) {
    return absl::OkStatus();
  }
  [[nodiscard]] virtual absl::Status HandleEnumeratorEvent(std::string_view) {
    return absl::OkStatus();
  }
  /// Whether PauseOrResumeSplits works. Without it, watermark alignment pauses the whole reader
  /// when its slowest split is too far ahead.
  [[nodiscard]] virtual bool SupportsPausing() const { return false; }
  /// Emits nothing more of the splits `to_pause`, and goes on with `to_resume`, waking the task if
  /// there is something. Splits are not paused at first, and every id is of a split that is held.
  [[nodiscard]] virtual absl::Status PauseOrResumeSplits(
      const std::vector<std::string>& /*to_pause*/, const std::vector<std::string>& /*to_resume*/) {
    return absl::UnimplementedError("this reader cannot pause splits");
  }
  /// Whether every split held so far was read to where it ended when the source first saw it.
  [[nodiscard]] virtual bool IsCaughtUp() const = 0;
  virtual void Close() {}
};

/// Reads the splits of one subtask.
///
/// Lifecycle: Start → AddSplits (restored ones first) and Poll → Close. Threads: all calls within
/// the task's steps, so none may block: slow reads go to the I/O pool.
template <class T>
class SourceReader : public SourceReaderBase {
 public:
  /// Emits about one batch, or less if there is less.
  [[nodiscard]] virtual absl::StatusOr<ReadStatus> Poll(SourceOutput<T>& output) = 0;
};

/// What an enumerator reaches. Threads: any; calls are delivered in order.
class SplitEnumeratorContext {
 public:
  virtual ~SplitEnumeratorContext() = default;
  [[nodiscard]] virtual uint32_t parallelism() const = 0;
  [[nodiscard]] virtual IoPool* io_pool() const = 0;
  [[nodiscard]] virtual const Clock* clock() const = 0;
  /// The enumerator's own metrics, shown as `<operator>.coordinator.enumerator.<name>`.
  [[nodiscard]] virtual MetricGroup* metrics() = 0;
  virtual void AssignSplits(uint32_t subtask, std::vector<SourceSplit> splits) = 0;
  /// The splits that were there at the start are assigned: a reader that has read them is caught
  /// up.
  virtual void SignalInitialSplitsAssigned(uint32_t subtask) = 0;
  /// No further splits will come for this subtask.
  virtual void SignalNoMoreSplits(uint32_t subtask) = 0;
  virtual void SendToReader(uint32_t subtask, std::string event) = 0;
  virtual void Post(absl::AnyInvocable<absl::Status()> mail) = 0;
  virtual void PostAfter(absl::Duration delay, absl::AnyInvocable<absl::Status()> mail) = 0;
  virtual void Fail(absl::Status reason) = 0;
};

/// Finds the splits of a source and says who reads them. One per source and job attempt; one call
/// at a time; must not block. A restored enumerator does not assign again what its snapshot says
/// was assigned: readers restore their own splits.
class SplitEnumerator {
 public:
  virtual ~SplitEnumerator() = default;
  /// `restored` is what Snapshot returned, or null at a first start.
  [[nodiscard]] virtual absl::Status Start(SplitEnumeratorContext& context,
                                           const std::string* restored) = 0;
  /// The reader of `subtask` has started and holds the splits with these ids (restored ones).
  [[nodiscard]] virtual absl::Status AddReader(uint32_t subtask,
                                               const std::vector<std::string>& split_ids) = 0;
  /// The reader could take a further split.
  [[nodiscard]] virtual absl::Status HandleSplitRequest(uint32_t subtask) = 0;
  [[nodiscard]] virtual absl::Status HandleReaderEvent(uint32_t, std::string_view) {
    return absl::OkStatus();
  }
  [[nodiscard]] virtual absl::StatusOr<std::string> Snapshot(CheckpointId checkpoint) = 0;
  [[nodiscard]] virtual absl::Status NotifyCheckpointComplete(CheckpointId) {
    return absl::OkStatus();
  }
  virtual void Close() {}
};

/// What of a Source does not depend on the type of its records.
class SourceBase {
 public:
  virtual ~SourceBase() = default;
  [[nodiscard]] virtual std::unique_ptr<SplitEnumerator> CreateEnumerator() const = 0;
};

/// Where a stream begins. A value-like description, made in Build and copied into every process;
/// immutable, and its methods may be called from any thread.
template <class T>
class Source : public SourceBase {
 public:
  using Record = T;
  [[nodiscard]] virtual std::unique_ptr<SourceReader<T>> CreateReader() const = 0;
};

}  // namespace weir
