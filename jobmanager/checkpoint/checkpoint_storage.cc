#include "jobmanager/checkpoint/checkpoint_storage.h"

#include <algorithm>
#include <utility>

#include "jobmanager/checkpoint/snapshot_files.h"
#include "runtime/base/failpoint.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr std::string_view kMetadataName = "_metadata";

absl::StatusOr<std::string> WriteCheckpoint(const FileSystems& file_systems,
                                            const std::string& path,
                                            const CheckpointMetadata& metadata) {
  WEIR_FAILPOINT_RETURN("jobmanager/checkpoint_storage/before_write");
  RETURN_IF_ERROR(
      file_systems.Write(StrCat(path, "/", kMetadataName), SerializeCheckpointMetadata(metadata)));
  return path;
}

void RemoveAll(const FileSystems& file_systems, const std::vector<std::string>& paths,
               const std::vector<std::string>& files) {
  for (const std::string& path : paths) {
    // The metadata first: what is left of a folder without it is no checkpoint.
    absl::Status status = file_systems.Delete({StrCat(path, "/", kMetadataName)});
    status.Update(file_systems.DeleteFolder(path));
    if (!status.ok()) {
      LogWarning("checkpoint-storage", StrCat("a superfluous checkpoint stays behind: ", path, ": ",
                                              ToStd(status.message())));
    }
  }
  if (const absl::Status status = file_systems.Delete(files); !status.ok()) {
    LogWarning("checkpoint-storage",
               StrCat("superfluous state files stay behind: ", ToStd(status.message())));
  }
}

absl::StatusOr<CheckpointStorage::Snapshot> TakeOverSnapshot(
    const std::shared_ptr<const FileSystems>& file_systems, const std::string& path,
    const std::string& own_folder,
    const std::function<absl::Status(const CheckpointMetadata&)>& check) {
  ASSIGN_OR_RETURN(CheckpointMetadata metadata, ReadCheckpoint(*file_systems, path));
  RETURN_IF_ERROR(check(metadata));
  CheckpointStorage::Snapshot snapshot;
  snapshot.is_savepoint = metadata.is_savepoint;
  snapshot.was_own = path.starts_with(StrCat(own_folder, "/"));
  if (snapshot.was_own) {
    RETURN_IF_ERROR(CheckFiles(*file_systems, metadata));
    snapshot.path = path;
  } else {
    ASSIGN_OR_RETURN(const JobFolderContent own, SweepJobFolder(*file_systems, own_folder));
    metadata.id = std::max(metadata.id, CheckpointId(own.newest_checkpoint + 1));
    ASSIGN_OR_RETURN(metadata, ImportSnapshot(file_systems, metadata, own_folder, &snapshot.path));
  }
  snapshot.metadata = std::make_shared<const CheckpointMetadata>(std::move(metadata));
  return snapshot;
}

}  // namespace

FolderCheckpointStorage::FolderCheckpointStorage(std::string folder, MainThreadExecutor* executor,
                                                 std::shared_ptr<const FileSystems> file_systems)
    : folder_(std::move(folder)), executor_(executor), file_systems_(std::move(file_systems)) {}

void FolderCheckpointStorage::Write(std::shared_ptr<const CheckpointMetadata> metadata,
                                    std::function<void(absl::StatusOr<std::string>)> done) {
  executor_->RunBlocking([file_systems = file_systems_,
                          path = StrCat(folder_, "/chk-", metadata->id.value()),
                          metadata = std::move(metadata), done = std::move(done)]() mutable {
    return Mail([result = WriteCheckpoint(*file_systems, path, *metadata),
                 done = std::move(done)]() mutable { done(std::move(result)); });
  });
}

void FolderCheckpointStorage::Read(std::string path,
                                   std::function<void(absl::StatusOr<CheckpointMetadata>)> done) {
  executor_->RunBlocking(
      [file_systems = file_systems_, path = std::move(path), done = std::move(done)]() mutable {
        return Mail([result = ReadCheckpoint(*file_systems, path),
                     done = std::move(done)]() mutable { done(std::move(result)); });
      });
}

void FolderCheckpointStorage::WriteSavepoint(
    std::shared_ptr<const CheckpointMetadata> metadata, SavepointFormat format,
    std::string target_directory, std::function<void(absl::StatusOr<std::string>)> done) {
  executor_->RunBlocking([file_systems = file_systems_, metadata = std::move(metadata), format,
                          target = std::move(target_directory), done = std::move(done)]() mutable {
    return Mail([result = weir::WriteSavepoint(file_systems, *metadata, format, target),
                 done = std::move(done)]() mutable { done(std::move(result)); });
  });
}

void FolderCheckpointStorage::TakeOver(std::string path,
                                       std::function<absl::Status(const CheckpointMetadata&)> check,
                                       std::function<void(absl::StatusOr<Snapshot>)> done) {
  executor_->RunBlocking([file_systems = file_systems_, path = std::move(path),
                          check = std::move(check), folder = folder_,
                          done = std::move(done)]() mutable {
    return Mail([result = TakeOverSnapshot(file_systems, path, folder, check),
                 done = std::move(done)]() mutable { done(std::move(result)); });
  });
}

void FolderCheckpointStorage::Sweep(std::function<void(uint64_t newest_checkpoint)> done) {
  executor_->RunBlocking(
      [file_systems = file_systems_, folder = folder_, done = std::move(done)]() mutable {
        const absl::StatusOr<JobFolderContent> content = SweepJobFolder(*file_systems, folder);
        if (!content.ok()) {
          LogWarning("checkpoint-storage",
                     StrCat("superfluous state files stay behind: folder=", folder,
                            " error=", ToStd(content.status().message())));
        } else if (content->num_deleted_files > 0) {
          LogInfo("checkpoint-storage",
                  StrCat("state files that no checkpoint needs were deleted: folder=", folder,
                         " files=", content->num_deleted_files));
        }
        const uint64_t newest = content.ok() ? content->newest_checkpoint : 0;
        return Mail([newest, done = std::move(done)] { done(newest); });
      });
}

void FolderCheckpointStorage::Dispose(std::string path) {
  executor_->RunBlocking([file_systems = file_systems_, path = std::move(path)]() -> Mail {
    const absl::Status status = DisposeSnapshot(*file_systems, path);
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
      [file_systems = file_systems_, paths = std::move(paths), files = std::move(files)]() -> Mail {
        RemoveAll(*file_systems, paths, files);
        return nullptr;
      });
}

std::vector<std::string> FolderCheckpointStorage::FilesOf(std::string_view state) const {
  return FilesOfState(state);
}

}  // namespace weir
