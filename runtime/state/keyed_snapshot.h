#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/base/ids.h"
#include "runtime/base/memory_budget.h"
#include "runtime/state/state_file_store.h"
#include "runtime/state/state_handle.h"

namespace weir {

class KeyedStateBackendBase;

namespace internal {
class EncodedEntries;
class SnapshotBase;
struct FrozenTable;
}  // namespace internal

/// The changes of one backend since its last snapshot, on their way to storage.
///
/// Lifecycle: made by KeyedStateBackendBase::Snapshot on the task's thread; Run once, on an I/O
/// thread; given back to FinishSnapshot on the task's thread, even if Run failed or never began.
/// Holds all it needs: the backend may be destroyed while Run works (then it is not given back).
/// Threads: one at a time, except Cancel.
class KeyedSnapshot {
 public:
  ~KeyedSnapshot();
  KeyedSnapshot(const KeyedSnapshot&) = delete;
  KeyedSnapshot& operator=(const KeyedSnapshot&) = delete;

  /// Writes the snapshot: inline if all state is small, else into files, of which those not in a
  /// completed checkpoint yet go to `store`. Blocks. Call once.
  /// Errors: those of the store, kUnavailable of the local disk, kAborted after Cancel. What it had
  /// stored is deleted then.
  [[nodiscard]] absl::StatusOr<KeyedStateHandle> Run(StateFileStore& store);

  /// Asks Run to give up soon. Any thread.
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }

  [[nodiscard]] CheckpointId checkpoint_id() const { return checkpoint_id_; }

 private:
  friend class KeyedStateBackendBase;

  KeyedSnapshot(CheckpointId checkpoint_id, KeyedStateHandle header,
                std::shared_ptr<internal::SnapshotBase> base, size_t inline_limit_bytes,
                std::function<void()> files_chosen);

  [[nodiscard]] absl::Status CheckCancelled() const;
  // Returns nothing if it would pass the limit.
  [[nodiscard]] std::optional<StateFile> WriteInline(
      const std::vector<internal::EncodedEntries>& encoded) const;
  // Sorts the entries of some key groups, by table. `charge` becomes what they take.
  [[nodiscard]] absl::StatusOr<std::vector<internal::EncodedEntries>> Encode(
      KeyGroupRange groups, MemoryCharge* charge) const;
  [[nodiscard]] absl::Status WriteToDatabase(size_t num_entries);
  // Estimates what each table takes in the database.
  void MeasureTables();
  // Returns of how many key groups the entries are sorted at a time.
  [[nodiscard]] uint32_t GroupsAtOnce(size_t num_entries) const;

  const CheckpointId checkpoint_id_;
  const KeyedStateHandle header_;  // Everything but the files.
  const std::shared_ptr<internal::SnapshotBase> base_;
  const size_t inline_limit_bytes_;
  const std::function<void()> files_chosen_;   // May be empty.
  std::vector<internal::FrozenTable> tables_;  // In order of name.
  std::atomic<bool> cancelled_{false};         // Only hurries; orders nothing.
  bool written_ = false;  // Run succeeded, and the entries are in the database.
};

}  // namespace weir
