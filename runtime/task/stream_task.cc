#include "runtime/task/stream_task.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "runtime/base/check.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

// Short enough for mail and for the other tasks of a core, long enough to spread a step's fixed
// cost.
constexpr int64_t kQuantumNanos = 2'000'000;

// What a channel may hold beyond its limit so that the chain can let go of what it has begun, ahead
// of an unaligned barrier. A batch's rest has room, unless the operators make much of little; then
// the barrier waits.
constexpr size_t kOvertakingBytes = size_t{1} << 20;

class StreamTaskHandle final : public TaskHandle {
 public:
  StreamTaskHandle(std::weak_ptr<StreamTask> task, const Lease* commit_lease)
      : task_(std::move(task)), commit_lease_(commit_lease) {}

  void Post(absl::AnyInvocable<absl::Status()> mail) override {
    if (const auto task = task_.lock()) task->Post(std::move(mail));
  }
  void Wake() override {
    if (const auto task = task_.lock()) task->Wake();
  }
  void WakeAt(absl::Time time) override {
    if (const auto task = task_.lock()) task->WakeAt(time);
  }
  void Fail(absl::Status reason) override {
    Post([reason = std::move(reason)] { return reason; });
  }
  [[nodiscard]] bool MayCommit() const override {
    return commit_lease_ == nullptr || commit_lease_->Holds();
  }

 private:
  const std::weak_ptr<StreamTask> task_;
  const Lease* const commit_lease_;
};

class StreamTaskContext final : public OperatorContext {
 public:
  /// `task` owns the chain, and so the context.
  StreamTaskContext(Place place, const TaskEnvironment& environment,
                    std::shared_ptr<TaskHandle> handle, MetricGroup* metrics, StreamTask* task,
                    absl::Duration auto_watermark_interval)
      : place_(std::move(place)),
        environment_(environment),
        handle_(std::move(handle)),
        metrics_(metrics),
        task_(task),
        auto_watermark_interval_(auto_watermark_interval) {}

  [[nodiscard]] const Place& place() const override { return place_; }
  [[nodiscard]] MemoryBudget* memory_budget() const override { return environment_.memory_budget; }
  [[nodiscard]] IoPool* io_pool() const override { return environment_.io_pool; }
  [[nodiscard]] const Clock* clock() const override { return environment_.clock; }
  [[nodiscard]] MetricGroup* metrics() const override { return metrics_; }
  [[nodiscard]] const std::shared_ptr<TaskHandle>& handle() const override { return handle_; }
  [[nodiscard]] const std::shared_ptr<StateFileStore>& state_store() const override {
    return environment_.state_store;
  }
  void SendToCoordinator(std::string event) override {
    environment_.listener->OnEventToCoordinator(place_.attempt, place_.operator_id, place_.subtask,
                                                std::move(event));
  }
  [[nodiscard]] absl::Duration auto_watermark_interval() const override {
    return auto_watermark_interval_;
  }
  void ReportSplitWatermarks(std::vector<SplitWatermark> splits) override {
    task_->ReportSplitWatermarks(std::move(splits));
  }

 private:
  const Place place_;
  const TaskEnvironment environment_;
  const std::shared_ptr<TaskHandle> handle_;
  MetricGroup* const metrics_;
  StreamTask* const task_;
  const absl::Duration auto_watermark_interval_;
};

void AddChannelState(OperatorId head, absl::StatusOr<ChannelStateHandle> written,
                     absl::StatusOr<TaskCheckpointAck>* ack) {
  if (!written.ok()) {
    *ack = written.status();
    return;
  }
  std::vector<TaskCheckpointAck::Operator>& operators = (*ack)->operators;
  if (operators.empty() || operators.front().id != head) {
    operators.insert(operators.begin(), {head, OperatorSubtaskState()});
  }
  operators.front().state.channel_state = *std::move(written);
}

bool IsLegal(TaskState from, TaskState to) {
  if (IsTerminal(from)) return false;
  switch (to) {
    case TaskState::kDeploying:
      return false;
    case TaskState::kInitializing:
      return from == TaskState::kDeploying;
    case TaskState::kRunning:
      return from == TaskState::kInitializing;
    case TaskState::kFinished:
      return from == TaskState::kRunning;
    case TaskState::kCanceling:
      return from != TaskState::kCanceling;
    case TaskState::kCanceled:
      return from == TaskState::kCanceling;
    case TaskState::kFailed:
      return true;
  }
  return false;
}

}  // namespace

std::string_view ToString(TaskState state) {
  switch (state) {
    case TaskState::kDeploying:
      return "DEPLOYING";
    case TaskState::kInitializing:
      return "INITIALIZING";
    case TaskState::kRunning:
      return "RUNNING";
    case TaskState::kFinished:
      return "FINISHED";
    case TaskState::kCanceling:
      return "CANCELING";
    case TaskState::kCanceled:
      return "CANCELED";
    case TaskState::kFailed:
      return "FAILED";
  }
  return "UNKNOWN";
}

