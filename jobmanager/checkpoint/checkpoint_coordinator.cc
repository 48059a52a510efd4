#include "jobmanager/checkpoint/checkpoint_coordinator.h"

#include <algorithm>
#include <utility>

#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/check.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr std::string_view kComponent = "checkpoint-coordinator";

// Jobs whose checkpoints are due within this share of their interval begin them together: what
// thousands of small jobs say is then gathered into few messages, and wakes few threads.
constexpr int kTriggersPerInterval = 40;
constexpr absl::Duration kMaxTriggerGrid = absl::Milliseconds(250);

// Returns when a checkpoint that is due at `due` is triggered: then, or a little earlier.
absl::Time OnGrid(absl::Time due, absl::Duration interval) {
  const absl::Duration grid = std::min(interval / kTriggersPerInterval, kMaxTriggerGrid);
  if (grid <= absl::ZeroDuration()) return due;
  return absl::UnixEpoch() + absl::Floor(due - absl::UnixEpoch(), grid);
}

absl::Status NotRunning() {
  return absl::FailedPreconditionError(
      "cannot trigger a checkpoint: not all tasks of the job are RUNNING; try again once they are");
}

}  // namespace

CheckpointCoordinator::CheckpointCoordinator(JobId job_id, const JobGraph* graph,
                                             CheckpointSettings settings,
                                             MainThreadExecutor* executor,
                                             CheckpointMessenger* messenger,
                                             CheckpointStorage* storage)
    : job_id_(job_id),
      graph_(graph),
      settings_(settings),
      executor_(executor),
      messenger_(messenger),
      storage_(storage),
      completed_(settings.num_retained) {}

CheckpointCoordinator::~CheckpointCoordinator() {
  CancelTrigger();
  executor_->CancelTimer(timeout_timer_);
}

void CheckpointCoordinator::SetGraph(const JobGraph* graph) {
  DCHECK(!started_);
  graph_ = graph;
}

void CheckpointCoordinator::Start(CheckpointPlan plan) {
  DCHECK(!started_);
  started_ = true;
  all_running_ = false;
  plan_ = std::move(plan);
  finished_.clear();
  input_ended_.clear();
  all_input_ended_ = false;
  trigger_at_once_ = false;
  stopping_ = false;
  num_failures_in_a_row_ = 0;
  last_end_ = absl::InfinitePast();
}

void CheckpointCoordinator::Adopt(CheckpointPlan plan, std::set<ExecutionAttemptId> finished,
                                  std::set<ExecutionAttemptId> input_ended, bool stopping) {
  Start(std::move(plan));
  finished_ = std::move(finished);
  input_ended_ = std::move(input_ended);
  stopping_ = stopping;
  CheckInputEnded();
  const std::deque<RetainedCheckpoint>& kept = completed_.checkpoints();
  // Of a savepoint that the job went on after, tasks are not told.
  const auto newest = std::find_if(
      kept.rbegin(), kept.rend(),
      [stopping](const RetainedCheckpoint& checkpoint) { return checkpoint.owned || stopping; });
  if (newest != kept.rend()) messenger_->NotifyCheckpointComplete(newest->id);
  if (!stopping && last_id_ > 0) messenger_->NotifyCheckpointAborted(CheckpointId(last_id_));
}

void CheckpointCoordinator::Stop(const absl::Status& reason) {
  if (!started_) return;
  started_ = false;
  all_running_ = false;
  CancelTrigger();
  held_events_.clear();
  Abort(reason, /*notify=*/false);
  RefuseWaiting(reason);
}

void CheckpointCoordinator::Suspend(const absl::Status& reason) {
  if (!started_) return;
  all_running_ = false;
  CancelTrigger();
  Abort(reason, /*notify=*/true);
  RefuseWaiting(reason);
}

void CheckpointCoordinator::RefuseWaiting(const absl::Status& reason) {
  std::vector<TriggerCallback> waiting;
  waiting.swap(waiting_);
  std::deque<Savepoint> savepoints;
  savepoints.swap(savepoints_);
  for (TriggerCallback& done : waiting) done(reason);
  for (Savepoint& savepoint : savepoints) savepoint.done(reason);
}

