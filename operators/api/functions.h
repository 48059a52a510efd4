#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/record/event_time.h"
#include "runtime/state/keyed_state_backend.h"
#include "runtime/state/operator_state.h"
#include "runtime/state/state.h"
#include "runtime/task/collector.h"
#include "runtime/task/operator.h"

namespace weir {

/// Names a side output and fixes the type of its records. Two tags with one name are the same
/// output.
template <class T>
class OutputTag {
 public:
  using Record = T;
  explicit OutputTag(std::string name) : name_(std::move(name)) {}
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::string name_;
};

namespace internal {

class SideCollectorBase {
 public:
  virtual ~SideCollectorBase() = default;
  virtual void Bind(OutputPort* port) = 0;
};

template <class T>
class SideCollector final : public SideCollectorBase {
 public:
  void Bind(OutputPort* port) override { collector_.Bind(port); }
  Collector<T>& collector() { return collector_; }

 private:
  Collector<T> collector_;
};

/// The side outputs that a job reads of one operator. Shared between the graph being built and the
/// factory; grows while Build runs, is constant after.
struct SideOutputs {
  struct Entry {
    std::string tag;
    std::unique_ptr<SideCollectorBase> (*make)();
  };
  std::vector<Entry> entries;
};

/// The side outputs of one operator instance. Port i + 1 is entry i.
class SideCollectors {
 public:
  void Open(const SideOutputs& outputs, Output& output) {
    for (size_t i = 0; i < outputs.entries.size(); ++i) {
      collectors_.emplace_back(outputs.entries[i].tag, outputs.entries[i].make());
      collectors_.back().second->Bind(&output.port(static_cast<uint32_t>(i + 1)));
    }
  }
  template <class T>
  void Collect(const OutputTag<T>& tag, T value, EventTime time) {
    for (auto& [name, collector] : collectors_) {
      if (name == tag.name()) {
        static_cast<SideCollector<T>&>(*collector).collector().Collect(std::move(value), time);
        return;
      }
    }
  }

 private:
  std::vector<std::pair<std::string, std::unique_ptr<SideCollectorBase>>> collectors_;
};

}  // namespace internal

/// What every function may ask, whatever its kind. Valid for the call it is passed to.
class FunctionContext {
 public:
  FunctionContext(const OperatorContext* operator_context, internal::SideCollectors* side_outputs)
      : operator_context_(operator_context), side_outputs_(side_outputs) {}

  /// Event time of the record, or the time of the timer; Min if the record has none.
  [[nodiscard]] EventTime timestamp() const { return timestamp_; }
  /// How far event time has come in this subtask.
  [[nodiscard]] EventTime current_watermark() const { return watermark_; }
  [[nodiscard]] absl::Time current_processing_time() const {
    return operator_context_->clock()->Now();
  }
  /// Emits to a side output, with the event time of the record or timer. Dropped if no one reads
  /// the tag.
  template <class T>
  void Output(const OutputTag<T>& tag, T value) {
    side_outputs_->Collect(tag, std::move(value), timestamp_);
  }
  [[nodiscard]] const OperatorContext::Place& place() const { return operator_context_->place(); }

  /// For operators.
  void set_timestamp(EventTime time) { timestamp_ = time; }
  void set_watermark(EventTime time) { watermark_ = time; }

 private:
  const OperatorContext* operator_context_;
  internal::SideCollectors* side_outputs_;
  EventTime timestamp_ = EventTime::Min();
  EventTime watermark_ = EventTime::Min();
};

/// Timers of the current key. A timer that is set twice fires once; it fires with its key set.
class TimerService {
 public:
  virtual ~TimerService() = default;
  virtual void RegisterEventTimeTimer(EventTime time) = 0;
  virtual void DeleteEventTimeTimer(EventTime time) = 0;
  virtual void RegisterProcessingTimeTimer(absl::Time time) = 0;
  virtual void DeleteProcessingTimeTimer(absl::Time time) = 0;
};

/// The context of functions on keyed streams.
template <class K>
class KeyedContext : public FunctionContext {
 public:
  KeyedContext(const OperatorContext* operator_context, internal::SideCollectors* side_outputs,
               KeyedStateBackend<K>* backend, TimerService* timers)
      : FunctionContext(operator_context, side_outputs), backend_(backend), timers_(timers) {}

  [[nodiscard]] const K& current_key() const { return backend_->current_key(); }
  [[nodiscard]] TimerService& timer_service() { return *timers_; }

 private:
  KeyedStateBackend<K>* backend_;
  TimerService* timers_;
};

/// Which clock a timer was set on.
enum class TimerKind { kEventTime, kProcessingTime };

/// Where a function on a keyed stream registers its state, before the first record.
template <class K>
class KeyedOpenContext {
 public:
  KeyedOpenContext(const OperatorContext* operator_context, KeyedStateBackend<K>* backend,
                   OperatorStateBackend* operator_state)
      : operator_context_(operator_context), backend_(backend), operator_state_(operator_state) {}

