#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "jobmanager/resource_manager.h"
#include "runtime/base/ids.h"

namespace weir {

/// A TaskManager, or what a job's process says of itself as one.
struct ResourceManager::Registered {
  std::shared_ptr<TaskManagerGateway> gateway;
  int64_t pid = 0;
  uint32_t num_cores = 0;
  int64_t memory_bytes = 0;
  absl::Time last_heartbeat;
  int64_t last_heartbeat_nanos = 0;  // Monotonic.
  int64_t memory_used_bytes = 0;
  int64_t resident_bytes = 0;
  MetricsDecoder metrics;
  // The rest is of TaskManagers only.
  bool isolates_jobs = false;
  std::map<JobId, uint32_t> slots_by_job;
  std::map<JobId, JobProcess*> processes;
  std::set<std::string> unclaimed_processes;  // Of an earlier leader; they may register yet.

  uint32_t num_used() const {
    uint32_t used = 0;
    for (const auto& [job, slots] : slots_by_job) used += slots;
    return used;
  }
  uint32_t num_free() const { return gateway->num_slots() - num_used(); }
  uint32_t slots_of(JobId job) const {
    const auto found = slots_by_job.find(job);
    return found == slots_by_job.end() ? 0 : found->second;
  }
};

/// The process of a job: registered, or being started.
struct ResourceManager::JobProcess {
  std::string id;
  JobId job;
  Registered* owner = nullptr;
  uint32_t num_slots = 0;  // That the owner was told.
  Registered registered;   // Without a gateway until it registers.
  TimerId loss_timer;      // Its connection is closed.
};

/// What a job asked for, until it has it.
struct ResourceManager::Request {
  SlotRequest slots;
  SlotsCallback done;
  TimerId timer;
  std::vector<Registered*> granted;  // While its processes start: the TaskManager of each slot.
};

namespace internal {

/// Returns why a TaskManager, or the process of a job, is lost that did not say so itself.
[[nodiscard]] absl::Status TaskManagerLostError(std::string_view message);

/// Tells one that is lost. If it lives, it is not to go on with what begins anew elsewhere.
void Dismiss(TaskManagerGateway* task_manager, const absl::Status& reason);

}  // namespace internal
}  // namespace weir
