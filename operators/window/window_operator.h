#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "operators/api/functions.h"
#include "operators/process/stateful_operator.h"
#include "operators/window/evictor.h"
#include "operators/window/trigger.h"
#include "operators/window/window_contents.h"
#include "operators/window/window_function.h"
#include "runtime/base/status_macros.h"
#include "runtime/record/typed_batch.h"

namespace weir::internal {

// What a WindowOperator keeps per key and window. The window that names the contents may be an
// older form of the window that they belong to, where windows merge.

/// One accumulator per window.
template <class K, class W, class In, class Aggregate, class Fn>
class AccumulatorPerWindow {
 public:
  using Accumulator = typename Aggregate::Accumulator;
  using Runner = WindowFunctionRunner<K, W, Fn>;
  static constexpr bool kCanMerge = MergeableAggregate<Aggregate>;

  AccumulatorPerWindow(Aggregate aggregate, Fn function)
      : aggregate_(std::move(aggregate)), runner_(std::move(function)) {}
  absl::Status Open(KeyedStateBackend<K>& backend) {
    ASSIGN_OR_RETURN(table_, (backend.template Table<W, Accumulator>({"window-contents"})));
    return absl::OkStatus();
  }
  [[nodiscard]] Runner& runner() { return runner_; }

  /// Returns true if there were no contents before.
  bool Add(uint64_t hash, const K& key, const W& place, const In& value, EventTime) {
    const size_t size = table_->size();
    aggregate_.Add(value, table_->Mutable(hash, key, place));
    return table_->size() != size;
  }
  void Merge(uint64_t hash, const K& key, const W& into, const W& from) {
    if constexpr (kCanMerge) {
      const Accumulator* accumulator = table_->Find(hash, key, from);
      if (accumulator == nullptr) return;
      const Accumulator copy = *accumulator;
      aggregate_.Merge(copy, table_->Mutable(hash, key, into));
      table_->Erase(hash, key, from);
    }
  }
  template <class Out>
  void Emit(uint64_t hash, const K& key, const W& window, const W& place, const EvictorContext&,
            Collector<Out>& out) {
    if (const Accumulator* accumulator = table_->Find(hash, key, place)) {
      runner_.OnResult(hash, key, window, aggregate_.GetResult(*accumulator), out);
    }
  }
  void Clear(uint64_t hash, const K& key, const W& place) { table_->Erase(hash, key, place); }

 private:
  Aggregate aggregate_;
  Runner runner_;
  ObjectTable<K, W, Accumulator>* table_ = nullptr;
};

/// The elements of each window, in the order they came.
template <class K, class W, class Element>
class ElementLists {
 public:
  absl::Status Open(KeyedStateBackend<K>& backend) {
    ASSIGN_OR_RETURN(elements_,
                     (backend.template Table<PlaceAndIndex, Element>({"window-elements"})));
    sizes_ = std::make_shared<Sizes>(/*track_changes=*/false, backend.options().memory_budget);
    elements_->ForEach(
        [&](uint64_t hash, const K& key, const PlaceAndIndex& place, const Element&) {
          uint64_t& size = sizes_->Mutable(hash, key, place.first);
          if (place.second >= size) size = place.second + 1;
        });
    return absl::OkStatus();
  }
  bool Add(uint64_t hash, const K& key, const W& place, Element element) {
    const uint64_t index = sizes_->Mutable(hash, key, place)++;
    elements_->Mutable(hash, key, {place, index}) = std::move(element);
    return index == 0;
  }
  void Read(uint64_t hash, const K& key, const W& place, std::vector<Element>& out) const {
    out.clear();
    const uint64_t* size = sizes_->Find(hash, key, place);
    for (uint64_t i = 0; size != nullptr && i < *size; ++i) {
      out.push_back(*elements_->Find(hash, key, {place, i}));
    }
  }
  void Replace(uint64_t hash, const K& key, const W& place, const std::vector<Element>& elements) {
    Clear(hash, key, place);
    for (const Element& element : elements) Add(hash, key, place, element);
  }
  void Merge(uint64_t hash, const K& key, const W& into, const W& from) {
    std::vector<Element> moved;
    Read(hash, key, from, moved);
    Clear(hash, key, from);
    for (Element& element : moved) Add(hash, key, into, std::move(element));
  }
  void Clear(uint64_t hash, const K& key, const W& place) {
    const uint64_t* size = sizes_->Find(hash, key, place);
    if (size == nullptr) return;
    for (uint64_t i = 0; i < *size; ++i) elements_->Erase(hash, key, {place, i});
    sizes_->Erase(hash, key, place);
  }