absl::StatusOr<std::shared_ptr<Task>> Task::Create(TaskDescription description,
                                                   TaskEnvironment environment) {
  auto task = std::make_shared<StreamTask>(std::move(description), std::move(environment));
  RETURN_IF_ERROR(task->Init());
  return task;
}

StreamTask::StreamTask(TaskDescription description, TaskEnvironment environment)
    : description_(std::move(description)),
      environment_(std::move(environment)),
      unaligned_(description_.alignment.unaligned &&
                 description_.alignment.mode == CheckpointMode::kExactlyOnce),
      time_(MonotonicNanos()),
      watermark_ms_(EventTime::Min().millis()) {}

StreamTask::~StreamTask() = default;

absl::Status StreamTask::Init() {
  const StreamGraph& graph = *description_.graph;
  if (description_.operators.empty()) return absl::InvalidArgumentError("a task needs an operator");
  const auto handle =
      std::make_shared<StreamTaskHandle>(weak_from_this(), environment_.commit_lease);

  std::vector<OperatorChain::Link> links;
  for (const TaskDescription::Operator& op : description_.operators) {
    const StreamNode& node = graph.nodes()[op.node];
    OperatorContext::Place place;
    place.job = description_.job;
    place.operator_id = graph.operator_id(op.node);
    place.uid = node.uid;
    place.declared_at = node.declared_at;
    place.name = node.name;
    place.subtask = description_.subtask;
    place.parallelism = description_.parallelism;
    place.max_parallelism = description_.max_parallelism;
    place.key_groups = RangeOfSubtask(description_.subtask, description_.max_parallelism,
                                      description_.parallelism);
    place.attempt = description_.attempt;
    place.attempt_number = description_.attempt_number;
    place.local_dir = StrCat(description_.local_dir, "/", ToString(place.operator_id));
    place.checkpointing = description_.checkpointing;
    OperatorChain::Link& link = links.emplace_back();
    link.op = node.factory->Create();
    operator_metrics_.push_back(std::make_unique<MetricGroup>());
    link.context = std::make_unique<StreamTaskContext>(std::move(place), environment_, handle,
                                                       operator_metrics_.back().get(), this,
                                                       description_.auto_watermark_interval);
    link.num_inputs = node.num_inputs;
    link.num_ports = static_cast<uint32_t>(node.outputs.size());
  }
  chain_ = std::make_unique<OperatorChain>(
      std::move(links),
      OperatorChain::Events{
          [this](const CheckpointBarrier& barrier) { return AcceptsSnapshot(barrier); },
          [this](const CheckpointBarrier& barrier, std::vector<OperatorSnapshot> snapshots) {
            return OnSnapshot(barrier, std::move(snapshots));
          }});

  const auto index_of = [&](StreamNodeIndex node) -> std::optional<size_t> {
    for (size_t i = 0; i < description_.operators.size(); ++i) {
      if (description_.operators[i].node == node) return i;
    }
    return std::nullopt;
  };
  for (const StreamEdge& edge : graph.edges()) {
    const std::optional<size_t> from = index_of(edge.source);
    const std::optional<size_t> to = index_of(edge.target);
    if (!from.has_value() || !to.has_value() || *to == 0) continue;
    chain_->Join(*from, edge.source_port, *to);
  }

  const ChannelQueue::Listener wake = [weak = weak_from_this()] {
    if (const auto task = weak.lock()) task->Wake();
  };
  for (const TaskDescription::OutputEdge& edge : description_.outputs) {
    const std::optional<size_t> from = index_of(edge.source);
    if (!from.has_value())
      return absl::InvalidArgumentError("an output edge starts outside of the task");
    auto writer = std::make_unique<RecordWriter>(
        RecordWriter::Options{edge.partitioning, edge.target_max_parallelism, description_.subtask},
        edge.subpartitions);
    writer->SetSpaceListener(wake);
    chain_->AddTarget(*from, edge.source_port, writer.get());
    writers_.push_back(std::move(writer));
    writer_ports_.emplace_back(*from, edge.source_port);
  }

  if (!chain_->has_source()) {
    std::vector<InputGate::Channel> channels;
    for (const TaskDescription::Gate& gate : description_.gates) {
      for (size_t i = 0; i < gate.channels.size(); ++i) {
        InputGate::Channel& channel = channels.emplace_back();
        channel.input = gate.input;
        channel.queue = gate.channels[i];
        channel.remote = i < gate.remote.size() && gate.remote[i];
        channel.edge = channel_edges_.size();
        channel.producer = gate.first_producer + static_cast<uint32_t>(i);
        channel.may_overtake =
            gate.edge.has_value() && SupportsChannelState(gate.edge->partitioning.strategy);
      }
      channel_edges_.push_back(gate.edge.value_or(ChannelEdge{}));
    }
    const StreamNode& head = graph.nodes()[description_.operators.front().node];
    gate_ = std::make_unique<InputGate>(std::move(channels), head.num_inputs, head.start_after,
                                        description_.alignment.mode);
    if (unaligned_) {
      gate_->EnableUnaligned(description_.alignment.aligned_timeout, environment_.clock);
    }
  }
  if (environment_.buffer_debloat.enabled) {
    if (gate_ != nullptr) {
      gate_->EnableDebloating(environment_.buffer_debloat);
      debloated_bytes_.store(gate_->debloater()->limit_bytes(), std::memory_order_relaxed);
    }
    next_debloat_nanos_ = MonotonicNanos();
  }
  return absl::OkStatus();
}

