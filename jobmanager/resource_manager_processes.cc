// The processes that TaskManagers have for isolated jobs, as the ResourceManager sees them.

#include <algorithm>
#include <utility>

#include "jobmanager/internal/resource_manager_entries.h"
#include "jobmanager/proto_ids.h"
#include "jobmanager/resource_manager.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/failure.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr std::string_view kComponent = "resource-manager";

}  // namespace

bool ResourceManager::CanAdopt(const std::string& id, const proto::Register& registration,
                               const std::map<JobId, uint32_t>& held) const {
  const auto owner = task_managers_.find(registration.owner_id());
  const auto wanted = held.find(IdFromBytes<JobId>(registration.job_id()));
  return owner != task_managers_.end() && owner->second->unclaimed_processes.contains(id) &&
         wanted != held.end() && !owner->second->processes.contains(wanted->first) &&
         wanted->second <= owner->second->num_free();
}

void ResourceManager::AdoptProcess(const std::string& id, const proto::Register& registration,
                                   const std::map<JobId, uint32_t>& held) {
  Registered* const owner = task_managers_.at(registration.owner_id()).get();
  auto process = std::make_unique<JobProcess>();
  process->id = id;
  process->job = IdFromBytes<JobId>(registration.job_id());
  process->owner = owner;
  owner->unclaimed_processes.erase(id);
  owner->slots_by_job[process->job] = held.at(process->job);
  owner->processes[process->job] = process.get();
  processes_[id] = std::move(process);
  AnnounceProcesses();  // What the owner was told of its slots is not known.
}

void ResourceManager::EndUnclaimedProcesses() {
  for (const auto& [owner, registered] : task_managers_) {
    for (const std::string& id : std::exchange(registered->unclaimed_processes, {})) {
      proto::JobManagerMessage end;
      end.mutable_end_job_process()->set_process_id(id);
      end.mutable_end_job_process()->set_at_once(true);
      registered->gateway->Send(end);
    }
  }
}

void ResourceManager::LoseProcess(const std::string& id, const absl::Status& reason) {
  const auto found = processes_.extract(id);
  if (found.empty()) return;
  const std::unique_ptr<JobProcess> process = std::move(found.mapped());
  Registered* const owner = process->owner;
  owner->processes.erase(process->job);
  executor_->CancelTimer(process->loss_timer);
  LogWarning(kComponent, StrCat("process of a job lost: id=", id, ": ", ToStd(reason.message())));
  // It may only hang.
  proto::JobManagerMessage end;
  end.mutable_end_job_process()->set_process_id(id);
  end.mutable_end_job_process()->set_at_once(true);
  owner->gateway->Send(end);
  const absl::Status loss =
      WithMessage(reason, StrCat("the process of job ", ToString(process->job), " on TaskManager ",
                                 owner->gateway->id(), " was lost: ", ToStd(reason.message())));
  const std::shared_ptr<TaskManagerGateway> gateway = process->registered.gateway;
  // One that ended before it began would do so again at once: then the job is to know.
  const bool began = gateway != nullptr || !task_managers_.contains(owner->gateway->id());
  owner->slots_by_job.erase(process->job);
  RestartRequest(process->job, owner, began ? absl::OkStatus() : loss);
  if (gateway != nullptr) {
    internal::Dismiss(gateway.get(), reason);
    gateway->Close();
    listener_->OnTaskManagerLost(gateway.get(), loss);
  }
  ServeRequests();
  AnnounceSlots();
}

void ResourceManager::AnswerStarted() {
  // Callbacks may ask and release again, so the search starts anew after each.
  while (true) {
    const auto gateway_for = [](JobId job, const Registered& owner) {
      const auto process = owner.processes.find(job);
      return process == owner.processes.end() ? owner.gateway : process->second->registered.gateway;
    };
    const auto is_ready = [&](const std::unique_ptr<Request>& request) {
      return std::all_of(request->granted.begin(), request->granted.end(), [&](const auto* owner) {
        return gateway_for(request->slots.job, *owner) != nullptr;
      });
    };
    const auto found = std::find_if(starting_.begin(), starting_.end(), is_ready);
    if (found == starting_.end()) return;
    const std::unique_ptr<Request> request = std::move(*found);
    starting_.erase(found);
    executor_->CancelTimer(request->timer);
    Slots slots;
    for (const Registered* const owner : request->granted) {
      slots.push_back(gateway_for(request->slots.job, *owner));
    }
    request->done(std::move(slots));
  }
}

void ResourceManager::RestartRequest(JobId job_id, const Registered* owner,
                                     const absl::Status& failure) {
  const auto found = std::find_if(starting_.begin(), starting_.end(), [&](const auto& request) {
    const std::vector<Registered*>& granted = request->granted;
    return request->slots.job == job_id &&
           std::find(granted.begin(), granted.end(), owner) != granted.end();
  });
  if (found == starting_.end()) return;
  std::unique_ptr<Request> request = std::move(*found);
  starting_.erase(found);
  TakeBack(*request);
  if (failure.ok()) {
    request->granted.clear();
    requests_.push_front(std::move(request));  // Its time goes on.
  } else {
    executor_->CancelTimer(request->timer);
    request->done(failure);
  }
}

void ResourceManager::RunProcess(JobId job_id, Registered* owner) {
  JobProcess*& process = owner->processes[job_id];
  if (process == nullptr) {
    struct JobProcessTag;
    auto made = std::make_unique<JobProcess>();
    made->id = StrCat(owner->gateway->id(), "-job-",
                      ToString(RandomId<HexId<JobProcessTag>>()).substr(0, 8));
    made->job = job_id;
    made->owner = owner;
    process = made.get();
    processes_[made->id] = std::move(made);
  }
  const uint32_t num_slots = owner->slots_of(job_id);
  if (std::exchange(process->num_slots, num_slots) == num_slots) return;
  proto::JobManagerMessage message;
  proto::RunJobProcess* const run = message.mutable_run_job_process();
  run->set_leader_epoch(options_.leader_epoch.value());
  run->set_process_id(process->id);
  run->set_job_id(IdToBytes(job_id));
  run->set_num_slots(num_slots);
  owner->gateway->Send(message);
}

void ResourceManager::AnnounceProcesses() {
  if (process_update_ != TimerId() || processes_.empty()) return;
  process_update_ = executor_->PostAfter(absl::ZeroDuration(), [this] {
    process_update_ = TimerId();
    UpdateProcesses();
  });
}

void ResourceManager::UpdateProcesses() {
  for (auto it = processes_.begin(); it != processes_.end();) {
    JobProcess& process = *it->second;
    Registered* const owner = process.owner;
    if (owner->slots_of(process.job) > 0) {
      RunProcess(process.job, owner);
      ++it;
      continue;
    }
    owner->processes.erase(process.job);
    executor_->CancelTimer(process.loss_timer);
    // Its connection is for itself to close: it may still read what was sent.
    proto::JobManagerMessage end;
    end.mutable_end_job_process()->set_process_id(process.id);
    owner->gateway->Send(end);
    it = processes_.erase(it);
  }
}

}  // namespace weir
