#include "jobmanager/adaptive_scheduler.h"

#include <algorithm>
#include <utility>

#include "jobmanager/vertex_parallelism.h"
#include "runtime/base/check.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

constexpr std::string_view kComponent = "adaptive-scheduler";

std::string_view NameOf(SchedulerKind kind) {
  switch (kind) {
    case SchedulerKind::kDefault:
      return "default";
    case SchedulerKind::kAdaptive:
      return "adaptive";
    case SchedulerKind::kReactive:
      return "reactive";
  }
  return "";
}

}  // namespace

AdaptiveSchedulerOptions AdaptiveSchedulerOptions::FromSettings(const Configuration& settings) {
  AdaptiveSchedulerOptions options;
  if (settings.Get(kSchedulerMode) == "reactive") {
    options.kind = SchedulerKind::kReactive;
  } else if (settings.Get(kJobManagerScheduler) == "adaptive") {
    options.kind = SchedulerKind::kAdaptive;
  }
  options.resource_wait_timeout = settings.Get(kSubmissionResourceWaitTimeout);
  // A reactive job lives on whatever there is, nothing among it.
  if (options.kind == SchedulerKind::kReactive ||
      options.resource_wait_timeout == absl::ZeroDuration()) {
    options.resource_wait_timeout = absl::InfiniteDuration();
  }
  options.submission_stabilization = settings.Get(kSubmissionStabilizationTimeout);
  options.executing_stabilization = settings.Get(kExecutingStabilizationTimeout);
  options.cooldown = settings.Get(kExecutingCooldown);
  options.max_trigger_delay = settings.Get(kRescaleTriggerMaxDelay);
  options.max_checkpoint_failures = settings.Get(kRescaleTriggerMaxCheckpointFailures);
  options.history_size = static_cast<size_t>(settings.Get(kRescaleHistorySize));
  return options;
}

AdaptiveScheduler::AdaptiveScheduler(JobId job_id, std::shared_ptr<const JobGraph> submitted,
                                     ResourceRequirements requirements,
                                     AdaptiveSchedulerOptions options, MainThreadExecutor* executor,
                                     ScheduledJob* job)
    : job_id_(job_id),
      submitted_(std::move(submitted)),
      options_(options),
      executor_(executor),
      job_(job),
      requirements_(std::move(requirements)),
      history_(options.history_size) {
  if (requirements_.empty()) {
    requirements_ = DefaultRequirements(*submitted_, options_.kind == SchedulerKind::kReactive);
  }
}

AdaptiveScheduler::~AdaptiveScheduler() { CancelTimers(); }

void AdaptiveScheduler::WaitForResources() {
  CancelTimers();
  from_rescale_ = phase_ == Phase::kStopping;
  phase_ = Phase::kWaiting;
  ++attempt_;
  waiting_since_ = Now();
  stabilizing_since_ = absl::InfinitePast();
  history_.Enter(RescalePhase::kSlots, Now());
  if (!is_adaptive()) {
    // Waits in the ResourceManager's queue, which has its own timeout.
    Proceed(Wanted(requirements_));
  } else {
    if (options_.resource_wait_timeout < absl::InfiniteDuration()) {
      expiry_ = executor_->PostAfter(options_.resource_wait_timeout, [this] {
        expiry_ = TimerId();
        ExpireWaiting();
      });
    }
    EvaluateWaiting();
  }
  if (phase_ == Phase::kWaiting) Log(Reason());
}

void AdaptiveScheduler::EvaluateWaiting() {
  if (phase_ != Phase::kWaiting) return;
  const std::optional<VertexParallelism> fitting = Fitting();
  if (!fitting.has_value()) {
    executor_->CancelTimer(std::exchange(timer_, TimerId()));
    stabilizing_since_ = absl::InfinitePast();
    return;
  }
  // A rescale has waited before the tasks were stopped.
  if (from_rescale_ || *fitting == Wanted(requirements_)) {
    Proceed(*fitting);
    return;
  }
  if (stabilizing_since_ == absl::InfinitePast()) stabilizing_since_ = Now();
  const absl::Duration left = stabilizing_since_ + options_.submission_stabilization - Now();
  if (left <= absl::ZeroDuration()) {
    Proceed(*fitting);
  } else {
    CallIn(left, &AdaptiveScheduler::EvaluateWaiting);
  }
}