void StreamTask::Start() {
  {
    MutexLock lock(&self_mutex_);
    self_ = shared_from_this();
  }
  start_nanos_ = MonotonicNanos();
  Transition(TaskState::kInitializing, absl::OkStatus());
  const bool posted = environment_.io_pool->Post([task = shared_from_this()] { task->Open(); });
  if (!posted)
    Terminate(TaskState::kFailed, absl::UnavailableError("the TaskManager is shutting down"));
}

void StreamTask::Open() {
  std::vector<std::vector<OperatorSubtaskState>> restored;
  for (const TaskDescription::Operator& op : description_.operators) {
    restored.push_back(op.restored);
    std::erase_if(restored.back(), [](const OperatorSubtaskState& state) {
      return !state.keyed.has_value() && !state.operator_state.has_value();
    });
  }
  absl::Status status = chain_->Open(std::move(restored));
  if (status.ok()) status = RestoreChannels();
  if (!status.ok()) mailbox_.Post([status = std::move(status)] { return status; });
  opened_.store(true, std::memory_order_release);
  if (gate_ != nullptr) {
    gate_->Listen([weak = weak_from_this()] {
      if (const auto task = weak.lock()) task->Wake();
    });
  }
  Wake();
}

absl::Status StreamTask::RestoreChannels() {
  std::vector<ChannelContent> contents;
  for (const TaskDescription::Operator& op : description_.operators) {
    const bool is_head = &op == &description_.operators.front();
    for (const OperatorSubtaskState& state : op.restored) {
      if (!state.channel_state.has_value() || (is_head && gate_ != nullptr)) continue;
      return absl::FailedPreconditionError(
          StrCat("cannot restore in-flight records: the operator that they were on their way to is "
                 "chained to another now; undo that, or start from a savepoint, which holds none: "
                 "operator=",
                 description_.graph->nodes()[op.node].name));
    }
  }
  for (const OperatorSubtaskState& state : description_.operators.front().restored) {
    if (!state.channel_state.has_value()) continue;
    ASSIGN_OR_RETURN(std::vector<ChannelContent> read,
                     ReadChannelState(*state.channel_state, channel_edges_, channel_state_owner(),
                                      *environment_.state_store,
                                      StrCat(description_.local_dir, "/restored-channels")));
    std::move(read.begin(), read.end(), std::back_inserter(contents));
  }
  if (!contents.empty()) gate_->Restore(std::move(contents), environment_.memory_budget);
  return absl::OkStatus();
}

ChannelStateOwner StreamTask::channel_state_owner() const {
  const StreamNode& head = description_.graph->nodes()[description_.operators.front().node];
  return {description_.subtask, description_.parallelism, description_.max_parallelism, head.name};
}

void StreamTask::Wake() { environment_.workers->Wake(shared_from_this()); }

void StreamTask::WakeAt(absl::Time time) { environment_.workers->WakeAt(weak_from_this(), time); }

void StreamTask::Post(Mailbox::Mail mail) {
  mailbox_.Post(std::move(mail));
  Wake();
}

void StreamTask::Cancel() {
  cancel_requested_.store(true, std::memory_order_release);
  Wake();
}

void StreamTask::TriggerCheckpoint(CheckpointBarrier barrier) {
  Post([this, barrier] {
    if (!chain_->has_source()) return absl::OkStatus();
    if (barrier.kind == BarrierKind::kTerminate) RETURN_IF_ERROR(chain_->EndSource());
    CheckpointBarrier fed = barrier;
    fed.unaligned = unaligned_ && barrier.kind == BarrierKind::kCheckpoint;
    NoteBarrierOnItsWay(fed);
    chain_->Feed(0, fed);
    return absl::OkStatus();
  });
}

void StreamTask::NotifyCheckpointComplete(CheckpointId checkpoint) {
  Post([this, checkpoint] { return OnCheckpointComplete(checkpoint); });
}

