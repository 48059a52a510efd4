#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/ids.h"
#include "runtime/base/mutex.h"
#include "runtime/checkpoint/file_state_store.h"
#include "runtime/state/state_file_store.h"

namespace weir {

/// Bytes of state files that were fetched, by where they came from.
struct FetchedBytes {
  uint64_t local = 0;
  uint64_t remote = 0;
};

/// A job's store of state files that also keeps those of the newest completed checkpoint on the
/// local disk (Flink's local recovery), so that a task which is restarted here fetches nothing from
/// the checkpoint folder. A local file that is missing or damaged is fetched from there.
///
/// Local copies are hard links to the task's own files and take room only once the task has no use
/// for them any more. Threads: any; Store, Fetch, Delete and OnComplete block.
class LocalStateStore final : public StateFileStore {
 public:
  /// Keeps nothing in `directory` if it is empty; it is made when the first file is kept.
  LocalStateStore(std::shared_ptr<StateFileStore> remote, std::string directory);

  [[nodiscard]] absl::StatusOr<StoredFile> Store(const std::string& local_path,
                                                 const std::string& suggested_name) override;
  [[nodiscard]] absl::Status Fetch(const StoredFile& file, const std::string& local_path) override;
  [[nodiscard]] absl::Status Delete(const std::string& path) override;

  /// A task here has answered `checkpoint`, which needs the stored files `paths`.
  void OnAcknowledged(CheckpointId checkpoint, const std::vector<std::string>& paths);
  /// Forgets the local files that neither `checkpoint` nor a later one needs.
  void OnComplete(CheckpointId checkpoint);

  /// Since the job came here.
  [[nodiscard]] FetchedBytes fetched() const;
  [[nodiscard]] bool keeps_files() const { return !directory_.empty(); }

 private:
  [[nodiscard]] std::string LocalPathOf(const std::string& path) const;
  /// Keeps `from` as the copy of the stored file `path`. What cannot be kept is not: then it is
  /// fetched.
  void Keep(const std::string& from, const std::string& path);

  const std::shared_ptr<StateFileStore> remote_;
  const std::string directory_;
  FileStateStore local_;

  mutable Mutex mutex_;
  // Kept files by stored path, each with the number of completed checkpoints before it came.
  std::map<std::string, uint64_t> kept_ ABSL_GUARDED_BY(mutex_);
  std::map<CheckpointId, std::set<std::string>> needed_ ABSL_GUARDED_BY(mutex_);
  uint64_t num_completed_ ABSL_GUARDED_BY(mutex_) = 0;
  FetchedBytes fetched_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
