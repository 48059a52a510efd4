#include "jobmanager/resource_manager.h"

#include <algorithm>
#include <utility>

#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/failure.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr std::string_view kComponent = "resource-manager";

}  // namespace

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
  std::map<JobId, uint32_t> slots_by_job;

  uint32_t num_used() const {
    uint32_t used = 0;
    for (const auto& [job, slots] : slots_by_job) used += slots;
    return used;
  }
  uint32_t num_free() const { return gateway->num_slots() - num_used(); }
};

struct ResourceManager::Request {
  JobId job_id;
  std::vector<std::string> preferred;  // One for each slot.
  SlotsCallback done;
  TimerId timer;
};

ResourceManager::ResourceManager(ResourceManagerOptions options, MainThreadExecutor* executor,
                                 TaskManagerListener* listener)
    : options_(std::move(options)), executor_(executor), listener_(listener) {
  heartbeat_timer_ =
      executor_->PostAfter(options_.heartbeat_interval, [this] { SendHeartbeats(); });
}

ResourceManager::~ResourceManager() {
  executor_->CancelTimer(heartbeat_timer_);
  executor_->CancelTimer(announcement_);
  for (const auto& request : requests_) executor_->CancelTimer(request->timer);
}

bool ResourceManager::Register(std::shared_ptr<TaskManagerGateway> task_manager,
                               const proto::Register& registration,
                               const std::map<JobId, uint32_t>& held) {
  std::string refusal;
  if (task_manager->id().empty() || task_manager->num_slots() == 0) {
    refusal = "a TaskManager needs an id and at least one slot";
  } else if (!options_.abi_stamp.empty() && registration.abi_stamp() != options_.abi_stamp) {
    refusal = StrCat(
        "the TaskManager is of another build than the JobManager; install the same version on "
        "both: taskmanager=",
        registration.abi_stamp(), " jobmanager=", options_.abi_stamp);
  }
  proto::JobManagerMessage answer;
  if (!refusal.empty()) {
    LogWarning(kComponent, StrCat("TaskManager refused: id=", task_manager->id(), ": ", refusal));
    answer.mutable_refused()->set_reason(refusal);
    task_manager->Send(answer);
    task_manager->Close();
    return false;
  }
  Lose(task_manager->id(), absl::UnavailableError("the TaskManager has registered anew"));
  if (registration.jobs_size() > 0 &&
      registration.leader_epoch() == options_.leader_epoch.value()) {
    answer.mutable_dismissed()->set_reason("its connection ended, so its tasks begin anew");
    task_manager->Send(answer);
    task_manager->Close();
    return false;
  }
  auto registered = std::make_unique<Registered>();
  registered->gateway = task_manager;
  registered->pid = registration.pid();
  registered->num_cores = registration.num_cores();
  registered->memory_bytes = registration.memory_bytes();
  registered->last_heartbeat = executor_->clock()->Now();
  registered->last_heartbeat_nanos = executor_->clock()->MonotonicNanos();
  for (const auto& [job, num_slots] : held) {
    const uint32_t num_held = std::min(num_slots, registered->num_free());
    if (num_held > 0) registered->slots_by_job[job] = num_held;
  }
  task_managers_[task_manager->id()] = std::move(registered);
  LogInfo(kComponent, StrCat("TaskManager registered: id=", task_manager->id(), " host=",
                             task_manager->host(), " data_port=", task_manager->data_port(),
                             " slots=", task_manager->num_slots(), " pid=", registration.pid()));
  proto::Registered* const accepted = answer.mutable_registered();
  accepted->set_leader_epoch(options_.leader_epoch.value());
  accepted->set_heartbeat_interval_ms(absl::ToInt64Milliseconds(options_.heartbeat_interval));
  accepted->set_heartbeat_timeout_ms(absl::ToInt64Milliseconds(options_.heartbeat_timeout));
  task_manager->Send(answer);
  ServeRequests();
  AnnounceSlots();
  return true;
}