void StreamTask::NotifyCheckpointAborted(CheckpointId checkpoint) {
  Post([this, checkpoint] {
    if (gate_ != nullptr) gate_->OnCheckpointAborted(checkpoint);
    if (recorded_snapshot_.has_value() && recorded_snapshot_->ack.checkpoint == checkpoint) {
      AbandonRecordedSnapshot();
    }
    if (stop_savepoint_ <= checkpoint) stop_savepoint_.reset();
    return chain_->NotifyCheckpointAborted(checkpoint);
  });
}

void StreamTask::AbandonAlignment(CheckpointId newest) {
  Post([this, newest] {
    if (recorded_snapshot_.has_value() && recorded_snapshot_->ack.checkpoint <= newest) {
      gate_->OnCheckpointAborted(recorded_snapshot_->ack.checkpoint);
      AbandonRecordedSnapshot();
    }
    if (gate_ != nullptr) gate_->OnCheckpointAborted(newest);
    return absl::OkStatus();
  });
}

void StreamTask::HandleCoordinatorEvent(OperatorId operator_id, std::string payload) {
  Post([this, operator_id, payload = std::move(payload)] {
    return chain_->HandleCoordinatorEvent(operator_id, payload);
  });
}

bool StreamTask::Step() {
  if (IsTerminal(state_) || !opened_.load(std::memory_order_acquire)) return false;
  const int64_t begin = MonotonicNanos();
  time_.Switch(TimeAccount::Use::kBusy, begin);
  if (cancel_requested_.load(std::memory_order_acquire)) {
    Transition(TaskState::kCanceling, absl::OkStatus());
    Terminate(TaskState::kCanceled, absl::OkStatus());
    return false;
  }
  if (begin >= next_debloat_nanos_) Debloat(begin);
  const absl::StatusOr<StepEnd> end = RunSlice(begin + kQuantumNanos);
  const int64_t now = MonotonicNanos();
  time_.Switch(end.ok() ? UseAfter(*end) : TimeAccount::Use::kIdle, now);
  running_nanos_.store(running_nanos_.load(std::memory_order_relaxed) + (now - begin),
                       std::memory_order_relaxed);
  PublishMetrics(now);
  if (!end.ok()) {
    Terminate(TaskState::kFailed, end.status());
    return false;
  }
  if (MayFinish()) {
    Terminate(TaskState::kFinished, absl::OkStatus());
    return false;
  }
  return *end == StepEnd::kMore;
}

// A task that has work and waits for a worker, or for what its operators ask outside, has no time
// to spare: it is busy.
TimeAccount::Use StreamTask::UseAfter(StepEnd end) {
  switch (end) {
    case StepEnd::kIdle:
      return TimeAccount::Use::kIdle;
    case StepEnd::kBackPressured:
      return TimeAccount::Use::kBackPressured;
    case StepEnd::kMore:
    case StepEnd::kBlocked:
      break;
  }
  return TimeAccount::Use::kBusy;
}

absl::StatusOr<StreamTask::StepEnd> StreamTask::RunSlice(int64_t deadline_nanos) {
  RETURN_IF_ERROR(mailbox_.RunPending());
  if (unaligned_) RETURN_IF_ERROR(PollUnaligned());
  ASSIGN_OR_RETURN(const bool operators_want_more, chain_->WakeOperators());
  if (state_ == TaskState::kInitializing && (gate_ == nullptr || !gate_->HoldsBackInputs())) {
    Transition(TaskState::kRunning, absl::OkStatus());
  }
  while (true) {
    ASSIGN_OR_RETURN(const OperatorChain::RunResult result, chain_->Run(deadline_nanos));
    if (result == OperatorChain::RunResult::kQuantumOver) return FinishSlice(StepEnd::kMore);
    if (result == OperatorChain::RunResult::kBackPressured)
      return FinishSlice(StepEnd::kBackPressured);
    if (result == OperatorChain::RunResult::kBlocked) return FinishSlice(StepEnd::kBlocked);
    if (chain_->finished() && !input_ended_) RETURN_IF_ERROR(OnInputEnded());
    const bool held = HeldBySnapshot();
    bool took = false;
    if (!held) {
      ASSIGN_OR_RETURN(took, TakeInput());
    }
    if (!took) {
      // Out of input: nothing waits for a fuller batch.
      ASSIGN_OR_RETURN(const bool flushed, chain_->Flush());
      if (flushed) continue;
      FlushWriters();
      if (held) return FinishSlice(StepEnd::kBackPressured);
      RETURN_IF_ERROR(chain_->NotifyIdle());
      if (AnyWriterFull() && !chain_->finished()) return FinishSlice(StepEnd::kBackPressured);
      return FinishSlice(operators_want_more ? StepEnd::kMore : StepEnd::kIdle);
    }
    if (MonotonicNanos() >= deadline_nanos) return FinishSlice(StepEnd::kMore);
  }
}

