#include "operators/testing/local_job.h"

#include <algorithm>
#include <functional>
#include <iterator>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/file_state_store.h"
#include "runtime/state/key_groups.h"
#include "runtime/state/operator_state.h"

namespace weir {

/// Runs one coordinator on the job's coordinator strand.
class LocalJob::CoordinatorRunner final : public CoordinatorContext,
                                          public std::enable_shared_from_this<CoordinatorRunner> {
 public:
  CoordinatorRunner(LocalJob* job, OperatorId id, uint32_t parallelism,
                    std::unique_ptr<OperatorCoordinator> coordinator)
      : job_(job), id_(id), parallelism_(parallelism), coordinator_(std::move(coordinator)) {}

  [[nodiscard]] uint32_t parallelism() const override { return parallelism_; }
  [[nodiscard]] IoPool* io_pool() const override { return job_->io_pool_.get(); }
  [[nodiscard]] const Clock* clock() const override { return SystemClock(); }
  [[nodiscard]] MetricGroup* metrics() override { return &metrics_; }
  void SendEvent(uint32_t subtask, std::string event) override {
    job_->SendEvent(id_, subtask, std::move(event));
  }
  void SendToCoordinators(std::string event) override {
    for (const auto& [id, other] : job_->coordinators_) {
      if (id == id_) continue;
      other->Post([receiver = other.get(), sender = id_, event] {
        return receiver->coordinator().HandleCoordinatorEvent(sender, event);
      });
    }
  }
  void Post(absl::AnyInvocable<absl::Status()> mail) override {
    job_->coordinator_strand_->Post([self = shared_from_this(), mail = std::move(mail)]() mutable {
      if (self->closed_) return;
      if (absl::Status status = mail(); !status.ok()) self->job_->Fail(std::move(status));
    });
  }
  void PostAfter(absl::Duration delay, absl::AnyInvocable<absl::Status()> mail) override {
    auto timer = std::make_shared<Alarm>(this, std::move(mail));
    job_->workers_->WakeAt(timer, absl::Now() + delay);
    alarms_.push_back(std::move(timer));
  }
  void Fail(absl::Status reason) override { job_->Fail(std::move(reason)); }

  OperatorCoordinator& coordinator() { return *coordinator_; }
  void Close() {
    closed_ = true;
    coordinator_->Close();
  }

 private:
  // A one-shot timer on the workers' alarm clock.
  class Alarm final : public Steppable {
   public:
    Alarm(CoordinatorRunner* runner, absl::AnyInvocable<absl::Status()> mail)
        : runner_(runner->weak_from_this()), mail_(std::move(mail)) {}

   protected:
    bool Step() override {
      const auto runner = runner_.lock();
      if (runner != nullptr && mail_) runner->Post(std::move(mail_));
      mail_ = nullptr;
      return false;
    }

   private:
    std::weak_ptr<CoordinatorRunner> runner_;
    absl::AnyInvocable<absl::Status()> mail_;
  };

  LocalJob* const job_;
  MetricGroup metrics_;
  const OperatorId id_;
  const uint32_t parallelism_;
  std::unique_ptr<OperatorCoordinator> coordinator_;
  std::vector<std::shared_ptr<Alarm>> alarms_;  // Only touched on the strand.
  bool closed_ = false;                         // The same.
};

LocalJob::LocalJob(StreamGraph graph, LocalJobOptions options)
    : options_(std::move(options)), graph_(std::make_shared<StreamGraph>(std::move(graph))) {
  io_pool_ = std::make_unique<IoPool>("test-io", 4);
  workers_ = std::make_unique<WorkerPool>(options_.num_workers);
  coordinator_strand_ = std::make_unique<IoStrand>(io_pool_.get());
  graph_status_ = graph_->Finish();
}

LocalJob::~LocalJob() {
  Kill();
  workers_->Shutdown();
  io_pool_->Shutdown();
}

absl::Status LocalJob::Start(const LocalCheckpoint* restore) {
  RETURN_IF_ERROR(graph_status_);
  ASSIGN_OR_RETURN(job_graph_,
                   BuildJobGraph(*graph_, {options_.parallelism, options_.max_parallelism}));
  if (restore != nullptr) next_checkpoint_ = restore->id.value() + 1;
  RETURN_IF_ERROR(StartCoordinators(restore));
  RETURN_IF_ERROR(CreateTasks(restore));
  std::vector<std::shared_ptr<Task>> tasks;
  {
    MutexLock lock(&mutex_);
    for (const auto& [attempt, entry] : tasks_) tasks.push_back(entry.task);
  }
  for (const auto& task : tasks) task->Start();
  return absl::OkStatus();
}

absl::Status LocalJob::StartCoordinators(const LocalCheckpoint* restore) {
  for (const JobGraph::Vertex& vertex : job_graph_.vertices) {
    for (const JobGraph::Operator& op : vertex.operators) {
      if (!op.has_coordinator) continue;
      const StreamNode& node = graph_->nodes()[*graph_->FindNode(op.id)];
      auto runner = std::make_shared<CoordinatorRunner>(this, op.id, vertex.parallelism,
                                                        node.coordinator->Create());
      coordinators_[op.id] = runner;
      std::optional<std::string> state;
      if (restore != nullptr && restore->coordinators.contains(op.id))
        state = restore->coordinators.at(op.id);
      runner->Post([runner = runner.get(), state] {
        return runner->coordinator().Start(*runner, state.has_value() ? &*state : nullptr);
      });
    }
  }
  return absl::OkStatus();
}

std::vector<OperatorSubtaskState> LocalJob::RestoredStates(const LocalCheckpoint& restore,
                                                           OperatorId id, uint32_t subtask,
                                                           const JobGraph::Vertex& vertex) const {
  std::vector<OperatorSubtaskState> result;
  std::vector<OperatorStateHandle> operator_states;
  bool has_operator_state = false;
  std::vector<OperatorSubtaskState> channel_states;
  const KeyGroupRange range = RangeOfSubtask(subtask, vertex.max_parallelism, vertex.parallelism);
  for (const auto& [place, state] : restore.states) {
    if (place.first != id) continue;
    has_operator_state = has_operator_state || state.operator_state.has_value();
    operator_states.push_back(state.operator_state.has_value() ? *state.operator_state
                                                               : OperatorStateBackend().Snapshot());
    if (state.channel_state.has_value() &&
        ReadsChannelState(*state.channel_state, subtask, vertex.parallelism)) {
      channel_states.emplace_back().channel_state = state.channel_state;
    }
    if (state.keyed.has_value() && !state.keyed->key_groups.Intersect(range).IsEmpty()) {
      result.emplace_back().keyed = state.keyed;
    }
  }
  if (has_operator_state) {
    auto redistributed = RedistributeOperatorState(std::move(operator_states), vertex.parallelism);
    for (OperatorStateHandle& handle : (*redistributed)[subtask]) {
      result.emplace_back().operator_state = std::move(handle);
    }
  }
  std::move(channel_states.begin(), channel_states.end(), std::back_inserter(result));
  return result;
}

Partitioning LocalJob::PartitioningOf(const JobGraph::Edge& edge) const {
  Partitioning partitioning;
  const StreamNodeIndex source = *graph_->FindNode(edge.source_operator);
  for (const StreamEdge& stream_edge : graph_->edges()) {
    if (stream_edge.source == source && stream_edge.source_port == edge.source_port &&
        stream_edge.target_input == edge.target_input &&
        graph_->operator_id(stream_edge.target).high() == edge.target_vertex.high()) {
      partitioning = stream_edge.partitioning;
    }
  }
  partitioning.strategy = edge.strategy;
  return partitioning;
}

ChannelEdge LocalJob::ChannelEdgeOf(size_t index, uint32_t num_producers) const {
  const JobGraph::Edge& edge = job_graph_.edges[index];
  ChannelEdge result;
  result.source = edge.source_operator;
  result.source_port = edge.source_port;
  result.target_input = edge.target_input;
  for (size_t i = 0; i < index; ++i) {
    if (job_graph_.edges[i].SameEnds(edge)) ++result.ordinal;
  }
  result.num_producers = num_producers;
  result.partitioning = PartitioningOf(edge);
  result.type =
      graph_->nodes()[*graph_->FindNode(edge.source_operator)].outputs[edge.source_port].type;
  return result;
}

absl::Status LocalJob::CreateTasks(const LocalCheckpoint* restore) {
  std::map<std::pair<JobVertexId, uint32_t>, ExecutionAttemptId> attempts;
  for (const JobGraph::Vertex& vertex : job_graph_.vertices) {
    for (uint32_t i = 0; i < vertex.parallelism; ++i)
      attempts[{vertex.id, i}] = RandomId<ExecutionAttemptId>();
  }
  std::map<std::tuple<size_t, uint32_t, uint32_t>, std::shared_ptr<ChannelQueue>> channels;
  const auto channel = [&](size_t edge, uint32_t producer, uint32_t consumer) {
    auto& queue = channels[{edge, producer, consumer}];
    if (queue == nullptr)
      queue = std::make_shared<ChannelQueue>(options_.channel_bytes, &memory_budget_);
    return queue;
  };
  for (const JobGraph::Vertex& vertex : job_graph_.vertices) {
    for (uint32_t subtask = 0; subtask < vertex.parallelism; ++subtask) {
      TaskDescription description;
      description.job = JobId(1, 1);
      description.attempt = attempts[{vertex.id, subtask}];
      description.vertex_name = vertex.name;
      description.subtask = subtask;
      description.parallelism = vertex.parallelism;
      description.max_parallelism = vertex.max_parallelism;
      description.graph = graph_;
      for (const JobGraph::Operator& op : vertex.operators) {
        TaskDescription::Operator& chained = description.operators.emplace_back();
        chained.node = *graph_->FindNode(op.id);
        if (restore != nullptr) chained.restored = RestoredStates(*restore, op.id, subtask, vertex);
      }
      for (size_t e = 0; e < job_graph_.edges.size(); ++e) {
        const JobGraph::Edge& edge = job_graph_.edges[e];
        if (edge.target_vertex == vertex.id) {
          TaskDescription::Gate& gate = description.gates.emplace_back();
          gate.input = edge.target_input;
          const uint32_t num_producers = job_graph_.FindVertex(edge.source_vertex)->parallelism;
          const SubtaskRange producers =
              ProducersOf(edge.strategy, subtask, num_producers, vertex.parallelism);
          gate.edge = ChannelEdgeOf(e, num_producers);
          gate.first_producer = producers.begin;
          for (uint32_t p = producers.begin; p < producers.end; ++p) {
            gate.channels.push_back(channel(e, p, subtask));
          }
        }
        if (edge.source_vertex == vertex.id) {
          TaskDescription::OutputEdge& output = description.outputs.emplace_back();
          output.source = *graph_->FindNode(edge.source_operator);
          output.source_port = edge.source_port;
          output.partitioning = PartitioningOf(edge);
          output.partitioning.strategy = edge.strategy;
          const JobGraph::Vertex& target = *job_graph_.FindVertex(edge.target_vertex);
          output.target_max_parallelism = target.max_parallelism;
          const SubtaskRange consumers =
              ConsumersOf(edge.strategy, subtask, vertex.parallelism, target.parallelism);
          for (uint32_t c = consumers.begin; c < consumers.end; ++c) {
            output.subpartitions.push_back(channel(e, subtask, c));
          }
        }
      }
      description.buffer_timeout = options_.buffer_timeout;
      description.checkpointing = options_.checkpointing;
      description.alignment = options_.alignment;
      description.local_dir = StrCat(options_.directory, "/local/", ToString(description.attempt));
      TaskEnvironment environment;
      environment.workers = workers_.get();
      environment.io_pool = io_pool_.get();
      environment.memory_budget = &memory_budget_;
      environment.clock = SystemClock();
      environment.listener = this;
      environment.state_store = std::make_shared<FileStateStore>(
          StrCat(options_.directory, "/shared"), ToString(description.attempt));
      environment.buffer_debloat = options_.buffer_debloat;
      const ExecutionAttemptId attempt = description.attempt;
      ASSIGN_OR_RETURN(std::shared_ptr<Task> task,
                       Task::Create(std::move(description), std::move(environment)));
      MutexLock lock(&mutex_);
      TaskEntry& entry = tasks_[attempt];
      entry.vertex = vertex.id;
      entry.subtask = subtask;
      entry.task = std::move(task);
    }
  }
  return absl::OkStatus();
}

std::vector<std::shared_ptr<Task>> LocalJob::TasksOf(std::string_view part) const {
  std::map<uint32_t, std::shared_ptr<Task>> found;
  MutexLock lock(&mutex_);
  for (const auto& [attempt, entry] : tasks_) {
    const std::string& name = job_graph_.FindVertex(entry.vertex)->name;
    if (name.find(part) != std::string::npos) found[entry.subtask] = entry.task;
  }
  std::vector<std::shared_ptr<Task>> tasks;
  for (const auto& [subtask, task] : found) tasks.push_back(task);
  return tasks;
}

absl::StatusOr<LocalCheckpoint> LocalJob::TriggerCheckpoint(bool notify, BarrierKind kind) {
  RETURN_IF_ERROR(WaitUntilRunning());
  CheckpointBarrier barrier;
  std::vector<std::shared_ptr<Task>> tasks;
  {
    MutexLock lock(&mutex_);
    barrier.id = CheckpointId(next_checkpoint_++);
    barrier.trigger_time_ms = absl::ToUnixMillis(absl::Now());
    barrier.kind = kind;
    pending_.emplace().id = barrier.id;
    pending_status_ = absl::OkStatus();
    num_acks_ = 0;
    for (const auto& [attempt, entry] : tasks_) tasks.push_back(entry.task);
  }
  // On the strand: no coordinator sends anything between its snapshot and the barriers.
  coordinator_strand_->Post([this, barrier, tasks] {
    for (const auto& [id, runner] : coordinators_) {
      absl::StatusOr<std::string> state = runner->coordinator().Snapshot(barrier.id);
      if (!state.ok()) return Fail(state.status());
      MutexLock lock(&mutex_);
      if (pending_.has_value()) pending_->coordinators[id] = *std::move(state);
    }
    for (const auto& task : tasks) task->TriggerCheckpoint(barrier);
  });
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  MutexLock lock(&mutex_);
  while (num_acks_ < tasks.size() && pending_status_.ok() && failure_.ok() &&
         absl::Now() < deadline) {
    changed_.WaitFor(&mutex_, absl::Milliseconds(100));
  }
  LocalCheckpoint checkpoint = *std::move(pending_);
  pending_.reset();
  RETURN_IF_ERROR(failure_);
  RETURN_IF_ERROR(pending_status_);
  if (num_acks_ < tasks.size()) return absl::DeadlineExceededError("checkpoint did not complete");
  if (notify) {
    for (const auto& task : tasks) task->NotifyCheckpointComplete(barrier.id);
    for (const auto& [id, runner] : coordinators_) {
      runner->Post([receiver = runner.get(), checkpoint_id = barrier.id] {
        return receiver->coordinator().NotifyCheckpointComplete(checkpoint_id);
      });
    }
  }
  return checkpoint;
}

absl::Status LocalJob::WaitUntilRunning(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  MutexLock lock(&mutex_);
  while (!AllInState(TaskState::kRunning) && failure_.ok()) {
    if (absl::Now() > deadline)
      return absl::DeadlineExceededError("tasks did not all start to run");
    changed_.WaitFor(&mutex_, absl::Milliseconds(100));
  }
  return failure_;
}

bool LocalJob::AllInState(TaskState state) const {
  return std::all_of(tasks_.begin(), tasks_.end(),
                     [&](const auto& item) { return item.second.state == state; });
}

absl::Status LocalJob::WaitUntilFinished(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    bool all_ended = false;
    {
      MutexLock lock(&mutex_);
      RETURN_IF_ERROR(failure_);
      if (AllInState(TaskState::kFinished)) return absl::OkStatus();
      if (absl::Now() > deadline) return absl::DeadlineExceededError("the job did not finish");
      all_ended = AllInState(TaskState::kRunning) &&
                  std::all_of(tasks_.begin(), tasks_.end(),
                              [](const auto& item) { return item.second.input_ended; });
      if (!all_ended) changed_.WaitFor(&mutex_, absl::Milliseconds(100));
    }
    if (all_ended && options_.checkpointing) {
      RETURN_IF_ERROR(TriggerCheckpoint().status());
      MutexLock lock(&mutex_);
      while (!AllInState(TaskState::kFinished) && failure_.ok() && absl::Now() < deadline) {
        changed_.WaitFor(&mutex_, absl::Milliseconds(100));
      }
    }
  }
}

