#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobmanager/checkpoint/checkpoint_metadata.h"
#include "jobmanager/savepoint.h"
#include "runtime/checkpoint/file_systems.h"
#include "runtime/state/operator_subtask_state.h"

namespace weir {

/// The files of checkpoints and savepoints in folders and object stores. All functions block.
///
/// A checkpoint is `<job's folder>/chk-<n>/_metadata`, which names state files by absolute paths,
/// mostly in `<job's folder>/shared`. A savepoint is a folder of its own with all its files; its
/// metadata names them relative to the folder, so that it may be moved.

/// Calls `visit` with each file outside of the metadata that `state` names; it may change the path.
/// The one place that knows where a state names files. Stops at the first error.
[[nodiscard]] absl::Status VisitFiles(
    OperatorSubtaskState* state,
    const std::function<absl::Status(std::string* path, uint64_t size_bytes, uint64_t checksum)>&
        visit);

/// Returns the files that a serialised OperatorSubtaskState names; none if it is damaged.
[[nodiscard]] std::vector<std::string> FilesOfState(std::string_view state);
/// The same of all states of a snapshot.
[[nodiscard]] std::set<std::string> FilesOfSnapshot(const CheckpointMetadata& metadata);

/// Returns the folder of the snapshot that a user named: it, or the `_metadata` file in it.
[[nodiscard]] std::string SnapshotFolder(std::string_view path);

/// Reads the metadata of the checkpoint or savepoint at `path`: its folder, or the `_metadata` file
/// in it. Paths of state files are absolute in the result. Errors: kDataLoss if it is missing or
/// damaged, naming the file; kUnavailable.
[[nodiscard]] absl::StatusOr<CheckpointMetadata> ReadCheckpoint(const FileSystems& file_systems,
                                                                const std::string& path);

/// Checks that the state files of a snapshot are there and as long as they should be. Errors:
/// kDataLoss naming the file.
[[nodiscard]] absl::Status CheckFiles(const FileSystems& file_systems,
                                      const CheckpointMetadata& metadata);

/// Makes a savepoint of a checkpoint that is complete but for its metadata, in a new folder below
/// `target_directory`, durably; returns its path. Leaves nothing behind if it fails. Errors:
/// kDataLoss naming a state file that is missing or damaged, kUnavailable, kResourceExhausted.
[[nodiscard]] absl::StatusOr<std::string> WriteSavepoint(
    const std::shared_ptr<const FileSystems>& file_systems, const CheckpointMetadata& metadata,
    SavepointFormat format, const std::string& target_directory);

/// Makes the snapshot `metadata`, somebody else's, a checkpoint of the job with `job_folder`:
/// `chk-<metadata's id>` there, with files of its own. Returns it, with its path in `*path`.
/// Errors: as WriteSavepoint.
[[nodiscard]] absl::StatusOr<CheckpointMetadata> ImportSnapshot(
    const std::shared_ptr<const FileSystems>& file_systems, const CheckpointMetadata& metadata,
    const std::string& job_folder, std::string* path);

/// Deletes a savepoint, or a checkpoint that its job has retained, with all files that are its own.
/// Errors: kNotFound if there is none at `path`, kDataLoss if its metadata is damaged, which then
/// stays; kUnavailable.
[[nodiscard]] absl::Status DisposeSnapshot(const FileSystems& file_systems,
                                           const std::string& path);

/// What lies in a job's folder.
struct JobFolderContent {
  /// The largest number of a checkpoint; 0 if there is none.
  uint64_t newest_checkpoint = 0;
  size_t num_deleted_files = 0;
};
/// Deletes what no checkpoint in `job_folder` needs: state files that none names, and what is left
/// of checkpoints that were not completed. If the metadata of one cannot be read, nothing is
/// deleted, for it may need any. Called when no task of the job runs. Errors: if the folder cannot
/// be listed; what cannot be deleted is logged.
[[nodiscard]] absl::StatusOr<JobFolderContent> SweepJobFolder(const FileSystems& file_systems,
                                                              const std::string& job_folder);

}  // namespace weir