void AdaptiveScheduler::ExpireWaiting() {
  if (const std::optional<VertexParallelism> fitting = Fitting()) {
    Proceed(*fitting);
    return;
  }
  job_->GiveUp(absl::ResourceExhaustedError(StrCat(
      "NoResourceAvailable: the job did not get its slots in time; start more TaskManagers, cancel "
      "other jobs or lower its bounds (resource-requirements): ",
      SlotsText(), " waited=", absl::FormatDuration(options_.resource_wait_timeout),
      " (jobmanager.adaptive-scheduler.submission.resource-wait-timeout)")));
}

void AdaptiveScheduler::Proceed(const VertexParallelism& parallelism) {
  if (!history_.in_progress() && !current_.empty() && parallelism != current_) {
    history_.Begin(asked_ ? RescaleCause::kUpdateRequirement : RescaleCause::kRecoverableFailover,
                   asked_ ? "other resource requirements were asked for while the job was down"
                          : "the job was restarted with the slots that there are",
                   RescaledVertices(), RescalePhase::kSlots, waiting_since_);
  }
  history_.SetAfter(parallelism);
  next_ = parallelism;
  asked_ = false;
  job_->RunWith(parallelism);
}

void AdaptiveScheduler::OnRegionRestart() {
  phase_ = Phase::kStarting;
  ++attempt_;
}

void AdaptiveScheduler::OnSlots() {
  if (phase_ != Phase::kWaiting) return;
  CancelTimers();
  phase_ = Phase::kStarting;
  ++attempt_;
  history_.Enter(RescalePhase::kDeploy, Now());
}

void AdaptiveScheduler::OnDeployed(uint64_t restored_checkpoint) {
  current_ = next_;
  history_.SetCheckpoint(restored_checkpoint);
  history_.Enter(RescalePhase::kStart, Now());
}

void AdaptiveScheduler::OnAdopted(const VertexParallelism& parallelism) {
  phase_ = Phase::kStarting;
  ++attempt_;
  current_ = parallelism;
  next_ = parallelism;
  // Then the former leader did not come to what it was asked for.
  asked_ = !is_adaptive() && parallelism != Wanted(requirements_);
}

void AdaptiveScheduler::OnAllRunning() {
  if (phase_ != Phase::kStarting) return;
  phase_ = Phase::kExecuting;
  ++attempt_;
  if (history_.in_progress()) {
    history_.Complete(Now());
    last_rescale_ = Now();
    const RescaleEntry& entry = *history_.newest();
    Log(StrCat("rescaled: cause=", ToString(entry.cause),
               " slots=", NumSlotsOf(*submitted_, current_),
               " duration=", absl::FormatDuration(entry.end - entry.begin),
               " downtime=", absl::FormatDuration(entry.Downtime(Now()))));
  }
  stabilizing_since_ = absl::InfinitePast();
  if (const std::string reason = Reason(); !reason.empty()) Log(reason);
  EvaluateExecuting();
}

void AdaptiveScheduler::OnFailure() {
  CancelTimers();
  if (phase_ == Phase::kCheckpointing) {
    history_.Fail("the job failed before its tasks were stopped", Now());
  }
  phase_ = Phase::kIdle;
  ++attempt_;
}

void AdaptiveScheduler::OnEnd(const std::string& reason) {
  CancelTimers();
  history_.Fail(reason, Now());
  phase_ = Phase::kIdle;
  ++attempt_;
}

void AdaptiveScheduler::OnSlotsChanged() {
  if (!is_adaptive() && !asked_) return;
  if (phase_ == Phase::kWaiting && is_adaptive()) EvaluateWaiting();
  if (phase_ == Phase::kExecuting) EvaluateExecuting();
}