void LocalJob::NotifyCheckpointAborted(CheckpointId checkpoint) {
  std::vector<std::shared_ptr<Task>> tasks;
  {
    MutexLock lock(&mutex_);
    for (const auto& [attempt, entry] : tasks_) tasks.push_back(entry.task);
  }
  for (const auto& task : tasks) task->NotifyCheckpointAborted(checkpoint);
}

absl::Status LocalJob::WaitUntilStopped(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  MutexLock lock(&mutex_);
  while (!AllInState(TaskState::kFinished) && failure_.ok()) {
    if (absl::Now() > deadline) return absl::DeadlineExceededError("the job did not stop");
    changed_.WaitFor(&mutex_, absl::Milliseconds(100));
  }
  return failure_;
}

void LocalJob::Kill() {
  std::vector<std::shared_ptr<Task>> tasks;
  {
    MutexLock lock(&mutex_);
    if (std::exchange(killed_, true)) return;
    for (const auto& [attempt, entry] : tasks_) tasks.push_back(entry.task);
  }
  for (const auto& task : tasks) task->Cancel();
  coordinator_strand_->Post([this] {
    for (const auto& [id, runner] : coordinators_) runner->Close();
  });
  MutexLock lock(&mutex_);
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (absl::Now() < deadline && std::any_of(tasks_.begin(), tasks_.end(), [](const auto& item) {
           return !IsTerminal(item.second.state) && item.second.state != TaskState::kDeploying;
         })) {
    changed_.WaitFor(&mutex_, absl::Milliseconds(100));
  }
}

