#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobmanager/checkpoint/checkpoint_metadata.h"
#include "jobmanager/main_thread_executor.h"
#include "runtime/state/state_file_store.h"

namespace weir {

/// Where a job's completed checkpoints lie, asked from the main thread.
///
/// Threads: called on the main thread; `done`s run there too, later, and not at all once the
/// executor has ended.
class CheckpointStorage {
 public:
  virtual ~CheckpointStorage() = default;

  /// Makes the checkpoint durable; `done` gets the path that Read takes.
  virtual void Write(std::shared_ptr<const CheckpointMetadata> metadata,
                     std::function<void(absl::StatusOr<std::string>)> done) = 0;

  /// Reads the metadata at `path`. Errors: kDataLoss if it is missing or damaged.
  virtual void Read(std::string path,
                    std::function<void(absl::StatusOr<CheckpointMetadata>)> done) = 0;

  /// Removes what Write made at `path` (if not empty), and state files. Errors are logged: what
  /// stays behind costs space only.
  virtual void Discard(std::vector<std::string> paths, std::vector<std::string> files) = 0;

  /// Returns the state files that a serialised OperatorSubtaskState names.
  [[nodiscard]] virtual std::vector<std::string> FilesOf(std::string_view state) const = 0;
};

/// Checkpoints in `folder`/chk-<n>/_metadata.
class FolderCheckpointStorage final : public CheckpointStorage {
 public:
  /// `folder` is the job's own; it is created by the first checkpoint. `state_files` removes state
  /// files by the paths that checkpoints name.
  FolderCheckpointStorage(std::string folder, MainThreadExecutor* executor,
                          std::shared_ptr<StateFileStore> state_files);

  void Write(std::shared_ptr<const CheckpointMetadata> metadata,
             std::function<void(absl::StatusOr<std::string>)> done) override;
  void Read(std::string path,
            std::function<void(absl::StatusOr<CheckpointMetadata>)> done) override;
  void Discard(std::vector<std::string> paths, std::vector<std::string> files) override;
  [[nodiscard]] std::vector<std::string> FilesOf(std::string_view state) const override;

 private:
  const std::string folder_;
  MainThreadExecutor* const executor_;
  const std::shared_ptr<StateFileStore> state_files_;
};

/// Reads the metadata of the checkpoint at `path`: a chk-<n> folder, or its `_metadata` file.
/// Blocks. Errors: kDataLoss if it is missing or damaged, naming the file; kUnavailable.
[[nodiscard]] absl::StatusOr<CheckpointMetadata> ReadCheckpoint(const std::string& path);

}  // namespace weir
