#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <ostream>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "operators/api/broadcast_stream.h"
#include "operators/api/data_stream.h"
#include "operators/api/keyed_stream.h"
#include "operators/testing/internal/operator_test_core.h"
#include "runtime/record/typed_batch.h"

namespace weir {

/// A record that left the operator under test. Plain data; two are equal when value and event time
/// are, whatever subtask they come from.
template <class T>
struct StreamRecord {
  T value{};
  EventTime timestamp = EventTime::Min();  ///< Min if the record has none.
  uint32_t subtask = 0;

  friend bool operator==(const StreamRecord& a, const StreamRecord& b) {
    return a.value == b.value && a.timestamp == b.timestamp;
  }
  friend std::ostream& operator<<(std::ostream& out, const StreamRecord& record)
    requires requires { out << record.value; }
  {
    out << record.value;
    if (record.timestamp != EventTime::Min()) out << " @ " << record.timestamp.millis();
    return out;
  }
};

/// What the operator under test emitted, in order: records, and what moves between them. Watermarks
/// and statuses are those of all subtasks together.
template <class T>
using OutputElement =
    std::variant<StreamRecord<T>, Watermark, WatermarkStatus, CaughtUp, EndOfInput>;

namespace internal {

/// What harnesses of one and of two inputs share.
template <class Out>
class OperatorTestHarnessBase {
 public:
  // Before the first element:

  /// Captures the side output `tag` of the operator that the built stream comes from. Side outputs
  /// that the built stream's own code reads (GetSideOutput) are captured in any case.
  template <class S>
  void CollectSideOutput(const OutputTag<S>& tag) {
    (void)output_->GetSideOutput(tag);
  }
  /// Starts from `snapshot` in place of empty state; it may come from a harness with another
  /// parallelism. The operators must have the uids, or places, that they had there.
  void Restore(OperatorTestSnapshot snapshot) { core_.Restore(std::move(snapshot)); }
  /// Opens the operators; the first use does, if nothing else has.
  void Open() { core_.Open(); }

  // Time:

  /// Advances event time on every input. No record at or before `time` should follow.
  void ProcessWatermark(EventTime time) { core_.PushToAll(Watermark{time}); }
  void ProcessWatermark(int64_t millis) { ProcessWatermark(EventTime::FromMillis(millis)); }
  /// Makes every input idle, or active again.
  void ProcessWatermarkStatus(WatermarkStatus status) { core_.PushToAll(status); }
  /// Says on every input that its sources have caught up: inputs held back by StartAfter are read.
  void ProcessCaughtUp() { core_.PushToAll(CaughtUp{}); }
  /// Ends every input. A source would have sent the watermark Max before it.
  void EndInput() { core_.PushToAll(EndOfInput{}); }
  /// Moves processing time on; timers fire, each at its own time.
  void SetProcessingTime(absl::Time time) { core_.SetProcessingTime(time); }
  void SetProcessingTime(int64_t millis) { SetProcessingTime(absl::FromUnixMillis(millis)); }
  void AdvanceProcessingTime(absl::Duration duration) {
    SetProcessingTime(core_.clock().Now() + duration);
  }
  /// Waits for what operators do on the I/O pool, e.g. asynchronous calls, and lets them emit the
  /// results.
  void AwaitIo() { core_.AwaitIo(); }

  // State:

  /// Takes a checkpoint. Does not tell the operators that it is complete.
  [[nodiscard]] OperatorTestSnapshot Snapshot() {
    (void)core_.BeginSnapshot();
    return core_.FinishSnapshot();
  }
  /// Takes only the synchronous part of a checkpoint. What is processed before FinishSnapshot
  /// writes it down must not show in it. Call in pairs.
  CheckpointId BeginSnapshot() { return core_.BeginSnapshot(); }
  [[nodiscard]] OperatorTestSnapshot FinishSnapshot() { return core_.FinishSnapshot(); }
  /// Tells the operators that a checkpoint is complete: sinks commit, functions hear of it.
  void NotifyCheckpointComplete(CheckpointId checkpoint) {
    core_.NotifyCheckpointComplete(checkpoint);
  }
  /// Entries of keyed state of all subtasks, timers left out: a value state counts once per key and
  /// window, a list or map once per element.
  [[nodiscard]] size_t NumKeyedStateEntries() {
    return core_.NumStateEntries(
        [](std::string_view, StateKind kind) { return kind != StateKind::kTimers; });
  }
  /// The same of one state, by the name in its descriptor.
  [[nodiscard]] size_t NumKeyedStateEntries(std::string_view state) {
    return core_.NumStateEntries([state](std::string_view name, StateKind kind) {
      return kind != StateKind::kTimers && name == state;
    });
  }
  [[nodiscard]] size_t NumEventTimeTimers() { return NumTimers("/event-time"); }
  [[nodiscard]] size_t NumProcessingTimeTimers() { return NumTimers("/processing-time"); }

