#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "operators/testing/manual_clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/mutex.h"
#include "runtime/graph/stream_graph.h"
#include "runtime/record/stream_element.h"
#include "runtime/state/operator_subtask_state.h"
#include "runtime/state/state_file_store.h"
#include "runtime/task/operator.h"

namespace weir {

struct OperatorTestOptions {
  /// Subtasks of each operator that does not set its own parallelism. Keyed records go to the
  /// subtask that owns their key group; others are dealt out in turn.
  uint32_t parallelism = 1;
  uint32_t max_parallelism = 128;
  /// If set, an output is full as soon as it holds this many records: the operator must suspend
  /// and go on later, which it otherwise does only after about a thousand.
  std::optional<size_t> output_capacity = std::nullopt;
  /// What keyed state of all operators may take in memory. Near it, entries not used for a while
  /// leave for the disk, as in a TaskManager; 1 lets all leave that may.
  int64_t state_memory_bytes = int64_t{1} << 40;
  /// Where processing time begins.
  absl::Time start_time = absl::UnixEpoch();
};

/// The state of all operators of a harness at one checkpoint, as a checkpoint's files and metadata
/// would hold it. A small value; copies are the same snapshot.
class OperatorTestSnapshot {
 public:
  struct Data;
  explicit OperatorTestSnapshot(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
  [[nodiscard]] CheckpointId checkpoint() const;
  /// What the snapshot takes in storage.
  [[nodiscard]] uint64_t SizeBytes() const;
  [[nodiscard]] const Data& data() const { return *data_; }

 private:
  std::shared_ptr<const Data> data_;
};

namespace internal {

class TestFolder;

/// Runs the operators of a graph, its inputs fed by hand: everything of OperatorTestHarness that
/// does not depend on the records' types.
///
/// Each operator subtask is a chain of its own with the input gate and record writers of a real
/// task, so that partitioning, watermarks and barriers work as they do there. All of them run in
/// the calling thread, in one fixed order, until none can go on. The first failure stops everything
/// for good.
class OperatorTestCore {
 public:
  /// One element that left the graph.
  struct Captured {
    StreamNodeIndex node = 0;
    uint32_t port = 0;
    uint32_t subtask = 0;
    StreamElement element;
  };

  explicit OperatorTestCore(OperatorTestOptions options);
  ~OperatorTestCore();
  OperatorTestCore(const OperatorTestCore&) = delete;
  OperatorTestCore& operator=(const OperatorTestCore&) = delete;

  // Before the first element:
  [[nodiscard]] StreamGraph& graph() { return graph_; }
  /// Adds an input and returns its node, to build on. `type` is that of its records.
  [[nodiscard]] StreamNodeIndex AddInput(std::shared_ptr<const BatchType> type);
  /// Captures what `node` emits on `port`. Tagged side outputs are captured in any case.
  void CaptureMainOutput(StreamNodeIndex node, uint32_t port);
  void Restore(OperatorTestSnapshot snapshot);

  /// Makes the operators and opens them; done by the first use if not before.
  void Open();
  /// Hands an element to input `input` and lets the operators work.
  void Push(size_t input, StreamElement element);
  void PushToAll(const StreamElement& element);
  /// Moves processing time on to `time`, stopping wherever an operator asked to be woken.
  void SetProcessingTime(absl::Time time);
  /// Waits until what operators posted to the I/O pool is done, and lets them work with the result.
  void AwaitIo();

  [[nodiscard]] CheckpointId BeginSnapshot();
  [[nodiscard]] OperatorTestSnapshot FinishSnapshot();
  void NotifyCheckpointComplete(CheckpointId checkpoint);

  [[nodiscard]] std::vector<Captured> TakeMainOutput();
  [[nodiscard]] std::vector<Captured> TakeSideOutput(std::string_view tag);
  [[nodiscard]] const absl::Status& status();
  [[nodiscard]] EventTime output_watermark() const { return output_watermark_; }
  [[nodiscard]] ManualClock& clock() { return clock_; }

