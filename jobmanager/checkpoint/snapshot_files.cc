#include "jobmanager/checkpoint/snapshot_files.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "jobmanager/durable_file.h"
#include "runtime/base/failpoint.h"
#include "runtime/base/ids.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/file_state_store.h"
#include "runtime/record/serde.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kComponent = "checkpoint-storage";
constexpr std::string_view kMetadataName = "_metadata";
constexpr std::string_view kCheckpointPrefix = "chk-";
constexpr std::string_view kSharedFolder = "shared";
// What the state backend, and sinks that leave epochs to their commits, call their files; others in
// the shared folder are not ours to judge.
constexpr std::string_view kStateFileEndings[] = {".sst", ".sst.tmp", ".epoch", ".epoch.tmp"};

using FileVisitor =
    std::function<absl::Status(std::string* path, uint64_t size_bytes, uint64_t checksum)>;

// Calls `visit` with each file of the snapshot, and writes changed paths back.
absl::Status VisitSnapshotFiles(CheckpointMetadata* metadata, const FileVisitor& visit) {
  for (CheckpointedOperator& op : metadata->operators) {
    for (size_t subtask = 0; subtask < op.subtasks.size(); ++subtask) {
      std::string& bytes = op.subtasks[subtask];
      if (bytes.empty()) continue;
      OperatorSubtaskState state;
      if (!FromBytes(bytes, state)) {
        return absl::DataLossError(
            StrCat("the state of an operator in the snapshot is damaged or of another version: "
                   "operator=",
                   op.name, " uid=", op.uid, " subtask=", subtask));
      }
      bool changed = false;
      RETURN_IF_ERROR(
          VisitFiles(&state, [&](std::string* path, uint64_t size_bytes, uint64_t checksum) {
            const std::string before = *path;
            absl::Status status = visit(path, size_bytes, checksum);
            changed = changed || *path != before;
            return status;
          }));
      if (changed) bytes = ToBytes(state);
    }
  }
  return absl::OkStatus();
}

// Copies or links every file of the snapshot to `store`, once, and names the new ones in it.
absl::Status StoreFiles(CheckpointMetadata* metadata, FileStateStore* store) {
  std::map<std::string, std::string> stored_paths;
  return VisitSnapshotFiles(
      metadata, [&](std::string* path, uint64_t size_bytes, uint64_t checksum) -> absl::Status {
        if (const auto known = stored_paths.find(*path); known != stored_paths.end()) {
          *path = known->second;
          return absl::OkStatus();
        }
        std::error_code error;
        if (!fs::exists(*path, error)) {
          return absl::DataLossError(StrCat("a state file is missing: path=", *path));
        }
        // Its own name is a prefix, a random id and what the state backend calls it.
        const std::string name = fs::path(*path).filename();
        ASSIGN_OR_RETURN(const StoredFile stored,
                         store->Store(*path, name.substr(name.rfind('-') + 1)));
        if (stored.size_bytes != size_bytes || stored.checksum != checksum) {
          return absl::DataLossError(StrCat("a state file is damaged: path=", *path,
                                            " size_bytes=", stored.size_bytes,
                                            " expected_size_bytes=", size_bytes));
        }
        stored_paths.emplace(*path, stored.path);
        *path = stored.path;
        return absl::OkStatus();
      });
}

std::string RandomDigits(size_t count) {
  return ToString(RandomId<HexId<struct SavepointNameTag>>()).substr(0, count);
}

// Returns the number of a folder chk-<number>.
std::optional<uint64_t> CheckpointNumber(const fs::path& folder) {
  const std::string name = folder.filename();
  if (!name.starts_with(kCheckpointPrefix)) return std::nullopt;
  uint64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [parsed, error] = std::from_chars(name.data() + kCheckpointPrefix.size(), end, number);
  if (error != std::errc() || parsed != end) return std::nullopt;
  return number;
}

std::vector<fs::path> ListFolder(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    entries.push_back(it->path());
  }
  return entries;
}

bool IsBelow(const std::string& path, const std::string& folder) {
  return path.starts_with(StrCat(folder, "/"));
}

absl::Status RemoveFile(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(
      StrCat("cannot delete a file: path=", path.string(), " error=", error.message()));
}

// The state files that the checkpoints beside `folder` name.
absl::StatusOr<std::set<std::string>> FilesOfSiblings(const fs::path& folder) {
  std::set<std::string> files;
  for (const fs::path& sibling : ListFolder(folder.parent_path())) {
    std::error_code error;
    if (sibling == folder || !CheckpointNumber(sibling).has_value() ||
        !fs::exists(sibling / kMetadataName, error)) {
      continue;
    }
    ASSIGN_OR_RETURN(const CheckpointMetadata metadata, ReadCheckpoint(sibling));
    files.merge(FilesOfSnapshot(metadata));
  }
  return files;
}

