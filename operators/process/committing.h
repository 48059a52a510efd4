#pragma once

#include <cstdint>
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
/// A committable is in every snapshot from its own checkpoint on until its commit has succeeded;
/// what a restored snapshot holds belongs to a completed checkpoint and is committed at once.
/// Threads: the task's; commits run on the I/O pool, in order.
class Committing {
 public:
  /// `committer` may be null: then nothing is ever prepared.
  [[nodiscard]] absl::Status Open(OperatorContext& context, std::unique_ptr<Committer> committer,
                                  std::vector<OperatorSubtaskState> restored);
  [[nodiscard]] OperatorSnapshot Snapshot(CheckpointId checkpoint, PrepareCommit prepare);
  /// Begins to commit everything that was prepared for `checkpoint` or an earlier one.
  void Commit(CheckpointId checkpoint);
  [[nodiscard]] bool in_flight() const { return in_flight_ > 0; }

 private:
  struct Committable {
    uint64_t checkpoint = 0;
    std::string bytes;
  };
  static constexpr const char* kStateName = "committables";

  static absl::StatusOr<OperatorStateHandle> Store(std::vector<Committable> committables);

  OperatorContext* context_ = nullptr;
  std::shared_ptr<Committer> committer_;
  std::unique_ptr<IoStrand> strand_;
  std::vector<Committable> pending_;     // Prepared; waits for its checkpoint.
  std::vector<Committable> committing_;  // Handed to the committer, in order.
  int in_flight_ = 0;
};

}  // namespace weir::internal
