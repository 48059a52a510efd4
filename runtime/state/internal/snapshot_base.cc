#include "runtime/state/internal/snapshot_base.h"

#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "runtime/base/concurrent_calls.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/state/internal/entry_key.h"
#include "runtime/state/internal/rocksdb_resources.h"

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

// Files on their way to a store: each is linked aside, so that the database may delete its own
// meanwhile.
class FilesToStore {
 public:
  struct File {
    size_t index;  // Among the database's.
    std::string path;
  };

  explicit FilesToStore(std::string directory) : scratch_(std::move(directory)) {}

  // Returns whether that was possible.
  bool Add(size_t index, const std::string& path, const std::string& local_name) {
    std::error_code error;
    if (files_.empty()) std::filesystem::create_directories(scratch_.path(), error);
    std::string link = StrCat(scratch_.path(), "/", local_name);
    if (error || ::link(path.c_str(), link.c_str()) != 0) return false;
    files_.push_back({index, std::move(link)});
    return true;
  }
  [[nodiscard]] const std::vector<File>& files() const { return files_; }

 private:
  const ScratchDirectory scratch_;
  std::vector<File> files_;
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
  }
  return CallConcurrently(files.size(), NumTransfers(), [&](size_t i) {
    return store.Fetch({files[i].path, files[i].size_bytes, files[i].checksum},
                       StrCat(directory, "/", files[i].local_name));
  });
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

int SnapshotBase::NumTransfers() const {
  return RocksDbResources::Of(budget_)->options().num_transfer_threads;
}

absl::StatusOr<std::vector<StateFile>> SnapshotBase::StoreLiveFiles(
    CheckpointId checkpoint_id, StateFileStore& store, const std::atomic<bool>& cancelled,
    absl::FunctionRef<void()> chosen) {
  std::vector<StateFile> files;
  std::vector<size_t> stored_now;
  FilesToStore to_store(StrCat(local_directory_, "/storing-", checkpoint_id.value()));
  const auto check_cancelled = [&] {
    return cancelled.load(std::memory_order_relaxed)
               ? absl::AbortedError("the snapshot was cancelled")
               : absl::OkStatus();
  };
  const auto store_file = [&](size_t index, const std::string& path) -> absl::Status {
    RETURN_IF_ERROR(check_cancelled());
    StateFile& file = files[index];
    ASSIGN_OR_RETURN(StoredFile stored, store.Store(path, file.local_name));
    file.size_bytes = stored.size_bytes;
    file.checksum = stored.checksum;
    file.path = std::move(stored.path);
    return absl::OkStatus();
  };
  absl::Status status = database()->VisitLiveFiles(
      [&] {
        files_chosen_.store(true, std::memory_order_release);
        chosen();
      },
      [&](const StateFile& live, const std::string& path) -> absl::Status {
        RETURN_IF_ERROR(check_cancelled());
        {
          MutexLock lock(&mutex_);
          if (const StateFile* reusable = FindReusable(live.local_name)) {
            files.push_back(*reusable);
            return absl::OkStatus();
          }
        }
        const size_t index = files.size();
        files.push_back(live);
        stored_now.push_back(index);
        return to_store.Add(index, path, live.local_name) ? absl::OkStatus()
                                                          : store_file(index, path);
      });
  if (status.ok()) {
    status = CallConcurrently(to_store.files().size(), NumTransfers(), [&](size_t i) {
      return store_file(to_store.files()[i].index, to_store.files()[i].path);
    });
  }
  if (!status.ok()) {
    for (const size_t index : stored_now) {
      if (!files[index].path.empty()) store.Delete(files[index].path).IgnoreError();
    }
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
