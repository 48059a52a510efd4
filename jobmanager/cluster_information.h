#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobmanager/savepoint.h"
#include "runtime/base/ids.h"

namespace weir {

struct ClusterOverview {
  uint32_t num_taskmanagers = 0;
  uint32_t num_slots = 0;
  uint32_t num_free_slots = 0;
  uint32_t num_jobs_running = 0;
  uint32_t num_jobs_finished = 0;
  uint32_t num_jobs_cancelled = 0;
  uint32_t num_jobs_failed = 0;
};

/// What a slot or a TaskManager may use.
struct ResourceProfile {
  double cpu_cores = 0;
  int64_t task_heap_bytes = 0;
  int64_t task_off_heap_bytes = 0;
  int64_t managed_memory_bytes = 0;
  int64_t network_memory_bytes = 0;
};

struct AllocatedSlot {
  JobId job_id = {};
  ResourceProfile resource = {};
};

/// What a TaskManager measures of itself, with each heartbeat.
struct TaskManagerMetrics {
  /// Memory charged to the process's budget, mapped by the allocator, and the budget itself.
  int64_t memory_used_bytes = 0;
  int64_t memory_committed_bytes = 0;
  int64_t memory_budget_bytes = 0;
  /// Memory of the process that no budget counts.
  int64_t other_memory_bytes = 0;
  /// Bytes of batches waiting in the data plane, and what they may take.
  int64_t network_memory_used_bytes = 0;
  int64_t network_memory_total_bytes = 0;
};

struct TaskManagerInfo {
  /// A free string, "host:port-suffix".
  std::string id = {};
  /// The address of its control service.
  std::string path = {};
  uint16_t data_port = 0;
  absl::Time last_heartbeat = {};
  uint32_t num_slots = 0;
  uint32_t num_free_slots = 0;
  ResourceProfile total_resource = {};
  ResourceProfile free_resource = {};
  uint32_t num_cpu_cores = 0;
  int64_t physical_memory_bytes = 0;
  int64_t free_memory_bytes = 0;
  std::vector<AllocatedSlot> allocated_slots = {};
  TaskManagerMetrics metrics = {};
};

struct ConfigurationEntry {
  std::string key = {};
  std::string value = {};
};

/// One job defined by a library.
struct JarEntry {
  std::string name = {};
  std::string description = {};
};

/// A job library: uploaded, or shipped with weir (then its id is its plain name, such as "ndr").
struct JarFile {
  std::string id = {};
  std::string name = {};
  absl::Time uploaded = {};
  std::vector<JarEntry> entries = {};
};

/// Asks for one job of a library to be run.
struct JarRunRequest {
  std::string jar_id = {};
  /// The name of the job inside the library; empty when it has only one.
  std::string entry_class = {};
  std::vector<std::string> program_args = {};
  std::optional<uint32_t> parallelism = {};
  /// Absent: the JobManager makes one.
  std::optional<JobId> job_id = {};
  std::string savepoint_path = {};
  bool allow_non_restored_state = false;
  ClaimMode claim_mode = ClaimMode::kNoClaim;
  /// Settings of this job, over the cluster's.
  std::map<std::string, std::string> flink_configuration = {};
};

}  // namespace weir