// A snapshot that waits for records in flight needs input to go on; any other is with the I/O pool.
bool StreamTask::HeldBySnapshot() const {
  return snapshot_in_flight_ && !recorded_snapshot_.has_value() && chain_->GrowthMustWait();
}

absl::StatusOr<bool> StreamTask::TakeInput() {
  if (chain_->suspended()) return false;
  if (chain_->has_source()) {
    if (chain_->source_ended()) return false;
    ASSIGN_OR_RETURN(const bool marked, EmitLatencyMarker());
    if (marked) return true;
    ASSIGN_OR_RETURN(const SourceOperator::PollResult polled, chain_->PollSource());
    return polled != SourceOperator::PollResult::kNothing;
  }
  ASSIGN_OR_RETURN(std::optional<InputGate::Input> input, gate_->Next());
  if (!input.has_value()) return false;
  if (state_ == TaskState::kInitializing && !gate_->HoldsBackInputs()) {
    Transition(TaskState::kRunning, absl::OkStatus());
  }
  if (const auto* barrier = std::get_if<CheckpointBarrier>(&input->element)) {
    NoteBarrierOnItsWay(*barrier);
  }
  chain_->Feed(input->input, std::move(input->element));
  return true;
}

absl::Status StreamTask::PollUnaligned() {
  if (gate_ != nullptr) {
    const absl::Time look_again = gate_->PollUnaligned();
    if (look_again < absl::InfiniteFuture()) WakeToOvertake(look_again);
    if (gate_->HasOvertakenBarrier()) SetOvertaking(true);
  }
  if (barrier_on_its_way_.has_value()) NoteBarrierOnItsWay(*barrier_on_its_way_);
  return WriteWhenRecorded();
}

void StreamTask::NoteBarrierOnItsWay(const CheckpointBarrier& barrier) {
  if (!unaligned_ || !barrier.unaligned) return;
  barrier_on_its_way_ = barrier;
  const absl::Duration timeout = description_.alignment.aligned_timeout;
  const absl::Time due = absl::FromUnixMillis(barrier.trigger_time_ms) + timeout;
  if (timeout <= absl::ZeroDuration() || environment_.clock->Now() >= due) {
    SetOvertaking(true);
  } else {
    WakeToOvertake(due);
  }
}

// Once for each time, however many steps ask.
void StreamTask::WakeToOvertake(absl::Time due) {
  if (std::exchange(overtake_wake_, due) != due) WakeAt(due);
}

void StreamTask::NoteBarrierPassed(const CheckpointBarrier& barrier) {
  if (barrier_on_its_way_.has_value() && barrier_on_its_way_->id <= barrier.id) {
    barrier_on_its_way_.reset();
  }
  // If a newer one is on its way, the next step lets it overtake again.
  SetOvertaking(false);
}

void StreamTask::SetOvertaking(bool overtaking) {
  if (overtaking_ == overtaking) return;
  overtaking_ = overtaking;
  for (const auto& writer : writers_) {
    writer->set_overdraft_bytes(overtaking ? kOvertakingBytes : 0);
  }
}

absl::Status StreamTask::WriteWhenRecorded() {
  if (!recorded_snapshot_.has_value()) return absl::OkStatus();
  if (gate_->recorded_checkpoint() != recorded_snapshot_->ack.checkpoint) {
    // A newer one has taken its place.
    environment_.listener->OnCheckpointDecline(
        description_.attempt, recorded_snapshot_->ack.checkpoint,
        absl::AbortedError("a newer checkpoint began before this one had all in-flight records"));
    AbandonRecordedSnapshot();
    return absl::OkStatus();
  }
  if (!gate_->RecordingComplete()) return absl::OkStatus();
  InputGate::Recordings recordings = gate_->TakeRecordings();
  if (recordings.overflowed) {
    environment_.listener->OnCheckpointDecline(
        description_.attempt, recorded_snapshot_->ack.checkpoint,
        absl::ResourceExhaustedError(
            "there is no memory for the in-flight records of an unaligned checkpoint; raise "
            "taskmanager.memory.size"));
    AbandonRecordedSnapshot();
    return absl::OkStatus();
  }
  RecordedSnapshot snapshot = *std::move(recorded_snapshot_);
  recorded_snapshot_.reset();
  snapshot.ack.unaligned = true;
  snapshot.ack.persisted_bytes = recordings.num_bytes;
  snapshot.ack.processed_bytes = gate_->last_alignment_bytes();
  snapshot.ack.alignment_duration = gate_->last_alignment();
  alignment_nanos_.store(absl::ToInt64Nanoseconds(snapshot.ack.alignment_duration),
                         std::memory_order_relaxed);
  return WriteSnapshot(std::move(snapshot.ack), std::move(snapshot.snapshots),
                       std::move(recordings));
}

