#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "operators/api/sink.h"
#include "runtime/base/io_pool.h"
#include "runtime/state/operator_subtask_state.h"
#include "runtime/task/operator.h"

namespace weir::internal {

/// Holds what a sink's writer has prepared, from the checkpoint it belongs to until it is
/// committed.
///
/// A committable, and with it its files, is in every snapshot from its own checkpoint on until its
/// commit has succeeded; what a restored snapshot holds belongs to a completed checkpoint and is
/// committed at once. A snapshot that fails before it comes to the sink leaves the epoch
/// unprepared; the next snapshot prepares both. The committables of one subtask are one element of
/// the state, so that a change of parallelism never divides them among committers. A commit is
/// tried only while the task may commit; else it waits, without holding a thread, and goes on by
/// itself. Threads: the task's; commits run on the I/O pool, in order.
class Committing {
 public:
  /// `committer` may be null: then nothing is ever prepared.
  [[nodiscard]] absl::Status Open(OperatorContext& context, std::unique_ptr<Committer> committer,
                                  std::vector<OperatorSubtaskState> restored);
  [[nodiscard]] OperatorSnapshot Snapshot(CheckpointId checkpoint, PrepareCommit prepare);
  /// Begins to commit everything that was prepared for `checkpoint` or an earlier one.
  void Commit(CheckpointId checkpoint);
  /// Goes on with commits that had to wait. Called whenever the task was woken.
  void OnWake();
  [[nodiscard]] bool in_flight() const { return active_ || !queue_.empty(); }
  /// No commit is tried again; one under way ends soon.
  void Close();

 private:
  struct Prepared {
    uint64_t checkpoint = 0;
    std::string bytes;
    std::vector<StoredFile> files;
  };
  // An epoch that has ended and whose output is not prepared yet.
  struct Unprepared {
    uint64_t checkpoint = 0;
    PrepareCommit prepare;
  };
  // The epochs of a snapshot under way.
  struct Epochs {
    std::vector<Unprepared> unprepared;
    std::vector<Prepared> prepared;
  };
  // What a snapshot holds of one subtask.
  struct Share {
    std::string identity;
    std::vector<Prepared> prepared;
  };
  static constexpr const char* kStateName = "committables-of-subtasks";

  static absl::Status Prepare(Epochs& epochs, StateFileStore& store);
  static absl::StatusOr<OperatorSubtaskState> Store(Share share);
  void StartNext();

  OperatorContext* context_ = nullptr;
  std::shared_ptr<Committer> committer_;
  const std::shared_ptr<std::atomic<bool>> closed_ = std::make_shared<std::atomic<bool>>(false);
  std::unique_ptr<IoStrand> strand_;
  std::vector<Unprepared> unprepared_;          // Of snapshots that never came to the sink.
  std::vector<Prepared> pending_;               // Prepared; waits for its checkpoint.
  std::vector<Prepared> committing_;            // Handed to the committer, in order.
  std::deque<std::vector<Committable>> queue_;  // Of committing_, what is not under way.
  bool active_ = false;                         // The committer is at the first of committing_.
};

}  // namespace weir::internal
