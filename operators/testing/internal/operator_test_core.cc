#include "operators/testing/internal/operator_test_core.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <thread>

#include "operators/testing/internal/test_folder.h"
#include "runtime/base/check.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/file_state_store.h"
#include "runtime/graph/job_graph.h"
#include "runtime/state/key_groups.h"
#include "runtime/state/keyed_state_backend.h"
#include "runtime/state/operator_state.h"
#include "runtime/task/input_gate.h"
#include "runtime/task/operator_chain.h"
#include "runtime/task/record_writer.h"

namespace weir {
namespace internal {
namespace {

constexpr size_t kUnboundedBytes = size_t{1} << 60;
constexpr auto kNoDeadline = std::numeric_limits<int64_t>::max();

}  // namespace

}  // namespace internal

struct OperatorTestSnapshot::Data {
  CheckpointId checkpoint;
  std::map<std::pair<OperatorId, uint32_t>, OperatorSubtaskState> states;
  std::vector<std::shared_ptr<void>> folders;  // Hold the files that the states refer to.
};

CheckpointId OperatorTestSnapshot::checkpoint() const { return data_->checkpoint; }

uint64_t OperatorTestSnapshot::SizeBytes() const {
  uint64_t bytes = 0;
  for (const auto& [place, state] : data_->states) {
    if (state.keyed.has_value()) bytes += state.keyed->SizeBytes();
    if (state.operator_state.has_value()) bytes += state.operator_state->SizeBytes();
  }
  return bytes;
}

namespace internal {

/// Takes what one port of one subtask emits.
class OperatorTestCore::Capture final : public OutputTarget {
 public:
  Capture(StreamNodeIndex node, uint32_t port, uint32_t subtask, std::string tag, size_t capacity)
      : node_(node), port_(port), subtask_(subtask), tag_(std::move(tag)), capacity_(capacity) {}

  void Accept(StreamElement element) override {
    if (const auto* batch = std::get_if<BatchPtr>(&element)) num_records_ += (*batch)->size();
    captured_.push_back({node_, port_, subtask_, std::move(element)});
  }
  [[nodiscard]] bool Full() const override { return num_records_ >= capacity_; }

  [[nodiscard]] std::vector<Captured> Take() {
    num_records_ = 0;
    return std::exchange(captured_, {});
  }
  /// Empty for the main output.
  [[nodiscard]] const std::string& tag() const { return tag_; }

 private:
  const StreamNodeIndex node_;
  const uint32_t port_;
  const uint32_t subtask_;
  const std::string tag_;
  const size_t capacity_;
  size_t num_records_ = 0;
  std::vector<Captured> captured_;
};

struct OperatorTestCore::Subtask {
  StreamNodeIndex node = 0;
  uint32_t index = 0;
  MetricGroup metrics;
  std::vector<InputGate::Channel> channels;
  std::vector<std::unique_ptr<RecordWriter>> writers;
  std::unique_ptr<InputGate> gate;
  std::unique_ptr<OperatorChain> chain;
  std::vector<OperatorSnapshot> snapshots;  // Taken, not yet written.
};

struct OperatorTestCore::InputWriters {
  struct Edge {
    std::vector<std::unique_ptr<RecordWriter>> writers;  // More than one are dealt to in turn.
    size_t next = 0;
  };
  std::vector<Edge> edges;
};

/// What operators keep of their task.
class OperatorTestCore::Handle final : public TaskHandle {
 public:
  explicit Handle(std::shared_ptr<Mailbox> mailbox) : mailbox_(std::move(mailbox)) {}

  void Post(absl::AnyInvocable<absl::Status()> mail) override {
    MutexLock lock(&mailbox_->mutex);
    if (mailbox_->closed) return;
    const bool here = std::this_thread::get_id() == mailbox_->thread;
    (here ? mailbox_->mails : mailbox_->foreign_mails).push_back(std::move(mail));
  }
  void Wake() override {
    Post([] { return absl::OkStatus(); });
  }
  void WakeAt(absl::Time time) override {
    MutexLock lock(&mailbox_->mutex);
    mailbox_->wakes.insert(time);
  }
  void Fail(absl::Status reason) override {
    Post([reason = std::move(reason)] { return reason; });
  }

