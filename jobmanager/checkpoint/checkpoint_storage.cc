#include "jobmanager/checkpoint/checkpoint_storage.h"

#include <filesystem>
#include <utility>

#include "jobmanager/durable_file.h"
#include "runtime/base/failpoint.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"
#include "runtime/record/serde.h"
#include "runtime/state/operator_subtask_state.h"

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
    std::filesystem::remove_all(path, error);
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

void FolderCheckpointStorage::Discard(std::vector<std::string> paths,
                                      std::vector<std::string> files) {
  executor_->RunBlocking(
      [paths = std::move(paths), files = std::move(files), state_files = state_files_]() -> Mail {
        RemoveAll(paths, files, state_files.get());
        return nullptr;
      });
}

std::vector<std::string> FolderCheckpointStorage::FilesOf(std::string_view bytes) const {
  std::vector<std::string> files;
  OperatorSubtaskState state;
  // Damaged bytes name no files; the restore that needs them will say so.
  if (!FromBytes(bytes, state)) return files;
  for (const StoredFile& file : state.files) files.push_back(file.path);
  if (state.channel_state.has_value() && !state.channel_state->file.path.empty()) {
    files.push_back(state.channel_state->file.path);
  }
  if (!state.keyed.has_value()) return files;
  for (const StateFile& file : state.keyed->files) {
    if (!file.path.empty()) files.push_back(file.path);
  }
  return files;
}

absl::StatusOr<CheckpointMetadata> ReadCheckpoint(const std::string& path) {
  std::error_code error;
  const std::string file =
      std::filesystem::is_regular_file(path, error) ? path : StrCat(path, "/", kMetadataName);
  const absl::StatusOr<std::string> bytes = ReadWholeFile(file);
  if (absl::IsNotFound(bytes.status())) {
    return absl::DataLossError(StrCat("there is no checkpoint at ", path,
                                      "; name a folder chk-<number> that holds _metadata"));
  }
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<CheckpointMetadata> metadata = ParseCheckpointMetadata(*bytes);
  if (metadata.ok()) return metadata;
  return absl::Status(metadata.status().code(),
                      ToAbsl(StrCat(ToStd(metadata.status().message()), ": ", file)));
}

}  // namespace weir