  /// The number of entries of all states of which `counts` is true.
  [[nodiscard]] size_t NumStateEntries(
      const std::function<bool(std::string_view name, StateKind kind)>& counts);
  [[nodiscard]] uint64_t CounterValue(std::string_view name);
  [[nodiscard]] size_t num_suspensions() const { return num_suspensions_; }

 private:
  class Capture;
  class Handle;
  class Context;
  struct Subtask;
  struct InputWriters;
  using Mail = absl::AnyInvocable<absl::Status()>;
  // Shared with the operators' handles, which may outlive the core on other threads.
  struct Mailbox {
    std::thread::id thread;  // The test's.
    Mutex mutex;
    std::deque<Mail> mails ABSL_GUARDED_BY(mutex);
    // Of other threads: run by AwaitIo only, so that a test does not depend on their speed.
    std::deque<Mail> foreign_mails ABSL_GUARDED_BY(mutex);
    std::multiset<absl::Time> wakes ABSL_GUARDED_BY(mutex);
    bool closed ABSL_GUARDED_BY(mutex) = false;
  };
  // What one subtask's main output has said.
  struct OutputState {
    EventTime watermark = EventTime::Min();
    bool idle = false;
    bool ended = false;
    bool caught_up = false;
  };

  absl::Status DoOpen();
  absl::Status CreateSubtasks();
  void CreateSubtask(StreamNodeIndex index, uint32_t subtask_index);
  void ConnectEdge(const StreamEdge& edge);
  absl::Status OpenSubtasks();
  absl::StatusOr<std::vector<OperatorSubtaskState>> RestoredStates(const Subtask& subtask) const;
  [[nodiscard]] uint32_t ParallelismOf(StreamNodeIndex node) const;

  void Fail(absl::Status reason);
  void Write(size_t input, StreamElement element);
  void RunUntilIdle();
  // These return whether there was anything to do.
  absl::StatusOr<bool> Step(Subtask& subtask);
  absl::StatusOr<bool> RunMail(bool foreign);
  bool DrainCaptures();
  bool TakeDueWakes();
  void OnOutputControl(const Captured& captured);
  IoPool* io_pool();

  const OperatorTestOptions options_;
  ManualClock clock_;
  MemoryBudget memory_budget_{int64_t{1} << 40};  // For what is between operators.
  MemoryBudget state_memory_{options_.state_memory_bytes};
  StreamGraph graph_;
  std::vector<StreamNodeIndex> inputs_;
  std::set<std::pair<StreamNodeIndex, uint32_t>> main_outputs_;
  std::optional<OperatorTestSnapshot> restored_;
  // State that outgrew memory, and large snapshots; kept by snapshots too.
  std::shared_ptr<TestFolder> folder_;
  std::shared_ptr<StateFileStore> state_store_;
  std::shared_ptr<Mailbox> mailbox_;
  std::unique_ptr<IoPool> io_pool_;  // Made when an operator first asks for it.

  bool opened_ = false;
  absl::Status status_;
  bool status_was_read_ = false;
  std::vector<std::unique_ptr<InputWriters>> input_writers_;  // One per input.
  std::vector<std::unique_ptr<Capture>> captures_;
  std::vector<std::unique_ptr<Subtask>> subtasks_;                // In topological order.
  std::map<StreamNodeIndex, std::vector<Subtask*>> subtasks_of_;  // By subtask index.

  std::vector<Captured> main_output_;
  std::map<std::string, std::vector<Captured>, std::less<>> side_outputs_;
  std::map<std::tuple<StreamNodeIndex, uint32_t, uint32_t>, OutputState> output_states_;
  EventTime output_watermark_ = EventTime::Min();
  bool output_idle_ = false;
  size_t num_suspensions_ = 0;

  uint64_t next_checkpoint_ = 1;
  std::optional<CheckpointId> pending_checkpoint_;
  size_t num_taken_snapshots_ = 0;
};

}  // namespace internal
}  // namespace weir