void StreamTask::AbandonRecordedSnapshot() {
  for (OperatorSnapshot& snapshot : recorded_snapshot_->snapshots) {
    if (snapshot.finish) snapshot.finish(false);
  }
  recorded_snapshot_.reset();
  snapshot_in_flight_ = false;
}

absl::StatusOr<bool> StreamTask::EmitLatencyMarker() {
  if (description_.latency_interval <= absl::ZeroDuration()) return false;
  const absl::Time now = environment_.clock->Now();
  if (now < next_latency_marker_) return false;
  ASSIGN_OR_RETURN(const bool emitted, chain_->EmitLatencyMarker(absl::ToUnixMillis(now)));
  if (!emitted) return false;
  next_latency_marker_ = now + description_.latency_interval;
  WakeAt(next_latency_marker_);
  return true;
}

absl::StatusOr<StreamTask::StepEnd> StreamTask::FinishSlice(StepEnd end) {
  const int64_t now = MonotonicNanos();
  if (now - last_flush_nanos_ >= absl::ToInt64Nanoseconds(description_.buffer_timeout)) {
    last_flush_nanos_ = now;
    ASSIGN_OR_RETURN(const bool flushed, chain_->Flush());
    if (flushed && end == StepEnd::kIdle) end = StepEnd::kMore;
    FlushWriters();
  }
  return end;
}

void StreamTask::FlushWriters() {
  for (const auto& writer : writers_) writer->Flush();
}

// A source has no channels of its own to limit, but like every task it fits what it emits to the
// limits of those it writes to.
void StreamTask::Debloat(int64_t now_nanos) {
  next_debloat_nanos_ = now_nanos + absl::ToInt64Nanoseconds(environment_.buffer_debloat.period);
  if (gate_ != nullptr) {
    const TimeAccount::Totals time = time_.Read(now_nanos);
    gate_->Debloat(time.busy_nanos + time.back_pressured_nanos);
    debloated_bytes_.store(gate_->debloater()->limit_bytes(), std::memory_order_relaxed);
    time_to_consume_nanos_.store(absl::ToInt64Nanoseconds(gate_->debloater()->time_to_consume()),
                                 std::memory_order_relaxed);
  }
  for (size_t i = 0; i < writers_.size(); ++i) {
    size_t records = kMaxBatchRecords;
    for (size_t k = 0; k < writers_.size(); ++k) {
      if (writer_ports_[k] == writer_ports_[i]) {
        records = std::min(records, writers_[k]->MaxBatchRecords());
      }
    }
    chain_->SetMaxBatchRecords(writer_ports_[i].first, writer_ports_[i].second, records);
  }
}

bool StreamTask::AnyWriterFull() const {
  return std::any_of(writers_.begin(), writers_.end(),
                     [](const auto& writer) { return writer->Full(); });
}

bool StreamTask::AcceptsSnapshot(const CheckpointBarrier& barrier) {
  // Gives an older one up if it waits for records that are recorded for this one now.
  static_cast<void>(WriteWhenRecorded());
  if (!snapshot_in_flight_) {
    snapshot_begin_nanos_ = MonotonicNanos();
    return true;
  }
  environment_.listener->OnCheckpointDecline(
      description_.attempt, barrier.id,
      absl::ResourceExhaustedError(
          "the subtask's snapshot for an earlier checkpoint is still being written"));
  NoteBarrierPassed(barrier);
  if (gate_ != nullptr) gate_->OnCheckpointAborted(barrier.id);
  return false;
}

absl::Status StreamTask::OnSnapshot(const CheckpointBarrier& barrier,
                                    std::vector<OperatorSnapshot> snapshots) {
  NoteBarrierPassed(barrier);
  if (chain_->finished()) final_checkpoint_ = barrier.id;
  if (StopsTask(barrier.kind)) stop_savepoint_ = barrier.id;
  snapshot_in_flight_ = true;
  TaskCheckpointAck ack;
  ack.attempt = description_.attempt;
  ack.checkpoint = barrier.id;
  ack.sync_duration = absl::Nanoseconds(MonotonicNanos() - snapshot_begin_nanos_);
  if (gate_ != nullptr) {
    ack.alignment_duration = gate_->last_alignment();
    ack.processed_bytes = gate_->last_alignment_bytes();
  }
  alignment_nanos_.store(absl::ToInt64Nanoseconds(ack.alignment_duration),
                         std::memory_order_relaxed);
  const int64_t since_trigger_ms =
      absl::ToUnixMillis(environment_.clock->Now()) - barrier.trigger_time_ms;
  const int64_t before_ms =
      since_trigger_ms - absl::ToInt64Milliseconds(ack.alignment_duration + ack.sync_duration);
  start_delay_nanos_.store(std::max<int64_t>(0, before_ms) * 1'000'000, std::memory_order_relaxed);
  ack.start_delay = absl::Nanoseconds(start_delay_nanos_.load(std::memory_order_relaxed));
  snapshot_checkpoint_ = barrier.id;
  if (gate_ != nullptr && gate_->recorded_checkpoint() == barrier.id) {
    recorded_snapshot_.emplace(RecordedSnapshot{std::move(ack), std::move(snapshots)});
    return WriteWhenRecorded();
  }
  return WriteSnapshot(std::move(ack), std::move(snapshots), {});
}