 private:
  using PlaceAndIndex = std::pair<W, uint64_t>;
  using Sizes = ObjectTable<K, W, uint64_t>;
  ObjectTable<K, PlaceAndIndex, Element>* elements_ = nullptr;
  std::shared_ptr<Sizes> sizes_;  // Not in snapshots. Shared by no one once open.
};

template <class K, class W, class In, class Fn>
class ElementsPerWindow {
 public:
  using Runner = WindowFunctionRunner<K, W, Fn>;
  static constexpr bool kCanMerge = true;

  explicit ElementsPerWindow(Fn function) : runner_(std::move(function)) {}
  absl::Status Open(KeyedStateBackend<K>& backend) { return lists_.Open(backend); }
  [[nodiscard]] Runner& runner() { return runner_; }

  bool Add(uint64_t hash, const K& key, const W& place, const In& value, EventTime) {
    return lists_.Add(hash, key, place, value);
  }
  void Merge(uint64_t hash, const K& key, const W& into, const W& from) {
    lists_.Merge(hash, key, into, from);
  }
  template <class Out>
  void Emit(uint64_t hash, const K& key, const W& window, const W& place, const EvictorContext&,
            Collector<Out>& out) {
    lists_.Read(hash, key, place, gathered_);
    if (!gathered_.empty()) runner_.OnElements(hash, key, window, gathered_, out);
  }
  void Clear(uint64_t hash, const K& key, const W& place) { lists_.Clear(hash, key, place); }

 private:
  ElementLists<K, W, In> lists_;
  Runner runner_;
  std::vector<In> gathered_;
};

/// The elements of each window with their times, for an evictor. `Aggregate` is NoAggregate, or
/// what the elements that are left are folded by.
struct NoAggregate {};
template <class K, class W, class In, class EvictorType, class Aggregate, class Fn>
class EvictedElementsPerWindow {
 public:
  using Runner = WindowFunctionRunner<K, W, Fn>;
  static constexpr bool kCanMerge = true;

  EvictedElementsPerWindow(EvictorType evictor, Aggregate aggregate, Fn function)
      : evictor_(std::move(evictor)),
        aggregate_(std::move(aggregate)),
        runner_(std::move(function)) {}
  absl::Status Open(KeyedStateBackend<K>& backend) { return lists_.Open(backend); }
  [[nodiscard]] Runner& runner() { return runner_; }

  bool Add(uint64_t hash, const K& key, const W& place, const In& value, EventTime time) {
    return lists_.Add(hash, key, place, {value, time});
  }
  void Merge(uint64_t hash, const K& key, const W& into, const W& from) {
    lists_.Merge(hash, key, into, from);
  }
  template <class Out>
  void Emit(uint64_t hash, const K& key, const W& window, const W& place,
            const EvictorContext& context, Collector<Out>& out) {
    lists_.Read(hash, key, place, gathered_);
    if (gathered_.empty()) return;
    const size_t size = gathered_.size();
    evictor_.EvictBefore(gathered_, window, context);
    if constexpr (std::is_same_v<Aggregate, NoAggregate>) {
      values_.clear();
      for (const auto& element : gathered_) values_.push_back(element.value);
      runner_.OnElements(hash, key, window, values_, out);
    } else if (!gathered_.empty()) {
      typename Aggregate::Accumulator sum{};
      for (const auto& element : gathered_) aggregate_.Add(element.value, sum);
      runner_.OnResult(hash, key, window, aggregate_.GetResult(std::as_const(sum)), out);
    }
    evictor_.EvictAfter(gathered_, window, context);
    if (gathered_.size() != size) lists_.Replace(hash, key, place, gathered_);
  }
  void Clear(uint64_t hash, const K& key, const W& place) { lists_.Clear(hash, key, place); }

 private:
  ElementLists<K, W, TimestampedValue<In>> lists_;
  EvictorType evictor_;
  Aggregate aggregate_;
  Runner runner_;
  std::vector<TimestampedValue<In>> gathered_;
  std::vector<In> values_;
};

/// A window that grew out of others, and the window that its contents are still named by.
struct MergingWindow {
  TimeWindow window;
  TimeWindow place;
};

/// Windows of any assigner with any trigger: sessions, global and count windows, early results,
/// evictors, assigners of the user's own.
///
/// State per key and window: contents, the trigger's state, timers of the trigger and one for the
/// time when all of that is forgotten. Merging windows also have, per key, the list of them;
/// merging moves contents into those of the first and leaves nothing of the others.
template <class K, class In, class Out, class KeyFn, class W, class S, class Contents>
class WindowOperator final : public KeyedOperator<K, W>, private TriggerContext<S> {
  using Base = KeyedOperator<K, W>;

