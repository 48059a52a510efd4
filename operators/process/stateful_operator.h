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
[[nodiscard]] std::pair<std::vector<KeyedStateHandle>, std::vector<OperatorStateHandle>>
SplitStates(std::vector<OperatorSubtaskState> restored);

/// Holds the operator and broadcast state of an operator without keys, and snapshots it.
class OperatorStateHolder {
 public:
  OperatorStateHolder();
  ~OperatorStateHolder();
  [[nodiscard]] absl::Status Open(std::vector<OperatorSubtaskState> restored);
  [[nodiscard]] OperatorStateBackend& backend() { return backend_; }
  [[nodiscard]] OperatorSnapshot Snapshot() const;

 private:
  OperatorStateBackend backend_;
};

/// What of a KeyedOperator does not depend on the types of keys and namespaces, so that it is
/// compiled once and not with every job.
class KeyedOperatorBase : public StreamOperator {
 public:
  absl::StatusOr<OperatorSnapshot> Snapshot(CheckpointId checkpoint) override;
  absl::Status NotifyCheckpointComplete(CheckpointId checkpoint) override;
  [[nodiscard]] const KeyedStateBackendBase* keyed_state() const final { return keyed_state_; }
  void PublishMetrics(int64_t now_nanos) final;

 protected:
  KeyedOperatorBase();
  ~KeyedOperatorBase() override;

  /// Returns what the backend of this subtask is to be made with.
  [[nodiscard]] static KeyedStateBackendOptions BackendOptions(OperatorContext& context);
  /// Fills `backend`, which is borrowed, and the operator state.
  [[nodiscard]] absl::Status OpenState(OperatorContext& context, KeyedStateBackendBase* backend,
                                       std::vector<OperatorSubtaskState> restored);
  /// Wakes the task for the first timer of processing time, if there is one.
  void WakeFor(std::optional<int64_t> next_timer_ms);

  [[nodiscard]] OperatorStateBackend& operator_state() { return operator_state_; }
  [[nodiscard]] EventTime watermark() const { return watermark_; }
  void set_watermark(EventTime watermark) { watermark_ = watermark; }
  [[nodiscard]] OperatorContext& context() { return *context_; }

 private:
  OperatorContext* context_ = nullptr;
  KeyedStateBackendBase* keyed_state_ = nullptr;
  OperatorStateBackend operator_state_;
  EventTime watermark_ = EventTime::Min();
};

/// What operators on keyed streams share: keyed state, timers in both time domains, their slices
/// and snapshots. `Namespace` tells the timers of one key apart (a window); VoidNamespace where
/// there is only one kind.
template <class K, class Namespace>
class KeyedOperator : public KeyedOperatorBase {
 public:
  absl::Status Open(OperatorContext& context, Output& output,
                    std::vector<OperatorSubtaskState> restored) override {
    backend_ = std::make_unique<KeyedStateBackend<K>>(BackendOptions(context));
    RETURN_IF_ERROR(OpenState(context, backend_.get(), std::move(restored)));
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
    set_watermark(watermark.time);
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
    const int64_t now_ms = absl::ToUnixMillis(this->context().clock()->Now());
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
  [[nodiscard]] TimerQueue<K, Namespace>& event_timers() { return *event_timers_; }
  [[nodiscard]] TimerQueue<K, Namespace>& processing_timers() { return *processing_timers_; }

 private:
  static constexpr int kTimersPerSlice = 1024;

  void ScheduleWake() { WakeFor(processing_timers_->NextTime()); }

  std::unique_ptr<KeyedStateBackend<K>> backend_;
  TimerQueue<K, Namespace>* event_timers_ = nullptr;
  TimerQueue<K, Namespace>* processing_timers_ = nullptr;
};

}  // namespace weir::internal
