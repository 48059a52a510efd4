#include "jobmanager/resource_manager.h"

#include <algorithm>
#include <utility>

#include "jobmanager/internal/resource_manager_entries.h"
#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/failure.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr std::string_view kComponent = "resource-manager";

}  // namespace

namespace internal {

absl::Status TaskManagerLostError(std::string_view message) {
  absl::Status lost = absl::UnavailableError(ToAbsl(message));
  SetFailure(FailureOrigin::kSystem, kTaskManagerLost, &lost);
  return lost;
}

void Dismiss(TaskManagerGateway* task_manager, const absl::Status& reason) {
  proto::JobManagerMessage message;
  message.mutable_dismissed()->set_reason(std::string(ToStd(reason.message())));
  task_manager->Send(message);
}

}  // namespace internal

ResourceManager::ResourceManager(ResourceManagerOptions options, MainThreadExecutor* executor,
                                 TaskManagerListener* listener)
    : options_(std::move(options)), executor_(executor), listener_(listener) {
  heartbeat_timer_ =
      executor_->PostAfter(options_.heartbeat_interval, [this] { SendHeartbeats(); });
}

ResourceManager::~ResourceManager() {
  executor_->CancelTimer(heartbeat_timer_);
  executor_->CancelTimer(announcement_);
  executor_->CancelTimer(process_update_);
  for (const auto& request : requests_) executor_->CancelTimer(request->timer);
  for (const auto& request : starting_) executor_->CancelTimer(request->timer);
  for (const auto& [id, process] : processes_) executor_->CancelTimer(process->loss_timer);
}

std::string ResourceManager::ReasonToRefuse(const TaskManagerGateway& task_manager,
                                            const proto::Register& registration,
                                            const std::map<JobId, uint32_t>& held) const {
  if (task_manager.id().empty() || task_manager.num_slots() == 0) {
    return "a TaskManager needs an id and at least one slot";
  }
  if (!options_.abi_stamp.empty() && registration.abi_stamp() != options_.abi_stamp) {
    return StrCat(
        "the TaskManager is of another build than the JobManager; install the same version on "
        "both: taskmanager=",
        registration.abi_stamp(), " jobmanager=", options_.abi_stamp);
  }
  if (registration.owner_id().empty()) return "";
  const auto process = processes_.find(task_manager.id());
  const bool is_wanted = process == processes_.end()
                             ? CanAdopt(task_manager.id(), registration, held)
                             : process->second->registered.gateway == nullptr;
  return is_wanted ? "" : "nobody waits for this process of a job any more";
}

bool ResourceManager::Register(std::shared_ptr<TaskManagerGateway> task_manager,
                               const proto::Register& registration,
                               const std::map<JobId, uint32_t>& held) {
  if (const std::string refusal = ReasonToRefuse(*task_manager, registration, held);
      !refusal.empty()) {
    LogWarning(kComponent, StrCat("TaskManager refused: id=", task_manager->id(), ": ", refusal));
    proto::JobManagerMessage answer;
    answer.mutable_refused()->set_reason(refusal);
    task_manager->Send(answer);
    task_manager->Close();
    return false;
  }
  if (!registration.owner_id().empty()) {
    const std::string id = task_manager->id();
    if (!processes_.contains(id)) AdoptProcess(id, registration, held);
    Registered* const registered = &processes_.at(id)->registered;
    Accept(std::move(task_manager), registration, registered);
    AnswerStarted();
    return true;
  }
  Lose(task_manager->id(), internal::TaskManagerLostError("the TaskManager has registered anew"));
  const bool goes_on = registration.jobs_size() > 0 || registration.process_ids_size() > 0;
  if (goes_on && registration.leader_epoch() == options_.leader_epoch.value()) {
    proto::JobManagerMessage answer;
    answer.mutable_dismissed()->set_reason("its connection ended, so its tasks begin anew");
    task_manager->Send(answer);
    task_manager->Close();
    return false;
  }
  auto registered = std::make_unique<Registered>();
  registered->isolates_jobs = registration.isolates_jobs();
  registered->unclaimed_processes = {registration.process_ids().begin(),
                                     registration.process_ids().end()};
  const std::string id = task_manager->id();
  Accept(std::move(task_manager), registration, registered.get());
  for (const auto& [job, num_slots] : held) {
    const uint32_t num_held = std::min(num_slots, registered->num_free());
    if (num_held > 0) registered->slots_by_job[job] = num_held;
  }
  task_managers_[id] = std::move(registered);
  ServeRequests();
  AnnounceSlots();
  return true;
}