void CheckpointCoordinator::Resume(CheckpointPlan plan) {
  DCHECK(started_ && !all_running_);
  plan_ = std::move(plan);
  const auto is_gone = [this](ExecutionAttemptId task) { return FindTask(task) == nullptr; };
  std::erase_if(finished_, is_gone);
  std::erase_if(input_ended_, is_gone);
  all_input_ended_ = false;
  trigger_at_once_ = false;
}

void CheckpointCoordinator::OnAllTasksRunning() {
  if (!started_ || all_running_) return;
  all_running_ = true;
  last_trigger_ = executor_->clock()->Now();
  if (trigger_at_once_) {
    Trigger();
  } else {
    ScheduleTrigger();
  }
}

void CheckpointCoordinator::OnTaskFinished(ExecutionAttemptId task) {
  if (!started_ || !finished_.insert(task).second) return;
  if (pending_ != nullptr) {
    pending_->OnTaskFinished(task);
    Advance();
  }
  CheckInputEnded();
}

void CheckpointCoordinator::OnInputEnded(ExecutionAttemptId task) {
  if (!started_) return;
  input_ended_.insert(task);
  CheckInputEnded();
}

void CheckpointCoordinator::CheckInputEnded() {
  if (all_input_ended_ || !settings_.enabled()) return;
  all_input_ended_ =
      std::all_of(plan_.tasks.begin(), plan_.tasks.end(), [this](const CheckpointPlan::Task& task) {
        return !task.is_source || input_ended_.contains(task.attempt) ||
               finished_.contains(task.attempt);
      });
  if (!all_input_ended_) return;
  // A checkpoint under way began before the end, so it is not the last one.
  trigger_at_once_ = true;
  Trigger();
}

void CheckpointCoordinator::OnCoordinatorAck(const proto::CoordinatorCheckpointAck& ack) {
  const auto attempt = IdFromBytes<ExecutionAttemptId>(ack.attempt());
  if (pending_ == nullptr || pending_->id().value() != ack.checkpoint_id()) {
    ++num_ignored_answers_;
    return;
  }
  if (!ack.error().empty()) {
    Abort(absl::AbortedError(
              StrCat("an operator coordinator could not take its snapshot: ", ack.error())),
          /*notify=*/true);
    return;
  }
  if (pending_->AcknowledgeCoordinator(attempt, ack.state()) ==
      PendingCheckpoint::AckResult::kIgnored) {
    ++num_ignored_answers_;
    return;
  }
  Advance();
}

void CheckpointCoordinator::OnTaskAck(const proto::CheckpointAck& ack) {
  const auto attempt = IdFromBytes<ExecutionAttemptId>(ack.attempt());
  std::map<OperatorId, std::string> states;
  std::vector<std::string> files;
  for (const proto::OperatorStateAck& op : ack.operators()) {
    states.emplace(IdFromBytes<OperatorId>(op.operator_id()), op.state());
    for (std::string& file : storage_->FilesOf(op.state())) files.push_back(std::move(file));
  }
  if (pending_ == nullptr || pending_->id().value() != ack.checkpoint_id() ||
      pending_->AcknowledgeTask(attempt, std::move(states), files) ==
          PendingCheckpoint::AckResult::kIgnored) {
    ++num_ignored_answers_;
    completed_.AddOrphans({files.begin(), files.end()});
    return;
  }
  if (const CheckpointPlan::Task* const task = FindTask(attempt)) {
    const absl::Time now = executor_->clock()->Now();
    SubtaskCheckpointStatistics subtask;
    subtask.index = task->subtask;
    subtask.ack_time = now;
    subtask.end_to_end_duration = now - pending_->trigger_time();
    subtask.checkpointed_size_bytes = ack.checkpointed_bytes();
    subtask.state_size_bytes = ack.state_bytes();
    subtask.sync_duration = absl::Microseconds(ack.sync_duration_us());
    subtask.async_duration = absl::Microseconds(ack.async_duration_us());
    subtask.alignment_duration = absl::Microseconds(ack.alignment_duration_us());
    subtask.start_delay = absl::Microseconds(ack.start_delay_us());
    subtask.processed_data_bytes = ack.processed_bytes();
    subtask.persisted_data_bytes = ack.persisted_bytes();
    subtask.unaligned = ack.unaligned();
    statistics_.OnAcknowledged(pending_->id(), task->vertex, subtask);
  }
  Advance();
}