  // Results:

  /// Why the operators stopped: the first failure, with its place. Everything after it is ignored.
  /// A failure that no one asks for ends the process when the harness is destroyed.
  [[nodiscard]] const absl::Status& status() { return core_.status(); }
  /// Returns everything emitted on the main output since the last Take.
  [[nodiscard]] std::vector<OutputElement<Out>> TakeOutput() {
    std::vector<OutputElement<Out>> output;
    for (const OperatorTestCore::Captured& captured : core_.TakeMainOutput()) {
      Visit(captured, [&](auto element) { output.emplace_back(std::move(element)); });
    }
    return output;
  }
  /// The same without what is not a record.
  [[nodiscard]] std::vector<StreamRecord<Out>> TakeRecords() {
    std::vector<StreamRecord<Out>> records;
    for (const OperatorTestCore::Captured& captured : core_.TakeMainOutput()) {
      AppendRecords(captured, &records);
    }
    return records;
  }
  /// The same without times.
  [[nodiscard]] std::vector<Out> TakeValues() {
    std::vector<Out> values;
    for (StreamRecord<Out>& record : TakeRecords()) values.push_back(std::move(record.value));
    return values;
  }
  template <class S>
  [[nodiscard]] std::vector<StreamRecord<S>> TakeSideOutput(const OutputTag<S>& tag) {
    std::vector<StreamRecord<S>> records;
    for (const OperatorTestCore::Captured& captured : core_.TakeSideOutput(tag.name())) {
      AppendRecords(captured, &records);
    }
    return records;
  }
  /// The last watermark emitted by all subtasks together; Min if there was none.
  [[nodiscard]] EventTime output_watermark() const { return core_.output_watermark(); }
  /// The sum, over operators and subtasks, of the counter `name`; 0 if none has it.
  [[nodiscard]] uint64_t CounterValue(std::string_view name) { return core_.CounterValue(name); }
  /// How often an operator had to suspend because its output was full.
  [[nodiscard]] size_t num_suspensions() const { return core_.num_suspensions(); }
  /// For functions under test that take a Clock. Move it by SetProcessingTime, or timers stay
  /// behind.
  [[nodiscard]] const Clock& clock() { return core_.clock(); }

 protected:
  explicit OperatorTestHarnessBase(OperatorTestOptions options) : core_(std::move(options)) {}

  template <class In>
  DataStream<In> AddInput() {
    StreamOrigin origin;
    origin.graph = &core_.graph();
    origin.ports = {{core_.AddInput(BatchTypeOf<In>()), 0}};
    return DataStream<In>(std::move(origin));
  }
  void SetOutput(DataStream<Out> output) {
    for (const StreamOrigin::Port& port : output.origin().ports) {
      core_.CaptureMainOutput(port.node, port.port);
    }
    output_.emplace(std::move(output));
  }
  template <class In>
  void Push(size_t input, In value, EventTime time) {
    TypedBatchBuilder<In> builder;
    builder.Add(std::move(value), time);
    core_.Push(input, builder.Finish());
  }
  template <class In>
  void PushAll(size_t input, std::span<const StreamRecord<In>> records) {
    TypedBatchBuilder<In> builder;
    for (const StreamRecord<In>& record : records) {
      builder.Add(record.value, record.timestamp);
      if (builder.IsBatchFull()) core_.Push(input, builder.Finish());
    }
    if (builder.size() > 0) core_.Push(input, builder.Finish());
  }
  OperatorTestCore& core() { return core_; }

 private:
  size_t NumTimers(std::string_view suffix) {
    return core_.NumStateEntries([suffix](std::string_view name, StateKind kind) {
      return kind == StateKind::kTimers && name.ends_with(suffix);
    });
  }
  template <class T>
  static void AppendRecords(const OperatorTestCore::Captured& captured,
                            std::vector<StreamRecord<T>>* records) {
    const auto* batch = std::get_if<BatchPtr>(&captured.element);
    if (batch == nullptr) return;
    const std::span<const T> values = BatchValues<T>(**batch);
    for (size_t row = 0; row < values.size(); ++row) {
      records->push_back({values[row], (*batch)->event_time(row), captured.subtask});
    }
  }
  template <class Visitor>
  static void Visit(const OperatorTestCore::Captured& captured, Visitor visit) {
    std::visit(
        [&](const auto& element) {
          using Element = std::remove_cvref_t<decltype(element)>;
          if constexpr (std::is_same_v<Element, BatchPtr>) {
            std::vector<StreamRecord<Out>> records;
            AppendRecords(captured, &records);
            for (StreamRecord<Out>& record : records) visit(std::move(record));
          } else if constexpr (std::is_constructible_v<OutputElement<Out>, Element>) {
            visit(element);
          }
        },
        captured.element);
  }