void LocalJob::SendEvent(OperatorId operator_id, uint32_t subtask, std::string event) {
  std::shared_ptr<Task> task;
  {
    MutexLock lock(&mutex_);
    for (const auto& [attempt, entry] : tasks_) {
      if (entry.subtask != subtask) continue;
      for (const JobGraph::Operator& op : job_graph_.FindVertex(entry.vertex)->operators) {
        if (op.id == operator_id) task = entry.task;
      }
    }
  }
  if (task != nullptr) task->HandleCoordinatorEvent(operator_id, std::move(event));
}

void LocalJob::Fail(absl::Status reason) {
  MutexLock lock(&mutex_);
  if (failure_.ok()) failure_ = std::move(reason);
  changed_.SignalAll();
}

void LocalJob::OnTaskState(ExecutionAttemptId attempt, TaskState state,
                           const absl::Status& reason) {
  MutexLock lock(&mutex_);
  tasks_[attempt].state = state;
  if (state == TaskState::kFailed && failure_.ok()) failure_ = reason;
  changed_.SignalAll();
}

void LocalJob::OnCheckpointAck(TaskCheckpointAck ack) {
  MutexLock lock(&mutex_);
  if (!pending_.has_value() || pending_->id != ack.checkpoint) return;
  const uint32_t subtask = tasks_[ack.attempt].subtask;
  for (TaskCheckpointAck::Operator& op : ack.operators) {
    // Over the wire and back, as in a cluster.
    OperatorSubtaskState state;
    if (!FromBytes(ToBytes(op.state), state))
      pending_status_ = absl::InternalError("state does not round-trip");
    pending_->states[{op.id, subtask}] = std::move(state);
  }
  if (ack.unaligned) ++pending_->num_unaligned;
  pending_->persisted_bytes += ack.persisted_bytes;
  ++num_acks_;
  changed_.SignalAll();
}

void LocalJob::OnCheckpointDecline(ExecutionAttemptId, CheckpointId checkpoint,
                                   const absl::Status& reason) {
  MutexLock lock(&mutex_);
  if (pending_.has_value() && pending_->id == checkpoint) pending_status_ = reason;
  changed_.SignalAll();
}

void LocalJob::OnInputEnded(ExecutionAttemptId attempt) {
  MutexLock lock(&mutex_);
  tasks_[attempt].input_ended = true;
  changed_.SignalAll();
}

void LocalJob::OnEventToCoordinator(ExecutionAttemptId, OperatorId operator_id, uint32_t subtask,
                                    std::string payload) {
  const auto found = coordinators_.find(operator_id);
  if (found == coordinators_.end()) return;
  found->second->Post([runner = found->second.get(), subtask, payload = std::move(payload)] {
    return runner->coordinator().HandleEvent(subtask, payload);
  });
}

}  // namespace weir
