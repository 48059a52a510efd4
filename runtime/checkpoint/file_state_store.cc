#include "runtime/checkpoint/file_state_store.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "runtime/base/ids.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {

namespace {

using FileId = HexId<struct FileIdTag>;

absl::Status CheckContent(const StoredFile& file, const FileContent& content) {
  if (content.size_bytes == file.size_bytes && content.checksum == file.checksum) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      StrCat("a state file is damaged; restore from an older checkpoint: path=", file.path,
             " size_bytes=", content.size_bytes, " expected_size_bytes=", file.size_bytes,
             content.size_bytes == file.size_bytes ? " (same size, other content)" : ""));
}

absl::Status Missing(const std::string& path) {
  return absl::DataLossError(
      StrCat("a state file is missing; restore from an older checkpoint: path=", path));
}

}  // namespace

FileStateStore::FileStateStore(std::string directory, std::string name_prefix, FileSharing sharing,
                               std::shared_ptr<const FileSystems> file_systems)
    : directory_(std::move(directory)),
      name_prefix_(std::move(name_prefix)),
      sharing_(sharing),
      file_systems_(std::move(file_systems)) {}

absl::StatusOr<StoredFile> FileStateStore::Store(const std::string& local_path,
                                                 const std::string& suggested_name) {
  StoredFile stored;
  stored.path =
      StrCat(directory_, "/", name_prefix_, "-", ToString(RandomId<FileId>()), "-", suggested_name);
  ASSIGN_OR_RETURN(const FileContent content,
                   file_systems_->Copy(local_path, stored.path, sharing_));
  stored.size_bytes = content.size_bytes;
  stored.checksum = content.checksum;
  return stored;
}

absl::StatusOr<StoredFile> FileStateStore::FindMoved(const StoredFile& file) const {
  if (directory_.empty()) return Missing(file.path);
  const std::string name = FileName(file.path);
  const std::string ending = name.substr(std::min(name.rfind('-'), name.size()));
  ASSIGN_OR_RETURN(const std::vector<FileEntry> entries, file_systems_->List(directory_));
  for (const FileEntry& entry : entries) {
    const StoredFile moved{StrCat(directory_, "/", entry.name), file.size_bytes, file.checksum};
    if (entry.name.ends_with(ending) && !ending.empty() && Verify(moved).ok()) return moved;
  }
  return Missing(file.path);
}

absl::Status FileStateStore::FetchFrom(const StoredFile& file, const std::string& local_path) {
  ASSIGN_OR_RETURN(const FileContent content,
                   file_systems_->Copy(file.path, local_path, FileSharing::kLinkWherePossible,
                                       FileDurability::kScratch));
  absl::Status status = CheckContent(file, content);
  if (!status.ok()) ::unlink(local_path.c_str());
  return status;
}

absl::Status FileStateStore::Fetch(const StoredFile& file, const std::string& local_path) {
  const absl::Status status = FetchFrom(file, local_path);
  if (!absl::IsNotFound(status)) return status;
  ASSIGN_OR_RETURN(const StoredFile moved, FindMoved(file));
  const absl::Status moved_status = FetchFrom(moved, local_path);
  return absl::IsNotFound(moved_status) ? Missing(file.path) : moved_status;
}

absl::Status FileStateStore::Verify(const StoredFile& file) const {
  const absl::StatusOr<FileContent> content = file_systems_->Examine(file.path);
  if (absl::IsNotFound(content.status())) return Missing(file.path);
  return content.ok() ? CheckContent(file, *content) : content.status();
}

absl::Status FileStateStore::Delete(const std::string& path) {
  return file_systems_->Delete({path});
}

}  // namespace weir