void ResourceManager::OnHeartbeat(TaskManagerGateway* task_manager,
                                  const proto::TaskManagerHeartbeat& heartbeat) {
  if (!IsRegistered(task_manager)) return;
  Registered& registered = *task_managers_.at(task_manager->id());
  registered.last_heartbeat = executor_->clock()->Now();
  registered.last_heartbeat_nanos = executor_->clock()->MonotonicNanos();
  registered.memory_used_bytes = heartbeat.memory_used_bytes();
  registered.resident_bytes = heartbeat.resident_bytes();
}

std::vector<MetricsDecoder::Scope> ResourceManager::OnMetrics(TaskManagerGateway* task_manager,
                                                              const proto::MetricsReport& part) {
  if (!IsRegistered(task_manager)) return {};
  return task_managers_.at(task_manager->id())->metrics.Decode(part);
}

std::vector<MetricReport> ResourceManager::ProcessMetrics(
    const std::vector<std::string>& ids) const {
  std::vector<MetricReport> reports;
  for (const auto& [id, registered] : task_managers_) {
    const bool asked = ids.empty() || std::find(ids.begin(), ids.end(), id) != ids.end();
    const MetricReport& report = registered->metrics.process();
    if (asked && report.layout != nullptr) reports.push_back(report);
  }
  return reports;
}

void ResourceManager::OnCrashed(const proto::CrashReport& report) {
  const auto found = task_managers_.find(report.task_manager_id());
  if (found == task_managers_.end() || found->second->pid != report.pid()) return;
  const std::string place =
      report.operator_name().empty()
          ? ""
          : StrCat(" in operator ", report.operator_name(), " (uid=", report.uid(), ") of job ",
                   ToString(IdFromBytes<JobId>(report.job_id())));
  Lose(report.task_manager_id(),
       absl::UnavailableError(StrCat("its process crashed: ", report.signal(), place)));
}

void ResourceManager::OnClosed(TaskManagerGateway* task_manager) {
  if (!IsRegistered(task_manager)) return;
  Lose(task_manager->id(), absl::UnavailableError("its connection to the JobManager was closed"));
}

bool ResourceManager::IsRegistered(const TaskManagerGateway* task_manager) const {
  const auto found = task_managers_.find(task_manager->id());
  return found != task_managers_.end() && found->second->gateway.get() == task_manager;
}

void ResourceManager::Lose(const std::string& id, const absl::Status& reason) {
  auto found = task_managers_.extract(id);
  if (found.empty()) return;
  const std::shared_ptr<TaskManagerGateway> gateway = found.mapped()->gateway;
  LogWarning(kComponent,
             StrCat("TaskManager lost: id=", gateway->id(), ": ", ToStd(reason.message())));
  // If it lives, it is not to go on with what begins anew elsewhere.
  proto::JobManagerMessage dismissal;
  dismissal.mutable_dismissed()->set_reason(std::string(ToStd(reason.message())));
  gateway->Send(dismissal);
  gateway->Close();
  absl::Status loss =
      absl::UnavailableError(StrCat("TaskManager ", gateway->id(), " at ", gateway->host(), ":",
                                    gateway->data_port(), " was lost: ", ToStd(reason.message())));
  SetFailure(FailureOrigin::kSystem, kTaskManagerLost, &loss);
  listener_->OnTaskManagerLost(gateway.get(), loss);
}

void ResourceManager::SendHeartbeats() {
  heartbeat_timer_ =
      executor_->PostAfter(options_.heartbeat_interval, [this] { SendHeartbeats(); });
  proto::JobManagerMessage message;
  message.mutable_heartbeat()->set_leader_epoch(options_.leader_epoch.value());
  const int64_t now = executor_->clock()->MonotonicNanos();
  std::vector<std::string> silent;
  for (const auto& [id, registered] : task_managers_) {
    if (absl::Nanoseconds(now - registered->last_heartbeat_nanos) > options_.heartbeat_timeout) {
      silent.push_back(id);
    } else {
      registered->gateway->Send(message);
    }
  }
  for (const std::string& id : silent) {
    Lose(id, absl::UnavailableError(StrCat("no heartbeat came for ",
                                           absl::FormatDuration(options_.heartbeat_timeout))));
  }
}