 private:
  const std::shared_ptr<Mailbox> mailbox_;
};

class OperatorTestCore::Context final : public OperatorContext {
 public:
  Context(OperatorTestCore* core, Place place, MetricGroup* metrics)
      : core_(core),
        place_(std::move(place)),
        metrics_(metrics),
        handle_(std::make_shared<Handle>(core->mailbox_)) {}

  [[nodiscard]] const Place& place() const override { return place_; }
  [[nodiscard]] MemoryBudget* memory_budget() const override { return &core_->state_memory_; }
  [[nodiscard]] IoPool* io_pool() const override { return core_->io_pool(); }
  [[nodiscard]] const Clock* clock() const override { return &core_->clock_; }
  [[nodiscard]] MetricGroup* metrics() const override { return metrics_; }
  [[nodiscard]] const std::shared_ptr<TaskHandle>& handle() const override { return handle_; }
  [[nodiscard]] const std::shared_ptr<StateFileStore>& state_store() const override {
    return core_->state_store_;
  }
  void SendToCoordinator(std::string) override {
    core_->Fail(absl::UnimplementedError(
        StrCat("an operator harness runs no coordinators; run the whole job in a MiniCluster: "
               "operator=",
               place_.name)));
  }

 private:
  OperatorTestCore* const core_;
  const Place place_;
  MetricGroup* const metrics_;
  const std::shared_ptr<TaskHandle> handle_;
};

OperatorTestCore::OperatorTestCore(OperatorTestOptions options)
    : options_(std::move(options)),
      clock_(options_.start_time),
      folder_(std::make_shared<TestFolder>()),
      mailbox_(std::make_shared<Mailbox>()) {
  mailbox_->thread = std::this_thread::get_id();
}

OperatorTestCore::~OperatorTestCore() {
  for (const auto& subtask : subtasks_) {
    if (subtask->chain != nullptr) subtask->chain->Close();
  }
  if (io_pool_ != nullptr) io_pool_->Shutdown();
  {
    MutexLock lock(&mailbox_->mutex);
    mailbox_->closed = true;
  }
  CHECK(status_.ok() || status_was_read_)
      << "the operators under test failed, and the test did not look at status(): "
      << status_.ToString();
}

StreamNodeIndex OperatorTestCore::AddInput(std::shared_ptr<const BatchType> type) {
  StreamNode node;
  node.name = StrCat("test-input-", inputs_.size());
  node.num_inputs = 0;
  node.outputs.push_back({"", std::move(type)});
  inputs_.push_back(graph_.AddNode(std::move(node)));
  return inputs_.back();
}

void OperatorTestCore::CaptureMainOutput(StreamNodeIndex node, uint32_t port) {
  main_outputs_.emplace(node, port);
}

void OperatorTestCore::Restore(OperatorTestSnapshot snapshot) {
  if (opened_) {
    Fail(absl::FailedPreconditionError("Restore must come before the first element"));
    return;
  }
  next_checkpoint_ = snapshot.checkpoint().value() + 1;
  restored_ = std::move(snapshot);
}

const absl::Status& OperatorTestCore::status() {
  status_was_read_ = true;
  return status_;
}

void OperatorTestCore::Fail(absl::Status reason) {
  if (!status_.ok() || reason.ok()) return;
  status_ = std::move(reason);
  status_was_read_ = false;
}

IoPool* OperatorTestCore::io_pool() {
  // One thread, so that work is done in the order it was posted.
  if (io_pool_ == nullptr) io_pool_ = std::make_unique<IoPool>("operator-test", 1);
  return io_pool_.get();
}

void OperatorTestCore::Open() {
  if (std::exchange(opened_, true)) return;
  Fail(DoOpen());
  RunUntilIdle();
}

absl::Status OperatorTestCore::DoOpen() {
  RETURN_IF_ERROR(graph_.Finish());
  state_store_ = std::make_shared<FileStateStore>(StrCat(folder_->path(), "/shared"), "test");
  RETURN_IF_ERROR(CreateSubtasks());
  return OpenSubtasks();
}

uint32_t OperatorTestCore::ParallelismOf(StreamNodeIndex node) const {
  return graph_.nodes()[node].parallelism.value_or(options_.parallelism);
}

absl::Status OperatorTestCore::CreateSubtasks() {
  for (StreamNodeIndex index = 0; index < graph_.nodes().size(); ++index) {
    const StreamNode& node = graph_.nodes()[index];
    if (std::find(inputs_.begin(), inputs_.end(), index) != inputs_.end()) {
      if (main_outputs_.contains({index, 0})) {
        return absl::InvalidArgumentError("the stream under test has no operator");
      }
      continue;
    }
    if (node.is_source()) {
      return absl::InvalidArgumentError(
          StrCat("an operator harness feeds its inputs itself; run sources in a MiniCluster: "
                 "operator=",
                 node.name));
    }
    const uint32_t parallelism = ParallelismOf(index);
    const uint32_t max_parallelism = node.max_parallelism.value_or(options_.max_parallelism);
    if (parallelism == 0 || parallelism > max_parallelism || max_parallelism > kMaxMaxParallelism) {
      return absl::InvalidArgumentError(
          StrCat("parallelism must be between 1 and the max parallelism: operator=", node.name,
                 " parallelism=", parallelism, " max_parallelism=", max_parallelism));
    }
    for (uint32_t i = 0; i < parallelism; ++i) CreateSubtask(index, i);
  }
  input_writers_.resize(inputs_.size());
  for (const StreamEdge& edge : graph_.edges()) ConnectEdge(edge);
  for (const auto& subtask : subtasks_) {
    const StreamNode& node = graph_.nodes()[subtask->node];
    subtask->gate = std::make_unique<InputGate>(std::move(subtask->channels), node.num_inputs,
                                                node.start_after);
    subtask->gate->Listen([] {});
  }
  return absl::OkStatus();
}

void OperatorTestCore::CreateSubtask(StreamNodeIndex index, uint32_t subtask_index) {
  const StreamNode& node = graph_.nodes()[index];
  auto subtask = std::make_unique<Subtask>();
  subtask->node = index;
  subtask->index = subtask_index;
  OperatorContext::Place place;
  place.job = JobId(1, 1);
  place.operator_id = graph_.operator_id(index);
  place.uid = node.uid;
  place.declared_at = node.declared_at;
  place.name = node.name;
  place.subtask = subtask_index;
  place.parallelism = ParallelismOf(index);
  place.max_parallelism = node.max_parallelism.value_or(options_.max_parallelism);
  place.key_groups = RangeOfSubtask(subtask_index, place.max_parallelism, place.parallelism);
  place.attempt = ExecutionAttemptId(index + 1, subtask_index + 1);
  place.attempt_number = restored_.has_value() ? 1 : 0;
  place.local_dir = StrCat(folder_->path(), "/local/", index, "-", subtask_index);

  std::vector<OperatorChain::Link> links(1);
  links[0].op = node.factory->Create();
  links[0].context = std::make_unique<Context>(this, std::move(place), &subtask->metrics);
  links[0].num_inputs = node.num_inputs;
  links[0].num_ports = static_cast<uint32_t>(node.outputs.size());
  subtask->chain = std::make_unique<OperatorChain>(
      std::move(links),
      OperatorChain::Events{[](const CheckpointBarrier&) { return true; },
                            [this, subtask = subtask.get()](
                                const CheckpointBarrier&, std::vector<OperatorSnapshot> snapshots) {
                              subtask->snapshots = std::move(snapshots);
                              ++num_taken_snapshots_;
                              return absl::OkStatus();
                            }});
  if (options_.output_capacity.has_value()) {
    subtask->chain->SetMaxBatchRecords(
        std::clamp<size_t>(*options_.output_capacity, 1, kMaxBatchRecords));
  }
  for (uint32_t port = 0; port < node.outputs.size(); ++port) {
    const bool is_main = main_outputs_.contains({index, port});
    if (!is_main && node.outputs[port].tag.empty()) continue;
    auto capture = std::make_unique<Capture>(
        index, port, subtask_index, is_main ? "" : node.outputs[port].tag,
        std::max<size_t>(1, options_.output_capacity.value_or(kUnboundedBytes)));
    subtask->chain->AddTarget(0, port, capture.get());
    if (is_main) output_states_[{index, port, subtask_index}] = {};
    captures_.push_back(std::move(capture));
  }
  subtasks_of_[index].push_back(subtask.get());
  subtasks_.push_back(std::move(subtask));
}

void OperatorTestCore::ConnectEdge(const StreamEdge& edge) {
  const auto target = subtasks_of_.find(edge.target);
  const std::vector<Subtask*>& consumers = target->second;
  const auto input = std::find(inputs_.begin(), inputs_.end(), edge.source);
  const bool from_input = input != inputs_.end();
  RecordWriter::Options options;
  options.partitioning = edge.partitioning;
  options.max_parallelism =
      graph_.nodes()[edge.target].max_parallelism.value_or(options_.max_parallelism);
  const auto connect = [&](Subtask* consumer) {
    // Between operators, a channel is full with any element if outputs are bounded.
    const bool bounded = !from_input && options_.output_capacity.has_value();
    auto queue = std::make_shared<ChannelQueue>(bounded ? 1 : kUnboundedBytes, &memory_budget_);
    consumer->channels.push_back({edge.target_input, queue});
    return queue;
  };

  if (from_input) {
    auto& writers = input_writers_[static_cast<size_t>(input - inputs_.begin())];
    if (writers == nullptr) writers = std::make_unique<InputWriters>();
    InputWriters::Edge& writer = writers->edges.emplace_back();
    if (edge.partitioning.strategy == ShipStrategy::kForward) {
      for (Subtask* consumer : consumers) {
        writer.writers.push_back(
            std::make_unique<RecordWriter>(options, std::vector{connect(consumer)}));
      }
      return;
    }
    std::vector<std::shared_ptr<ChannelQueue>> channels;
    for (Subtask* consumer : consumers) channels.push_back(connect(consumer));
    writer.writers.push_back(std::make_unique<RecordWriter>(options, std::move(channels)));
    return;
  }
  const std::vector<Subtask*>& producers = subtasks_of_[edge.source];
  if (edge.partitioning.strategy == ShipStrategy::kForward &&
      producers.size() != consumers.size()) {
    options.partitioning.strategy = ShipStrategy::kRebalance;
  }
  for (Subtask* producer : producers) {
    options.subtask = producer->index;
    std::vector<std::shared_ptr<ChannelQueue>> channels;
    const SubtaskRange range = ConsumersOf(options.partitioning.strategy, producer->index,
                                           static_cast<uint32_t>(producers.size()),
                                           static_cast<uint32_t>(consumers.size()));
    for (uint32_t i = range.begin; i < range.end; ++i) channels.push_back(connect(consumers[i]));
    producer->writers.push_back(std::make_unique<RecordWriter>(options, std::move(channels)));
    producer->chain->AddTarget(0, edge.source_port, producer->writers.back().get());
  }
}

absl::StatusOr<std::vector<OperatorSubtaskState>> OperatorTestCore::RestoredStates(
    const Subtask& subtask) const {
  std::vector<OperatorSubtaskState> result;
  if (!restored_.has_value()) return result;
  const OperatorId id = graph_.operator_id(subtask.node);
  const auto parallelism = static_cast<uint32_t>(subtasks_of_.at(subtask.node).size());
  const KeyGroupRange range = RangeOfSubtask(
      subtask.index,
      graph_.nodes()[subtask.node].max_parallelism.value_or(options_.max_parallelism), parallelism);
  std::vector<OperatorStateHandle> operator_states;
  for (const auto& [place, state] : restored_->data().states) {
    if (place.first != id) continue;
    operator_states.push_back(state.operator_state.value_or(OperatorStateHandle{}));
    if (state.keyed.has_value() && !state.keyed->key_groups.Intersect(range).IsEmpty()) {
      result.emplace_back().keyed = state.keyed;
    }
  }
  ASSIGN_OR_RETURN(auto redistributed,
                   RedistributeOperatorState(std::move(operator_states), parallelism));
  for (OperatorStateHandle& handle : redistributed[subtask.index]) {
    result.emplace_back().operator_state = std::move(handle);
  }
  return result;
}

absl::Status OperatorTestCore::OpenSubtasks() {
  if (restored_.has_value()) {
    for (const auto& [place, state] : restored_->data().states) {
      if (graph_.FindNode(place.first).has_value()) continue;
      return absl::FailedPreconditionError(
          StrCat("the snapshot has state of an operator that is not here; give operators uids that "
                 "stay the same: operator_id=",
                 ToString(place.first)));
    }
  }
  for (size_t i = subtasks_.size(); i-- > 0;) {
    std::vector<std::vector<OperatorSubtaskState>> states(1);
    ASSIGN_OR_RETURN(states[0], RestoredStates(*subtasks_[i]));
    RETURN_IF_ERROR(subtasks_[i]->chain->Open(std::move(states)));
  }
  return absl::OkStatus();
}

void OperatorTestCore::Push(size_t input, StreamElement element) {
  Open();
  if (!status_.ok()) return;
  Write(input, std::move(element));
  RunUntilIdle();
}

void OperatorTestCore::PushToAll(const StreamElement& element) {
  Open();
  if (!status_.ok()) return;
  for (size_t input = 0; input < inputs_.size(); ++input) Write(input, element);
  RunUntilIdle();
}

void OperatorTestCore::Write(size_t input, StreamElement element) {
  if (input_writers_[input] == nullptr) return;  // Nothing reads it.
  try {
    for (InputWriters::Edge& edge : input_writers_[input]->edges) {
      const auto* batch = std::get_if<BatchPtr>(&element);
      if (batch == nullptr || edge.writers.size() == 1) {
        for (const auto& writer : edge.writers) writer->Accept(element);
      } else {
        std::vector<std::vector<uint32_t>> rows(edge.writers.size());
        for (uint32_t row = 0; row < (*batch)->size(); ++row) {
          rows[edge.next].push_back(row);
          edge.next = (edge.next + 1) % rows.size();
        }
        for (size_t i = 0; i < rows.size(); ++i) {
          if (!rows[i].empty()) edge.writers[i]->Accept((*batch)->Select(rows[i]));
        }
      }
      for (const auto& writer : edge.writers) writer->Flush();
    }
  } catch (const std::exception& exception) {
    Fail(absl::InternalError(StrCat("the key function threw an exception: ", exception.what())));
  }
}

void OperatorTestCore::RunUntilIdle() {
  if (!status_.ok()) return;
  bool worked = true;
  while (worked && status_.ok()) {
    absl::StatusOr<bool> ran = RunMail(/*foreign=*/false);
    worked = ran.ok() && *ran;
    Fail(ran.status());
    for (size_t i = 0; i < subtasks_.size() && status_.ok(); ++i) {
      absl::StatusOr<bool> stepped = Step(*subtasks_[i]);
      worked = DrainCaptures() || (stepped.ok() && *stepped) || worked;
      Fail(stepped.status());
    }
    worked = TakeDueWakes() || worked;
  }
}

absl::StatusOr<bool> OperatorTestCore::Step(Subtask& subtask) {
  ASSIGN_OR_RETURN(bool worked, subtask.chain->WakeOperators());
  while (true) {
    ASSIGN_OR_RETURN(const OperatorChain::RunResult result, subtask.chain->Run(kNoDeadline));
    if (result == OperatorChain::RunResult::kBackPressured ||
        result == OperatorChain::RunResult::kBlocked) {
      ++num_suspensions_;
      RETURN_IF_ERROR(subtask.chain->Flush().status());
      break;
    }
    ASSIGN_OR_RETURN(std::optional<InputGate::Input> input, subtask.gate->Next());
    if (!input.has_value()) {
      ASSIGN_OR_RETURN(const bool flushed, subtask.chain->Flush());
      if (flushed) continue;
      RETURN_IF_ERROR(subtask.chain->NotifyIdle());
      break;
    }
    worked = true;
    subtask.chain->Feed(input->input, std::move(input->element));
  }
  for (const auto& writer : subtask.writers) writer->Flush();
  return worked;
}

absl::StatusOr<bool> OperatorTestCore::RunMail(bool foreign) {
  std::deque<Mail> mails;
  {
    MutexLock lock(&mailbox_->mutex);
    mails.swap(foreign ? mailbox_->foreign_mails : mailbox_->mails);
  }
  for (Mail& mail : mails) RETURN_IF_ERROR(mail());
  return !mails.empty();
}

bool OperatorTestCore::TakeDueWakes() {
  MutexLock lock(&mailbox_->mutex);
  const auto end = mailbox_->wakes.upper_bound(clock_.Now());
  if (end == mailbox_->wakes.begin()) return false;
  mailbox_->wakes.erase(mailbox_->wakes.begin(), end);
  return true;
}

bool OperatorTestCore::DrainCaptures() {
  bool any = false;
  for (const auto& capture : captures_) {
    for (Captured& captured : capture->Take()) {
      any = true;
      const bool is_batch = IsBatch(captured.element);
      if (!capture->tag().empty()) {
        if (is_batch) side_outputs_[capture->tag()].push_back(std::move(captured));
      } else if (is_batch) {
        main_output_.push_back(std::move(captured));
      } else {
        OnOutputControl(captured);
      }
    }
  }
  return any;
}

void OperatorTestCore::OnOutputControl(const Captured& captured) {
  OutputState& state = output_states_[{captured.node, captured.port, captured.subtask}];
  const auto all = [this](auto predicate) {
    return std::all_of(output_states_.begin(), output_states_.end(),
                       [&](const auto& item) { return predicate(item.second); });
  };
  const auto emit = [&](StreamElement element) {
    main_output_.push_back({captured.node, captured.port, captured.subtask, std::move(element)});
  };
  if (const auto* watermark = std::get_if<Watermark>(&captured.element)) {
    if (watermark->time < state.watermark) {
      Fail(absl::InternalError(
          StrCat("an operator's watermark went back: operator=", graph_.nodes()[captured.node].name,
                 " from_ms=", state.watermark.millis(), " to_ms=", watermark->time.millis())));
    }
    state.watermark = watermark->time;
    if (state.idle) state.idle = false;
  } else if (const auto* status = std::get_if<WatermarkStatus>(&captured.element)) {
    state.idle = status->idle;
  } else if (std::holds_alternative<EndOfInput>(captured.element)) {
    state.ended = true;
    if (all([](const OutputState& s) { return s.ended; })) emit(EndOfInput{});
    return;
  } else if (std::holds_alternative<CaughtUp>(captured.element)) {
    state.caught_up = true;
    if (all([](const OutputState& s) { return s.caught_up; })) emit(CaughtUp{});
    return;
  } else {
    return;
  }
  const bool all_idle = all([](const OutputState& s) { return s.idle; });
  if (all_idle != output_idle_) {
    output_idle_ = all_idle;
    emit(WatermarkStatus{all_idle});
  }
  EventTime lowest = EventTime::Max();
  for (const auto& [place, other] : output_states_) {
    if (!other.idle) lowest = std::min(lowest, other.watermark);
  }
  if (!all_idle && lowest > output_watermark_) {
    output_watermark_ = lowest;
    emit(Watermark{lowest});
  }
}

void OperatorTestCore::SetProcessingTime(absl::Time time) {
  Open();
  while (status_.ok()) {
    absl::Time next = time;
    {
      MutexLock lock(&mailbox_->mutex);
      if (!mailbox_->wakes.empty()) next = std::min(next, *mailbox_->wakes.begin());
    }
    if (next > clock_.Now()) clock_.Advance(next - clock_.Now());
    RunUntilIdle();
    if (next >= time) return;
  }
}

void OperatorTestCore::AwaitIo() {
  Open();
  bool more = true;
  while (status_.ok() && more) {
    if (io_pool_ != nullptr) {
      // Its one thread comes to this when all that was posted before is done.
      Mutex mutex;
      CondVar done_changed;
      bool done = false;
      io_pool_->Post([&] {
        MutexLock lock(&mutex);
        done = true;
        done_changed.SignalAll();
      });
      MutexLock lock(&mutex);
      while (!done) done_changed.Wait(&mutex);
    }
    const absl::StatusOr<bool> ran = RunMail(/*foreign=*/true);
    more = ran.ok() && *ran;
    Fail(ran.status());
    RunUntilIdle();
  }
}

CheckpointId OperatorTestCore::BeginSnapshot() {
  const CheckpointId checkpoint(next_checkpoint_++);
  Open();
  if (pending_checkpoint_.has_value()) {
    Fail(absl::FailedPreconditionError("BeginSnapshot needs FinishSnapshot of the one before"));
  }
  pending_checkpoint_ = checkpoint;
  num_taken_snapshots_ = 0;
  PushToAll(CheckpointBarrier{checkpoint, absl::ToUnixMillis(clock_.Now())});
  // An operator that waits for something outside of it holds the barrier back.
  if (status_.ok() && num_taken_snapshots_ < subtasks_.size()) AwaitIo();
  if (status_.ok() && num_taken_snapshots_ < subtasks_.size()) {
    Fail(absl::DeadlineExceededError(
        StrCat("an operator is blocked and holds the checkpoint's barrier back: snapshots=",
               num_taken_snapshots_, "/", subtasks_.size())));
  }
  return checkpoint;
}

OperatorTestSnapshot OperatorTestCore::FinishSnapshot() {
  auto data = std::make_shared<OperatorTestSnapshot::Data>();
  if (!pending_checkpoint_.has_value()) {
    Fail(absl::FailedPreconditionError("FinishSnapshot needs BeginSnapshot"));
    return OperatorTestSnapshot(std::move(data));
  }
  data->checkpoint = *std::exchange(pending_checkpoint_, std::nullopt);
  data->folders.push_back(folder_);
  if (restored_.has_value()) {
    const auto& older = restored_->data().folders;
    data->folders.insert(data->folders.end(), older.begin(), older.end());
  }
  for (const auto& subtask : subtasks_) {
    for (OperatorSnapshot& snapshot : std::exchange(subtask->snapshots, {})) {
      absl::Status written;
      if (snapshot.write && status_.ok()) {
        absl::StatusOr<OperatorSubtaskState> state = snapshot.write(*state_store_);
        written = state.status();
        // Over the wire and back, as in a cluster.
        if (state.ok() &&
            !FromBytes(ToBytes(*state),
                       data->states[{graph_.operator_id(subtask->node), subtask->index}])) {
          written = absl::InternalError("state does not round-trip");
        }
      }
      if (snapshot.finish) snapshot.finish(written.ok() && status_.ok());
      Fail(written);
    }
  }
  RunUntilIdle();
  return OperatorTestSnapshot(std::move(data));
}

void OperatorTestCore::NotifyCheckpointComplete(CheckpointId checkpoint) {
  Open();
  for (size_t i = 0; i < subtasks_.size() && status_.ok(); ++i) {
    Fail(subtasks_[i]->chain->NotifyCheckpointComplete(checkpoint));
  }
  RunUntilIdle();
}

std::vector<OperatorTestCore::Captured> OperatorTestCore::TakeMainOutput() {
  Open();
  return std::exchange(main_output_, {});
}

std::vector<OperatorTestCore::Captured> OperatorTestCore::TakeSideOutput(std::string_view tag) {
  Open();
  const auto found = side_outputs_.find(tag);
  if (found != side_outputs_.end()) return std::exchange(found->second, {});
  const bool known = std::any_of(captures_.begin(), captures_.end(),
                                 [&](const auto& capture) { return capture->tag() == tag; });
  if (!known) {
    Fail(absl::InvalidArgumentError(
        StrCat("no operator under test has this side output; call CollectSideOutput before the "
               "first element: tag=",
               tag)));
  }
  return {};
}

size_t OperatorTestCore::NumStateEntries(
    const std::function<bool(std::string_view name, StateKind kind)>& counts) {
  Open();
  size_t sum = 0;
  for (const auto& subtask : subtasks_) {
    const KeyedStateBackendBase* state = subtask->chain->keyed_state(0);
    if (state == nullptr) continue;
    state->VisitStates([&](const StateSchema& schema, size_t entries) {
      if (counts(schema.name, schema.kind)) sum += entries;
    });
  }
  return sum;
}

uint64_t OperatorTestCore::CounterValue(std::string_view name) {
  class Sum final : public MetricGroup::Visitor {
   public:
    explicit Sum(std::string_view name) : name_(name) {}
    void OnCounter(std::string_view name, uint64_t value) override {
      if (name == name_) sum += value;
    }
    void OnGauge(std::string_view, double) override {}
    void OnHistogram(std::string_view, const HistogramSnapshot&) override {}
    uint64_t sum = 0;

   private:
    const std::string_view name_;
  };
  Open();
  Sum sum(name);
  for (const auto& subtask : subtasks_) subtask->metrics.Visit(sum);
  return sum.sum;
}

}  // namespace internal
}  // namespace weir