void CheckpointCoordinator::OnTaskDecline(const proto::CheckpointDecline& decline) {
  const auto attempt = IdFromBytes<ExecutionAttemptId>(decline.attempt());
  if (pending_ == nullptr || pending_->id().value() != decline.checkpoint_id() ||
      finished_.contains(attempt) || FindTask(attempt) == nullptr) {
    ++num_ignored_answers_;
    return;
  }
  Abort(absl::AbortedError(StrCat("a task declined the checkpoint: ", decline.reason())),
        /*notify=*/true);
}

void CheckpointCoordinator::OnCoordinatorEvent(const proto::OperatorEvent& event) {
  const auto sender = IdFromBytes<ExecutionAttemptId>(event.sender_attempt());
  if (pending_ != nullptr && pending_->HoldsEventsOf(sender)) {
    held_events_.push_back(event);
    return;
  }
  messenger_->DeliverToTask(event);
}

void CheckpointCoordinator::TriggerNow(TriggerCallback done) {
  if (!settings_.enabled()) {
    done(absl::FailedPreconditionError(
        "cannot trigger a checkpoint: the job runs without checkpoints; set "
        "execution.checkpointing.interval above 0 when it is started"));
    return;
  }
  if (!started_ || !all_running_) {
    done(NotRunning());
    return;
  }
  waiting_.push_back(std::move(done));
  trigger_at_once_ = true;
  Trigger();
}

void CheckpointCoordinator::TriggerSavepoint(SavepointRequest request, SavepointCallback done) {
  if (!settings_.enabled()) {
    done(absl::FailedPreconditionError(
        "cannot take a savepoint: the job runs without checkpoints, so its state does not follow "
        "its changes; set execution.checkpointing.interval above 0 when it is started"));
    return;
  }
  if (!started_ || !all_running_) {
    done(NotRunning());
    return;
  }
  if (stopping_) {
    done(absl::FailedPreconditionError(
        "cannot take a savepoint: the job is being stopped with a savepoint already"));
    return;
  }
  savepoints_.push_back({std::move(request), std::move(done)});
  Trigger();
}

void CheckpointCoordinator::Trigger() {
  if (!started_ || !all_running_ || stopping_ || pending_ != nullptr) return;
  CancelTrigger();
  std::optional<Savepoint> savepoint;
  std::vector<TriggerCallback> waiting;
  if (savepoints_.empty()) {
    trigger_at_once_ = false;
    waiting.swap(waiting_);
  } else {
    savepoint = std::move(savepoints_.front());
    savepoints_.pop_front();
  }
  last_trigger_ = executor_->clock()->Now();
  if (UnfinishedSources().empty()) {
    // The job is about to finish, and no barrier would find a way in.
    ScheduleTrigger();
    for (TriggerCallback& done : waiting) done(NotRunning());
    if (savepoint.has_value()) savepoint->done(NotRunning());
    return;
  }
  const CheckpointId id(++last_id_);
  pending_ = std::make_unique<PendingCheckpoint>(id, last_trigger_, plan_, finished_);
  pending_waiting_ = std::move(waiting);
  pending_savepoint_ = std::move(savepoint);
  if (pending_savepoint_.has_value()) {
    const SavepointRequest& request = pending_savepoint_->request;
    stopping_ = StopsJob(request.then);
    statistics_.OnTriggered(id, last_trigger_, StatisticsOfTasks(),
                            stopping_ ? CheckpointKind::kSyncSavepoint : CheckpointKind::kSavepoint,
                            SavepointFormatName(request.format));
  } else {
    statistics_.OnTriggered(id, last_trigger_, StatisticsOfTasks());
  }
  timeout_timer_ = executor_->PostAfter(settings_.timeout, [this, id] {
    if (pending_ == nullptr || pending_->id() != id) return;
    Abort(absl::DeadlineExceededError(
              StrCat("the checkpoint expired before it was complete: timeout=",
                     absl::FormatDuration(settings_.timeout),
                     " tasks without answer=", pending_->num_missing_tasks())),
          /*notify=*/true);
  });
  std::vector<ExecutionAttemptId> coordinators;
  for (const CheckpointPlan::Coordinator& coordinator : plan_.coordinators) {
    coordinators.push_back(coordinator.attempt);
  }
  if (!coordinators.empty()) messenger_->TriggerCoordinators(id, coordinators);
  Advance();
}