absl::Status DeleteSnapshot(const fs::path& folder, const CheckpointMetadata& metadata) {
  std::set<std::string> needed;
  const fs::path scope = metadata.is_savepoint ? folder : folder.parent_path();
  if (!metadata.is_savepoint) {
    ASSIGN_OR_RETURN(needed, FilesOfSiblings(folder));
  }
  // The metadata first: what is left of a folder without it is no snapshot.
  RETURN_IF_ERROR(RemoveFile(folder / kMetadataName));
  for (const std::string& file : FilesOfSnapshot(metadata)) {
    if (!needed.contains(file) && IsBelow(file, scope)) RETURN_IF_ERROR(RemoveFile(file));
  }
  // Those that are empty now; what else somebody has put there stays.
  std::error_code ignored;
  fs::remove(folder, ignored);
  if (!metadata.is_savepoint) {
    fs::remove(scope / kSharedFolder, ignored);
    fs::remove(scope, ignored);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status VisitFiles(OperatorSubtaskState* state, const FileVisitor& visit) {
  for (StoredFile& file : state->files) {
    RETURN_IF_ERROR(visit(&file.path, file.size_bytes, file.checksum));
  }
  if (state->channel_state.has_value() && !state->channel_state->file.path.empty()) {
    StoredFile& file = state->channel_state->file;
    RETURN_IF_ERROR(visit(&file.path, file.size_bytes, file.checksum));
  }
  if (!state->keyed.has_value()) return absl::OkStatus();
  for (StateFile& file : state->keyed->files) {
    if (!file.path.empty()) RETURN_IF_ERROR(visit(&file.path, file.size_bytes, file.checksum));
  }
  return absl::OkStatus();
}

std::vector<std::string> FilesOfState(std::string_view bytes) {
  std::vector<std::string> files;
  OperatorSubtaskState state;
  // Damaged bytes name no files; the restore that needs them will say so.
  if (!FromBytes(bytes, state)) return files;
  VisitFiles(&state, [&files](const std::string* path, uint64_t, uint64_t) {
    files.push_back(*path);
    return absl::OkStatus();
  }).IgnoreError();
  return files;
}

std::set<std::string> FilesOfSnapshot(const CheckpointMetadata& metadata) {
  std::set<std::string> files;
  for (const CheckpointedOperator& op : metadata.operators) {
    for (const std::string& state : op.subtasks) {
      for (std::string& file : FilesOfState(state)) files.insert(std::move(file));
    }
  }
  return files;
}

std::string NormalizedPath(std::string_view path) {
  constexpr std::string_view kScheme = "file:";
  if (path.starts_with(kScheme)) {
    path.remove_prefix(kScheme.size());
    while (path.starts_with("//")) path.remove_prefix(1);
  }
  std::error_code error;
  const fs::path absolute = fs::absolute(fs::path(path), error);
  std::string normal = (error ? fs::path(path) : absolute).lexically_normal();
  while (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
  return normal;
}

std::string SnapshotFolder(std::string_view path) {
  std::string folder = NormalizedPath(path);
  if (fs::path(folder).filename() == kMetadataName) folder = fs::path(folder).parent_path();
  return folder;
}

absl::StatusOr<CheckpointMetadata> ReadCheckpoint(const std::string& path) {
  std::error_code error;
  const std::string file =
      fs::is_regular_file(path, error) ? path : StrCat(path, "/", kMetadataName);
  const absl::StatusOr<std::string> bytes = ReadWholeFile(file);
  if (absl::IsNotFound(bytes.status())) {
    return absl::DataLossError(StrCat("there is no checkpoint and no savepoint at ", path,
                                      "; name a folder that holds _metadata"));
  }
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<CheckpointMetadata> metadata = ParseCheckpointMetadata(*bytes);
  absl::Status status = metadata.status();
  if (status.ok()) {
    const fs::path folder = fs::path(file).parent_path();
    status = VisitSnapshotFiles(&*metadata, [&](std::string* state_file, uint64_t, uint64_t) {
      if (!state_file->starts_with('/')) *state_file = folder / *state_file;
      return absl::OkStatus();
    });
  }
  if (status.ok()) return metadata;
  return absl::Status(status.code(), ToAbsl(StrCat(ToStd(status.message()), ": ", file)));
}

absl::Status CheckFiles(const CheckpointMetadata& metadata) {
  CheckpointMetadata visited = metadata;
  return VisitSnapshotFiles(
      &visited, [](const std::string* path, uint64_t size_bytes, uint64_t) -> absl::Status {
        std::error_code error;
        const uint64_t size = fs::file_size(*path, error);
        if (error) {
          return absl::DataLossError(
              StrCat("a state file is missing: path=", *path, " error=", error.message()));
        }
        if (size == size_bytes) return absl::OkStatus();
        return absl::DataLossError(StrCat("a state file is damaged: path=", *path, " size_bytes=",
                                          size, " expected_size_bytes=", size_bytes));
      });
}

absl::StatusOr<std::string> WriteSavepoint(const CheckpointMetadata& metadata,
                                           SavepointFormat format,
                                           const std::string& target_directory) {
  WEIR_FAILPOINT_RETURN("jobmanager/checkpoint_storage/before_write");
  const std::string path = StrCat(target_directory, "/savepoint-",
                                  ToString(metadata.job_id).substr(0, 6), "-", RandomDigits(12));
  CheckpointMetadata savepoint = metadata;
  savepoint.is_savepoint = true;
  savepoint.savepoint_format = SavepointFormatName(format);
  FileStateStore store(path, ToString(metadata.job_id).substr(0, 6),
                       format == SavepointFormat::kCanonical
                           ? FileStateStore::Sharing::kCopy
                           : FileStateStore::Sharing::kLinkWherePossible);
  absl::Status status = StoreFiles(&savepoint, &store);
  if (status.ok()) {
    status = VisitSnapshotFiles(&savepoint, [](std::string* file, uint64_t, uint64_t) {
      *file = fs::path(*file).filename();
      return absl::OkStatus();
    });
  }
  if (status.ok()) {
    status =
        WriteFileDurably(StrCat(path, "/", kMetadataName), SerializeCheckpointMetadata(savepoint));
  }
  if (status.ok()) return path;
  std::error_code ignored;
  fs::remove_all(path, ignored);
  return status;
}

absl::StatusOr<CheckpointMetadata> ImportSnapshot(const CheckpointMetadata& metadata,
                                                  const std::string& job_folder,
                                                  std::string* path) {
  CheckpointMetadata imported = metadata;
  imported.is_savepoint = false;
  imported.savepoint_format.clear();
  FileStateStore store(StrCat(job_folder, "/", kSharedFolder), "restored");
  RETURN_IF_ERROR(StoreFiles(&imported, &store));
  *path = StrCat(job_folder, "/", kCheckpointPrefix, imported.id.value());
  RETURN_IF_ERROR(
      WriteFileDurably(StrCat(*path, "/", kMetadataName), SerializeCheckpointMetadata(imported)));
  return imported;
}

absl::Status DisposeSnapshot(const std::string& path) {
  std::error_code error;
  const fs::path folder = SnapshotFolder(path);
  if (!fs::is_regular_file(folder / kMetadataName, error)) {
    return absl::NotFoundError(StrCat("there is no checkpoint and no savepoint at ", path,
                                      "; name a folder that holds _metadata"));
  }
  ASSIGN_OR_RETURN(const CheckpointMetadata metadata, ReadCheckpoint(folder));
  return DeleteSnapshot(folder, metadata);
}

JobFolderContent SweepJobFolder(const std::string& job_folder) {
  JobFolderContent content;
  std::set<std::string> needed;  // By name: that is unique, however the folder is spelt.
  std::vector<fs::path> incomplete;
  for (const fs::path& folder : ListFolder(job_folder)) {
    const std::optional<uint64_t> number = CheckpointNumber(folder);
    if (!number.has_value()) continue;
    content.newest_checkpoint = std::max(content.newest_checkpoint, *number);
    std::error_code error;
    if (!fs::exists(folder / kMetadataName, error)) {
      incomplete.push_back(folder);
      continue;
    }
    const absl::StatusOr<CheckpointMetadata> metadata = ReadCheckpoint(folder);
    if (!metadata.ok()) {
      LogWarning(kComponent, StrCat("superfluous state files are left alone, for a checkpoint may "
                                    "need them whose metadata cannot be read: ",
                                    ToStd(metadata.status().message())));
      return content;
    }
    for (const std::string& file : FilesOfSnapshot(*metadata)) {
      needed.insert(fs::path(file).filename());
    }
  }
  std::error_code ignored;
  for (const fs::path& folder : incomplete) fs::remove_all(folder, ignored);
  for (const fs::path& file : ListFolder(fs::path(job_folder) / kSharedFolder)) {
    const std::string name = file.filename();
    const bool is_state =
        std::any_of(std::begin(kStateFileEndings), std::end(kStateFileEndings),
                    [&name](std::string_view ending) { return name.ends_with(ending); });
    if (is_state && !needed.contains(name) && fs::remove(file, ignored)) {
      ++content.num_deleted_files;
    }
  }
  return content;
}

}  // namespace weir