absl::Status AdaptiveScheduler::SetRequirements(ResourceRequirements requirements) {
  RETURN_IF_ERROR(CheckRequirements(*submitted_, requirements));
  if (requirements == requirements_) return absl::OkStatus();
  const bool has_slots = phase_ != Phase::kIdle && phase_ != Phase::kWaiting;
  const VertexParallelism wanted = Wanted(requirements);
  if (has_slots && !job_->HasCheckpoints() && wanted != current_) {
    return absl::FailedPreconditionError(
        "the job cannot be rescaled, for it would lose its state: it runs without checkpoints; set "
        "execution.checkpointing.interval above 0 when it is started");
  }
  const uint32_t num_wanted = NumSlotsOf(*submitted_, wanted);
  if (has_slots && !is_adaptive() && num_wanted > job_->NumAvailableSlots()) {
    return absl::FailedPreconditionError(StrCat(
        "the job cannot be rescaled, for there are too few slots; start more TaskManagers, cancel "
        "other jobs, or start it with jobmanager.scheduler: adaptive, so that it runs with what "
        "fits: slots needed=",
        num_wanted, " the job's and free=", job_->NumAvailableSlots()));
  }
  requirements_ = std::move(requirements);
  asked_ = true;
  Log(StrCat("new resource requirements: slots wanted=", num_wanted));
  if (phase_ == Phase::kWaiting) {
    if (is_adaptive()) {
      EvaluateWaiting();
    } else {
      Proceed(wanted);
    }
  } else {
    EvaluateExecuting();
  }
  return absl::OkStatus();
}

void AdaptiveScheduler::EvaluateExecuting() {
  if (phase_ != Phase::kExecuting) return;
  executor_->CancelTimer(std::exchange(timer_, TimerId()));
  const VertexParallelism wanted = Wanted(requirements_);
  const std::optional<VertexParallelism> fitting = Fitting();
  if (!fitting.has_value() || *fitting == current_) {
    stabilizing_since_ = absl::InfinitePast();
    if (current_ == wanted) asked_ = false;
    return;
  }
  if (!job_->HasCheckpoints() || (!is_adaptive() && *fitting != wanted)) return;
  if (asked_) {
    BeginRescale(*fitting);
    return;
  }
  absl::Time due = last_rescale_ + options_.cooldown;
  if (*fitting != wanted) {
    if (stabilizing_since_ == absl::InfinitePast()) stabilizing_since_ = Now();
    due = std::max(due, stabilizing_since_ + options_.executing_stabilization);
  }
  if (due <= Now()) {
    BeginRescale(*fitting);
  } else {
    CallIn(due - Now(), &AdaptiveScheduler::EvaluateExecuting);
  }
}

void AdaptiveScheduler::BeginRescale(const VertexParallelism& target) {
  phase_ = Phase::kCheckpointing;
  ++attempt_;
  num_checkpoint_failures_ = 0;
  stabilizing_since_ = absl::InfinitePast();
  history_.Begin(
      asked_ ? RescaleCause::kUpdateRequirement : RescaleCause::kNewResourceAvailable,
      asked_ ? "other resource requirements were asked for" : "slots have become available",
      RescaledVertices(), RescalePhase::kCheckpoint, Now());
  history_.SetAfter(target);
  Log(StrCat("rescale begins: ", history_.newest()->reason, ": slots before=",
             NumSlotsOf(*submitted_, current_), " after=", NumSlotsOf(*submitted_, target)));
  CallIn(options_.max_trigger_delay, &AdaptiveScheduler::OnCheckpointLate);
  TakeCheckpoint();
}

void AdaptiveScheduler::TakeCheckpoint() {
  job_->TakeRescaleCheckpoint(
      [this, attempt = attempt_](const absl::StatusOr<CheckpointId>& checkpoint) {
        if (attempt == attempt_) OnCheckpoint(checkpoint);
      });
}

void AdaptiveScheduler::OnCheckpoint(const absl::StatusOr<CheckpointId>& checkpoint) {
  DCHECK(phase_ == Phase::kCheckpointing);
  if (checkpoint.ok()) {
    Stop();
    return;
  }
  const std::string reason(ToStd(checkpoint.status().message()));
  if (absl::IsFailedPrecondition(checkpoint.status())) {
    Abandon(reason);  // The job is about to end, say: nothing to be had from trying again.
  } else if (++num_checkpoint_failures_ < options_.max_checkpoint_failures) {
    TakeCheckpoint();
  } else {
    Log(StrCat("rescale goes on from the newest completed checkpoint: ", reason));
    Stop();
  }
}

