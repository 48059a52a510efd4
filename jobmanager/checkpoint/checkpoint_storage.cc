#include "jobmanager/checkpoint/checkpoint_storage.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "jobmanager/checkpoint/snapshot_files.h"
#include "jobmanager/durable_file.h"
#include "runtime/base/failpoint.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr std::string_view kMetadataName = "_metadata";

absl::StatusOr<std::string> WriteCheckpoint(const std::string& path,
                                            const CheckpointMetadata& metadata) {
  WEIR_FAILPOINT_RETURN("jobmanager/checkpoint_storage/before_write");
  RETURN_IF_ERROR(
      WriteFileDurably(StrCat(path, "/", kMetadataName), SerializeCheckpointMetadata(metadata)));
  return path;
}

void RemoveAll(const std::vector<std::string>& paths, const std::vector<std::string>& files,
               StateFileStore* state_files) {
  std::error_code error;
  for (const std::string& path : paths) {
    // The metadata first: what is left of a folder without it is no checkpoint.
    std::filesystem::remove(StrCat(path, "/", kMetadataName), error);
    // What else is removed at the same time, such as the checkpoints in a job's folder, ends
    // remove_all early.
    for (int tries = 0; tries < 100; ++tries) {
      std::filesystem::remove_all(path, error);
      if (error != std::errc::no_such_file_or_directory) break;
    }
    if (error) {
      LogWarning("checkpoint-storage",
                 StrCat("a superfluous checkpoint stays behind: ", path, ": ", error.message()));
    }
  }
  for (const std::string& file : files) {
    const absl::Status status = state_files->Delete(file);
    if (!status.ok()) {
      LogWarning("checkpoint-storage",
                 StrCat("a superfluous state file stays behind: ", ToStd(status.message())));
    }
  }
}

absl::StatusOr<CheckpointStorage::Snapshot> TakeOverSnapshot(
    const std::string& path, const std::string& own_folder,
    const std::function<absl::Status(const CheckpointMetadata&)>& check) {
  ASSIGN_OR_RETURN(CheckpointMetadata metadata, ReadCheckpoint(path));
  RETURN_IF_ERROR(check(metadata));
  CheckpointStorage::Snapshot snapshot;
  snapshot.is_savepoint = metadata.is_savepoint;
  snapshot.was_own = path.starts_with(StrCat(own_folder, "/"));
  if (snapshot.was_own) {
    RETURN_IF_ERROR(CheckFiles(metadata));
    snapshot.path = path;
  } else {
    const uint64_t newest = SweepJobFolder(own_folder).newest_checkpoint;
    metadata.id = std::max(metadata.id, CheckpointId(newest + 1));
    ASSIGN_OR_RETURN(metadata, ImportSnapshot(metadata, own_folder, &snapshot.path));
  }
  snapshot.metadata = std::make_shared<const CheckpointMetadata>(std::move(metadata));
  return snapshot;
}

}  // namespace

FolderCheckpointStorage::FolderCheckpointStorage(std::string folder, MainThreadExecutor* executor,
                                                 std::shared_ptr<StateFileStore> state_files)
    : folder_(std::move(folder)), executor_(executor), state_files_(std::move(state_files)) {}

void FolderCheckpointStorage::Write(std::shared_ptr<const CheckpointMetadata> metadata,
                                    std::function<void(absl::StatusOr<std::string>)> done) {
  executor_->RunBlocking([path = StrCat(folder_, "/chk-", metadata->id.value()),
                          metadata = std::move(metadata), done = std::move(done)]() mutable {
    return Mail([result = WriteCheckpoint(path, *metadata), done = std::move(done)]() mutable {
      done(std::move(result));
    });
  });
}

void FolderCheckpointStorage::Read(std::string path,
                                   std::function<void(absl::StatusOr<CheckpointMetadata>)> done) {
  executor_->RunBlocking([path = std::move(path), done = std::move(done)]() mutable {
    return Mail([result = ReadCheckpoint(path), done = std::move(done)]() mutable {
      done(std::move(result));
    });
  });
}

void FolderCheckpointStorage::WriteSavepoint(
    std::shared_ptr<const CheckpointMetadata> metadata, SavepointFormat format,
    std::string target_directory, std::function<void(absl::StatusOr<std::string>)> done) {
  executor_->RunBlocking([metadata = std::move(metadata), format,
                          target = std::move(target_directory), done = std::move(done)]() mutable {
    return Mail([result = weir::WriteSavepoint(*metadata, format, target),
                 done = std::move(done)]() mutable { done(std::move(result)); });
  });
}

void FolderCheckpointStorage::TakeOver(std::string path,
                                       std::function<absl::Status(const CheckpointMetadata&)> check,
                                       std::function<void(absl::StatusOr<Snapshot>)> done) {
  executor_->RunBlocking([path = std::move(path), check = std::move(check), folder = folder_,
                          done = std::move(done)]() mutable {
    return Mail([result = TakeOverSnapshot(path, folder, check), done = std::move(done)]() mutable {
      done(std::move(result));
    });
  });
}

void FolderCheckpointStorage::Sweep(std::function<void(uint64_t newest_checkpoint)> done) {
  executor_->RunBlocking([folder = folder_, done = std::move(done)]() mutable {
    const JobFolderContent content = SweepJobFolder(folder);
    if (content.num_deleted_files > 0) {
      LogInfo("checkpoint-storage",
              StrCat("state files that no checkpoint needs were deleted: folder=", folder,
                     " files=", content.num_deleted_files));
    }
    return Mail([newest = content.newest_checkpoint, done = std::move(done)] { done(newest); });
  });
}

void FolderCheckpointStorage::Dispose(std::string path) {
  executor_->RunBlocking([path = std::move(path)]() -> Mail {
    const absl::Status status = DisposeSnapshot(path);
    if (!status.ok() && !absl::IsNotFound(status)) {
      LogWarning("checkpoint-storage",
                 StrCat("a superfluous snapshot stays behind: ", ToStd(status.message())));
    }
    return nullptr;
  });
}

void FolderCheckpointStorage::Discard(std::vector<std::string> paths,
                                      std::vector<std::string> files) {
  executor_->RunBlocking(
      [paths = std::move(paths), files = std::move(files), state_files = state_files_]() -> Mail {
        RemoveAll(paths, files, state_files.get());
        return nullptr;
      });
}

std::vector<std::string> FolderCheckpointStorage::FilesOf(std::string_view state) const {
  return FilesOfState(state);
}

}  // namespace weir