 public:
  /// Appends the windows of a record; `time` is the clock's where `domain` is processing time.
  using Assign = std::function<void(const In& value, EventTime time, std::vector<W>& windows)>;
  struct Assigner {
    Assign assign;
    TimeDomain domain = TimeDomain::kEventTime;
    bool merging = false;
    bool needs_event_time = true;
    absl::Status valid;
  };

  WindowOperator(Assigner assigner, std::unique_ptr<AnyTrigger<In, W, S>> trigger, KeyFn key_of,
                 Contents contents, WindowOptions<In> options,
                 std::shared_ptr<const SideOutputs> side_outputs)
      : assigner_(std::move(assigner)),
        trigger_(std::move(trigger)),
        key_of_(std::move(key_of)),
        contents_(std::move(contents)),
        options_(std::move(options)),
        side_outputs_(std::move(side_outputs)),
        event_time_(assigner_.domain == TimeDomain::kEventTime) {}

  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output& output) override {
    const auto& batch = static_cast<const TypedBatch<In>&>(*cursor.batch);
    const auto values = batch.values();
    const auto hashes = batch.key_hashes();
    for (; cursor.row < values.size(); ++cursor.row) {
      const In& value = values[cursor.row];
      const EventTime time = batch.event_time(cursor.row);
      if (!assigned_) {
        if (event_time_ && time == EventTime::Min()) return NoEventTime();
        windows_.clear();
        assigner_.assign(value, event_time_ ? time : ProcessingNow(), windows_);
        assigned_ = true;
        next_window_ = 0;
        skipped_ = true;
      }
      decltype(auto) key = key_of_(value);
      SetKey(hashes[cursor.row], key);
      for (; next_window_ < windows_.size(); ++next_window_) {
        if (output.Full()) return Progress::kSuspended;
        AddToWindow(windows_[next_window_], value, time);
      }
      assigned_ = false;
      if (skipped_) DropIfLate(value, time);
      if (output.Full() && cursor.row + 1 < values.size()) {
        ++cursor.row;
        return Progress::kSuspended;
      }
    }
    return Progress::kDone;
  }

  void Close() override { contents_.runner().Close(); }

 protected:
  absl::Status OpenFunction(OperatorContext& context, Output& output) override {
    RETURN_IF_ERROR(assigner_.valid);
    if (options_.allowed_lateness < absl::ZeroDuration()) {
      return absl::InvalidArgumentError("the allowed lateness must not be negative");
    }
    lateness_ms_ = event_time_ ? absl::ToInt64Milliseconds(options_.allowed_lateness) : 0;
    collector_.Bind(&output.port(0));
    side_collectors_.Open(*side_outputs_, output);
    num_late_records_dropped_ = context.metrics()->AddCounter("numLateRecordsDropped");
    RETURN_IF_ERROR(contents_.Open(this->backend()));
    RETURN_IF_ERROR(contents_.runner().Open(context, this->backend(), this->operator_state(),
                                            side_collectors_));
    if (assigner_.merging && contents_.runner().has_window_state()) {
      return absl::InvalidArgumentError(
          "windows that merge, as sessions do, cannot have per-window state; use GetState");
    }
    if constexpr (kHasTriggerState) {
      ASSIGN_OR_RETURN(trigger_state_, (this->backend().template Table<W, S>({"trigger-state"})));
    }
    if constexpr (kCanMerge) {
      ASSIGN_OR_RETURN(
          merging_,
          (this->backend().template Table<VoidNamespace, MergingWindows>({"merging-windows"})));
    }
    return absl::OkStatus();
  }

  void OnWatermarkAdvanced(EventTime watermark) override {
    contents_.runner().set_watermark(watermark);
  }

  void OnTimer(TimerKind kind, const Timer<K, W>& timer) override {
    SetKey(timer.hash, timer.key);
    window_ = timer.ns;
    W place = window_;
    if (assigner_.merging && !FindPlace(window_, &place)) return;
    const bool is_event_time = kind == TimerKind::kEventTime;
    const EventTime time = EventTime::FromMillis(timer.time_ms - (is_event_time ? 0 : 1));
    Apply(is_event_time ? trigger_->OnEventTime(time, window_, *this)
                        : trigger_->OnProcessingTime(time.ToTime(), window_, *this),
          place);
    if (is_event_time == event_time_ && time == CleanupTime(window_)) Forget(window_, place);
  }

