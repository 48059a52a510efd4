#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "operators/window/time_window.h"
#include "runtime/record/event_time.h"

namespace weir {

/// What becomes of a window: fire = call the window function, purge = forget the contents.
enum class TriggerResult : uint8_t { kContinue = 0, kFire = 1, kPurge = 2, kFireAndPurge = 3 };

/// The state of triggers that keep none.
using NoTriggerState = VoidNamespace;

/// What a trigger may ask and do, about the window it is called for. Valid for the call.
template <class S>
class TriggerContext {
 public:
  virtual ~TriggerContext() = default;
  [[nodiscard]] virtual EventTime current_watermark() const = 0;
  [[nodiscard]] virtual absl::Time current_processing_time() const = 0;
  /// The trigger's state for this key and window; default-made at the first call. Part of
  /// checkpoints, and forgotten with the window.
  [[nodiscard]] virtual S& state() = 0;
  /// Has OnEventTime, or OnProcessingTime, called at `time` for this key and window. A timer set
  /// twice fires once. One of processing time fires when its millisecond is over.
  virtual void RegisterEventTimeTimer(EventTime time) = 0;
  virtual void DeleteEventTimeTimer(EventTime time) = 0;
  virtual void RegisterProcessingTimeTimer(absl::Time time) = 0;
  virtual void DeleteProcessingTimeTimer(absl::Time time) = 0;
};

/// The base of triggers: decides when the windows of each key fire. A trigger has
///   TriggerResult OnElement(const T&, EventTime timestamp, const W& window, Context&),
/// and, in place of the ones below, what it needs of them, with its own W. `S` is what it keeps per
/// key and window. A value, copied into every subtask; called by one thread at a time.
template <class S = NoTriggerState>
class Trigger {
 public:
  using State = S;
  using Context = TriggerContext<S>;
  /// Whether it works with windows that merge, as sessions do: then it needs OnMerge.
  static constexpr bool kCanMerge = false;

  template <class W>
  TriggerResult OnEventTime(EventTime, const W&, Context&) {
    return TriggerResult::kContinue;
  }
  template <class W>
  TriggerResult OnProcessingTime(absl::Time, const W&, Context&) {
    return TriggerResult::kContinue;
  }
  /// Several windows have become `window`, which `context` is of; `merged` are their states, of
  /// those that had one. Timers of the merged windows are deleted by Clear.
  template <class W>
  void OnMerge(const W&, const std::vector<S>&, Context&) {}
  /// The window is over, or merged: deletes timers. State goes by itself.
  template <class W>
  void Clear(const W&, Context&) {}
};

/// Fires when the watermark passes the window's end, and for each record that comes later than that
/// within the allowed lateness. The default of event-time windows.
class EventTimeTrigger : public Trigger<> {
 public:
  static constexpr bool kCanMerge = true;
  template <class T, class W>
  TriggerResult OnElement(const T&, EventTime, const W& window, Context& context) {
    if (window.MaxTimestamp() <= context.current_watermark()) return TriggerResult::kFire;
    context.RegisterEventTimeTimer(window.MaxTimestamp());
    return TriggerResult::kContinue;
  }
  template <class W>
  TriggerResult OnEventTime(EventTime time, const W& window, Context&) {
    return time == window.MaxTimestamp() ? TriggerResult::kFire : TriggerResult::kContinue;
  }
  template <class W>
  void OnMerge(const W& window, const std::vector<NoTriggerState>&, Context& context) {
    if (window.MaxTimestamp() > context.current_watermark()) {
      context.RegisterEventTimeTimer(window.MaxTimestamp());
    }
  }
  template <class W>
  void Clear(const W& window, Context& context) {
    context.DeleteEventTimeTimer(window.MaxTimestamp());
  }
};

/// Fires when the clock passes the window's end. The default of processing-time windows.
class ProcessingTimeTrigger : public Trigger<> {
 public:
  static constexpr bool kCanMerge = true;
  template <class T, class W>
  TriggerResult OnElement(const T&, EventTime, const W& window, Context& context) {
    context.RegisterProcessingTimeTimer(window.MaxTimestamp().ToTime());
    return TriggerResult::kContinue;
  }
  template <class W>
  TriggerResult OnProcessingTime(absl::Time, const W&, Context&) {
    return TriggerResult::kFire;
  }
  template <class W>
  void OnMerge(const W& window, const std::vector<NoTriggerState>&, Context& context) {
    if (window.MaxTimestamp().ToTime() > context.current_processing_time()) {
      context.RegisterProcessingTimeTimer(window.MaxTimestamp().ToTime());
    }
  }
  template <class W>
  void Clear(const W& window, Context& context) {
    context.DeleteProcessingTimeTimer(window.MaxTimestamp().ToTime());
  }
};

/// Never fires: the default of global windows.
class NeverTrigger : public Trigger<> {
 public:
  static constexpr bool kCanMerge = true;
  template <class T, class W>
  TriggerResult OnElement(const T&, EventTime, const W&, Context&) {
    return TriggerResult::kContinue;
  }
};

/// Fires at each `count`-th record of a window.
class CountTrigger : public Trigger<int64_t> {
 public:
  static constexpr bool kCanMerge = true;
  static CountTrigger Of(int64_t count) { return CountTrigger(count); }