void CheckpointCoordinator::Advance() {
  while (pending_ != nullptr && pending_->AdvancePhase()) {
    if (pending_->phase() == PendingCheckpoint::Phase::kTasks) {
      SendTriggers();
    } else {
      WriteMetadata();
    }
  }
}

void CheckpointCoordinator::SendTriggers() {
  const std::vector<ExecutionAttemptId> sources = UnfinishedSources();
  if (!sources.empty()) {
    messenger_->TriggerSources(pending_->id(), pending_->trigger_time(), KindOfPending(), sources);
  }
  ReleaseHeldEvents();
}

BarrierKind CheckpointCoordinator::KindOfPending() const {
  if (!pending_savepoint_.has_value()) return BarrierKind::kCheckpoint;
  switch (pending_savepoint_->request.then) {
    case AfterSavepoint::kGoOn:
    case AfterSavepoint::kCancel:
      break;
    case AfterSavepoint::kStop:
      return BarrierKind::kSuspend;
    case AfterSavepoint::kDrain:
      return BarrierKind::kTerminate;
  }
  return BarrierKind::kSavepoint;
}

void CheckpointCoordinator::WriteMetadata() {
  auto metadata = std::make_shared<const CheckpointMetadata>(
      pending_->BuildMetadata(job_id_, *graph_, last_completed_.get()));
  if (IsNewestOnDisk(*metadata)) {
    CompleteUnchanged();
    return;
  }
  auto written = [this, alive = std::weak_ptr<Alive>(alive_), id = pending_->id(),
                  metadata](absl::StatusOr<std::string> path) {
    if (!alive.expired()) OnWritten(id, metadata, std::move(path));
  };
  if (pending_savepoint_.has_value()) {
    const SavepointRequest& request = pending_savepoint_->request;
    storage_->WriteSavepoint(metadata, request.format, request.target_directory,
                             std::move(written));
  } else {
    storage_->Write(metadata, std::move(written));
  }
}

void CheckpointCoordinator::OnWritten(CheckpointId id,
                                      std::shared_ptr<const CheckpointMetadata> metadata,
                                      absl::StatusOr<std::string> path) {
  if (pending_ == nullptr || pending_->id() != id) {
    // Aborted meanwhile: nobody was told that it is complete, so it must not be restored from.
    if (!path.ok()) return;
    if (path->substr(path->rfind('/') + 1).starts_with("savepoint-")) {
      storage_->Dispose(*std::move(path));  // Its files are nobody else's.
    } else {
      storage_->Discard({*std::move(path)}, {});
    }
    return;
  }
  if (!path.ok()) {
    Abort(absl::Status(path.status().code(),
                       ToAbsl(StrCat("cannot write the ",
                                     pending_savepoint_.has_value() ? "savepoint: "
                                                                    : "checkpoint's metadata: ",
                                     ToStd(path.status().message())))),
          /*notify=*/true);
    return;
  }
  if (pending_savepoint_.has_value()) {
    CompleteSavepoint(std::move(metadata), *std::move(path));
  } else {
    Complete(std::move(metadata), *std::move(path));
  }
}

void CheckpointCoordinator::CompleteSavepoint(std::shared_ptr<const CheckpointMetadata> metadata,
                                              std::string path) {
  const Savepoint savepoint = *std::exchange(pending_savepoint_, std::nullopt);
  const CheckpointId id = pending_->id();
  // It has copies; what was written for it goes, unless the next checkpoint builds on it.
  completed_.AddOrphans(pending_->files());
  pending_.reset();
  executor_->CancelTimer(timeout_timer_);
  statistics_.OnCompleted(id, path);
  if (stopping_) {
    last_completed_ = std::move(metadata);
    Remove(completed_.Add({.id = id,
                           .path = path,
                           .files = {},
                           .owned = false,
                           .users_path = path,
                           .is_savepoint = true}));
    messenger_->NotifyCheckpointComplete(id);
  }
  AfterEnd(id, {});
  savepoint.done(std::move(path));
}