void AdaptiveScheduler::OnCheckpointLate() {
  Log("rescale goes on from the newest completed checkpoint: the one taken for it is late "
      "(jobmanager.adaptive-scheduler.rescale-trigger.max-delay)");
  Stop();
}

void AdaptiveScheduler::Stop() {
  CancelTimers();
  phase_ = Phase::kStopping;
  ++attempt_;
  history_.Enter(RescalePhase::kStop, Now());
  job_->StopForRescale();
}

void AdaptiveScheduler::Abandon(const std::string& reason) {
  CancelTimers();
  Log(StrCat("rescale abandoned: ", reason));
  history_.Fail(reason, Now());
  phase_ = Phase::kExecuting;
  ++attempt_;
}

std::optional<VertexParallelism> AdaptiveScheduler::Fitting() const {
  return FitParallelism(*submitted_, requirements_, job_->NumAvailableSlots());
}

void AdaptiveScheduler::CallIn(absl::Duration delay, void (AdaptiveScheduler::*then)()) {
  executor_->CancelTimer(timer_);
  timer_ = executor_->PostAfter(delay, [this, then] {
    timer_ = TimerId();
    (this->*then)();
  });
}

void AdaptiveScheduler::CancelTimers() {
  executor_->CancelTimer(std::exchange(timer_, TimerId()));
  executor_->CancelTimer(std::exchange(expiry_, TimerId()));
}

std::vector<RescaledVertex> AdaptiveScheduler::RescaledVertices() const {
  std::vector<RescaledVertex> vertices;
  for (const JobGraph::Vertex& vertex : submitted_->vertices) {
    const auto before = current_.find(vertex.id);
    vertices.push_back({.id = vertex.id,
                        .name = vertex.name,
                        .slot_sharing_group = vertex.slot_sharing_group,
                        .wanted = requirements_.at(vertex.id),
                        .before = before == current_.end() ? 0 : before->second});
  }
  return vertices;
}

std::string AdaptiveScheduler::SlotsText() const {
  VertexParallelism least;
  for (const auto& [id, range] : requirements_) least.emplace(id, range.lower);
  return StrCat("slots needed=", NumSlotsOf(*submitted_, is_adaptive() ? least : next_),
                " wanted=", NumSlotsOf(*submitted_, Wanted(requirements_)),
                " the job's and free=", job_->NumAvailableSlots());
}

std::string AdaptiveScheduler::Reason() const {
  if (phase_ == Phase::kWaiting) return StrCat("the job waits for slots: ", SlotsText());
  if (phase_ == Phase::kCheckpointing || phase_ == Phase::kStopping) {
    return "the job is being rescaled";
  }
  // What it is about to run with counts.
  const VertexParallelism& present = phase_ == Phase::kStarting ? next_ : current_;
  if (phase_ == Phase::kIdle || present == Wanted(requirements_)) return {};
  // As much as there can be is more than there will be: nothing to be said.
  if (options_.kind == SchedulerKind::kReactive) return {};
  if (!job_->HasCheckpoints()) {
    return StrCat(
        "the job runs with another parallelism than is wanted, and without checkpoints, so that it "
        "is not rescaled: ",
        SlotsText());
  }
  return StrCat("the job runs with another parallelism than is wanted until slots come: ",
                SlotsText());
}

ScalingDetails AdaptiveScheduler::Details() const {
  ScalingDetails details;
  details.scheduler = std::string(NameOf(options_.kind));
  details.reason = Reason();
  details.wanted_slots = NumSlotsOf(*submitted_, Wanted(requirements_));
  details.available_slots = job_->NumAvailableSlots();
  for (const JobGraph::Vertex& vertex : submitted_->vertices) {
    const auto current = current_.find(vertex.id);
    details.vertices.push_back({.id = vertex.id,
                                .name = vertex.name,
                                .parallelism = current == current_.end() ? 0 : current->second,
                                .max_parallelism = vertex.max_parallelism,
                                .wanted = requirements_.at(vertex.id),
                                .parallelism_configured = vertex.parallelism_configured});
  }
  details.num_rescales = history_.num_completed();
  details.history = history_.Entries();
  return details;
}

void AdaptiveScheduler::Log(std::string_view text) const {
  LogInfo(kComponent, StrCat(text, " job=", ToString(job_id_)));
}

}  // namespace weir
