#include "jobmanager/checkpoint/snapshot_files.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "runtime/base/concurrent_calls.h"
#include "runtime/base/failpoint.h"
#include "runtime/base/ids.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/file_state_store.h"
#include "runtime/record/serde.h"

namespace weir {
namespace {

constexpr std::string_view kComponent = "checkpoint-storage";
constexpr std::string_view kMetadataName = "_metadata";
constexpr std::string_view kCheckpointPrefix = "chk-";
constexpr std::string_view kSharedFolder = "shared";
// As many as a TaskManager has by default.
constexpr int kTransfersAtOnce = 4;
// What the state backend, unaligned checkpoints, and sinks that leave epochs to their commits call
// their files; others in the shared folder are not ours to judge.
constexpr std::string_view kStateFileEndings[] = {".sst",   ".sst.tmp",   "-channels",
                                                  ".epoch", ".epoch.tmp", "-channels.tmp"};

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

absl::Status MissingFile(const std::string& path) {
  return absl::DataLossError(StrCat("a state file is missing: path=", path));
}

absl::Status DamagedFile(const std::string& path, uint64_t size_bytes, uint64_t expected) {
  return absl::DataLossError(StrCat("a state file is damaged: path=", path,
                                    " size_bytes=", size_bytes, " expected_size_bytes=", expected));
}

// Copies or links a file of a snapshot to `store`.
absl::StatusOr<StoredFile> StoreFile(const StoredFile& file, FileStateStore* store) {
  // Its own name is a prefix, a random id and what the state backend calls it.
  const std::string name = FileName(file.path);
  absl::StatusOr<StoredFile> stored = store->Store(file.path, name.substr(name.rfind('-') + 1));
  if (absl::IsNotFound(stored.status())) return MissingFile(file.path);
  if (!stored.ok() ||
      (stored->size_bytes == file.size_bytes && stored->checksum == file.checksum)) {
    return stored;
  }
  store->Delete(stored->path).IgnoreError();
  return DamagedFile(file.path, stored->size_bytes, file.size_bytes);
}

// Copies or links every file of the snapshot to `store`, once, and names the new ones in it. Leaves
// none there if it fails.
absl::Status StoreFiles(CheckpointMetadata* metadata, FileStateStore* store) {
  std::vector<StoredFile> files;
  std::map<std::string, size_t> indexes;  // In files, by path.
  RETURN_IF_ERROR(VisitSnapshotFiles(
      metadata, [&](const std::string* path, uint64_t size_bytes, uint64_t checksum) {
        if (indexes.try_emplace(*path, files.size()).second) {
          files.push_back({*path, size_bytes, checksum});
        }
        return absl::OkStatus();
      }));
  std::vector<std::string> stored_paths(files.size());
  const absl::Status status =
      CallConcurrently(files.size(), kTransfersAtOnce, [&](size_t i) -> absl::Status {
        ASSIGN_OR_RETURN(StoredFile stored, StoreFile(files[i], store));
        stored_paths[i] = std::move(stored.path);
        return absl::OkStatus();
      });
  if (!status.ok()) {
    for (const std::string& path : stored_paths) {
      if (!path.empty()) store->Delete(path).IgnoreError();
    }
    return status;
  }
  return VisitSnapshotFiles(metadata, [&](std::string* path, uint64_t, uint64_t) {
    *path = stored_paths[indexes.at(*path)];
    return absl::OkStatus();
  });
}

std::string RandomDigits(size_t count) {
  return ToString(RandomId<HexId<struct SavepointNameTag>>()).substr(0, count);
}

std::string MetadataFile(const std::string& folder) { return StrCat(folder, "/", kMetadataName); }

// Returns the number of a folder chk-<number>.
std::optional<uint64_t> CheckpointNumber(const FileEntry& entry) {
  const std::string& name = entry.name;
  if (!entry.is_folder || !name.starts_with(kCheckpointPrefix)) return std::nullopt;
  uint64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [parsed, error] = std::from_chars(name.data() + kCheckpointPrefix.size(), end, number);
  if (error != std::errc() || parsed != end) return std::nullopt;
  return number;
}

bool IsBelow(const std::string& path, const std::string& folder) {
  return path.starts_with(StrCat(folder, "/"));
}

// Whether a file is there. Errors: those of the file system, but for kNotFound.
absl::StatusOr<bool> Exists(const FileSystems& files, const std::string& path) {
  const absl::Status status = files.Size(path).status();
  if (absl::IsNotFound(status)) return false;
  RETURN_IF_ERROR(status);
  return true;
}

absl::Status NoSnapshot(std::string_view path) {
  return absl::NotFoundError(StrCat("there is no checkpoint and no savepoint at ", path,
                                    "; name a folder that holds _metadata"));
}

// The state files that the checkpoints beside `folder` name.
absl::StatusOr<std::set<std::string>> FilesOfSiblings(const FileSystems& file_systems,
                                                      const std::string& folder) {
  std::set<std::string> files;
  const std::string parent = ParentFolder(folder);
  ASSIGN_OR_RETURN(const std::vector<FileEntry> entries, file_systems.List(parent));
  for (const FileEntry& entry : entries) {
    const std::string sibling = StrCat(parent, "/", entry.name);
    if (sibling == folder || !CheckpointNumber(entry).has_value()) continue;
    ASSIGN_OR_RETURN(const bool is_complete, Exists(file_systems, MetadataFile(sibling)));
    if (!is_complete) continue;
    ASSIGN_OR_RETURN(const CheckpointMetadata metadata, ReadCheckpoint(file_systems, sibling));
    files.merge(FilesOfSnapshot(metadata));
  }
  return files;
}

absl::Status DeleteSnapshot(const FileSystems& file_systems, const std::string& folder,
                            const CheckpointMetadata& metadata) {
  std::set<std::string> needed;
  const std::string scope = metadata.is_savepoint ? folder : ParentFolder(folder);
  if (!metadata.is_savepoint) {
    ASSIGN_OR_RETURN(needed, FilesOfSiblings(file_systems, folder));
  }
  // The metadata first: what is left of a folder without it is no snapshot.
  RETURN_IF_ERROR(file_systems.Delete({MetadataFile(folder)}));
  std::vector<std::string> superfluous;
  for (const std::string& file : FilesOfSnapshot(metadata)) {
    if (!needed.contains(file) && IsBelow(file, scope)) superfluous.push_back(file);
  }
  RETURN_IF_ERROR(file_systems.Delete(superfluous));
  // Those that are empty now; what else somebody has put there stays.
  file_systems.DeleteFolderIfEmpty(folder);
  if (!metadata.is_savepoint) {
    file_systems.DeleteFolderIfEmpty(StrCat(scope, "/", kSharedFolder));
    file_systems.DeleteFolderIfEmpty(scope);
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

std::string SnapshotFolder(std::string_view path) {
  std::string folder = NormalizedPath(path);
  if (FileName(folder) == kMetadataName) folder = ParentFolder(folder);
  return folder;
}

absl::StatusOr<CheckpointMetadata> ReadCheckpoint(const FileSystems& file_systems,
                                                  const std::string& path) {
  const std::string folder = SnapshotFolder(path);
  const std::string file = MetadataFile(folder);
  const absl::StatusOr<std::string> bytes = file_systems.Read(file);
  if (absl::IsNotFound(bytes.status())) {
    return absl::DataLossError(ToAbsl(ToStd(NoSnapshot(path).message())));
  }
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<CheckpointMetadata> metadata = ParseCheckpointMetadata(*bytes);
  absl::Status status = metadata.status();
  if (status.ok()) {
    status = VisitSnapshotFiles(&*metadata, [&](std::string* state_file, uint64_t, uint64_t) {
      if (!IsAbsolutePath(*state_file)) *state_file = StrCat(folder, "/", *state_file);
      return absl::OkStatus();
    });
  }
  if (status.ok()) return metadata;
  return absl::Status(status.code(), ToAbsl(StrCat(ToStd(status.message()), ": ", file)));
}

absl::Status CheckFiles(const FileSystems& file_systems, const CheckpointMetadata& metadata) {
  CheckpointMetadata visited = metadata;
  std::set<std::pair<std::string, uint64_t>> distinct;  // Subtasks may name the same files.
  RETURN_IF_ERROR(
      VisitSnapshotFiles(&visited, [&](const std::string* path, uint64_t size_bytes, uint64_t) {
        distinct.emplace(*path, size_bytes);
        return absl::OkStatus();
      }));
  const std::vector<std::pair<std::string, uint64_t>> files(distinct.begin(), distinct.end());
  return CallConcurrently(files.size(), kTransfersAtOnce, [&](size_t i) -> absl::Status {
    const auto& [path, size_bytes] = files[i];
    const absl::StatusOr<uint64_t> size = file_systems.Size(path);
    if (absl::IsNotFound(size.status())) return MissingFile(path);
    RETURN_IF_ERROR(size.status());
    if (*size == size_bytes) return absl::OkStatus();
    return DamagedFile(path, *size, size_bytes);
  });
}

absl::StatusOr<std::string> WriteSavepoint(const std::shared_ptr<const FileSystems>& file_systems,
                                           const CheckpointMetadata& metadata,
                                           SavepointFormat format,
                                           const std::string& target_directory) {
  WEIR_FAILPOINT_RETURN("jobmanager/checkpoint_storage/before_write");
  const std::string path = StrCat(target_directory, "/savepoint-",
                                  ToString(metadata.job_id).substr(0, 6), "-", RandomDigits(12));
  CheckpointMetadata savepoint = metadata;
  savepoint.is_savepoint = true;
  savepoint.savepoint_format = SavepointFormatName(format);
  FileStateStore store(
      path, ToString(metadata.job_id).substr(0, 6),
      format == SavepointFormat::kCanonical ? FileSharing::kCopy : FileSharing::kLinkWherePossible,
      file_systems);
  absl::Status status = StoreFiles(&savepoint, &store);
  if (status.ok()) {
    status = VisitSnapshotFiles(&savepoint, [](std::string* file, uint64_t, uint64_t) {
      *file = FileName(*file);
      return absl::OkStatus();
    });
  }
  if (status.ok()) {
    status = file_systems->Write(MetadataFile(path), SerializeCheckpointMetadata(savepoint));
  }
  if (status.ok()) return path;
  file_systems->DeleteFolder(path).IgnoreError();
  return status;
}

absl::StatusOr<CheckpointMetadata> ImportSnapshot(
    const std::shared_ptr<const FileSystems>& file_systems, const CheckpointMetadata& metadata,
    const std::string& job_folder, std::string* path) {
  CheckpointMetadata imported = metadata;
  imported.is_savepoint = false;
  imported.savepoint_format.clear();
  FileStateStore store(StrCat(job_folder, "/", kSharedFolder), "restored",
                       FileSharing::kLinkWherePossible, file_systems);
  RETURN_IF_ERROR(StoreFiles(&imported, &store));
  *path = StrCat(job_folder, "/", kCheckpointPrefix, imported.id.value());
  RETURN_IF_ERROR(file_systems->Write(MetadataFile(*path), SerializeCheckpointMetadata(imported)));
  return imported;
}

absl::Status DisposeSnapshot(const FileSystems& file_systems, const std::string& path) {
  const std::string folder = SnapshotFolder(path);
  ASSIGN_OR_RETURN(const bool is_there, Exists(file_systems, MetadataFile(folder)));
  if (!is_there) return NoSnapshot(path);
  ASSIGN_OR_RETURN(const CheckpointMetadata metadata, ReadCheckpoint(file_systems, folder));
  return DeleteSnapshot(file_systems, folder, metadata);
}

namespace {

// What the checkpoints in a job's folder need, and what is left of others.
struct JobFolderUse {
  std::set<std::string> needed;  // By name: that is unique, however the folder is spelt.
  std::vector<std::string> incomplete;
};

// Errors: also if it cannot be said of a checkpoint what it needs.
absl::Status FindUse(const FileSystems& file_systems, const std::string& job_folder,
                     const std::vector<FileEntry>& entries, JobFolderUse* use) {
  for (const FileEntry& entry : entries) {
    if (!CheckpointNumber(entry).has_value()) continue;
    const std::string folder = StrCat(job_folder, "/", entry.name);
    ASSIGN_OR_RETURN(const bool is_complete, Exists(file_systems, MetadataFile(folder)));
    if (!is_complete) {
      use->incomplete.push_back(folder);
      continue;
    }
    ASSIGN_OR_RETURN(const CheckpointMetadata metadata, ReadCheckpoint(file_systems, folder));
    for (const std::string& file : FilesOfSnapshot(metadata)) use->needed.insert(FileName(file));
  }
  return absl::OkStatus();
}

bool IsStateFile(std::string_view name) {
  return std::any_of(std::begin(kStateFileEndings), std::end(kStateFileEndings),
                     [name](std::string_view ending) { return name.ends_with(ending); });
}

// Deletes what `use` does not name; returns how many files.
absl::StatusOr<size_t> DeleteUnused(const FileSystems& file_systems, const std::string& job_folder,
                                    const JobFolderUse& use) {
  const std::string shared = StrCat(job_folder, "/", kSharedFolder);
  ASSIGN_OR_RETURN(size_t count, file_systems.DeleteUnfinished(shared));
  for (const std::string& folder : use.incomplete) {
    RETURN_IF_ERROR(file_systems.DeleteFolder(folder));
  }
  ASSIGN_OR_RETURN(const std::vector<FileEntry> entries, file_systems.List(shared));
  std::vector<std::string> superfluous;
  for (const FileEntry& entry : entries) {
    if (IsStateFile(entry.name) && !use.needed.contains(entry.name)) {
      superfluous.push_back(StrCat(shared, "/", entry.name));
    }
  }
  RETURN_IF_ERROR(file_systems.Delete(superfluous));
  return count + superfluous.size();
}

}  // namespace

absl::StatusOr<JobFolderContent> SweepJobFolder(const FileSystems& file_systems,
                                                const std::string& job_folder) {
  ASSIGN_OR_RETURN(const std::vector<FileEntry> entries, file_systems.List(job_folder));
  JobFolderContent content;
  for (const FileEntry& entry : entries) {
    content.newest_checkpoint =
        std::max(content.newest_checkpoint, CheckpointNumber(entry).value_or(uint64_t{0}));
  }
  JobFolderUse use;
  const absl::Status status = FindUse(file_systems, job_folder, entries, &use);
  if (!status.ok()) {
    LogWarning(kComponent, StrCat("superfluous state files are left alone, for a checkpoint may "
                                  "need them whose metadata cannot be read: ",
                                  ToStd(status.message())));
    return content;
  }
  const absl::StatusOr<size_t> deleted = DeleteUnused(file_systems, job_folder, use);
  if (deleted.ok()) {
    content.num_deleted_files = *deleted;
  } else {
    LogWarning(kComponent, StrCat("superfluous state files stay behind: folder=", job_folder,
                                  " error=", ToStd(deleted.status().message())));
  }
  return content;
}

}  // namespace weir