  OperatorTestCore core_;
  std::optional<DataStream<Out>> output_;
};

}  // namespace internal

/// Runs one operator, or a few, of a job in a test's own thread: push records, watermarks and time,
/// read what comes out, snapshot and restore.
///
///     OperatorTestHarness<Login, Alert> harness([](DataStream<Login> logins) {
///       return logins.KeyBy(UserOf).Process(CountFailures{});
///     });
///     harness.ProcessElement({"alice", false}, 1000);
///     harness.ProcessWatermark(60'000);
///     EXPECT_EQ(harness.TakeValues(), (std::vector<Alert>{{"alice", 1}}));
///
/// Everything an operator does happens within the call that caused it, deterministically;
/// processing time stands still until it is moved. What it runs is what a job runs: the operators
/// of the public API with real partitioning, state and watermarks; only threads and network are
/// left out. Cheap enough for hundreds in a test. Threads: one.
template <class In, class Out>
class OperatorTestHarness : public internal::OperatorTestHarnessBase<Out> {
 public:
  /// `build` makes the stream under test: DataStream<Out>(DataStream<In>).
  template <class Build>
    requires std::is_invocable_r_v<DataStream<Out>, Build&, DataStream<In>>
  explicit OperatorTestHarness(Build build, OperatorTestOptions options = {})
      : internal::OperatorTestHarnessBase<Out>(std::move(options)) {
    this->SetOutput(build(this->template AddInput<In>()));
  }

  /// A record without event time.
  void ProcessElement(In value) { this->Push(0, std::move(value), EventTime::Min()); }
  void ProcessElement(In value, EventTime time) { this->Push(0, std::move(value), time); }
  void ProcessElement(In value, int64_t millis) {
    this->Push(0, std::move(value), EventTime::FromMillis(millis));
  }
  /// Many records as one batch, as they would come from a channel.
  void ProcessElements(std::span<const StreamRecord<In>> records) { this->PushAll(0, records); }
};

/// OperatorTestHarness for operators with two inputs: connected streams, joins, broadcast.
template <class In1, class In2, class Out>
class TwoInputOperatorTestHarness : public internal::OperatorTestHarnessBase<Out> {
 public:
  /// `build` makes the stream under test: DataStream<Out>(DataStream<In1>, DataStream<In2>).
  template <class Build>
    requires std::is_invocable_r_v<DataStream<Out>, Build&, DataStream<In1>, DataStream<In2>>
  explicit TwoInputOperatorTestHarness(Build build, OperatorTestOptions options = {})
      : internal::OperatorTestHarnessBase<Out>(std::move(options)) {
    DataStream<In1> first = this->template AddInput<In1>();
    DataStream<In2> second = this->template AddInput<In2>();
    this->SetOutput(build(std::move(first), std::move(second)));
  }

  void ProcessElement1(In1 value) { this->Push(0, std::move(value), EventTime::Min()); }
  void ProcessElement1(In1 value, EventTime time) { this->Push(0, std::move(value), time); }
  void ProcessElement1(In1 value, int64_t millis) {
    this->Push(0, std::move(value), EventTime::FromMillis(millis));
  }
  void ProcessElement2(In2 value) { this->Push(1, std::move(value), EventTime::Min()); }
  void ProcessElement2(In2 value, EventTime time) { this->Push(1, std::move(value), time); }
  void ProcessElement2(In2 value, int64_t millis) {
    this->Push(1, std::move(value), EventTime::FromMillis(millis));
  }
  void ProcessElements1(std::span<const StreamRecord<In1>> records) { this->PushAll(0, records); }
  void ProcessElements2(std::span<const StreamRecord<In2>> records) { this->PushAll(1, records); }

  // One input alone; event time is the minimum over both.
  void ProcessWatermark1(EventTime time) { this->core().Push(0, Watermark{time}); }
  void ProcessWatermark1(int64_t millis) { ProcessWatermark1(EventTime::FromMillis(millis)); }
  void ProcessWatermark2(EventTime time) { this->core().Push(1, Watermark{time}); }
  void ProcessWatermark2(int64_t millis) { ProcessWatermark2(EventTime::FromMillis(millis)); }
  void ProcessWatermarkStatus1(WatermarkStatus status) { this->core().Push(0, status); }
  void ProcessWatermarkStatus2(WatermarkStatus status) { this->core().Push(1, status); }
  void ProcessCaughtUp1() { this->core().Push(0, CaughtUp{}); }
  void ProcessCaughtUp2() { this->core().Push(1, CaughtUp{}); }
  void EndInput1() { this->core().Push(0, EndOfInput{}); }
  void EndInput2() { this->core().Push(1, EndOfInput{}); }
};

}  // namespace weir
