// The TaskExecutor between two leaders: what runs on, how the next one hears of it, and what it
// takes over.

#include <algorithm>
#include <utility>

#include "proto/control_plane.pb.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"
#include "taskmanager/task_executor.h"
#include "taskmanager/wire_ids.h"
#include "taskmanager/wire_states.h"

namespace weir {
namespace {

void WriteDeployment(const std::pair<uint64_t, uint64_t>& deployment, proto::DeploymentId* out) {
  out->set_leader_epoch(deployment.first);
  out->set_number(deployment.second);
}

}  // namespace

void TaskExecutor::NoteCheckpoint(JobId job, CheckpointId checkpoint) {
  const auto found = jobs_.find(job);
  if (found == jobs_.end()) return;
  found->second.last_checkpoint = std::max(found->second.last_checkpoint, checkpoint);
}

void TaskExecutor::Orphan() {
  {
    const MutexLock lock(&attempts_mutex_);
    for (const auto& [id, job] : jobs_) held_.try_emplace(id);
    awaits_adoption_.store(!held_.empty(), std::memory_order_release);
  }
  for (auto& [id, job] : jobs_) {
    // The leader may have begun one more than was heard of here. Its barriers came to some sources,
    // perhaps, and will never come to the others.
    job.last_checkpoint = CheckpointId(job.last_checkpoint.value() + 1);
    for (const ExecutionAttemptId& attempt : job.tasks) {
      const RunningTask& running = tasks_.at(attempt);
      if (running.task != nullptr) running.task->AbandonAlignment(job.last_checkpoint);
    }
  }
}

bool TaskExecutor::has_jobs() const {
  return !jobs_.empty() ||
         (environment_.processes != nullptr && !environment_.processes->ids().empty());
}

void TaskExecutor::Describe(proto::Register* registration) {
  if (environment_.processes != nullptr) {
    for (const std::string& id : environment_.processes->ids()) registration->add_process_ids(id);
  }
  for (const auto& [id, job] : jobs_) {
    proto::RunningJob* const out = registration->add_jobs();
    out->set_job_id(ToWireId(id));
    out->set_last_checkpoint_id(job.last_checkpoint.value());
    for (const auto& [vertex, parallelism] : job.parallelism) {
      proto::VertexParallelism* const added = out->add_vertices();
      added->set_vertex(ToWireId(vertex));
      added->set_parallelism(parallelism);
    }
    DescribeJob(job, out);
  }
}

void TaskExecutor::DescribeJob(const Job& job, proto::RunningJob* out) {
  const auto add_task = [out](ExecutionAttemptId attempt, const AttemptIdentity& identity,
                              TaskState state) {
    proto::RunningTask* const added = out->add_tasks();
    added->set_attempt(ToWireId(attempt));
    added->set_vertex(ToWireId(identity.vertex));
    added->set_subtask(identity.subtask);
    added->set_attempt_number(identity.attempt_number);
    WriteDeployment(identity.deployment, added->mutable_deployment());
    added->set_state(ToProto(state));
    added->set_restored_checkpoint(identity.restored_checkpoint);
    return added;
  };
  for (const auto& [subtask, attempts] : job.finished) {
    for (const FinishedTask& task : attempts) {
      add_task(task.attempt, task.identity, TaskState::kFinished)->set_input_ended(true);
    }
  }
  const MutexLock lock(&attempts_mutex_);
  for (const ExecutionAttemptId& attempt : job.tasks) {
    const RunningTask& running = tasks_.at(attempt);
    const AttemptRecord& record = attempts_[attempt];
    const TaskState state =
        record.canceling && !IsTerminal(record.state) ? TaskState::kCanceling : record.state;
    proto::RunningTask* const added = add_task(attempt, running.identity, state);
    added->set_input_ended(record.input_ended);
    added->set_stop_checkpoint(running.stop_checkpoint.value());
    events_.Describe(attempt, added->mutable_sent());
    WriteEventCounts(running.received, added->mutable_received());
  }
  for (const ExecutionAttemptId& attempt : job.coordinators) {
    const RunningCoordinator& running = coordinators_.at(attempt);
    // One that has failed is as good as none.
    if (running.host == nullptr || running.host->has_ended()) continue;
    proto::RunningCoordinator* const added = out->add_coordinators();
    added->set_attempt(ToWireId(attempt));
    added->set_operator_id(ToWireId(running.operator_id));
    WriteDeployment(running.deployment, added->mutable_deployment());
    events_.Describe(attempt, added->mutable_sent());
    WriteEventCounts(running.received, added->mutable_received());
  }
}

void TaskExecutor::Adopt(const Message& message) {
  const auto id = FromWireId<JobId>(message->adopt().job_id());
  if (!jobs_.contains(id)) return StopHolding(id);
  LogInfo("task-executor", StrCat("a JobManager takes tasks over: job=", ToString(id),
                                  " tasks=", message->adopt().attempts_size(),
                                  " coordinators=", message->adopt().coordinators_size()));
  CancelUnwanted(message);
  SendHeld(id, message);
}

void TaskExecutor::CancelUnwanted(const Message& message) {
  const proto::AdoptTasks& adopt = message->adopt();
  const Job& job = jobs_[FromWireId<JobId>(adopt.job_id())];
  absl::flat_hash_set<ExecutionAttemptId> wanted;
  for (const std::string& attempt : adopt.attempts()) {
    wanted.insert(FromWireId<ExecutionAttemptId>(attempt));
  }
  for (const std::string& attempt : adopt.coordinators()) {
    wanted.insert(FromWireId<ExecutionAttemptId>(attempt));
  }
  // Copies: each that ends takes itself out.
  const std::vector<ExecutionAttemptId> tasks(job.tasks.begin(), job.tasks.end());
  const std::vector<ExecutionAttemptId> coordinators(job.coordinators.begin(),
                                                     job.coordinators.end());
  for (const ExecutionAttemptId& attempt : tasks) {
    if (!wanted.contains(attempt)) CancelTask(attempt);
  }
  for (const ExecutionAttemptId& attempt : coordinators) {
    if (!wanted.contains(attempt)) CloseCoordinator(attempt);
  }
}

void TaskExecutor::SendHeld(JobId id, const Message& message) {
  std::map<EventChannelId, uint64_t> next;
  for (const proto::EventPosition& position : message->adopt().received()) {
    next[EventChannelId::FromProto(position.channel())] = position.count();
  }
  const Job& job = jobs_[id];
  std::vector<ExecutionAttemptId> senders(job.tasks.begin(), job.tasks.end());
  senders.insert(senders.end(), job.coordinators.begin(), job.coordinators.end());
  while (true) {
    std::vector<proto::TaskManagerMessage> messages;
    {
      const MutexLock lock(&attempts_mutex_);
      const auto held = held_.find(id);
      if (held == held_.end()) return;
      messages.swap(held->second);
      for (const ExecutionAttemptId& sender : senders) {
        for (const EventChannelId& channel : events_.ChannelsOf(sender)) {
          for (proto::TaskManagerMessage& event : events_.After(sender, channel, next[channel])) {
            messages.push_back(std::move(event));
          }
          next[channel] = std::max(next[channel], events_.NumSent(sender, channel));
        }
      }
      if (messages.empty()) {
        held_.erase(held);
        awaits_adoption_.store(!held_.empty(), std::memory_order_release);
        return;
      }
    }
    // Without the lock: what is said meanwhile is held back, and comes in the next round.
    for (const proto::TaskManagerMessage& one : messages) environment_.reports->Report(one);
  }
}

void TaskExecutor::StopHolding(JobId job) {
  const MutexLock lock(&attempts_mutex_);
  held_.erase(job);
  awaits_adoption_.store(!held_.empty(), std::memory_order_release);
}

}  // namespace weir
