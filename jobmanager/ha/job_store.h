#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jobmanager/blob_store.h"
#include "jobmanager/ha/ha_store.h"
#include "jobmanager/job_description.h"
#include "jobmanager/job_details.h"
#include "runtime/base/config.h"
#include "runtime/base/ids.h"

namespace weir {

/// The completed checkpoints that a job may be restored from. Plain data.
struct CheckpointPointers {
  struct Pointer {
    CheckpointId id;
    std::string path;
    /// A savepoint: it is never removed.
    bool is_users = false;

    friend bool operator==(const Pointer&, const Pointer&) = default;
  };

  std::vector<Pointer> checkpoints = {};  // Oldest first.
  /// No checkpoint may have a greater id before a greater limit is stored: a JobManager that takes
  /// over counts on from it, so that no two ever write to one folder.
  CheckpointId id_limit = {};

  friend bool operator==(const CheckpointPointers&, const CheckpointPointers&) = default;
};

/// What is kept of a job that has ended. Plain data.
struct EndedJobRecord {
  JobOverview overview = {};
  JobStatusTimestamps timestamps = {};
  JobResult result = {};
  std::vector<ExceptionEntry> exceptions = {};  // Newest first.
  std::string checkpoint_dir = {};
  uint64_t num_completed_checkpoints = 0;
  /// Id 0: there is none.
  CheckpointPointers::Pointer latest_checkpoint = {};
  absl::Time latest_checkpoint_trigger = {};
};

/// A savepoint that somebody triggered, for whoever asks a later leader what became of it. Plain
/// data.
struct SavepointOperation {
  JobId job_id = {};
  std::string id = {};
  absl::Time begin = {};
  std::string target_directory = {};
  /// Absent while it is under way.
  std::optional<absl::StatusOr<std::string>> result = {};
};

/// Keeps a leader's jobs in a HaStore: what was submitted, the checkpoints, and how jobs ended.
///
/// Every write is fenced by the leader's epoch. Threads: any; all methods block. Errors of all:
/// kAborted if another JobManager leads by now, kUnavailable.
class JobStore {
 public:
  /// A job that has not ended.
  struct StoredJob {
    JobDescription description;
    CheckpointPointers checkpoints;
  };
  struct Contents {
    std::vector<StoredJob> jobs;
    std::vector<EndedJobRecord> ended_jobs;  // Newest first.
  };

  /// `store` and `blobs` are borrowed; `cluster` are the settings that those of jobs build on.
  JobStore(HaStore* store, LeaderEpoch epoch, const BlobStore* blobs, Configuration cluster)
      : store_(store), epoch_(epoch), blobs_(blobs), cluster_(std::move(cluster)) {}

  /// Keeps what was submitted: once it returns OK the job is found after any crash.
  [[nodiscard]] absl::Status PutJob(const JobDescription& job);
  [[nodiscard]] absl::Status PutCheckpoints(JobId job_id, const CheckpointPointers& checkpoints);
  /// Keeps how a job ended: once it returns OK the job is not run again after any crash.
  [[nodiscard]] absl::Status PutResult(const EndedJobRecord& ended);
  /// Forgets what was submitted and the checkpoints of a job that has ended.
  [[nodiscard]] absl::Status RemoveJob(JobId job_id);
  [[nodiscard]] absl::Status RemoveResult(JobId job_id);
  [[nodiscard]] absl::Status PutSavepoint(const SavepointOperation& savepoint);
  [[nodiscard]] absl::Status RemoveSavepoint(const std::string& id);
  /// Oldest first. What cannot be read is logged and left out.
  [[nodiscard]] absl::StatusOr<std::vector<SavepointOperation>> LoadSavepoints();
  /// Keeps which TaskManagers may run tasks: for these the next leader waits.
  [[nodiscard]] absl::Status PutTaskManagers(const std::set<std::string>& ids);
  [[nodiscard]] absl::StatusOr<std::set<std::string>> LoadTaskManagers();

  /// Returns the blobs that the jobs in the store need. Errors: if one of them cannot be read, for
  /// it may need any.
  [[nodiscard]] absl::StatusOr<std::set<std::string>> NeededBlobs();

  /// Reads everything. A job that cannot be read is logged and left out, and stays in the store;
  /// one that has both ended and not been forgotten has ended.
  [[nodiscard]] absl::StatusOr<Contents> Load();

 private:
  [[nodiscard]] absl::StatusOr<JobDescription> ReadJob(std::string_view bytes) const;

  HaStore* const store_;
  const LeaderEpoch epoch_;
  const BlobStore* const blobs_;
  const Configuration cluster_;
};

}  // namespace weir
