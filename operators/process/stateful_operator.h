#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/api/functions.h"
#include "runtime/base/status_macros.h"
#include "runtime/state/keyed_state_backend.h"
#include "runtime/state/operator_state.h"
#include "runtime/task/operator.h"

namespace weir::internal {

/// Splits restored subtask states by kind.
inline std::pair<std::vector<KeyedStateHandle>, std::vector<OperatorStateHandle>> SplitStates(
    std::vector<OperatorSubtaskState> restored) {
  std::pair<std::vector<KeyedStateHandle>, std::vector<OperatorStateHandle>> split;
  for (OperatorSubtaskState& state : restored) {
    if (state.keyed.has_value()) split.first.push_back(*std::move(state.keyed));
    if (state.operator_state.has_value()) split.second.push_back(*std::move(state.operator_state));
  }
  return split;
}

/// Holds the operator and broadcast state of an operator without keys, and snapshots it.
class OperatorStateHolder {
 public:
  [[nodiscard]] absl::Status Open(std::vector<OperatorSubtaskState> restored) {
    return backend_.Restore(SplitStates(std::move(restored)).second);
  }
  [[nodiscard]] OperatorStateBackend& backend() { return backend_; }
  [[nodiscard]] OperatorSnapshot Snapshot() const {
    OperatorSnapshot snapshot;
    snapshot.write = [handle = backend_.Snapshot()](
                         StateFileStore&) mutable -> absl::StatusOr<OperatorSubtaskState> {
      OperatorSubtaskState state;
      state.operator_state = std::move(handle);
      return state;
    };
    return snapshot;
  }

 private:
  OperatorStateBackend backend_;
};

/// What operators on keyed streams share: keyed state, timers in both time domains, their slices
/// and snapshots. `Namespace` tells the timers of one key apart (a window); VoidNamespace where
/// there is only one kind.
template <class K, class Namespace>
class KeyedOperator : public StreamOperator {
 public:
  absl::Status Open(OperatorContext& context, Output& output,
                    std::vector<OperatorSubtaskState> restored) override {
    context_ = &context;
    const OperatorContext::Place& place = context.place();
    KeyedStateBackendOptions options;
    options.range = place.key_groups;
    options.max_parallelism = place.max_parallelism;
    options.memory_budget = context.memory_budget();
    options.metrics = context.metrics();
    options.clock = context.clock();
    options.local_dir = place.local_dir;
    options.track_changes = place.checkpointing;
    backend_ = std::make_unique<KeyedStateBackend<K>>(std::move(options));
    auto [keyed, operator_states] = SplitStates(std::move(restored));
    if (!keyed.empty())
      RETURN_IF_ERROR(backend_->Restore(std::move(keyed), *context.state_store()));
    RETURN_IF_ERROR(operator_state_.Restore(std::move(operator_states)));
    ASSIGN_OR_RETURN(event_timers_, backend_->template Timers<Namespace>("event-time-timers",
                                                                         TimeDomain::kEventTime));
    ASSIGN_OR_RETURN(processing_timers_,
                     backend_->template Timers<Namespace>("processing-time-timers",
                                                          TimeDomain::kProcessingTime));
    RETURN_IF_ERROR(OpenFunction(context, output));
    ScheduleWake();
    return absl::OkStatus();
  }

  absl::StatusOr<Progress> ProcessWatermark(Watermark watermark, Output& output) final {
    watermark_ = watermark.time;
    backend_->ShedMemory();
    OnWatermarkAdvanced(watermark.time);
    backend_->SetRecordTime(watermark.time);
    ASSIGN_OR_RETURN(const Progress fired_windows, FireWindows(watermark.time, output));
    if (fired_windows != Progress::kDone) return fired_windows;
    // A slice ends with full output, and now and then so that mail is read.
    for (int fired = 0; fired < kTimersPerSlice; ++fired) {
      if (output.Full()) return Progress::kSuspended;
      std::optional<Timer<K, Namespace>> timer = event_timers_->PopDue(watermark.time.millis());
      if (!timer.has_value()) {
        backend_->AdvanceWatermark(watermark.time);
        output.EmitWatermark(OutputWatermark(watermark.time));
        return Progress::kDone;
      }
      // However far the watermark has come at once, the timer sees what was alive at its time.
      backend_->SetRecordTime(EventTime::FromMillis(timer->time_ms));
      backend_->SetCurrentKey(timer->key, timer->hash);
      OnTimer(TimerKind::kEventTime, *timer);
    }
    return Progress::kSuspended;
  }

