#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "jobmanager/job_details.h"
#include "runtime/base/ids.h"

namespace weir {

/// How many subtasks a vertex may have; both ends are in it.
struct ParallelismRange {
  /// The job does not run with fewer.
  uint32_t lower = 1;
  /// What is wanted.
  uint32_t upper = 1;
  friend bool operator==(const ParallelismRange&, const ParallelismRange&) = default;
};
/// What a job asks of the cluster, for each of its vertices.
using ResourceRequirements = std::map<JobVertexId, ParallelismRange>;
/// How many subtasks each vertex has.
using VertexParallelism = std::map<JobVertexId, uint32_t>;

/// Why the parallelism of a job changes.
enum class RescaleCause : uint8_t {
  kUpdateRequirement,     ///< Somebody asked for it.
  kNewResourceAvailable,  ///< Slots came.
  kRecoverableFailover,   ///< Slots went, or came while the job was down.
};
enum class RescaleResult : uint8_t { kInProgress, kCompleted, kFailed };

/// The parts of a rescale, in their order; a part may be missing.
enum class RescalePhase : uint8_t {
  kCheckpoint,  ///< The job runs, and takes the checkpoint that it will be restored from.
  kStop,        ///< Its tasks are being cancelled.
  kSlots,       ///< It waits for slots.
  kDeploy,      ///< Its state is divided, and tasks are sent to TaskManagers.
  kStart,       ///< Tasks restore their state, until all are RUNNING.
};

/// Names, as Flink's REST API spells them: "UPDATE_REQUIREMENT", "COMPLETED".
[[nodiscard]] std::string_view ToString(RescaleCause cause);
[[nodiscard]] std::string_view ToString(RescaleResult result);
/// Returns e.g. "checkpoint".
[[nodiscard]] std::string_view ToString(RescalePhase phase);

struct RescaledVertex {
  JobVertexId id = {};
  std::string name = {};
  std::string slot_sharing_group = {};
  ParallelismRange wanted = {};
  uint32_t before = 0;
  /// 0 while it is not known.
  uint32_t after = 0;
};

/// One change of a job's parallelism, for people. Plain data.
struct RescaleEntry {
  /// Counts from 1 in each job.
  uint64_t number = 0;
  RescaleCause cause = RescaleCause::kUpdateRequirement;
  RescaleResult result = RescaleResult::kInProgress;
  /// A sentence: why it came, and why it failed if it did.
  std::string reason = {};
  absl::Time begin = {};
  /// absl::InfiniteFuture() while it is under way.
  absl::Time end = absl::InfiniteFuture();
  /// Restored from; 0 if it began from nothing.
  uint64_t checkpoint = 0;
  struct Phase {
    RescalePhase phase = RescalePhase::kCheckpoint;
    absl::Time begin = {};
    /// absl::InfiniteFuture() while it lasts.
    absl::Time end = absl::InfiniteFuture();
  };
  std::vector<Phase> phases = {};
  std::vector<RescaledVertex> vertices = {};

  /// From the first task's stop until all run again; so far, if it is under way. Zero if the tasks
  /// have not been stopped.
  [[nodiscard]] absl::Duration Downtime(absl::Time now) const;
};

/// How a job's parallelism stands.
struct ScalingDetails {
  struct Vertex {
    JobVertexId id = {};
    std::string name = {};
    uint32_t parallelism = 0;
    uint32_t max_parallelism = 0;
    ParallelismRange wanted = {};
    /// The job's code asked for it: no change of the job's parallelism as a whole touches it.
    bool parallelism_configured = false;
  };
  JobId id = {};
  JobStatus status = JobStatus::kInitializing;
  /// "default", "adaptive" or "reactive".
  std::string scheduler = {};
  /// Why the job does not run as it should, or what it waits for; empty if all is well.
  std::string reason = {};
  uint32_t wanted_slots = 0;
  /// Held by the job, and those that nobody has.
  uint32_t available_slots = 0;
  std::vector<Vertex> vertices = {};
  uint64_t num_rescales = 0;
  /// Newest first.
  std::vector<RescaleEntry> history = {};

  [[nodiscard]] ResourceRequirements Requirements() const;
};

}  // namespace weir
