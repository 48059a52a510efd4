#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "operators/api/functions.h"
#include "operators/cep/internal/pattern_matcher.h"
#include "operators/cep/pattern.h"
#include "operators/cep/pattern_process_function.h"
#include "operators/process/stateful_operator.h"
#include "runtime/base/status_macros.h"
#include "runtime/record/typed_batch.h"

namespace weir::internal {

/// How a pattern is looked for.
template <class T>
struct CepOptions {
  /// False: by processing time, in the order that events come in.
  bool event_time = true;
  /// Where events at or before the watermark go, if anyone wants them.
  std::optional<OutputTag<T>> late_data;
};

/// Looks for a pattern per key.
///
/// In event time a record waits in state until the watermark has reached its time, so that the
/// matcher sees a key's events in the order of their times (of equal times, as they came): one
/// timer per key and time. Timers also end what ran out of time.
template <class K, class Fn, class KeyFn>
class CepOperator final : public KeyedOperator<K, VoidNamespace>,
                          public PatternMatchSink<typename Fn::Input> {
 public:
  using T = typename Fn::Input;
  using Out = typename Fn::OutputRecord;

  CepOperator(Pattern<T> pattern, CepOptions<T> options, Fn function, KeyFn key_of,
              std::shared_ptr<const SideOutputs> side_outputs)
      : matcher_(std::move(pattern), kWantsTimeouts),
        options_(std::move(options)),
        function_(std::move(function)),
        key_of_(std::move(key_of)),
        side_outputs_(std::move(side_outputs)) {}

  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output& output) override {
    const auto& batch = static_cast<const TypedBatch<T>&>(*cursor.batch);
    const auto values = batch.values();
    const auto hashes = batch.key_hashes();
    while (cursor.row < values.size()) {
      const T& value = values[cursor.row];
      this->backend().SetCurrentKey(key_of_(value), hashes[cursor.row]);
      if (options_.event_time) {
        Keep(value, batch.event_time(cursor.row));
      } else {
        const int64_t now_ms = absl::ToUnixMillis(this->context().clock()->Now());
        ProcessOne(value, now_ms);
      }
      ++cursor.row;
      if (output.Full()) return cursor.AtEnd() ? Progress::kDone : Progress::kSuspended;
    }
    return Progress::kDone;
  }

  // PatternMatchSink:
  void OnMatch(const PatternMatch<T>& match, int64_t time_ms) override {
    SetTime(time_ms);
    function_.Fn::ProcessMatch(match, *function_context_, collector_);
  }
  void OnTimedOut(const PatternMatch<T>& match, int64_t time_ms) override {
    SetTime(time_ms);
    function_.Fn::ProcessTimedOutMatch(match, *function_context_, collector_);
  }
  void OnTimeLimit(int64_t time_ms) override {
    if (options_.event_time) {
      RegisterEventTimer(time_ms);
    } else {
      this->RegisterProcessingTimer({}, time_ms);
    }
  }

 protected:
  absl::Status OpenFunction(OperatorContext& context, Output& output) override {
    collector_.Bind(&output.port(0));
    side_collectors_.Open(*side_outputs_, output);
    function_context_.emplace(&context, &side_collectors_);
    late_records_ = context.metrics()->AddCounter("numLateRecordsDropped");
    ASSIGN_OR_RETURN(partial_,
                     (this->backend().template Table<VoidNamespace, State>({"partial-matches"})));
    ASSIGN_OR_RETURN(waiting_, (this->backend().template Lists<int64_t, T>({"waiting-events"})));
    return absl::OkStatus();
  }

  void OnTimer(TimerKind, const Timer<K, VoidNamespace>& timer) override {
    const K& key = timer.key;
    const uint64_t hash = timer.hash;
    Advance(timer.time_ms);
    if (!options_.event_time) return;
    const size_t count = waiting_->Size(hash, key, timer.time_ms);
    for (size_t i = 0; i < count; ++i) {
      ProcessOne(waiting_->At(hash, key, timer.time_ms, i), timer.time_ms);
    }
    if (count > 0) waiting_->Clear(hash, key, timer.time_ms);
    if (timer.time_ms == kEndOfTime) EndMatches();
  }
  void OnWatermarkAdvanced(EventTime watermark) override {
    function_context_->set_watermark(watermark);
  }

 private:
  using State = PartialMatches<T>;
  // Whether the function overrides what it hears of timed-out matches by.
  static constexpr bool kWantsTimeouts =
      !std::is_same_v<decltype(&Fn::ProcessTimedOutMatch),
                      decltype(&PatternProcessFunction<T, Out>::ProcessTimedOutMatch)>;
  // Of the timer that fires when no further event can come.
  static constexpr int64_t kEndOfTime = std::numeric_limits<int64_t>::max();

  void Keep(const T& value, EventTime time) {
    if (time <= this->watermark()) {
      late_records_->Add();
      if (options_.late_data.has_value())
        side_collectors_.Collect(*options_.late_data, value, time);
      return;
    }
    const K& key = this->backend().current_key();
    const uint64_t hash = this->backend().current_hash();
    const bool first = waiting_->Size(hash, key, time.millis()) == 0;
    waiting_->Add(hash, key, time.millis(), value);
    if (first) RegisterEventTimer(time.millis());
  }

  void ProcessOne(const T& value, int64_t time_ms) {
    const K& key = this->backend().current_key();
    const uint64_t hash = this->backend().current_hash();
    State* state = partial_->FindMutable(hash, key);
    if (state == nullptr) {
      if (matcher_.BeginsNothing(value, time_ms)) return;
      state = &partial_->Mutable(hash, key);
    }
    matcher_.AdvanceTime(*state, time_ms, *this);
    matcher_.Process(*state, value, time_ms, *this);
    Settle(*state);
  }
  void Advance(int64_t time_ms) {
    State* state =
        partial_->FindMutable(this->backend().current_hash(), this->backend().current_key());
    if (state == nullptr) return;
    matcher_.AdvanceTime(*state, time_ms, *this);
    Settle(*state);
  }
  void EndMatches() {
    State* state =
        partial_->FindMutable(this->backend().current_hash(), this->backend().current_key());
    if (state == nullptr) return;
    matcher_.End(*state, *this);
    Settle(*state);
  }
  // After a change of the current key's state.
  void Settle(State& state) {
    if (state.empty()) {
      partial_->Erase(this->backend().current_hash(), this->backend().current_key());
    } else if (!state.completed.empty() && options_.event_time) {
      RegisterEventTimer(kEndOfTime);
    }
  }
  void RegisterEventTimer(int64_t time_ms) {
    this->event_timers().Register(this->backend().current_key(), this->backend().current_hash(), {},
                                  time_ms);
  }
  void SetTime(int64_t time_ms) {
    function_context_->set_timestamp(EventTime::FromMillis(time_ms));
    collector_.set_timestamp(EventTime::FromMillis(time_ms));
  }

  PatternMatcher<T> matcher_;
  const CepOptions<T> options_;
  Fn function_;
  KeyFn key_of_;
  const std::shared_ptr<const SideOutputs> side_outputs_;
  Collector<Out> collector_;
  SideCollectors side_collectors_;
  std::optional<FunctionContext> function_context_;
  Counter* late_records_ = nullptr;
  ObjectTable<K, VoidNamespace, State>* partial_ = nullptr;
  ListTable<K, int64_t, T>* waiting_ = nullptr;
};

}  // namespace weir::internal