  absl::StatusOr<Progress> OnWake(Output& output) override {
    if (processing_timers_->empty()) return Progress::kDone;
    const int64_t now_ms = absl::ToUnixMillis(context_->clock()->Now());
    for (int fired = 0; fired < kTimersPerSlice; ++fired) {
      if (output.Full()) return Progress::kSuspended;
      std::optional<Timer<K, Namespace>> timer = processing_timers_->PopDue(now_ms);
      if (!timer.has_value()) {
        ScheduleWake();
        return Progress::kDone;
      }
      backend_->SetRecordTime(EventTime::Min());
      backend_->SetCurrentKey(timer->key, timer->hash);
      OnTimer(TimerKind::kProcessingTime, *timer);
    }
    return Progress::kSuspended;
  }

  absl::StatusOr<OperatorSnapshot> Snapshot(CheckpointId checkpoint) override {
    std::unique_ptr<KeyedSnapshot> snapshot =
        backend_->Snapshot(checkpoint, [handle = context_->handle()] { handle->Wake(); });
    OperatorSnapshot result;
    // `finish` owns the snapshot; both functions live and end together.
    result.write = [snapshot = snapshot.get(), operator_state = operator_state_.Snapshot()](
                       StateFileStore& store) mutable -> absl::StatusOr<OperatorSubtaskState> {
      OperatorSubtaskState state;
      ASSIGN_OR_RETURN(state.keyed, snapshot->Run(store));
      state.operator_state = std::move(operator_state);
      return state;
    };
    result.finish = [this, snapshot = std::move(snapshot)](bool) mutable {
      backend_->FinishSnapshot(std::move(snapshot));
    };
    return result;
  }

  absl::Status NotifyCheckpointComplete(CheckpointId checkpoint) override {
    backend_->NotifyCheckpointComplete(checkpoint);
    return absl::OkStatus();
  }

  [[nodiscard]] const KeyedStateBackendBase* keyed_state() const final { return backend_.get(); }

  void PublishMetrics(int64_t now_nanos) final {
    if (backend_ != nullptr) backend_->PublishMetrics(now_nanos);
  }

 protected:
  /// Registers state and binds collectors; state is restored already.
  [[nodiscard]] virtual absl::Status OpenFunction(OperatorContext& context, Output& output) = 0;
  /// Fires one timer; its key is set.
  virtual void OnTimer(TimerKind kind, const Timer<K, Namespace>& timer) = 0;
  virtual void OnWatermarkAdvanced(EventTime) {}
  /// Returns what holds of the output once the input's watermark is `watermark` and its timers have
  /// fired; earlier, by a constant, where results may have an earlier time.
  [[nodiscard]] virtual EventTime OutputWatermark(EventTime watermark) const { return watermark; }
  /// Fires what is due at `watermark` without being a timer, before the timers; in slices, as
  /// ProcessWatermark itself.
  [[nodiscard]] virtual absl::StatusOr<Progress> FireWindows(EventTime, Output&) {
    return Progress::kDone;
  }

  void RegisterProcessingTimer(const Namespace& ns, int64_t time_ms) {
    const std::optional<int64_t> next = processing_timers_->NextTime();
    processing_timers_->Register(backend_->current_key(), backend_->current_hash(), ns, time_ms);
    if (!next.has_value() || time_ms < *next) ScheduleWake();
  }

  [[nodiscard]] KeyedStateBackend<K>& backend() { return *backend_; }
  [[nodiscard]] OperatorStateBackend& operator_state() { return operator_state_; }
  [[nodiscard]] TimerQueue<K, Namespace>& event_timers() { return *event_timers_; }
  [[nodiscard]] TimerQueue<K, Namespace>& processing_timers() { return *processing_timers_; }
  [[nodiscard]] EventTime watermark() const { return watermark_; }
  [[nodiscard]] OperatorContext& context() { return *context_; }

 private:
  static constexpr int kTimersPerSlice = 1024;

  void ScheduleWake() {
    const std::optional<int64_t> next = processing_timers_->NextTime();
    if (next.has_value()) context_->handle()->WakeAt(absl::FromUnixMillis(*next));
  }

  OperatorContext* context_ = nullptr;
  std::unique_ptr<KeyedStateBackend<K>> backend_;
  OperatorStateBackend operator_state_;
  TimerQueue<K, Namespace>* event_timers_ = nullptr;
  TimerQueue<K, Namespace>* processing_timers_ = nullptr;
  EventTime watermark_ = EventTime::Min();
};

}  // namespace weir::internal