void ResourceManager::Accept(std::shared_ptr<TaskManagerGateway> task_manager,
                             const proto::Register& registration, Registered* registered) {
  registered->pid = registration.pid();
  registered->num_cores = registration.num_cores();
  registered->memory_bytes = registration.memory_bytes();
  registered->last_heartbeat = executor_->clock()->Now();
  registered->last_heartbeat_nanos = executor_->clock()->MonotonicNanos();
  LogInfo(kComponent, StrCat(registration.owner_id().empty() ? "TaskManager" : "process of a job",
                             " registered: id=", task_manager->id(), " host=", task_manager->host(),
                             " data_port=", task_manager->data_port(),
                             " slots=", task_manager->num_slots(), " pid=", registration.pid()));
  proto::JobManagerMessage answer;
  proto::Registered* const accepted = answer.mutable_registered();
  accepted->set_leader_epoch(options_.leader_epoch.value());
  accepted->set_heartbeat_interval_ms(absl::ToInt64Milliseconds(options_.heartbeat_interval));
  accepted->set_heartbeat_timeout_ms(absl::ToInt64Milliseconds(options_.heartbeat_timeout));
  task_manager->Send(answer);
  registered->gateway = std::move(task_manager);
}

void ResourceManager::OnHeartbeat(TaskManagerGateway* task_manager,
                                  const proto::TaskManagerHeartbeat& heartbeat) {
  Registered* const registered = Find(task_manager);
  if (registered == nullptr) return;
  registered->last_heartbeat = executor_->clock()->Now();
  registered->last_heartbeat_nanos = executor_->clock()->MonotonicNanos();
  registered->memory_used_bytes = heartbeat.memory_used_bytes();
  registered->resident_bytes = heartbeat.resident_bytes();
}