  template <class T, class W>
  TriggerResult OnElement(const T&, EventTime, const W&, Context& context) {
    int64_t& count = context.state();
    if (++count < max_count_) return TriggerResult::kContinue;
    count = 0;
    return TriggerResult::kFire;
  }
  template <class W>
  void OnMerge(const W&, const std::vector<int64_t>& merged, Context& context) {
    for (const int64_t count : merged) context.state() += count;
  }

 private:
  explicit CountTrigger(int64_t count) : max_count_(count) {}
  int64_t max_count_;
};

/// Fires each `interval` of event time while the window has records, and at its end: early results.
class ContinuousEventTimeTrigger : public Trigger<std::optional<int64_t>> {
 public:
  static constexpr bool kCanMerge = true;
  static ContinuousEventTimeTrigger Of(absl::Duration interval) {
    return ContinuousEventTimeTrigger(absl::ToInt64Milliseconds(interval));
  }

  template <class T, class W>
  TriggerResult OnElement(const T&, EventTime timestamp, const W& window, Context& context) {
    if (window.MaxTimestamp() <= context.current_watermark()) return TriggerResult::kFire;
    context.RegisterEventTimeTimer(window.MaxTimestamp());
    if (!context.state().has_value()) {
      int64_t past = timestamp.millis() % interval_ms_;
      if (past < 0) past += interval_ms_;
      SetNext(timestamp - past, window, context);
    }
    return TriggerResult::kContinue;
  }
  template <class W>
  TriggerResult OnEventTime(EventTime time, const W& window, Context& context) {
    if (time == window.MaxTimestamp()) return TriggerResult::kFire;
    if (context.state() != time.millis()) return TriggerResult::kContinue;
    SetNext(time, window, context);
    return TriggerResult::kFire;
  }
  template <class W>
  void OnMerge(const W& window, const std::vector<State>& merged, Context& context) {
    if (window.MaxTimestamp() > context.current_watermark()) {
      context.RegisterEventTimeTimer(window.MaxTimestamp());
    }
    State next;
    for (const State& other : merged) {
      if (other.has_value()) next = std::min(next.value_or(*other), *other);
    }
    if (!next.has_value()) return;
    context.state() = next;
    context.RegisterEventTimeTimer(EventTime::FromMillis(*next));
  }
  template <class W>
  void Clear(const W& window, Context& context) {
    context.DeleteEventTimeTimer(window.MaxTimestamp());
    if (context.state().has_value()) {
      context.DeleteEventTimeTimer(EventTime::FromMillis(*context.state()));
    }
  }

 private:
  explicit ContinuousEventTimeTrigger(int64_t interval_ms)
      : interval_ms_(std::max<int64_t>(interval_ms, 1)) {}
  template <class W>
  void SetNext(EventTime time, const W& window, Context& context) {
    const EventTime next = std::min(time + interval_ms_, window.MaxTimestamp());
    context.state() = next.millis();
    context.RegisterEventTimeTimer(next);
  }
  int64_t interval_ms_;
};

/// Fires each `interval` of processing time while the window has records. With windows of
/// processing time, also at their end.
class ContinuousProcessingTimeTrigger : public Trigger<std::optional<int64_t>> {
 public:
  static constexpr bool kCanMerge = true;
  static ContinuousProcessingTimeTrigger Of(absl::Duration interval) {
    return ContinuousProcessingTimeTrigger(absl::ToInt64Milliseconds(interval));
  }

  template <class T, class W>
  TriggerResult OnElement(const T&, EventTime, const W& window, Context& context) {
    if (!context.state().has_value()) {
      const int64_t now = absl::ToUnixMillis(context.current_processing_time());
      // A first record in the window's last millisecond makes it fire in that very millisecond.
      SetNext(now - now % interval_ms_ + interval_ms_, /*earliest_ms=*/now, window, context);
    }
    return TriggerResult::kContinue;
  }
  template <class W>
  TriggerResult OnProcessingTime(absl::Time time, const W& window, Context& context) {
    if (context.state() != absl::ToUnixMillis(time)) return TriggerResult::kContinue;
    const int64_t now = absl::ToUnixMillis(time);
    SetNext(now + interval_ms_, /*earliest_ms=*/now + 1, window, context);
    return TriggerResult::kFire;
  }
  template <class W>
  void OnMerge(const W&, const std::vector<State>& merged, Context& context) {
    State next;
    for (const State& other : merged) {
      if (other.has_value()) next = std::min(next.value_or(*other), *other);
    }
    if (!next.has_value()) return;
    context.state() = next;
    context.RegisterProcessingTimeTimer(absl::FromUnixMillis(*next));
  }
  template <class W>
  void Clear(const W&, Context& context) {
    if (context.state().has_value()) {
      context.DeleteProcessingTimeTimer(absl::FromUnixMillis(*context.state()));
    }
  }