void CheckpointCoordinator::Complete(std::shared_ptr<const CheckpointMetadata> metadata,
                                     std::string path) {
  const CheckpointId id = pending_->id();
  RetainedCheckpoint retained{.id = id, .path = path, .files = pending_->files(), .owned = true};
  // The states of finished tasks were carried over, and with them their files.
  if (!finished_.empty()) retained.files = FilesOf(*metadata);
  last_completed_ = std::move(metadata);
  EndCompleted(std::move(path), completed_.Add(std::move(retained)));
}

bool CheckpointCoordinator::IsNewestOnDisk(const CheckpointMetadata& metadata) const {
  // Who asked for a checkpoint gets one of its own. What belongs to the user may go at any time.
  if (!pending_waiting_.empty() || last_completed_ == nullptr) return false;
  const std::deque<RetainedCheckpoint>& kept = completed_.checkpoints();
  return !kept.empty() && kept.back().owned && kept.back().id == last_completed_->id &&
         last_completed_->operators == metadata.operators;
}

void CheckpointCoordinator::CompleteUnchanged() {
  // It is durable already, under the number it was first written with.
  EndCompleted(completed_.checkpoints().back().path, completed_.AddUnchanged());
}

void CheckpointCoordinator::EndCompleted(std::string path,
                                         CompletedCheckpointStore::Removal removal) {
  const CheckpointId id = pending_->id();
  pending_.reset();
  executor_->CancelTimer(timeout_timer_);
  num_failures_in_a_row_ = 0;
  statistics_.OnCompleted(id, std::move(path));
  messenger_->NotifyCheckpointComplete(id);
  Remove(std::move(removal));
  AfterEnd(id, std::exchange(pending_waiting_, {}));
}

void CheckpointCoordinator::Abort(const absl::Status& reason, bool notify) {
  if (pending_ == nullptr) return;
  const CheckpointId id = pending_->id();
  LogWarning(kComponent, StrCat("checkpoint aborted: job=", ToString(job_id_),
                                " checkpoint=", id.value(), ": ", ToStd(reason.message())));
  completed_.AddOrphans(pending_->files());
  const bool was_triggered = pending_->phase() != PendingCheckpoint::Phase::kCoordinators;
  const bool drained = was_triggered && KindOfPending() == BarrierKind::kTerminate;
  const std::optional<Savepoint> savepoint = std::exchange(pending_savepoint_, std::nullopt);
  pending_.reset();
  stopping_ = false;
  executor_->CancelTimer(timeout_timer_);
  statistics_.OnFailed(id, executor_->clock()->Now(), std::string(ToStd(reason.message())));
  if (notify) messenger_->NotifyCheckpointAborted(id);
  ReleaseHeldEvents();
  // What a failure of tasks aborts has not failed itself: all_running_ is false then.
  absl::Status fatal;
  if (all_running_ && drained) {
    fatal = absl::AbortedError(StrCat(
        "the savepoint to stop with has failed after the job's input was ended for it, so that it "
        "cannot go on: ",
        ToStd(reason.message())));
  } else if (all_running_ && !savepoint.has_value() &&
             ++num_failures_in_a_row_ > settings_.tolerable_failures) {
    fatal = absl::AbortedError(
        StrCat("too many checkpoints have failed one after the other; see why, or raise "
               "execution.checkpointing.tolerable-failed-checkpoints: failed=",
               num_failures_in_a_row_, " tolerable=", settings_.tolerable_failures,
               " the last one: ", ToStd(reason.message())));
  }
  std::vector<TriggerCallback> waiting = std::exchange(pending_waiting_, {});
  if (fatal.ok()) {
    AfterEnd(reason, std::move(waiting));
  } else {
    for (TriggerCallback& done : waiting) done(reason);
  }
  if (savepoint.has_value()) savepoint->done(reason);
  if (!fatal.ok()) messenger_->FailAttempt(fatal);
}