 private:
  using MergingWindows = std::vector<MergingWindow>;
  static constexpr bool kHasTriggerState = !std::is_same_v<S, NoTriggerState>;
  static constexpr bool kCanMerge = std::is_same_v<W, TimeWindow>;

  static absl::Status NoEventTime() {
    return absl::FailedPreconditionError(
        "a record of an event-time window has no event time; give the stream timestamps by "
        "AssignTimestampsAndWatermarks or its source's watermark strategy, or use windows of "
        "processing time");
  }
  [[nodiscard]] EventTime ProcessingNow() {
    return EventTime::FromTime(this->context().clock()->Now());
  }
  void SetKey(uint64_t hash, const K& key) {
    hash_ = hash;
    key_ = &key;
  }

  // When everything of the window is forgotten; Max is never.
  [[nodiscard]] EventTime CleanupTime(const W& window) const {
    return window.MaxTimestamp() + lateness_ms_;
  }
  [[nodiscard]] bool IsLate(const W& window) const {
    return event_time_ && CleanupTime(window) <= this->watermark();
  }

  void AddToWindow(const W& assigned, const In& value, EventTime time) {
    window_ = assigned;
    W place = assigned;
    bool changed = false;
    if constexpr (kCanMerge) {
      if (assigner_.merging) changed = Merge(&place);
    }
    if (IsLate(window_)) return;
    skipped_ = false;
    if (contents_.Add(hash_, *key_, place, value, time) || changed) RegisterCleanup(window_);
    Apply(trigger_->OnElement(value, time, window_, *this), place);
  }
  void Apply(TriggerResult result, const W& place) {
    const auto bits = static_cast<unsigned>(result);
    if ((bits & static_cast<unsigned>(TriggerResult::kFire)) != 0) {
      collector_.set_timestamp(window_.MaxTimestamp());
      contents_.Emit(hash_, *key_, window_, place,
                     EvictorContext{this->watermark(), this->context().clock()->Now()}, collector_);
    }
    if ((bits & static_cast<unsigned>(TriggerResult::kPurge)) != 0) {
      contents_.Clear(hash_, *key_, place);
    }
  }
  void DropIfLate(const In& value, EventTime time) {
    if (!event_time_ || time + lateness_ms_ > this->watermark()) return;
    if (options_.late_data_tag.has_value()) {
      side_collectors_.Collect(*options_.late_data_tag, value, time);
    } else {
      num_late_records_dropped_->Add();
    }
  }

  void RegisterCleanup(const W& window) {
    const EventTime time = CleanupTime(window);
    if (time == EventTime::Max()) return;
    if (event_time_) {
      this->event_timers().Register(*key_, hash_, window, time.millis());
    } else {
      RegisterProcessing(window, time.millis());
    }
  }
  void DeleteCleanup(const W& window) {
    const EventTime time = CleanupTime(window);
    if (event_time_) {
      this->event_timers().Delete(*key_, hash_, window, time.millis());
    } else {
      this->processing_timers().Delete(*key_, hash_, window, (time + 1).millis());
    }
  }
  void RegisterProcessing(const W& window, int64_t time_ms) {
    this->backend().SetCurrentKey(*key_, hash_);
    // A record may still come within the timer's own millisecond.
    this->RegisterProcessingTimer(window, (EventTime::FromMillis(time_ms) + 1).millis());
  }

  void Forget(const W& window, const W& place) {
    contents_.Clear(hash_, *key_, place);
    trigger_->Clear(window, *this);
    ClearTriggerState(window);
    if (contents_.runner().needs_clear()) contents_.runner().Clear(hash_, *key_, window);
    if constexpr (kCanMerge) {
      if (!assigner_.merging) return;
      MergingWindows& windows = merging_->Mutable(hash_, *key_);
      std::erase_if(windows, [&](const MergingWindow& w) { return w.window == window; });
      if (windows.empty()) merging_->Erase(hash_, *key_);
    }
  }
  void ClearTriggerState(const W& window) {
    if constexpr (kHasTriggerState) trigger_state_->Erase(hash_, *key_, window);
  }