absl::Status StreamTask::WriteSnapshot(TaskCheckpointAck ack,
                                       std::vector<OperatorSnapshot> snapshots,
                                       InputGate::Recordings recordings) {
  std::string channels_path = StrCat(description_.local_dir, "/channels-", ack.checkpoint.value());
  const bool posted = environment_.io_pool->Post(
      [weak = weak_from_this(), store = environment_.state_store, ack = std::move(ack),
       snapshots = std::move(snapshots), graph = description_.graph,
       operators = description_.operators, recordings = std::move(recordings),
       edges = channel_edges_, owner = channel_state_owner(),
       channels_path = std::move(channels_path)]() mutable {
        absl::StatusOr<TaskCheckpointAck> result = std::move(ack);
        const Stopwatch stopwatch;
        for (size_t i = 0; i < snapshots.size() && result.ok(); ++i) {
          if (!snapshots[i].write) continue;
          absl::StatusOr<OperatorSubtaskState> state = snapshots[i].write(*store);
          if (!state.ok()) {
            result = state.status();
          } else {
            result->operators.push_back({graph->operator_id(operators[i].node), *std::move(state)});
          }
        }
        const bool any_recorded =
            std::any_of(recordings.contents.begin(), recordings.contents.end(),
                        [](const ChannelContent& content) { return !content.elements.empty(); });
        if (result.ok() && any_recorded) {
          AddChannelState(
              graph->operator_id(operators.front().node),
              WriteChannelState(edges, recordings.contents, owner, *store, channels_path), &result);
        }
        recordings = {};
        if (result.ok()) result->async_duration = stopwatch.Elapsed();
        if (const auto task = weak.lock()) {
          task->Post([task = task.get(), result = std::move(result),
                      snapshots = std::move(snapshots)]() mutable {
            const CheckpointId checkpoint = task->snapshot_checkpoint_;
            return task->OnSnapshotWritten(checkpoint, std::move(snapshots), std::move(result));
          });
        }
      });
  return posted ? absl::OkStatus() : absl::UnavailableError("the TaskManager is shutting down");
}

absl::Status StreamTask::OnSnapshotWritten(CheckpointId checkpoint,
                                           std::vector<OperatorSnapshot> snapshots,
                                           absl::StatusOr<TaskCheckpointAck> ack) {
  snapshot_in_flight_ = false;
  for (OperatorSnapshot& snapshot : snapshots) {
    if (snapshot.finish) snapshot.finish(ack.ok());
  }
  if (!description_.checkpointing) {
    RETURN_IF_ERROR(ack.status());
    return OnCheckpointComplete(checkpoint);
  }
  if (ack.ok()) {
    environment_.listener->OnCheckpointAck(*std::move(ack));
  } else {
    if (final_checkpoint_ == checkpoint) final_checkpoint_.reset();
    environment_.listener->OnCheckpointDecline(description_.attempt, checkpoint, ack.status());
  }
  return absl::OkStatus();
}

absl::Status StreamTask::OnCheckpointComplete(CheckpointId checkpoint) {
  RETURN_IF_ERROR(chain_->NotifyCheckpointComplete(checkpoint));
  if ((final_checkpoint_.has_value() && checkpoint >= *final_checkpoint_) ||
      stop_savepoint_ == checkpoint) {
    final_checkpoint_complete_ = true;
  }
  return absl::OkStatus();
}

absl::Status StreamTask::OnInputEnded() {
  input_ended_ = true;
  if (description_.checkpointing) {
    environment_.listener->OnInputEnded(description_.attempt);
    return absl::OkStatus();
  }
  const CheckpointBarrier last{CheckpointId(std::numeric_limits<uint64_t>::max()), 0};
  ASSIGN_OR_RETURN(std::vector<OperatorSnapshot> snapshots, chain_->TakeFinalSnapshot(last.id));
  return OnSnapshot(last, std::move(snapshots));
}

bool StreamTask::MayFinish() const {
  return state_ == TaskState::kRunning && final_checkpoint_complete_ && !snapshot_in_flight_ &&
         !chain_->HasPendingCommits();
}

void StreamTask::Transition(TaskState to, const absl::Status& reason) {
  CHECK(IsLegal(state_, to)) << "task state " << ToString(state_) << " to " << ToString(to);
  state_ = to;
  if (to == TaskState::kRunning) {
    initialization_nanos_.store(MonotonicNanos() - start_nanos_, std::memory_order_relaxed);
  }
  environment_.listener->OnTaskState(description_.attempt, to, reason);
}

