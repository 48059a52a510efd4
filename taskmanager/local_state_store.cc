#include "taskmanager/local_state_store.h"

#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "runtime/base/logging.h"
#include "runtime/base/strings.h"

namespace weir {

LocalStateStore::LocalStateStore(std::shared_ptr<StateFileStore> remote, std::string directory)
    : remote_(std::move(remote)), directory_(std::move(directory)), local_(directory_, "") {}

std::string LocalStateStore::LocalPathOf(const std::string& path) const {
  return StrCat(directory_, "/", std::filesystem::path(path).filename().string());
}

absl::StatusOr<StoredFile> LocalStateStore::Store(const std::string& local_path,
                                                  const std::string& suggested_name) {
  absl::StatusOr<StoredFile> stored = remote_->Store(local_path, suggested_name);
  if (stored.ok()) Keep(local_path, stored->path);
  return stored;
}

absl::Status LocalStateStore::Fetch(const StoredFile& file, const std::string& local_path) {
  if (!directory_.empty()) {
    const StoredFile kept{LocalPathOf(file.path), file.size_bytes, file.checksum};
    std::error_code error;
    if (std::filesystem::exists(kept.path, error)) {
      const absl::Status status = local_.Fetch(kept, local_path);
      if (status.ok()) {
        const MutexLock lock(&mutex_);
        fetched_.local += file.size_bytes;
        return status;
      }
      LogWarning("local-state", StrCat("a local state file cannot be used; it is fetched from the "
                                       "checkpoint: ",
                                       ToStd(status.message())));
      ::unlink(kept.path.c_str());
    }
  }
  const absl::Status status = remote_->Fetch(file, local_path);
  if (!status.ok()) return status;
  {
    const MutexLock lock(&mutex_);
    fetched_.remote += file.size_bytes;
  }
  Keep(local_path, file.path);
  return status;
}

absl::Status LocalStateStore::Delete(const std::string& path) {
  if (!directory_.empty()) {
    ::unlink(LocalPathOf(path).c_str());
    const MutexLock lock(&mutex_);
    kept_.erase(path);
  }
  return remote_->Delete(path);
}

void LocalStateStore::Keep(const std::string& from, const std::string& path) {
  if (directory_.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (::link(from.c_str(), LocalPathOf(path).c_str()) != 0) return;
  const MutexLock lock(&mutex_);
  kept_[path] = num_completed_;
}

void LocalStateStore::OnAcknowledged(CheckpointId checkpoint,
                                     const std::vector<std::string>& paths) {
  if (directory_.empty()) return;
  const MutexLock lock(&mutex_);
  needed_[checkpoint].insert(paths.begin(), paths.end());
}

void LocalStateStore::OnComplete(CheckpointId checkpoint) {
  if (directory_.empty()) return;
  std::vector<std::string> unneeded;
  {
    const MutexLock lock(&mutex_);
    needed_.erase(needed_.begin(), needed_.lower_bound(checkpoint));
    std::set<std::string> needed;
    for (const auto& [id, paths] : needed_) needed.insert(paths.begin(), paths.end());
    for (auto it = kept_.begin(); it != kept_.end();) {
      // One that is being stored for the next checkpoint is not acknowledged yet.
      if (it->second == num_completed_ || needed.contains(it->first)) {
        ++it;
      } else {
        unneeded.push_back(it->first);
        it = kept_.erase(it);
      }
    }
    ++num_completed_;
  }
  for (const std::string& path : unneeded) ::unlink(LocalPathOf(path).c_str());
}

FetchedBytes LocalStateStore::fetched() const {
  const MutexLock lock(&mutex_);
  return fetched_;
}

}  // namespace weir