  bool FindPlace(const W& window, W* place) const {
    if constexpr (kCanMerge) {
      const MergingWindows* windows = merging_->Find(hash_, *key_);
      for (size_t i = 0; windows != nullptr && i < windows->size(); ++i) {
        if ((*windows)[i].window != window) continue;
        *place = (*windows)[i].place;
        return true;
      }
    }
    return false;
  }

  // Joins window_, which a record was assigned, with those of its key that it touches: window_
  // becomes what they are together. Returns whether that is a window that was not there before.
  bool Merge(W* place) {
    const MergingWindows* known = merging_->Find(hash_, *key_);
    const W assigned = window_;
    const MergingWindow* only = nullptr;
    size_t touched = 0;
    for (size_t i = 0; known != nullptr && i < known->size(); ++i) {
      if (!(*known)[i].window.Intersects(assigned)) continue;
      window_ = window_.Cover((*known)[i].window);
      only = &(*known)[i];
      ++touched;
    }
    if (touched == 1 && window_ == only->window) {
      *place = only->place;
      return false;
    }
    if (touched == 0) {
      if (!IsLate(window_)) merging_->Mutable(hash_, *key_).push_back({window_, window_});
      return true;
    }
    MergingWindows& windows = merging_->Mutable(hash_, *key_);
    merged_.clear();
    const auto kept = std::stable_partition(
        windows.begin(), windows.end(),
        [&](const MergingWindow& w) { return !w.window.Intersects(assigned); });
    merged_.assign(kept, windows.end());
    windows.erase(kept, windows.end());
    *place = merged_.front().place;
    windows.push_back({window_, *place});
    MergeTriggers();
    for (size_t i = 1; i < merged_.size(); ++i) {
      contents_.Merge(hash_, *key_, *place, merged_[i].place);
    }
    return true;
  }
  void MergeTriggers() {
    const W result = window_;
    std::vector<S> states;
    for (const MergingWindow& old : merged_) {
      window_ = old.window;
      if constexpr (kHasTriggerState) {
        if (const S* state = trigger_state_->Find(hash_, *key_, window_)) states.push_back(*state);
      }
      trigger_->Clear(window_, *this);
      ClearTriggerState(window_);
      DeleteCleanup(window_);
    }
    window_ = result;
    trigger_->OnMerge(window_, states, *this);
  }

  // TriggerContext, of window_ and the current key.
  [[nodiscard]] EventTime current_watermark() const override { return this->watermark(); }
  [[nodiscard]] absl::Time current_processing_time() const override {
    return const_cast<WindowOperator*>(this)->context().clock()->Now();
  }
  [[nodiscard]] S& state() override {
    if constexpr (kHasTriggerState) {
      return trigger_state_->Mutable(hash_, *key_, window_);
    } else {
      return no_state_;
    }
  }
  void RegisterEventTimeTimer(EventTime time) override {
    this->event_timers().Register(*key_, hash_, window_, time.millis());
  }
  void DeleteEventTimeTimer(EventTime time) override {
    this->event_timers().Delete(*key_, hash_, window_, time.millis());
  }
  void RegisterProcessingTimeTimer(absl::Time time) override {
    RegisterProcessing(window_, absl::ToUnixMillis(time));
  }
  void DeleteProcessingTimeTimer(absl::Time time) override {
    this->processing_timers().Delete(*key_, hash_, window_,
                                     (EventTime::FromTime(time) + 1).millis());
  }

  const Assigner assigner_;
  const std::unique_ptr<AnyTrigger<In, W, S>> trigger_;
  KeyFn key_of_;
  Contents contents_;
  const WindowOptions<In> options_;
  const std::shared_ptr<const SideOutputs> side_outputs_;
  const bool event_time_;
  int64_t lateness_ms_ = 0;
  Collector<Out> collector_;
  SideCollectors side_collectors_;
  Counter* num_late_records_dropped_ = nullptr;
  ObjectTable<K, W, S>* trigger_state_ = nullptr;
  ObjectTable<K, VoidNamespace, MergingWindows>* merging_ = nullptr;

  // The key and window that the trigger is called for.
  uint64_t hash_ = 0;
  const K* key_ = nullptr;
  W window_{};
  [[no_unique_address]] NoTriggerState no_state_;
  MergingWindows merged_;

  // The record at the cursor: its windows, and how far they are done.
  std::vector<W> windows_;
  size_t next_window_ = 0;
  bool assigned_ = false;
  bool skipped_ = false;
};

}  // namespace weir::internal
