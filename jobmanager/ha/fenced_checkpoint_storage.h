#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "jobmanager/checkpoint/checkpoint_storage.h"
#include "jobmanager/ha/job_store.h"
#include "jobmanager/main_thread_executor.h"

namespace weir {

/// A job's checkpoint storage whose checkpoints only count once the leader's job store points to
/// them: what a deposed leader writes completes nothing.
///
/// A pointer is written before anybody is told that a checkpoint is complete, and so before an
/// older one is removed. Pointers to removed checkpoints go with the next write. Threads: main
/// thread.
class FencedCheckpointStorage final : public CheckpointStorage {
 public:
  /// `store` and `executor` are borrowed. `pointers` are those in the store.
  FencedCheckpointStorage(std::unique_ptr<CheckpointStorage> storage, JobId job_id,
                          CheckpointPointers pointers, JobStore* store,
                          MainThreadExecutor* executor);

  void Write(std::shared_ptr<const CheckpointMetadata> metadata,
             std::function<void(absl::StatusOr<std::string>)> done) override;
  void Read(std::string path,
            std::function<void(absl::StatusOr<CheckpointMetadata>)> done) override;
  /// Savepoints are the user's, and need no pointer.
  void WriteSavepoint(std::shared_ptr<const CheckpointMetadata> metadata, SavepointFormat format,
                      std::string target_directory,
                      std::function<void(absl::StatusOr<std::string>)> done) override;
  /// What is taken over counts without a pointer: a job that has none starts from it again.
  void TakeOver(std::string path, std::function<absl::Status(const CheckpointMetadata&)> check,
                std::function<void(absl::StatusOr<Snapshot>)> done) override;
  void Sweep(std::function<void(uint64_t newest_checkpoint)> done) override;
  void Dispose(std::string path) override;
  void Discard(std::vector<std::string> paths, std::vector<std::string> files) override;
  [[nodiscard]] std::vector<std::string> FilesOf(std::string_view state) const override;

 private:
  using Done = std::function<void(absl::Status)>;
  using Written = std::function<void(absl::StatusOr<std::string>)>;
  /// What continuations may touch once this is gone.
  struct Shared;

  /// Reserves the id, has `write` make the snapshot, and points to it; then calls `done`.
  void WriteFenced(CheckpointId id, bool is_users, std::function<void(Written)> write,
                   Written done);

  const std::shared_ptr<CheckpointStorage> storage_;
  const std::shared_ptr<Shared> shared_;
};

}  // namespace weir