void CheckpointCoordinator::AfterEnd(absl::StatusOr<CheckpointId> result,
                                     std::vector<TriggerCallback> waiting) {
  last_end_ = executor_->clock()->Now();
  if (trigger_at_once_ || !savepoints_.empty()) {
    Trigger();
  } else {
    ScheduleTrigger();
  }
  for (TriggerCallback& done : waiting) done(result);
}

void CheckpointCoordinator::ReleaseHeldEvents() {
  std::vector<proto::OperatorEvent> events;
  events.swap(held_events_);
  for (const proto::OperatorEvent& event : events) messenger_->DeliverToTask(event);
}

void CheckpointCoordinator::ScheduleTrigger() {
  if (!started_ || !all_running_ || stopping_ || pending_ != nullptr || !settings_.enabled()) {
    return;
  }
  CancelTrigger();
  const absl::Time next = std::max(OnGrid(last_trigger_ + settings_.interval, settings_.interval),
                                   last_end_ + settings_.min_pause);
  trigger_timer_ = executor_->PostAfter(next - executor_->clock()->Now(), [this] {
    trigger_timer_.reset();
    Trigger();
  });
}

void CheckpointCoordinator::CancelTrigger() {
  if (trigger_timer_.has_value()) executor_->CancelTimer(*trigger_timer_);
  trigger_timer_.reset();
}

std::vector<ExecutionAttemptId> CheckpointCoordinator::UnfinishedSources() const {
  std::vector<ExecutionAttemptId> sources;
  for (const CheckpointPlan::Task& task : plan_.tasks) {
    if (task.is_source && !finished_.contains(task.attempt)) sources.push_back(task.attempt);
  }
  return sources;
}

const CheckpointPlan::Task* CheckpointCoordinator::FindTask(ExecutionAttemptId attempt) const {
  for (const CheckpointPlan::Task& task : plan_.tasks) {
    if (task.attempt == attempt) return &task;
  }
  return nullptr;
}

std::vector<TaskCheckpointStatistics> CheckpointCoordinator::StatisticsOfTasks() const {
  std::vector<TaskCheckpointStatistics> tasks;
  std::map<JobVertexId, size_t> positions;
  for (const JobGraph::Vertex& vertex : graph_->vertices) {
    positions.emplace(vertex.id, tasks.size());
    TaskCheckpointStatistics& task = tasks.emplace_back();
    task.vertex_id = vertex.id;
    task.subtasks.resize(vertex.parallelism);
    for (uint32_t i = 0; i < vertex.parallelism; ++i) task.subtasks[i].index = i;
  }
  for (const CheckpointPlan::Task& task : plan_.tasks) {
    const auto found = positions.find(task.vertex);
    if (found == positions.end() || !finished_.contains(task.attempt)) continue;
    tasks[found->second].subtasks[task.subtask].ack_time = last_trigger_;
  }
  return tasks;
}

void CheckpointCoordinator::RestoreLatest(
    std::function<void(absl::StatusOr<std::shared_ptr<const CheckpointMetadata>>)> done) {
  DCHECK(!all_running_ && pending_ == nullptr);
  if (completed_.checkpoints().empty()) {
    last_completed_ = nullptr;
    done(std::shared_ptr<const CheckpointMetadata>());
    return;
  }
  ReadNewest(std::move(done));
}

void CheckpointCoordinator::LoadLatest(std::function<void(absl::Status)> done) {
  if (completed_.checkpoints().empty()) return done(absl::OkStatus());
  storage_->Read(completed_.checkpoints().back().path,
                 [this, alive = std::weak_ptr<Alive>(alive_),
                  done = std::move(done)](absl::StatusOr<CheckpointMetadata> read) {
                   if (alive.expired()) return;
                   if (read.ok()) {
                     last_completed_ = std::make_shared<const CheckpointMetadata>(*std::move(read));
                   }
                   done(read.status());
                 });
}

