#include "runtime/state/internal/snapshot_base.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/state/internal/entry_key.h"

namespace weir::internal {

namespace {

// A folder that goes with its owner.
class ScratchDirectory {
 public:
  explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

}  // namespace

SnapshotBase::SnapshotBase(std::string local_directory,
                           std::shared_ptr<const ExpiryRules> expiry_rules, MemoryBudget* budget)
    : local_directory_(std::move(local_directory)),
      expiry_rules_(std::move(expiry_rules)),
      budget_(budget) {}

SnapshotBase::~SnapshotBase() {
  {
    MutexLock lock(&mutex_);
    database_.reset();
  }
  std::error_code ignored;
  std::filesystem::remove_all(local_directory_, ignored);
}

StateDatabase* SnapshotBase::database() const {
  MutexLock lock(&mutex_);
  return database_.get();
}

absl::StatusOr<StateDatabase*> SnapshotBase::OpenDatabase() {
  if (StateDatabase* open = database()) return open;
  ASSIGN_OR_RETURN(std::unique_ptr<StateDatabase> made,
                   StateDatabase::Create(local_directory_ + "/database", expiry_rules_, budget_));
  MutexLock lock(&mutex_);
  database_ = std::move(made);
  return database_.get();
}

absl::Status SnapshotBase::FetchFiles(const std::vector<StateFile>& files, StateFileStore& store,
                                      const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::UnavailableError(StrCat(
        "cannot make a folder for restored files: path=", directory, " error=", error.message()));
  }
  for (const StateFile& file : files) {
    // The name comes from a checkpoint: it may not lead out of the folder.
    if (file.local_name.empty() || file.local_name.find('/') != std::string::npos) {
      return absl::DataLossError(StrCat("a file of a snapshot has a malformed name: file=",
                                        file.path, " name=", file.local_name));
    }
    RETURN_IF_ERROR(store.Fetch({file.path, file.size_bytes, file.checksum},
                                StrCat(directory, "/", file.local_name)));
  }
  return absl::OkStatus();
}

absl::Status SnapshotBase::Adopt(const std::vector<StateFile>& files, StateFileStore& store) {
  const ScratchDirectory fetched(local_directory_ + "/fetched");
  RETURN_IF_ERROR(FetchFiles(files, store, fetched.path()));
  ASSIGN_OR_RETURN(std::unique_ptr<StateDatabase> made,
                   StateDatabase::Import(local_directory_ + "/database", fetched.path(), files,
                                         expiry_rules_, budget_));
  // The database has given the files other names. A file that compaction has replaced already
  // finds no match and is stored anew.
  FilesByLocalName adopted;
  RETURN_IF_ERROR(made->VisitLiveFiles(
      [] {},
      [&](const StateFile& live, const std::string&) {
        for (const StateFile& file : files) {
          if (live.level == file.level && live.size_bytes == file.size_bytes &&
              live.largest_sequence_number == file.largest_sequence_number &&
              live.smallest_key == file.smallest_key && live.largest_key == file.largest_key) {
            adopted[live.local_name] = file;
            adopted[live.local_name].local_name = live.local_name;
          }
        }
        return absl::OkStatus();
      }));
  MutexLock lock(&mutex_);
  database_ = std::move(made);
  completed_ = std::move(adopted);
  return absl::OkStatus();
}

absl::Status SnapshotBase::ReadFiles(
    const std::vector<StateFile>& files, StateFileStore& store, KeyGroupRange range,
    absl::FunctionRef<absl::Status(std::string_view key, std::string_view value)> visit) {
  const ScratchDirectory fetched(local_directory_ + "/fetched");
  RETURN_IF_ERROR(FetchFiles(files, store, fetched.path()));
  ASSIGN_OR_RETURN(const std::unique_ptr<StateDatabase> source,
                   StateDatabase::Import(local_directory_ + "/restored", fetched.path(), files,
                                         /*expiry_rules=*/nullptr, budget_));
  return source->ForEach(KeyGroupPrefix(range.first), KeyGroupPrefix(range.last + 1), visit);
}

const StateFile* SnapshotBase::FindReusable(const std::string& local_name) const {
  const auto found = completed_.find(local_name);
  if (found == completed_.end()) return nullptr;
  // Should a pending checkpoint complete that does not hold the file under this path, the path may
  // be deleted with the older checkpoint before this one completes.
  for (const auto& [checkpoint_id, files] : pending_) {
    const auto later = files.find(local_name);
    if (later == files.end() || later->second.path != found->second.path) return nullptr;
  }
  return &found->second;
}

absl::StatusOr<std::vector<StateFile>> SnapshotBase::StoreLiveFiles(
    CheckpointId checkpoint_id, StateFileStore& store, const std::atomic<bool>& cancelled,
    absl::FunctionRef<void()> chosen) {
  std::vector<StateFile> files;
  std::vector<std::string> stored_now;
  const absl::Status status = database()->VisitLiveFiles(
      [&] {
        files_chosen_.store(true, std::memory_order_release);
        chosen();
      },
      [&](const StateFile& live, const std::string& path) -> absl::Status {
        if (cancelled.load(std::memory_order_relaxed)) {
          return absl::AbortedError("the snapshot was cancelled");
        }
        {
          MutexLock lock(&mutex_);
          if (const StateFile* reusable = FindReusable(live.local_name)) {
            files.push_back(*reusable);
            return absl::OkStatus();
          }
        }
        ASSIGN_OR_RETURN(const StoredFile stored, store.Store(path, live.local_name));
        stored_now.push_back(stored.path);
        StateFile file = live;
        file.path = stored.path;
        file.size_bytes = stored.size_bytes;
        file.checksum = stored.checksum;
        files.push_back(std::move(file));
        return absl::OkStatus();
      });
  if (!status.ok()) {
    for (const std::string& path : stored_now) store.Delete(path).IgnoreError();
    return status;
  }
  MutexLock lock(&mutex_);
  FilesByLocalName& pending = pending_[checkpoint_id];
  for (const StateFile& file : files) pending[file.local_name] = file;
  return files;
}

void SnapshotBase::NotifyCheckpointComplete(CheckpointId checkpoint_id) {
  MutexLock lock(&mutex_);
  const auto found = pending_.find(checkpoint_id);
  if (found == pending_.end()) return;
  completed_ = std::move(found->second);
  pending_.erase(pending_.begin(), std::next(found));
}

}  // namespace weir::internal
