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
  void Discard(std::vector<std::string> paths, std::vector<std::string> files) override;
  [[nodiscard]] std::vector<std::string> FilesOf(std::string_view state) const override;

 private:
  using Done = std::function<void(absl::Status)>;
  /// What continuations may touch once this is gone.
  struct Shared;

  const std::shared_ptr<CheckpointStorage> storage_;
  const std::shared_ptr<Shared> shared_;
};

}  // namespace weir
