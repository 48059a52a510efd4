#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/ids.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/mutex.h"
#include "runtime/state/internal/state_database.h"
#include "runtime/state/internal/state_table.h"
#include "runtime/state/state_file_store.h"
#include "runtime/state/state_handle.h"

namespace weir::internal {

/// What the next snapshot of a backend builds on: the database, if state has outgrown one inline
/// file, and which of its files completed checkpoints hold.
///
/// Threads: any. Shared by the backend and its running snapshot, which alone opens the database
/// and stores files.
class SnapshotBase {
 public:
  /// `local_directory` need not exist. `budget` is borrowed and may be null.
  SnapshotBase(std::string local_directory, std::shared_ptr<const ExpiryRules> expiry_rules,
               MemoryBudget* budget);
  SnapshotBase(const SnapshotBase&) = delete;
  SnapshotBase& operator=(const SnapshotBase&) = delete;
  /// Removes the local folder.
  ~SnapshotBase();

  [[nodiscard]] MemoryBudget* budget() const { return budget_; }

  /// Returns null while there is none; then it lives as long as this.
  [[nodiscard]] StateDatabase* database() const;
  [[nodiscard]] absl::StatusOr<StateDatabase*> OpenDatabase();

  /// Makes the database of a completed checkpoint's files. Errors: kDataLoss, naming the file.
  [[nodiscard]] absl::Status Adopt(const std::vector<StateFile>& files, StateFileStore& store);
  /// Calls `visit(key, value)` with all entries of the key groups `range` in a checkpoint's files,
  /// without adopting them.
  [[nodiscard]] absl::Status ReadFiles(
      const std::vector<StateFile>& files, StateFileStore& store, KeyGroupRange range,
      absl::FunctionRef<absl::Status(std::string_view key, std::string_view value)> visit);

  /// Returns all files of the database, stored; those that are in no completed checkpoint are
  /// given to `store` now, several at once. Deletes what it stored if it fails. Stops with kAborted
  /// once `cancelled`. Calls `chosen()` as soon as FilesChosen is true.
  [[nodiscard]] absl::StatusOr<std::vector<StateFile>> StoreLiveFiles(
      CheckpointId checkpoint_id, StateFileStore& store, const std::atomic<bool>& cancelled,
      absl::FunctionRef<void()> chosen);

  void NotifyCheckpointComplete(CheckpointId checkpoint_id);

  /// Between these two, on the task's thread, a snapshot runs.
  void BeginSnapshot() { files_chosen_.store(false, std::memory_order_relaxed); }
  void EndSnapshot() { files_chosen_.store(true, std::memory_order_relaxed); }
  /// Whether what is written to the database now stays out of the running snapshot, if any: its
  /// entries are in the database and its files are chosen. Nobody reads its frozen entries then.
  [[nodiscard]] bool FilesChosen() const { return files_chosen_.load(std::memory_order_acquire); }

 private:
  using FilesByLocalName = std::map<std::string, StateFile>;

  [[nodiscard]] absl::Status FetchFiles(const std::vector<StateFile>& files, StateFileStore& store,
                                        const std::string& directory);
  // How many files are stored, or fetched, at once.
  [[nodiscard]] int NumTransfers() const;
  // Returns the stored file that may be referred to again, or null.
  [[nodiscard]] const StateFile* FindReusable(const std::string& local_name) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string local_directory_;
  const std::shared_ptr<const ExpiryRules> expiry_rules_;
  MemoryBudget* const budget_;
  std::atomic<bool> files_chosen_{true};  // Set with release by StoreLiveFiles.
  mutable Mutex mutex_;
  std::unique_ptr<StateDatabase> database_ ABSL_GUARDED_BY(mutex_);
  FilesByLocalName completed_ ABSL_GUARDED_BY(mutex_);  // Of the newest completed checkpoint.
  // Of snapshots after it, whose checkpoints may complete or fail.
  std::map<CheckpointId, FilesByLocalName> pending_ ABSL_GUARDED_BY(mutex_);
};

/// The frozen entries of one table on their way through a snapshot.
struct FrozenTable {
  StateTable* table = nullptr;  // For the task's thread only.
  std::string encoded_name;
  std::unique_ptr<TableSnapshot> snapshot;
  // Of the table's entries in the database, once measured.
  std::optional<uint64_t> disk_bytes = std::nullopt;
};

}  // namespace weir::internal
