#include "runtime/checkpoint/file_systems.h"

#include <utility>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/folder_file_system.h"
#include "runtime/checkpoint/s3/s3_file_system.h"
#include "runtime/checkpoint/s3/s3_options.h"
#include "xxhash.h"

namespace weir {
namespace {

// Counts and hashes what passes by.
class ContentSummary {
 public:
  ContentSummary() : hash_(XXH3_createState(), &XXH3_freeState) { XXH3_64bits_reset(hash_.get()); }
  void Add(std::string_view bytes) {
    size_bytes_ += bytes.size();
    XXH3_64bits_update(hash_.get(), bytes.data(), bytes.size());
  }
  [[nodiscard]] FileContent Get() const { return {size_bytes_, XXH3_64bits_digest(hash_.get())}; }

 private:
  uint64_t size_bytes_ = 0;
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> hash_;
};

absl::StatusOr<FileContent> Examined(FileSystem& files, const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<FileSystem::Reader> reader, files.OpenReader(path));
  ContentSummary summary;
  while (true) {
    ASSIGN_OR_RETURN(const std::string_view bytes, reader->Next());
    if (bytes.empty()) return summary.Get();
    summary.Add(bytes);
  }
}

absl::StatusOr<FileContent> CopyBytes(FileSystem& source, const std::string& from,
                                      FileSystem& target, const std::string& to,
                                      FileDurability durability) {
  ASSIGN_OR_RETURN(const std::unique_ptr<FileSystem::Reader> reader, source.OpenReader(from));
  ASSIGN_OR_RETURN(const std::unique_ptr<FileSystem::Writer> writer,
                   target.OpenWriter(to, FileWriteMode::kReplace, durability));
  ContentSummary summary;
  while (true) {
    ASSIGN_OR_RETURN(const std::string_view bytes, reader->Next());
    if (bytes.empty()) break;
    summary.Add(bytes);
    RETURN_IF_ERROR(writer->Append(bytes));
  }
  RETURN_IF_ERROR(writer->Commit());
  return summary.Get();
}

}  // namespace

FileSystems::FileSystems(std::unique_ptr<FileSystem> object_store)
    : folders_(std::make_unique<FolderFileSystem>()), object_store_(std::move(object_store)) {}

FileSystems::~FileSystems() = default;

absl::StatusOr<std::shared_ptr<const FileSystems>> FileSystems::FromConfiguration(
    const Configuration& configuration) {
  ASSIGN_OR_RETURN(S3Options options, S3Options::FromConfiguration(configuration));
  return std::make_shared<const FileSystems>(std::make_unique<S3FileSystem>(std::move(options)));
}

std::shared_ptr<const FileSystems> FileSystems::Local() {
  return std::make_shared<const FileSystems>(nullptr);
}

absl::StatusOr<FileSystem*> FileSystems::Of(std::string_view path) const {
  if (IsObjectPath(path)) {
    if (object_store_ != nullptr) return object_store_.get();
    return absl::InvalidArgumentError(
        StrCat("no object store is set up here; name a folder: path=", path));
  }
  if (path.find("://") != path.npos) {
    return absl::InvalidArgumentError(StrCat(
        "there is no file system of this kind; name a folder, or s3://bucket/key: path=", path));
  }
  return folders_.get();
}

absl::StatusOr<FileContent> FileSystems::Copy(const std::string& from, const std::string& to,
                                              FileSharing sharing,
                                              FileDurability durability) const {
  ASSIGN_OR_RETURN(FileSystem* const source, Of(from));
  ASSIGN_OR_RETURN(FileSystem* const target, Of(to));
  if (source == target && sharing == FileSharing::kLinkWherePossible) {
    const absl::Status linked = target->Link(from, to, durability);
    if (linked.ok()) {
      absl::StatusOr<FileContent> content = Examined(*target, to);
      if (!content.ok()) target->Delete({to}).IgnoreError();
      return content;
    }
    if (!absl::IsUnimplemented(linked)) return linked;
  }
  return CopyBytes(*source, from, *target, to, durability);
}

absl::StatusOr<FileContent> FileSystems::Examine(const std::string& path) const {
  ASSIGN_OR_RETURN(FileSystem* const files, Of(path));
  return Examined(*files, path);
}

absl::Status FileSystems::Write(const std::string& path, std::string_view content,
                                FileWriteMode mode) const {
  ASSIGN_OR_RETURN(FileSystem* const files, Of(path));
  ASSIGN_OR_RETURN(const std::unique_ptr<FileSystem::Writer> writer,
                   files->OpenWriter(path, mode, FileDurability::kDurable));
  RETURN_IF_ERROR(writer->Append(content));
  return writer->Commit();
}

absl::StatusOr<std::string> FileSystems::Read(const std::string& path) const {
  ASSIGN_OR_RETURN(FileSystem* const files, Of(path));
  ASSIGN_OR_RETURN(const std::unique_ptr<FileSystem::Reader> reader, files->OpenReader(path));
  std::string content;
  while (true) {
    ASSIGN_OR_RETURN(const std::string_view bytes, reader->Next());
    if (bytes.empty()) return content;
    content += bytes;
  }
}

absl::StatusOr<uint64_t> FileSystems::Size(const std::string& path) const {
  ASSIGN_OR_RETURN(FileSystem* const files, Of(path));
  return files->Size(path);
}

absl::StatusOr<std::vector<FileEntry>> FileSystems::List(const std::string& folder) const {
  ASSIGN_OR_RETURN(FileSystem* const files, Of(folder));
  return files->List(folder);
}

absl::Status FileSystems::Delete(const std::vector<std::string>& paths) const {
  std::vector<std::string> in_folders;
  std::vector<std::string> objects;
  for (const std::string& path : paths) {
    (IsObjectPath(path) ? objects : in_folders).push_back(path);
  }
  absl::Status status = folders_->Delete(in_folders);
  if (objects.empty()) return status;
  ASSIGN_OR_RETURN(FileSystem* const store, Of(objects.front()));
  status.Update(store->Delete(objects));
  return status;
}

absl::Status FileSystems::DeleteFolder(const std::string& folder) const {
  ASSIGN_OR_RETURN(FileSystem* const files, Of(folder));
  return files->DeleteFolder(folder);
}

void FileSystems::DeleteFolderIfEmpty(const std::string& folder) const {
  if (const absl::StatusOr<FileSystem*> files = Of(folder); files.ok()) {
    (*files)->DeleteFolderIfEmpty(folder);
  }
}

absl::StatusOr<size_t> FileSystems::DeleteUnfinished(const std::string& folder) const {
  ASSIGN_OR_RETURN(FileSystem* const files, Of(folder));
  return files->DeleteUnfinished(folder);
}

}  // namespace weir