  /// Returns the handle of a state; `descriptor` is a ValueStateDescriptor, ListStateDescriptor and
  /// so on.
  template <class Descriptor>
  [[nodiscard]] auto GetState(const Descriptor& descriptor) {
    return backend_->GetState(descriptor);
  }
  template <class BroadcastKey, class BroadcastValue>
  [[nodiscard]] absl::StatusOr<BroadcastState<BroadcastKey, BroadcastValue>> GetBroadcastState(
      const BroadcastStateDescriptor<BroadcastKey, BroadcastValue>& descriptor) {
    return operator_state_->GetBroadcastState(descriptor);
  }
  [[nodiscard]] const OperatorContext::Place& place() const { return operator_context_->place(); }
  /// Metrics of the function's own.
  [[nodiscard]] MetricGroup* metrics() const { return operator_context_->metrics(); }

 private:
  const OperatorContext* operator_context_;
  KeyedStateBackend<K>* backend_;
  OperatorStateBackend* operator_state_;
};

/// Where a function on a stream without keys registers its operator and broadcast state.
class OpenContext {
 public:
  OpenContext(const OperatorContext* operator_context, OperatorStateBackend* operator_state)
      : operator_context_(operator_context), operator_state_(operator_state) {}

  template <class T>
  [[nodiscard]] absl::StatusOr<OperatorListState<T>> GetListState(
      const OperatorListStateDescriptor<T>& descriptor) {
    return operator_state_->GetListState(descriptor);
  }
  /// The same, but after a restore each subtask has the elements of all.
  template <class T>
  [[nodiscard]] absl::StatusOr<OperatorListState<T>> GetUnionListState(
      const OperatorListStateDescriptor<T>& descriptor) {
    return operator_state_->GetUnionListState(descriptor);
  }
  template <class BroadcastKey, class BroadcastValue>
  [[nodiscard]] absl::StatusOr<BroadcastState<BroadcastKey, BroadcastValue>> GetBroadcastState(
      const BroadcastStateDescriptor<BroadcastKey, BroadcastValue>& descriptor) {
    return operator_state_->GetBroadcastState(descriptor);
  }
  [[nodiscard]] const OperatorContext::Place& place() const { return operator_context_->place(); }
  /// Metrics of the function's own.
  [[nodiscard]] MetricGroup* metrics() const { return operator_context_->metrics(); }

 private:
  const OperatorContext* operator_context_;
  OperatorStateBackend* operator_state_;
};

/// A function of one record, with side outputs. User functions derive from it, are copied into
/// every subtask, and may throw: that fails the task with the exception's text. A subtask calls its
/// copy from one thread at a time.
template <class In, class Out>
class ProcessFunction {
 public:
  using Input = In;
  using OutputRecord = Out;
  using Context = FunctionContext;
  virtual ~ProcessFunction() = default;
  [[nodiscard]] virtual absl::Status Open(OpenContext&) { return absl::OkStatus(); }
  virtual void ProcessElement(const In& value, Context& context, Collector<Out>& out) = 0;
  virtual void Close() {}
};

/// A function of one record of a keyed stream, with state and timers per key.
template <class K, class In, class Out>
class KeyedProcessFunction {
 public:
  using Key = K;
  using Input = In;
  using OutputRecord = Out;
  using Context = KeyedContext<K>;
  virtual ~KeyedProcessFunction() = default;
  [[nodiscard]] virtual absl::Status Open(KeyedOpenContext<K>&) { return absl::OkStatus(); }
  virtual void ProcessElement(const In& value, Context& context, Collector<Out>& out) = 0;
  /// `context.timestamp()` is the timer's time.
  virtual void OnTimer(TimerKind, Context&, Collector<Out>&) {}
  /// All input has ended and all event-time timers have fired.
  virtual void Close() {}
};

/// A function of a keyed stream connected with a broadcast one. Broadcast records reach every
/// subtask, in the same order per sender; what they change in broadcast state must not depend on
/// the subtask.
template <class K, class In, class B, class Out>
class KeyedBroadcastProcessFunction {
 public:
  using Key = K;
  using Input = In;
  using BroadcastInput = B;
  using OutputRecord = Out;
  using Context = KeyedContext<K>;
  using BroadcastContext = FunctionContext;
  virtual ~KeyedBroadcastProcessFunction() = default;
  [[nodiscard]] virtual absl::Status Open(KeyedOpenContext<K>&) { return absl::OkStatus(); }
  virtual void ProcessElement(const In& value, Context& context, Collector<Out>& out) = 0;
  virtual void ProcessBroadcastElement(const B& value, BroadcastContext& context,
                                       Collector<Out>& out) = 0;
  virtual void OnTimer(TimerKind, Context&, Collector<Out>&) {}
  virtual void Close() {}
};

/// The same without keys.
template <class In, class B, class Out>
class BroadcastProcessFunction {
 public:
  using Input = In;
  using BroadcastInput = B;
  using OutputRecord = Out;
  using Context = FunctionContext;
  using BroadcastContext = FunctionContext;
  virtual ~BroadcastProcessFunction() = default;
  [[nodiscard]] virtual absl::Status Open(OpenContext&) { return absl::OkStatus(); }
  virtual void ProcessElement(const In& value, Context& context, Collector<Out>& out) = 0;
  virtual void ProcessBroadcastElement(const B& value, BroadcastContext& context,
                                       Collector<Out>& out) = 0;
  virtual void Close() {}
};

}  // namespace weir
