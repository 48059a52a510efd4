#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobmanager/checkpoint/checkpoint_metadata.h"
#include "jobmanager/main_thread_executor.h"
#include "jobmanager/savepoint.h"
#include "runtime/checkpoint/file_systems.h"

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

  /// Makes a self-contained savepoint, durably, in a new folder in `target_directory`; `done` gets
  /// its path. Errors: see snapshot_files.h.
  virtual void WriteSavepoint(std::shared_ptr<const CheckpointMetadata> metadata,
                              SavepointFormat format, std::string target_directory,
                              std::function<void(absl::StatusOr<std::string>)> done) = 0;

  /// A snapshot from which a job starts, and where it lies.
  struct Snapshot {
    std::shared_ptr<const CheckpointMetadata> metadata;
    std::string path;
    bool is_savepoint = false;
    /// Whether it lay in the job's own folder, and was left where it is.
    bool was_own = false;
  };
  /// Reads a snapshot of the user's and makes a checkpoint of the job's own of it, with files of
  /// its own. `check` runs where it may block, before anything is written; its error ends it.
  /// Errors: kDataLoss naming a file that is missing or damaged.
  virtual void TakeOver(std::string path,
                        std::function<absl::Status(const CheckpointMetadata&)> check,
                        std::function<void(absl::StatusOr<Snapshot>)> done) = 0;

  /// Deletes what no checkpoint in the job's folder needs; `done` gets the largest number of those
  /// that are there, 0 if the folder cannot be read. Called when no task of the job runs.
  virtual void Sweep(std::function<void(uint64_t newest_checkpoint)> done) = 0;

  /// Deletes a savepoint, or another job's checkpoint, with all its files. Errors are logged.
  virtual void Dispose(std::string path) = 0;

  /// Removes what Write made at `paths`, and state files. Errors are logged: what stays behind
  /// costs space only.
  virtual void Discard(std::vector<std::string> paths, std::vector<std::string> files) = 0;

  /// Returns the state files that a serialised OperatorSubtaskState names.
  [[nodiscard]] virtual std::vector<std::string> FilesOf(std::string_view state) const = 0;
};

/// Checkpoints in `folder`/chk-<n>/_metadata.
class FolderCheckpointStorage final : public CheckpointStorage {
 public:
  /// `folder` is the job's own, in any file system; it is created by the first checkpoint.
  FolderCheckpointStorage(std::string folder, MainThreadExecutor* executor,
                          std::shared_ptr<const FileSystems> file_systems = FileSystems::Local());

  void Write(std::shared_ptr<const CheckpointMetadata> metadata,
             std::function<void(absl::StatusOr<std::string>)> done) override;
  void Read(std::string path,
            std::function<void(absl::StatusOr<CheckpointMetadata>)> done) override;
  void WriteSavepoint(std::shared_ptr<const CheckpointMetadata> metadata, SavepointFormat format,
                      std::string target_directory,
                      std::function<void(absl::StatusOr<std::string>)> done) override;
  void TakeOver(std::string path, std::function<absl::Status(const CheckpointMetadata&)> check,
                std::function<void(absl::StatusOr<Snapshot>)> done) override;
  void Dispose(std::string path) override;
  void Sweep(std::function<void(uint64_t newest_checkpoint)> done) override;
  void Discard(std::vector<std::string> paths, std::vector<std::string> files) override;
  [[nodiscard]] std::vector<std::string> FilesOf(std::string_view state) const override;

 private:
  const std::string folder_;
  MainThreadExecutor* const executor_;
  const std::shared_ptr<const FileSystems> file_systems_;
};

}  // namespace weir