void ResourceManager::RequestSlots(JobId job_id, std::vector<std::string> preferred,
                                   absl::Duration timeout, SlotsCallback done) {
  auto request = std::make_unique<Request>();
  request->job_id = job_id;
  request->preferred = std::move(preferred);
  request->done = std::move(done);
  Request* const waiting = request.get();
  request->timer = executor_->PostAfter(timeout, [this, waiting, timeout] {
    const auto found = std::find_if(requests_.begin(), requests_.end(),
                                    [&](const auto& kept) { return kept.get() == waiting; });
    if (found == requests_.end()) return;
    const std::unique_ptr<Request> expired = std::move(*found);
    requests_.erase(found);
    expired->done(absl::ResourceExhaustedError(StrCat(
        "NoResourceAvailable: the job did not get its slots in time; start more TaskManagers, "
        "cancel other jobs or lower the parallelism: slots needed=",
        expired->preferred.size(), " free=", NumFreeSlots(),
        " TaskManagers=", task_managers_.size(), " waited=", absl::FormatDuration(timeout),
        " (slot.request.timeout)")));
  });
  requests_.push_back(std::move(request));
  ServeRequests();
}

void ResourceManager::ReleaseSlots(JobId job_id, const Slots& slots) {
  for (const std::shared_ptr<TaskManagerGateway>& slot : slots) {
    if (!IsRegistered(slot.get())) continue;
    std::map<JobId, uint32_t>& held = task_managers_.at(slot->id())->slots_by_job;
    const auto found = held.find(job_id);
    if (found != held.end() && --found->second == 0) held.erase(found);
  }
  ServeRequests();
  if (!slots.empty()) AnnounceSlots();
}

void ResourceManager::SetSlots(JobId job_id, const Slots& slots) {
  for (const auto& [id, registered] : task_managers_) registered->slots_by_job.erase(job_id);
  for (const std::shared_ptr<TaskManagerGateway>& slot : slots) {
    if (slot == nullptr || !IsRegistered(slot.get())) continue;
    Registered& registered = *task_managers_.at(slot->id());
    if (registered.num_free() > 0) ++registered.slots_by_job[job_id];
  }
  ServeRequests();
  AnnounceSlots();
}

void ResourceManager::ForgetRequest(JobId job_id) {
  for (auto it = requests_.begin(); it != requests_.end();) {
    if ((*it)->job_id == job_id) {
      executor_->CancelTimer((*it)->timer);
      it = requests_.erase(it);
    } else {
      ++it;
    }
  }
}

absl::StatusOr<ResourceManager::Slots> ResourceManager::ReplaceSlots(
    JobId job_id, const std::vector<std::string>& preferred) {
  if (preferred.size() > NumAvailableSlots(job_id)) {
    return absl::ResourceExhaustedError(StrCat("there are too few slots: needed=", preferred.size(),
                                               " the job's and free=", NumAvailableSlots(job_id)));
  }
  ForgetRequest(job_id);
  size_t num_released = 0;
  for (const auto& [id, registered] : task_managers_) {
    num_released += registered->slots_by_job.erase(job_id);
  }
  Slots slots = Allocate(job_id, preferred);
  if (num_released > 0) {
    ServeRequests();
    AnnounceSlots();
  }
  return slots;
}

uint32_t ResourceManager::NumAvailableSlots(JobId job_id) const {
  uint32_t num_available = NumFreeSlots();
  for (const auto& [id, registered] : task_managers_) {
    const auto held = registered->slots_by_job.find(job_id);
    if (held != registered->slots_by_job.end()) num_available += held->second;
  }
  return num_available;
}

void ResourceManager::AnnounceSlots() {
  if (announcement_ != TimerId()) return;
  announcement_ = executor_->PostAfter(absl::ZeroDuration(), [this] {
    announcement_ = TimerId();
    listener_->OnSlotsChanged();
  });
}

void ResourceManager::ReleaseSlots(JobId job_id) {
  ForgetRequest(job_id);
  size_t num_released = 0;
  for (const auto& [id, registered] : task_managers_) {
    num_released += registered->slots_by_job.erase(job_id);
  }
  if (num_released == 0) return;
  ServeRequests();
  AnnounceSlots();
}