 private:
  explicit ContinuousProcessingTimeTrigger(int64_t interval_ms)
      : interval_ms_(std::max<int64_t>(interval_ms, 1)) {}
  template <class W>
  void SetNext(int64_t next_ms, int64_t earliest_ms, const W& window, Context& context) {
    // The end may be long past where the window is one of event time.
    const int64_t end_ms = window.MaxTimestamp().millis();
    if (end_ms >= earliest_ms) next_ms = std::min(next_ms, end_ms);
    context.state() = next_ms;
    context.RegisterProcessingTimeTimer(absl::FromUnixMillis(next_ms));
  }
  int64_t interval_ms_;
};

/// Fires when a record differs from the one of the last firing by more than `threshold`, by
/// delta(const T& last, const T& current) -> double.
template <class T, class Delta>
class DeltaTrigger : public Trigger<std::optional<T>> {
 public:
  using Context = typename Trigger<std::optional<T>>::Context;
  DeltaTrigger(double threshold, Delta delta) : threshold_(threshold), delta_(std::move(delta)) {}

  template <class W>
  TriggerResult OnElement(const T& element, EventTime, const W&, Context& context) {
    std::optional<T>& last = context.state();
    if (!last.has_value()) {
      last = element;
      return TriggerResult::kContinue;
    }
    if (delta_(static_cast<const T&>(*last), element) <= threshold_) {
      return TriggerResult::kContinue;
    }
    last = element;
    return TriggerResult::kFire;
  }

 private:
  double threshold_;
  Delta delta_;
};
template <class T, class Delta>
DeltaTrigger<T, Delta> MakeDeltaTrigger(double threshold, Delta delta) {
  return DeltaTrigger<T, Delta>(threshold, std::move(delta));
}

/// Makes another trigger forget the window's contents whenever it fires:
/// PurgingTrigger(CountTrigger::Of(100)).
template <class Inner>
class PurgingTrigger : public Trigger<typename Inner::State> {
 public:
  using State = typename Inner::State;
  using Context = TriggerContext<State>;
  static constexpr bool kCanMerge = Inner::kCanMerge;
  explicit PurgingTrigger(Inner inner) : inner_(std::move(inner)) {}

  template <class T, class W>
  TriggerResult OnElement(const T& element, EventTime time, const W& window, Context& context) {
    return Purge(inner_.OnElement(element, time, window, context));
  }
  template <class W>
  TriggerResult OnEventTime(EventTime time, const W& window, Context& context) {
    return Purge(inner_.OnEventTime(time, window, context));
  }
  template <class W>
  TriggerResult OnProcessingTime(absl::Time time, const W& window, Context& context) {
    return Purge(inner_.OnProcessingTime(time, window, context));
  }
  template <class W>
  void OnMerge(const W& window, const std::vector<State>& merged, Context& context) {
    inner_.OnMerge(window, merged, context);
  }
  template <class W>
  void Clear(const W& window, Context& context) {
    inner_.Clear(window, context);
  }

 private:
  static TriggerResult Purge(TriggerResult result) {
    return result == TriggerResult::kFire ? TriggerResult::kFireAndPurge : result;
  }
  Inner inner_;
};

namespace internal {

/// A trigger of any class, for records of T and windows of W.
template <class T, class W, class S>
class AnyTrigger {
 public:
  using State = S;
  using Context = TriggerContext<S>;
  virtual ~AnyTrigger() = default;
  virtual TriggerResult OnElement(const T& element, EventTime time, const W& window,
                                  Context& context) = 0;
  virtual TriggerResult OnEventTime(EventTime time, const W& window, Context& context) = 0;
  virtual TriggerResult OnProcessingTime(absl::Time time, const W& window, Context& context) = 0;
  virtual void OnMerge(const W& window, const std::vector<S>& merged, Context& context) = 0;
  virtual void Clear(const W& window, Context& context) = 0;
  [[nodiscard]] virtual std::unique_ptr<AnyTrigger> Clone() const = 0;
};

template <class T, class W, class TriggerType>
class TriggerOf final : public AnyTrigger<T, W, typename TriggerType::State> {
 public:
  using S = typename TriggerType::State;
  using Context = TriggerContext<S>;
  explicit TriggerOf(TriggerType trigger) : trigger_(std::move(trigger)) {}
  TriggerResult OnElement(const T& element, EventTime time, const W& window,
                          Context& context) override {
    return trigger_.OnElement(element, time, window, context);
  }
  TriggerResult OnEventTime(EventTime time, const W& window, Context& context) override {
    return trigger_.OnEventTime(time, window, context);
  }
  TriggerResult OnProcessingTime(absl::Time time, const W& window, Context& context) override {
    return trigger_.OnProcessingTime(time, window, context);
  }
  void OnMerge(const W& window, const std::vector<S>& merged, Context& context) override {
    trigger_.OnMerge(window, merged, context);
  }
  void Clear(const W& window, Context& context) override { trigger_.Clear(window, context); }
  [[nodiscard]] std::unique_ptr<AnyTrigger<T, W, S>> Clone() const override {
    return std::make_unique<TriggerOf>(trigger_);
  }

 private:
  TriggerType trigger_;
};

}  // namespace internal

}  // namespace weir
