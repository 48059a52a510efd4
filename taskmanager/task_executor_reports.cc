// The TaskExecutor as a listener: what tasks and coordinators say, as messages to the JobManager.
// On any thread.

#include <utility>

#include "proto/control_plane.pb.h"
#include "runtime/base/failure.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"
#include "runtime/record/byte_io.h"
#include "runtime/record/serde.h"
#include "runtime/state/operator_subtask_state.h"
#include "taskmanager/task_executor.h"
#include "taskmanager/wire_ids.h"
#include "taskmanager/wire_states.h"

namespace weir {
namespace {

// An idle task's metrics, of which only the idle time changes, are told so often.
constexpr int64_t kIdleReportNanos = 10'000'000'000;

void WriteMetrics(ExecutionAttemptId attempt, const TaskMetricsSnapshot& metrics,
                  proto::TaskMetrics* out) {
  out->set_attempt(ToWireId(attempt));
  out->set_records_in(metrics.records_in);
  out->set_records_out(metrics.records_out);
  out->set_bytes_in(metrics.bytes_in);
  out->set_bytes_out(metrics.bytes_out);
  out->set_busy_ms(absl::ToInt64Milliseconds(metrics.busy));
  out->set_backpressured_ms(absl::ToInt64Milliseconds(metrics.backpressured));
  out->set_idle_ms(absl::ToInt64Milliseconds(metrics.idle));
  out->set_watermark_ms(metrics.watermark.millis());
  for (const SplitWatermark& split : metrics.split_watermarks) {
    proto::SplitWatermark* const added = out->add_split_watermarks();
    added->set_split(split.split);
    added->set_watermark_ms(split.watermark.millis());
    added->set_since_ms(absl::ToUnixMillis(split.since));
    added->set_idle(split.idle);
    added->set_paused(split.paused);
  }
}

int64_t SizeOf(const OperatorSubtaskState& state) {
  uint64_t bytes = 0;
  if (state.keyed.has_value()) bytes += state.keyed->SizeBytes();
  if (state.operator_state.has_value()) bytes += state.operator_state->SizeBytes();
  if (state.channel_state.has_value()) bytes += state.channel_state->file.size_bytes;
  for (const StoredFile& file : state.files) bytes += file.size_bytes;
  return static_cast<int64_t>(bytes);
}

}  // namespace

void TaskExecutor::ReportTaskState(ExecutionAttemptId attempt, TaskState state,
                                   const absl::Status& reason, const Task* task) {
  proto::TaskManagerMessage message;
  proto::TaskStateChanged* const changed = message.mutable_task_state();
  changed->set_attempt(ToWireId(attempt));
  changed->set_state(ToProto(state));
  changed->set_error(StrCat(ToStd(reason.message())));
  changed->set_error_code(static_cast<int32_t>(reason.code()));
  if (!reason.ok()) {
    const Failure failure = DescribeFailure(reason);
    changed->set_exception_name(failure.exception_name);
    changed->set_failure_origin(static_cast<int32_t>(failure.origin));
  }
  if (task != nullptr) WriteMetrics(attempt, task->metrics(), changed->mutable_metrics());
  ReportOf(attempt, message, WhileOrphaned::kHold);
}

void TaskExecutor::Report(JobId job, const proto::TaskManagerMessage& message,
                          WhileOrphaned otherwise) {
  {
    const MutexLock lock(&attempts_mutex_);
    if (const auto held = held_.find(job); held != held_.end()) {
      if (otherwise == WhileOrphaned::kHold) held->second.push_back(message);
      return;
    }
  }
  environment_.reports->Report(message);
}

void TaskExecutor::ReportOf(ExecutionAttemptId attempt, const proto::TaskManagerMessage& message,
                            WhileOrphaned otherwise) {
  JobId job;
  {
    const MutexLock lock(&attempts_mutex_);
    if (const auto record = attempts_.find(attempt); record != attempts_.end()) {
      job = record->second.job;
    }
  }
  Report(job, message, otherwise);
}

// What is held back of events stays in their log.
void TaskExecutor::ReportEvent(JobId job, ExecutionAttemptId sender,
                               const proto::TaskManagerMessage& message) {
  {
    const MutexLock lock(&attempts_mutex_);
    const bool lost = held_.contains(job);
    events_.Add(sender, message, lost);
    if (lost) return;
  }
  environment_.reports->Report(message);
}

void TaskExecutor::ReportCoordinatorFailed(JobId job, ExecutionAttemptId attempt,
                                           const absl::Status& reason) {
  proto::TaskManagerMessage message;
  proto::CoordinatorFailed* const failed = message.mutable_coordinator_failed();
  failed->set_attempt(ToWireId(attempt));
  failed->set_error(StrCat(ToStd(reason.message())));
  failed->set_error_code(static_cast<int32_t>(reason.code()));
  const Failure failure = DescribeFailure(reason);
  failed->set_exception_name(failure.exception_name);
  failed->set_failure_origin(static_cast<int32_t>(failure.origin));
  Report(job, message, WhileOrphaned::kHold);
}

void TaskExecutor::OnTaskState(ExecutionAttemptId attempt, TaskState state,
                               const absl::Status& reason) {
  if (state == TaskState::kRunning) LogRestored(attempt);
  if (!IsTerminal(state)) {
    {
      const MutexLock lock(&attempts_mutex_);
      if (const auto record = attempts_.find(attempt); record != attempts_.end()) {
        record->second.state = state;
      }
    }
    return ReportTaskState(attempt, state, reason);
  }
  const EndedAttempt ended = EndAttempt(attempt, state);
  const bool canceled = ended.state == TaskState::kCanceled;
  ReportTaskState(attempt, ended.state, canceled ? absl::OkStatus() : reason, ended.task.get());
  strand_->Post([this, attempt, end = ended.state] { TaskEnded(attempt, end); });
}

TaskExecutor::EndedAttempt TaskExecutor::EndAttempt(ExecutionAttemptId attempt, TaskState state) {
  const MutexLock lock(&attempts_mutex_);
  const auto record = attempts_.find(attempt);
  if (record == attempts_.end()) return {state, nullptr};
  const bool canceled = record->second.canceling && state == TaskState::kFailed;
  record->second.state = canceled ? TaskState::kCanceled : state;
  return {record->second.state, record->second.task.lock()};
}

void TaskExecutor::OnCheckpointAck(TaskCheckpointAck ack) {
  proto::TaskManagerMessage message;
  proto::CheckpointAck* const out = message.mutable_checkpoint_ack();
  out->set_attempt(ToWireId(ack.attempt));
  out->set_checkpoint_id(ack.checkpoint.value());
  int64_t state_bytes = 0;
  for (const TaskCheckpointAck::Operator& op : ack.operators) {
    proto::OperatorStateAck* const state = out->add_operators();
    state->set_operator_id(ToWireId(op.id));
    std::string bytes;
    ByteWriter writer(&bytes);
    Serde<OperatorSubtaskState>::Write(writer, op.state);
    state->set_state(std::move(bytes));
    state_bytes += SizeOf(op.state);
  }
  out->set_sync_duration_us(absl::ToInt64Microseconds(ack.sync_duration));
  out->set_async_duration_us(absl::ToInt64Microseconds(ack.async_duration));
  out->set_alignment_duration_us(absl::ToInt64Microseconds(ack.alignment_duration));
  out->set_processed_bytes(static_cast<int64_t>(ack.processed_bytes));
  out->set_persisted_bytes(static_cast<int64_t>(ack.persisted_bytes));
  out->set_unaligned(ack.unaligned);
  out->set_start_delay_us(absl::ToInt64Microseconds(ack.start_delay));
  out->set_state_bytes(state_bytes);
  out->set_checkpointed_bytes(CountNewBytes(ack));
  KeepLocally(ack);
  ReportOf(ack.attempt, message, WhileOrphaned::kDrop);
}

// Returns the size of what this checkpoint has and the task's one before it had not.
int64_t TaskExecutor::CountNewBytes(const TaskCheckpointAck& ack) {
  const MutexLock lock(&attempts_mutex_);
  const auto record = attempts_.find(ack.attempt);
  static const auto& none = *new std::set<std::string>;
  const std::set<std::string>& known = record != attempts_.end() ? record->second.files : none;
  uint64_t new_bytes = 0;
  std::set<std::string> files;
  const auto count = [&](const std::string& path, uint64_t size_bytes) {
    if (path.empty() || !known.contains(path)) new_bytes += size_bytes;
    if (!path.empty()) files.insert(path);
  };
  for (const TaskCheckpointAck::Operator& op : ack.operators) {
    if (op.state.operator_state.has_value()) new_bytes += op.state.operator_state->SizeBytes();
    if (op.state.channel_state.has_value()) new_bytes += op.state.channel_state->file.size_bytes;
    for (const StoredFile& file : op.state.files) count(file.path, file.size_bytes);
    if (!op.state.keyed.has_value()) continue;
    for (const StateFile& file : op.state.keyed->files) count(file.path, file.size_bytes);
  }
  if (record != attempts_.end()) record->second.files = std::move(files);
  return static_cast<int64_t>(new_bytes);
}

// What the checkpoint needs of the local disk stays there.
void TaskExecutor::KeepLocally(const TaskCheckpointAck& ack) {
  const std::shared_ptr<LocalStateStore> store = StateStoreOf(ack.attempt, /*restored=*/false);
  if (store == nullptr || !store->keeps_files()) return;
  std::vector<std::string> files;
  for (const TaskCheckpointAck::Operator& op : ack.operators) {
    if (op.state.channel_state.has_value()) files.push_back(op.state.channel_state->file.path);
    for (const StoredFile& file : op.state.files) files.push_back(file.path);
    if (!op.state.keyed.has_value()) continue;
    for (const StateFile& file : op.state.keyed->files) {
      if (!file.path.empty()) files.push_back(file.path);
    }
  }
  store->OnAcknowledged(ack.checkpoint, files);
}

std::shared_ptr<LocalStateStore> TaskExecutor::StateStoreOf(ExecutionAttemptId attempt,
                                                            bool restored) {
  const MutexLock lock(&attempts_mutex_);
  const auto record = attempts_.find(attempt);
  if (record == attempts_.end() || (restored && !record->second.restores)) return nullptr;
  return record->second.state_store;
}

void TaskExecutor::LogRestored(ExecutionAttemptId attempt) {
  const std::shared_ptr<LocalStateStore> store = StateStoreOf(attempt, /*restored=*/true);
  if (store == nullptr) return;
  const FetchedBytes fetched = store->fetched();
  LogInfo("task-executor",
          StrCat("state restored: attempt=", ToString(attempt), " job_local_bytes=", fetched.local,
                 " job_remote_bytes=", fetched.remote));
}

void TaskExecutor::OnCheckpointDecline(ExecutionAttemptId attempt, CheckpointId checkpoint,
                                       const absl::Status& reason) {
  proto::TaskManagerMessage message;
  proto::CheckpointDecline* const decline = message.mutable_checkpoint_decline();
  decline->set_attempt(ToWireId(attempt));
  decline->set_checkpoint_id(checkpoint.value());
  decline->set_reason(StrCat(ToStd(reason.message())));
  ReportOf(attempt, message, WhileOrphaned::kDrop);
}

void TaskExecutor::OnInputEnded(ExecutionAttemptId attempt) {
  proto::TaskManagerMessage message;
  message.mutable_input_ended()->set_attempt(ToWireId(attempt));
  {
    const MutexLock lock(&attempts_mutex_);
    if (const auto record = attempts_.find(attempt); record != attempts_.end()) {
      record->second.input_ended = true;
    }
  }
  ReportOf(attempt, message, WhileOrphaned::kHold);
}

void TaskExecutor::OnEventToCoordinator(ExecutionAttemptId attempt, OperatorId operator_id,
                                        uint32_t subtask, std::string payload) {
  proto::TaskManagerMessage message;
  proto::OperatorEvent* const event = message.mutable_event_to_coordinator();
  JobId job;
  {
    const MutexLock lock(&attempts_mutex_);
    const auto record = attempts_.find(attempt);
    if (record == attempts_.end() || IsTerminal(record->second.state)) return;
    job = record->second.job;
  }
  event->set_job_id(ToWireId(job));
  event->set_operator_id(ToWireId(operator_id));
  event->set_subtask(subtask);
  event->set_payload(std::move(payload));
  event->set_sender_attempt(ToWireId(attempt));
  ReportEvent(job, attempt, message);
}

void TaskExecutor::OnCoordinatorEvent(const CoordinatorDescription& coordinator, uint32_t subtask,
                                      std::string event) {
  proto::TaskManagerMessage message;
  proto::OperatorEvent* const out = message.mutable_event_to_task();
  out->set_job_id(ToWireId(coordinator.job));
  out->set_operator_id(ToWireId(coordinator.operator_id));
  out->set_subtask(subtask);
  out->set_payload(std::move(event));
  out->set_sender_attempt(ToWireId(coordinator.attempt));
  ReportEvent(coordinator.job, coordinator.attempt, message);
}

void TaskExecutor::OnEventToCoordinators(const CoordinatorDescription& coordinator,
                                         std::string event) {
  proto::TaskManagerMessage message;
  proto::OperatorEvent* const out = message.mutable_event_to_coordinators();
  out->set_job_id(ToWireId(coordinator.job));
  out->set_operator_id(ToWireId(coordinator.operator_id));
  out->set_payload(std::move(event));
  out->set_sender_attempt(ToWireId(coordinator.attempt));
  ReportEvent(coordinator.job, coordinator.attempt, message);
}

void TaskExecutor::OnCoordinatorSnapshot(const CoordinatorDescription& coordinator,
                                         CheckpointId checkpoint,
                                         absl::StatusOr<std::string> state) {
  proto::TaskManagerMessage message;
  proto::CoordinatorCheckpointAck* const ack = message.mutable_coordinator_ack();
  ack->set_attempt(ToWireId(coordinator.attempt));
  ack->set_checkpoint_id(checkpoint.value());
  if (state.ok()) {
    ack->set_state(*std::move(state));
  } else {
    const std::string error = StrCat(ToStd(state.status().message()));
    ack->set_error(error.empty() ? state.status().ToString() : error);
  }
  Report(coordinator.job, message, WhileOrphaned::kDrop);
}

void TaskExecutor::OnCoordinatorFailed(const CoordinatorDescription& coordinator,
                                       const absl::Status& reason) {
  ReportCoordinatorFailed(coordinator.job, coordinator.attempt, reason);
}

void TaskExecutor::AddMetrics(int64_t now_nanos, proto::TaskManagerHeartbeat* heartbeat) {
  DropClosedCoordinators();
  for (auto& [attempt, running] : tasks_) {
    if (running.task == nullptr) continue;
    const TaskMetricsSnapshot metrics = running.task->metrics();
    const bool idle = !running.activity.Update(metrics);
    // Of a task that has become idle the JobManager hears once more, and so that it is idle.
    const bool known = idle && running.reported_idle;
    if (known && now_nanos - running.reported_nanos < kIdleReportNanos) continue;
    running.reported_idle = idle;
    running.reported_nanos = now_nanos;
    WriteMetrics(attempt, metrics, heartbeat->add_tasks());
  }
}

}  // namespace weir