void ResourceManager::ServeRequests() {
  // Callbacks may ask and release again, so the search starts anew after each.
  while (true) {
    const uint32_t num_free = NumFreeSlots();
    const auto found = std::find_if(requests_.begin(), requests_.end(), [&](const auto& request) {
      return request->preferred.size() <= num_free;
    });
    if (found == requests_.end()) return;
    const std::unique_ptr<Request> request = std::move(*found);
    requests_.erase(found);
    executor_->CancelTimer(request->timer);
    request->done(Allocate(request->job_id, request->preferred));
  }
}

uint32_t ResourceManager::NumFreeSlots() const {
  uint32_t num_free = 0;
  for (const auto& [id, registered] : task_managers_) num_free += registered->num_free();
  return num_free;
}

ResourceManager::Slots ResourceManager::Allocate(JobId job_id,
                                                 const std::vector<std::string>& preferred) {
  Slots slots(preferred.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    const auto found = task_managers_.find(preferred[i]);
    if (found == task_managers_.end() || found->second->num_free() == 0) continue;
    ++found->second->slots_by_job[job_id];
    slots[i] = found->second->gateway;
  }
  for (std::shared_ptr<TaskManagerGateway>& slot : slots) {
    if (slot != nullptr) continue;
    Registered* best = nullptr;
    const auto used_share = [](const Registered& candidate) {
      return static_cast<double>(candidate.num_used()) / candidate.gateway->num_slots();
    };
    for (const auto& [id, candidate] : task_managers_) {
      if (candidate->num_free() == 0) continue;
      if (best == nullptr || used_share(*candidate) < used_share(*best)) best = candidate.get();
    }
    ++best->slots_by_job[job_id];
    slot = best->gateway;
  }
  return slots;
}

ClusterOverview ResourceManager::Overview() const {
  ClusterOverview overview;
  overview.num_taskmanagers = static_cast<uint32_t>(task_managers_.size());
  for (const auto& [id, registered] : task_managers_) {
    overview.num_slots += registered->gateway->num_slots();
    overview.num_free_slots += registered->num_free();
  }
  return overview;
}

std::vector<TaskManagerInfo> ResourceManager::TaskManagers() const {
  std::vector<TaskManagerInfo> infos;
  for (const auto& [id, registered] : task_managers_) infos.push_back(InfoOf(*registered));
  return infos;
}

TaskManagerInfo ResourceManager::InfoOf(const Registered& registered) const {
  const TaskManagerGateway& gateway = *registered.gateway;
  const auto profile = [&](double share) {
    ResourceProfile resource;
    resource.cpu_cores = registered.num_cores * share;
    resource.managed_memory_bytes =
        static_cast<int64_t>(static_cast<double>(registered.memory_bytes) * share);
    return resource;
  };
  TaskManagerInfo info;
  info.id = gateway.id();
  info.path = StrCat(gateway.host(), ":", gateway.data_port());
  info.data_port = gateway.data_port();
  info.last_heartbeat = registered.last_heartbeat;
  info.num_slots = gateway.num_slots();
  info.num_free_slots = registered.num_free();
  info.total_resource = profile(1);
  info.free_resource =
      profile(static_cast<double>(info.num_free_slots) / static_cast<double>(info.num_slots));
  info.num_cpu_cores = registered.num_cores;
  info.physical_memory_bytes = registered.memory_bytes;
  info.free_memory_bytes = registered.memory_bytes - registered.memory_used_bytes;
  for (const auto& [job, num_slots] : registered.slots_by_job) {
    for (uint32_t i = 0; i < num_slots; ++i) {
      info.allocated_slots.push_back({job, profile(1.0 / gateway.num_slots())});
    }
  }
  info.metrics.memory_used_bytes = registered.memory_used_bytes;
  info.metrics.memory_committed_bytes = registered.resident_bytes;
  info.metrics.memory_budget_bytes = registered.memory_bytes;
  return info;
}

void ResourceManager::CloseAll() {
  for (const auto& [id, registered] : task_managers_) registered->gateway->Close();
}

}  // namespace weir