void CheckpointCoordinator::ReadNewest(
    std::function<void(absl::StatusOr<std::shared_ptr<const CheckpointMetadata>>)> done) {
  const RetainedCheckpoint& newest = completed_.checkpoints().back();
  const std::string& shown_path = newest.users_path.empty() ? newest.path : newest.users_path;
  storage_->Read(newest.path, [this, alive = std::weak_ptr<Alive>(alive_), id = newest.id,
                               is_savepoint = newest.is_savepoint, path = shown_path,
                               done = std::move(done)](
                                  absl::StatusOr<CheckpointMetadata> read) mutable {
    if (alive.expired()) return;
    if (read.ok()) {
      last_completed_ = std::make_shared<const CheckpointMetadata>(*std::move(read));
      statistics_.OnRestored({.id = id,
                              .restore_time = executor_->clock()->Now(),
                              .is_savepoint = is_savepoint,
                              .external_path = path});
      done(last_completed_);
      return;
    }
    if (absl::IsUnavailable(read.status())) {
      done(read.status());
      return;
    }
    LogError(kComponent,
             StrCat("checkpoint cannot be read, the one before it is used: job=", ToString(job_id_),
                    " checkpoint=", id.value(), ": ", ToStd(read.status().message())));
    if (ForgetLatest()) {
      unreadable_.push_back(absl::DataLossError(
          StrCat("checkpoint ", id.value(),
                 " cannot be read, the one before it is used: ", ToStd(read.status().message()))));
      ReadNewest(std::move(done));
      return;
    }
    done(absl::DataLossError(
        StrCat("no retained checkpoint of the job can be read; start it without one, or from an "
               "older copy: ",
               ToStd(read.status().message()))));
  });
}

void CheckpointCoordinator::AddRestored(const CheckpointStorage::Snapshot& snapshot,
                                        const std::string& users_path, ClaimMode mode) {
  NumberFrom(snapshot.metadata->id);
  const bool claimed = mode == ClaimMode::kClaim;
  RetainedCheckpoint retained{.id = snapshot.metadata->id,
                              .path = snapshot.path,
                              .files = FilesOf(*snapshot.metadata),
                              .owned = claimed || !snapshot.was_own,
                              .users_path = users_path,
                              .is_savepoint = snapshot.is_savepoint,
                              .claimed = claimed && !snapshot.was_own};
  Remove(completed_.Add(std::move(retained)));
}

void CheckpointCoordinator::AddRecovered(std::vector<RetainedCheckpoint> checkpoints,
                                         CheckpointId last_id) {
  last_id_ = std::max(last_id_, last_id.value());
  for (RetainedCheckpoint& checkpoint : checkpoints) {
    last_id_ = std::max(last_id_, checkpoint.id.value());
    Remove(completed_.Add(std::move(checkpoint)));
  }
}

bool CheckpointCoordinator::Retains(const std::string& path) const {
  return std::any_of(completed_.checkpoints().begin(), completed_.checkpoints().end(),
                     [&path](const RetainedCheckpoint& kept) {
                       return kept.path == path || (kept.claimed && kept.users_path == path);
                     });
}

bool CheckpointCoordinator::ForgetLatest() {
  if (completed_.checkpoints().empty()) return false;
  completed_.Forget(completed_.checkpoints().back().id);
  last_completed_ = nullptr;
  return !completed_.checkpoints().empty();
}

void CheckpointCoordinator::DiscardAll() { Remove(completed_.TakeAll()); }

void CheckpointCoordinator::DiscardOrphans() { Remove(completed_.TakeOrphans()); }

void CheckpointCoordinator::Remove(CompletedCheckpointStore::Removal removal) {
  for (const std::string& path : removal.paths) statistics_.OnDiscarded(path);
  for (std::string& path : removal.snapshots) storage_->Dispose(std::move(path));
  if (removal.paths.empty() && removal.files.empty()) return;
  storage_->Discard(std::move(removal.paths), std::move(removal.files));
}

std::set<std::string> CheckpointCoordinator::FilesOf(const CheckpointMetadata& metadata) const {
  std::set<std::string> files;
  for (const CheckpointedOperator& op : metadata.operators) {
    for (const std::string& state : op.subtasks) {
      if (state.empty()) continue;
      for (std::string& file : storage_->FilesOf(state)) files.insert(std::move(file));
    }
  }
  return files;
}

}  // namespace weir
