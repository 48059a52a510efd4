#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/rest_client.h"

namespace weir {

struct ClusterStatus {
  int64_t task_managers = 0;
  int64_t slots_total = 0;
  int64_t slots_available = 0;
  int64_t jobs_running = 0;
  int64_t jobs_finished = 0;
  int64_t jobs_canceled = 0;
  int64_t jobs_failed = 0;
  std::string version = {};
};

struct TaskManagerStatus {
  std::string id = {};
  int64_t data_port = 0;
  int64_t slots = 0;
  int64_t free_slots = 0;
  int64_t cpu_cores = 0;
  int64_t managed_memory_bytes = 0;
  /// Share of all cores that it uses, and memory that it has given out; absent until it has said
  /// so.
  std::optional<double> cpu_load = {};
  std::optional<double> used_memory_bytes = {};
};

/// A job as lists show it.
struct JobSummary {
  std::string id = {};
  std::string name = {};
  std::string state = {};
  absl::Time start = {};
  absl::Duration duration = {};
  int64_t tasks = 0;
  int64_t running_tasks = 0;
};

/// Where a job stands.
struct JobProgress {
  std::string name = {};
  std::string state = {};
  absl::Duration duration = {};
  int64_t tasks = 0;
  int64_t running_tasks = 0;
  /// Records that the busiest vertex has taken in or put out.
  int64_t records = 0;
};

/// How a job ended.
struct JobOutcome {
  /// "FINISHED", "CANCELED" or "FAILED"; empty while it has not ended.
  std::string state = {};
  absl::Duration net_runtime = {};
  /// Why it failed, else empty.
  std::string failure = {};
};

struct JobFailure {
  absl::Time time = {};
  std::string message = {};
  /// Empty unless one subtask failed.
  std::string task = {};
};

struct CheckpointLine {
  int64_t id = 0;
  std::string status = {};
  absl::Time trigger_time = {};
  absl::Duration duration = {};
  int64_t state_size_bytes = 0;
  std::string path = {};
  std::string failure = {};
};

struct CheckpointOverview {
  int64_t total = 0;
  int64_t completed = 0;
  int64_t failed = 0;
  int64_t in_progress = 0;
  int64_t restored = 0;
  /// Newest first.
  std::vector<CheckpointLine> history = {};
};

/// How a job's parallelism stands.
struct JobScaling {
  struct Vertex {
    std::string id = {};
    std::string name = {};
    /// 0 while it does not run.
    int64_t parallelism = 0;
    int64_t lower_bound = 1;
    int64_t upper_bound = 1;
    int64_t max_parallelism = 1;
    /// The job's code asked for its parallelism.
    bool parallelism_configured = false;
  };
  std::string state = {};
  /// Why it does not run as is wanted; empty if it does.
  std::string reason = {};
  int64_t wanted_slots = 0;
  int64_t available_slots = 0;
  std::vector<Vertex> vertices = {};
};

/// A job library on the cluster: uploaded, or shipped with weir.
struct JobLibraryStatus {
  std::string id = {};
  std::string name = {};
  /// Its jobs' names.
  std::vector<std::string> entries = {};
};

struct JobSubmission {
  std::string library_id = {};
  /// Empty: the library's only job.
  std::string entry = {};
  std::vector<std::string> arguments = {};
  std::optional<uint32_t> parallelism = {};
  /// Settings of this job, over the cluster's.
  std::map<std::string, std::string> settings = {};
  /// A savepoint or a retained checkpoint to start from; empty: none.
  std::string savepoint_path = {};
  bool allow_non_restored_state = false;
  /// "NO_CLAIM" or "CLAIM"; empty: the cluster's default.
  std::string claim_mode = {};
};

struct SavepointOptions {
  /// Empty: the one that the cluster has set.
  std::string directory = {};
  /// "CANONICAL" or "NATIVE"; empty: the cluster's default.
  std::string format = {};
  /// Stop the job with it, and whether to end its input before.
  bool stop = false;
  bool drain = false;
};

/// Where an operation that was triggered stands.
struct OperationStatus {
  bool completed = false;
  /// Why it failed, else empty.
  std::string failure = {};
  /// Of a savepoint: where it lies.
  std::string location = {};
  /// Of a checkpoint.
  int64_t checkpoint_id = 0;
};

/// A cluster, seen through its REST API; the C++ client.
///
/// Every call blocks as RestClient's do. Copyable; a copy may be used by each thread. Errors of
/// every method: RestClient's, with the server's own words; kInternal for an answer that is not
/// understood.
class ClusterClient {
 public:
  explicit ClusterClient(RestClient rest) : rest_(std::move(rest)) {}