void StreamTask::Terminate(TaskState state, const absl::Status& reason) {
  mailbox_.Close();
  chain_->Close();
  Transition(state, reason);
  std::shared_ptr<StreamTask> self;
  MutexLock lock(&self_mutex_);
  self.swap(self_);  // The caller holds the task too, so this is not the last reference.
}

void StreamTask::PublishMetrics(int64_t now_nanos) {
  chain_->PublishMetrics(now_nanos);
  records_in_.store(chain_->records_in(), std::memory_order_relaxed);
  records_out_.store(chain_->records_out(), std::memory_order_relaxed);
  if (gate_ != nullptr) {
    bytes_in_local_.store(gate_->local_traffic().num_bytes, std::memory_order_relaxed);
    bytes_in_remote_.store(gate_->remote_traffic().num_bytes, std::memory_order_relaxed);
    batches_in_local_.store(gate_->local_traffic().num_batches, std::memory_order_relaxed);
    batches_in_remote_.store(gate_->remote_traffic().num_batches, std::memory_order_relaxed);
    watermark_ms_.store(gate_->watermark().millis(), std::memory_order_relaxed);
  }
  uint64_t bytes_out = 0;
  uint64_t batches_out = 0;
  for (const auto& writer : writers_) {
    bytes_out += writer->bytes_out();
    batches_out += writer->batches_out();
  }
  bytes_out_.store(bytes_out, std::memory_order_relaxed);
  batches_out_.store(batches_out, std::memory_order_relaxed);
}

void StreamTask::ReportSplitWatermarks(std::vector<SplitWatermark> splits) {
  MutexLock lock(&split_watermarks_mutex_);
  split_watermarks_.swap(splits);
}

TaskMetricsSnapshot StreamTask::metrics() const {
  TaskMetricsSnapshot snapshot;
  snapshot.records_in = records_in_.load(std::memory_order_relaxed);
  snapshot.records_out = records_out_.load(std::memory_order_relaxed);
  snapshot.bytes_in_local = bytes_in_local_.load(std::memory_order_relaxed);
  snapshot.bytes_in_remote = bytes_in_remote_.load(std::memory_order_relaxed);
  snapshot.bytes_in = snapshot.bytes_in_local + snapshot.bytes_in_remote;
  snapshot.batches_in_local = batches_in_local_.load(std::memory_order_relaxed);
  snapshot.batches_in_remote = batches_in_remote_.load(std::memory_order_relaxed);
  snapshot.bytes_out = bytes_out_.load(std::memory_order_relaxed);
  snapshot.batches_out = batches_out_.load(std::memory_order_relaxed);
  const TimeAccount::Totals time = time_.Read(MonotonicNanos());
  snapshot.busy = absl::Nanoseconds(time.busy_nanos);
  snapshot.backpressured = absl::Nanoseconds(time.back_pressured_nanos);
  snapshot.idle = absl::Nanoseconds(time.idle_nanos);
  snapshot.running = absl::Nanoseconds(running_nanos_.load(std::memory_order_relaxed));
  snapshot.is_backpressured = time.use == TimeAccount::Use::kBackPressured;
  snapshot.longest_backpressure = absl::Nanoseconds(std::max(
      time.longest_back_pressure_nanos, snapshot.is_backpressured ? time.in_use_nanos : 0));
  snapshot.watermark = EventTime::FromMillis(watermark_ms_.load(std::memory_order_relaxed));
  snapshot.checkpoint_start_delay =
      absl::Nanoseconds(start_delay_nanos_.load(std::memory_order_relaxed));
  snapshot.checkpoint_alignment =
      absl::Nanoseconds(alignment_nanos_.load(std::memory_order_relaxed));
  if (gate_ != nullptr && environment_.buffer_debloat.enabled) {
    snapshot.debloated_bytes = debloated_bytes_.load(std::memory_order_relaxed);
    snapshot.time_to_consume =
        absl::Nanoseconds(time_to_consume_nanos_.load(std::memory_order_relaxed));
  }
  snapshot.initialization =
      absl::Nanoseconds(initialization_nanos_.load(std::memory_order_relaxed));
  MutexLock lock(&split_watermarks_mutex_);
  snapshot.split_watermarks = split_watermarks_;
  return snapshot;
}

std::vector<OperatorMetrics> StreamTask::operator_metrics() const {
  return chain_->operator_metrics();
}

QueueUsage StreamTask::input_usage() const {
  return gate_ == nullptr ? QueueUsage() : gate_->Usage();
}

QueueUsage StreamTask::output_usage() const {
  QueueUsage usage;
  for (const auto& writer : writers_) usage += writer->Usage();
  return usage;
}

HistogramSnapshot StreamTask::mail_latency_ms() const { return mailbox_.latency_ms().Snapshot(); }

}  // namespace weir
