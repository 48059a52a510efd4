#include "jobmanager/blob_store.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "jobmanager/durable_file.h"
#include "runtime/base/clock.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/graph/content_hash.h"

namespace weir {
namespace {

// A hash comes from peers and becomes a path: nothing but what ContentHash makes may pass.
bool IsBlobHash(std::string_view hash) {
  return hash.size() == 64 && std::all_of(hash.begin(), hash.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

class BlobStore::RecentBlobs {
 public:
  // To be called before it is looked whether the blob is there, so that it stays.
  void Note(const std::string& hash) {
    const MutexLock lock(&mutex_);
    put_nanos_[hash] = MonotonicNanos();
  }

  // Has `remove` delete those of `hashes` that were not noted since then; nothing is noted
  // meanwhile.
  absl::StatusOr<size_t> RemoveUnlessNoted(
      const std::vector<std::string>& hashes, absl::Duration spared,
      const std::function<absl::Status(const std::vector<std::string>&)>& remove) {
    const MutexLock lock(&mutex_);
    const int64_t limit = MonotonicNanos() - absl::ToInt64Nanoseconds(spared);
    std::erase_if(put_nanos_, [limit](const auto& entry) { return entry.second <= limit; });
    std::vector<std::string> superfluous;
    for (const std::string& hash : hashes) {
      if (!put_nanos_.contains(hash)) superfluous.push_back(hash);
    }
    RETURN_IF_ERROR(remove(superfluous));
    return superfluous.size();
  }

 private:
  Mutex mutex_;
  std::map<std::string, int64_t> put_nanos_ ABSL_GUARDED_BY(mutex_);
};

BlobStore::BlobStore(std::string folder, std::shared_ptr<const FileSystems> file_systems,
                     std::string local_folder)
    : folder_(std::move(folder)),
      file_systems_(std::move(file_systems)),
      local_folder_(std::move(local_folder)),
      recent_(std::make_shared<RecentBlobs>()) {}

absl::StatusOr<BlobStore> BlobStore::Open(std::string folder,
                                          std::shared_ptr<const FileSystems> file_systems,
                                          std::string local_folder) {
  for (const std::string& made : {folder, local_folder}) {
    if (made.empty() || IsObjectPath(made)) continue;
    std::error_code error;
    std::filesystem::create_directories(made, error);
    if (error) {
      return absl::UnavailableError(
          StrCat("cannot create the folder of blobs: ", made, ": ", error.message()));
    }
  }
  return BlobStore(std::move(folder), std::move(file_systems), std::move(local_folder));
}

absl::StatusOr<std::string> BlobStore::Put(std::string_view content) const {
  std::string hash = ContentHash(content);
  recent_->Note(hash);
  // A file that is there already may be damaged; one that reads back right need not be written.
  if (Read(hash).ok()) return hash;
  RETURN_IF_ERROR(file_systems_->Write(PathOf(hash), content));
  return hash;
}

absl::StatusOr<std::string> BlobStore::PutFile(const std::string& path) const {
  ASSIGN_OR_RETURN(const std::string content, ReadWholeFile(path));
  return Put(content);
}

absl::StatusOr<std::string> BlobStore::Read(std::string_view hash) const {
  if (!IsBlobHash(hash)) {
    return absl::InvalidArgumentError(
        StrCat("a blob is named by the SHA-256 of its content, 64 lower-case hexadecimal digits; "
               "this is none: ",
               hash));
  }
  ASSIGN_OR_RETURN(std::string content, file_systems_->Read(PathOf(hash)));
  if (ContentHash(content) != hash) {
    return absl::DataLossError(
        StrCat("the content of a blob does not match its name, so it is damaged; submit the job "
               "again: ",
               PathOf(hash)));
  }
  return content;
}

std::string BlobStore::PathOf(std::string_view hash) const { return StrCat(folder_, "/", hash); }

absl::StatusOr<std::string> BlobStore::LocalPathOf(std::string_view hash) const {
  if (!IsObjectPath(folder_)) return PathOf(hash);
  std::string path = StrCat(local_folder_, "/", hash);
  if (const auto found = ContentHashOfFile(path); found.ok() && *found == hash) return path;
  ASSIGN_OR_RETURN(const std::string content, Read(hash));
  RETURN_IF_ERROR(WriteFileDurably(path, content));
  return path;
}

absl::StatusOr<size_t> BlobStore::RetainOnly(const std::set<std::string>& needed,
                                             absl::Duration spared) const {
  ASSIGN_OR_RETURN(const std::vector<FileEntry> entries, file_systems_->List(folder_));
  std::vector<std::string> superfluous;
  for (const FileEntry& entry : entries) {
    if (IsBlobHash(entry.name) && !needed.contains(entry.name)) superfluous.push_back(entry.name);
  }
  return recent_->RemoveUnlessNoted(superfluous, spared,
                                    [this](const std::vector<std::string>& hashes) {
                                      std::vector<std::string> paths;
                                      for (const std::string& hash : hashes) {
                                        paths.push_back(PathOf(hash));
                                        if (IsObjectPath(folder_))
                                          paths.push_back(StrCat(local_folder_, "/", hash));
                                      }
                                      return file_systems_->Delete(paths);
                                    });
}

}  // namespace weir