  [[nodiscard]] absl::StatusOr<ClusterStatus> Overview() const;
  [[nodiscard]] absl::StatusOr<std::vector<TaskManagerStatus>> TaskManagers() const;
  /// Running jobs and those that ended lately.
  [[nodiscard]] absl::StatusOr<std::vector<JobSummary>> Jobs() const;
  [[nodiscard]] absl::StatusOr<JobProgress> Progress(std::string_view job_id) const;
  [[nodiscard]] absl::StatusOr<JobOutcome> Outcome(std::string_view job_id) const;
  /// At most `max_entries` failures, newest first.
  [[nodiscard]] absl::StatusOr<std::vector<JobFailure>> Failures(std::string_view job_id,
                                                                 size_t max_entries) const;
  [[nodiscard]] absl::StatusOr<CheckpointOverview> Checkpoints(std::string_view job_id) const;
  [[nodiscard]] absl::StatusOr<JobScaling> Scaling(std::string_view job_id) const;
  /// Makes the job want the bounds that `vertices`, all of its own, have; returns when the order is
  /// taken.
  [[nodiscard]] absl::Status Scale(std::string_view job_id,
                                   const std::vector<JobScaling::Vertex>& vertices) const;
  /// Begins to cancel; returns when the order is taken.
  [[nodiscard]] absl::Status Cancel(std::string_view job_id) const;

  /// Each begins an operation, and returns the path by which Operation asks for it.
  [[nodiscard]] absl::StatusOr<std::string> TriggerSavepoint(std::string_view job_id,
                                                             const SavepointOptions& options) const;
  [[nodiscard]] absl::StatusOr<std::string> TriggerCheckpoint(std::string_view job_id) const;
  [[nodiscard]] absl::StatusOr<std::string> TriggerDisposal(std::string_view savepoint_path) const;
  [[nodiscard]] absl::StatusOr<OperationStatus> Operation(const std::string& path) const;

  [[nodiscard]] absl::StatusOr<std::vector<JobLibraryStatus>> Libraries() const;
  /// Returns the library's id.
  [[nodiscard]] absl::StatusOr<std::string> Upload(const std::string& file) const;
  /// Builds and starts a job; returns its id. Errors: kInvalidArgument if Build fails, with its
  /// words.
  [[nodiscard]] absl::StatusOr<std::string> Submit(const JobSubmission& submission) const;

  /// Returns the id of the job that `text` names: a whole id, or the beginning of one, or the name,
  /// if just one known job has it. Errors: kNotFound, kInvalidArgument if several have it.
  [[nodiscard]] absl::StatusOr<std::string> ResolveJob(std::string_view text) const;

  [[nodiscard]] const RestClient& rest() const { return rest_; }

 private:
  RestClient rest_;
};

/// Returns the job's vertices with other bounds: `parallelism`, if it is given, for all whose
/// parallelism the job's code leaves open (for all if it does so for none), and `of_vertices` for
/// those that it names by name, part of a name, or id. Lower bounds go down with the upper ones.
/// Errors: kNotFound for a vertex that there is none of; kInvalidArgument if several have the name,
/// or if a number is above a max parallelism.
[[nodiscard]] absl::StatusOr<std::vector<JobScaling::Vertex>> PlanScaling(
    const JobScaling& job, std::optional<uint32_t> parallelism,
    const std::map<std::string, uint32_t>& of_vertices);

/// Returns which library and job `name` means: the name of a job, those shipped with weir first, or
/// the id of a library. Errors: kNotFound naming the nearest match, or all jobs there are;
/// kInvalidArgument if several uploaded libraries have such a job.
[[nodiscard]] absl::StatusOr<JobSubmission> FindJob(const std::vector<JobLibraryStatus>& libraries,
                                                    std::string_view name);

}  // namespace weir