std::vector<MetricsDecoder::Scope> ResourceManager::OnMetrics(TaskManagerGateway* task_manager,
                                                              const proto::MetricsReport& part) {
  Registered* const registered = Find(task_manager);
  if (registered == nullptr) return {};
  return registered->metrics.Decode(part);
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

FailureOrigin OriginOfEnd(std::string_view signal) {
  // A signal that nobody's code raises by mistake came from outside.
  const bool by_code = signal != "SIGKILL" && signal != "SIGTERM";
  return by_code ? FailureOrigin::kUser : FailureOrigin::kSystem;
}

void ResourceManager::OnCrashed(const proto::CrashReport& report) {
  const std::string place =
      report.operator_name().empty()
          ? ""
          : StrCat(" in operator ", report.operator_name(), " (uid=", report.uid(), ") of job ",
                   ToString(IdFromBytes<JobId>(report.job_id())));
  if (const auto process = processes_.find(report.task_manager_id()); process != processes_.end()) {
    absl::Status reason =
        absl::UnavailableError(StrCat("its process ended: ", report.signal(), place,
                                      place.empty() ? StrCat("\n", report.text()) : ""));
    SetFailure(OriginOfEnd(report.signal()), report.signal(), &reason);
    LoseProcess(report.task_manager_id(), reason);
    return;
  }
  const auto found = task_managers_.find(report.task_manager_id());
  if (found == task_managers_.end() || found->second->pid != report.pid()) return;
  Lose(report.task_manager_id(),
       absl::UnavailableError(StrCat("its process crashed: ", report.signal(), place)));
}

void ResourceManager::OnClosed(TaskManagerGateway* task_manager) {
  if (Find(task_manager) == nullptr) return;
  const absl::Status reason =
      internal::TaskManagerLostError("its connection to the JobManager was closed");
  const auto process = processes_.find(task_manager->id());
  if (process == processes_.end()) {
    Lose(task_manager->id(), reason);
    return;
  }
  // Its TaskManager knows how it ended, and is about to say so.
  process->second->loss_timer =
      executor_->PostAfter(options_.process_end_timeout,
                           [this, id = task_manager->id(), reason] { LoseProcess(id, reason); });
}

ResourceManager::Registered* ResourceManager::Find(const TaskManagerGateway* task_manager) const {
  if (const auto found = task_managers_.find(task_manager->id()); found != task_managers_.end()) {
    return found->second->gateway.get() == task_manager ? found->second.get() : nullptr;
  }
  const auto process = processes_.find(task_manager->id());
  if (process == processes_.end()) return nullptr;
  Registered* const registered = &process->second->registered;
  return registered->gateway.get() == task_manager ? registered : nullptr;
}

bool ResourceManager::IsRegistered(const TaskManagerGateway* task_manager) const {
  return Find(task_manager) != nullptr;
}

void ResourceManager::Lose(const std::string& id, const absl::Status& reason) {
  const auto found = task_managers_.extract(id);
  if (found.empty()) return;
  Registered* const lost = found.mapped().get();
  const std::shared_ptr<TaskManagerGateway> gateway = lost->gateway;
  LogWarning(kComponent,
             StrCat("TaskManager lost: id=", gateway->id(), ": ", ToStd(reason.message())));
  internal::Dismiss(gateway.get(), reason);
  // Its processes end with it; while it hangs they may not have noticed.
  while (!lost->processes.empty()) {
    LoseProcess(lost->processes.begin()->second->id,
                internal::TaskManagerLostError(
                    StrCat("its TaskManager was lost: ", ToStd(reason.message()))));
  }
  const std::map<JobId, uint32_t> slots_by_job = lost->slots_by_job;  // It changes below.
  for (const auto& [job, num_slots] : slots_by_job) RestartRequest(job, lost, absl::OkStatus());
  gateway->Close();
  listener_->OnTaskManagerLost(
      gateway.get(), internal::TaskManagerLostError(
                         StrCat("TaskManager ", gateway->id(), " at ", gateway->host(), ":",
                                gateway->data_port(), " was lost: ", ToStd(reason.message()))));
  ServeRequests();
}

void ResourceManager::SendHeartbeats() {
  heartbeat_timer_ =
      executor_->PostAfter(options_.heartbeat_interval, [this] { SendHeartbeats(); });
  std::set<std::string> silent;
  for (const auto& [id, registered] : task_managers_) SendHeartbeatTo(id, *registered, &silent);
  for (const auto& [id, process] : processes_) {
    if (process->registered.gateway != nullptr) SendHeartbeatTo(id, process->registered, &silent);
  }
  for (const std::string& id : silent) {
    const absl::Status reason = internal::TaskManagerLostError(
        StrCat("no heartbeat came for ", absl::FormatDuration(options_.heartbeat_timeout)));
    Lose(id, reason);
    LoseProcess(id, reason);
  }
}

void ResourceManager::SendHeartbeatTo(const std::string& id, const Registered& registered,
                                      std::set<std::string>* silent) {
  const absl::Duration since =
      absl::Nanoseconds(executor_->clock()->MonotonicNanos() - registered.last_heartbeat_nanos);
  if (since > options_.heartbeat_timeout) {
    silent->insert(id);
    return;
  }
  proto::JobManagerMessage message;
  message.mutable_heartbeat()->set_leader_epoch(options_.leader_epoch.value());
  registered.gateway->Send(message);
}

void ResourceManager::RequestSlots(SlotRequest request, absl::Duration timeout,
                                   SlotsCallback done) {
  auto waiting = std::make_unique<Request>();
  waiting->slots = std::move(request);
  waiting->done = std::move(done);
  AddRequest(std::move(waiting), timeout);
  ServeRequests();
}

void ResourceManager::AddRequest(std::unique_ptr<Request> request, absl::Duration timeout) {
  request->timer = executor_->PostAfter(
      timeout, [this, waiting = request.get(), timeout] { OnTimeout(waiting, timeout); });
  requests_.push_back(std::move(request));
}

void ResourceManager::OnTimeout(const Request* request, absl::Duration timeout) {
  for (auto* const list : {&requests_, &starting_}) {
    const auto found = std::find_if(list->begin(), list->end(),
                                    [&](const auto& kept) { return kept.get() == request; });
    if (found == list->end()) continue;
    const std::unique_ptr<Request> expired = std::move(*found);
    list->erase(found);
    if (list == &starting_) {
      TakeBack(*expired);
      expired->done(absl::UnavailableError(
          StrCat("the processes of the job did not start in time; see the TaskManagers' logs: "
                 "waited=",
                 absl::FormatDuration(timeout), " (slot.request.timeout)")));
      return;
    }
    expired->done(absl::ResourceExhaustedError(StrCat(
        "NoResourceAvailable: the job did not get its slots in time; start more TaskManagers, "
        "cancel other jobs or lower the parallelism: slots needed=",
        expired->slots.preferred.size(), " free=", NumFreeSlots(),
        " TaskManagers=", task_managers_.size(), " waited=", absl::FormatDuration(timeout),
        " (slot.request.timeout)")));
    return;
  }
}

void ResourceManager::ReleaseSlots(JobId job_id, const Slots& slots) {
  for (const std::shared_ptr<TaskManagerGateway>& slot : slots) {
    if (!IsRegistered(slot.get())) continue;
    std::map<JobId, uint32_t>& held = task_managers_.at(slot->owner_id())->slots_by_job;
    const auto found = held.find(job_id);
    if (found != held.end() && --found->second == 0) held.erase(found);
  }
  ServeRequests();
  if (slots.empty()) return;
  AnnounceSlots();
  AnnounceProcesses();
}

void ResourceManager::SetSlots(JobId job_id, const Slots& slots) {
  for (const auto& [id, registered] : task_managers_) registered->slots_by_job.erase(job_id);
  for (const std::shared_ptr<TaskManagerGateway>& slot : slots) {
    if (slot == nullptr || !IsRegistered(slot.get())) continue;
    Registered& registered = *task_managers_.at(slot->owner_id());
    if (registered.num_free() > 0) ++registered.slots_by_job[job_id];
  }
  ServeRequests();
  AnnounceSlots();
  AnnounceProcesses();
}

void ResourceManager::ForgetRequest(JobId job_id) {
  for (auto* const list : {&requests_, &starting_}) {
    for (auto it = list->begin(); it != list->end();) {
      if ((*it)->slots.job != job_id) {
        ++it;
        continue;
      }
      executor_->CancelTimer((*it)->timer);
      const std::unique_ptr<Request> forgotten = std::move(*it);
      it = list->erase(it);
      TakeBack(*forgotten);
    }
  }
}

void ResourceManager::TakeBack(const Request& request) {
  for (Registered* const owner : request.granted) {
    const auto held = owner->slots_by_job.find(request.slots.job);
    if (held != owner->slots_by_job.end() && --held->second == 0) owner->slots_by_job.erase(held);
  }
  if (request.granted.empty()) return;
  AnnounceSlots();
  AnnounceProcesses();
}

absl::Status ResourceManager::ReplaceSlots(SlotRequest request, absl::Duration timeout,
                                           SlotsCallback done) {
  const JobId job_id = request.job;
  if (request.preferred.size() > NumAvailableSlots(job_id)) {
    return absl::ResourceExhaustedError(
        StrCat("there are too few slots: needed=", request.preferred.size(),
               " the job's and free=", NumAvailableSlots(job_id)));
  }
  ForgetRequest(job_id);
  size_t num_released = 0;
  for (const auto& [id, registered] : task_managers_) {
    num_released += registered->slots_by_job.erase(job_id);
  }
  auto first = std::make_unique<Request>();
  first->slots = std::move(request);
  first->done = std::move(done);
  first->timer = executor_->PostAfter(
      timeout, [this, waiting = first.get(), timeout] { OnTimeout(waiting, timeout); });
  Grant(std::move(first));
  if (num_released > 0) {
    ServeRequests();
    AnnounceSlots();
    AnnounceProcesses();
  }
  return absl::OkStatus();
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
  AnnounceProcesses();
}

void ResourceManager::ServeRequests() {
  // Callbacks may ask and release again, so the search starts anew after each.
  while (true) {
    const uint32_t num_free = NumFreeSlots();
    const auto found = std::find_if(requests_.begin(), requests_.end(), [&](const auto& request) {
      return request->slots.preferred.size() <= num_free;
    });
    if (found == requests_.end()) return;
    std::unique_ptr<Request> request = std::move(*found);
    requests_.erase(found);
    Grant(std::move(request));
  }
}

void ResourceManager::Grant(std::unique_ptr<Request> request) {
  const SlotRequest& wanted = request->slots;
  request->granted = Allocate(wanted.job, wanted.preferred);
  if (wanted.isolated) {
    for (Registered* const owner : request->granted) {
      if (owner->isolates_jobs) RunProcess(wanted.job, owner);
    }
  }
  starting_.push_back(std::move(request));
  AnswerStarted();
}

uint32_t ResourceManager::NumFreeSlots() const {
  uint32_t num_free = 0;
  for (const auto& [id, registered] : task_managers_) num_free += registered->num_free();
  return num_free;
}

std::vector<ResourceManager::Registered*> ResourceManager::Allocate(
    JobId job_id, const std::vector<std::string>& preferred) {
  std::vector<Registered*> slots(preferred.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    const auto found = task_managers_.find(preferred[i]);
    if (found == task_managers_.end() || found->second->num_free() == 0) continue;
    ++found->second->slots_by_job[job_id];
    slots[i] = found->second.get();
  }
  for (Registered*& slot : slots) {
    if (slot != nullptr) continue;
    const auto used_share = [](const Registered& candidate) {
      return static_cast<double>(candidate.num_used()) / candidate.gateway->num_slots();
    };
    for (const auto& [id, candidate] : task_managers_) {
      if (candidate->num_free() == 0) continue;
      if (slot == nullptr || used_share(*candidate) < used_share(*slot)) slot = candidate.get();
    }
    ++slot->slots_by_job[job_id];
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
  for (const auto& [job, num_slots] : registered.slots_by_job) {
    for (uint32_t i = 0; i < num_slots; ++i) {
      info.allocated_slots.push_back({job, profile(1.0 / gateway.num_slots())});
    }
  }
  info.metrics.memory_used_bytes = registered.memory_used_bytes;
  info.metrics.memory_committed_bytes = registered.resident_bytes;
  for (const auto& [job, process] : registered.processes) {
    info.metrics.memory_used_bytes += process->registered.memory_used_bytes;
    info.metrics.memory_committed_bytes += process->registered.resident_bytes;
  }
  info.metrics.memory_budget_bytes = registered.memory_bytes;
  info.free_memory_bytes = registered.memory_bytes - info.metrics.memory_used_bytes;
  return info;
}

void ResourceManager::CloseAll() {
  for (const auto& [id, process] : processes_) {
    if (process->registered.gateway != nullptr) process->registered.gateway->Close();
  }
  for (const auto& [id, registered] : task_managers_) registered->gateway->Close();
}

}  // namespace weir
