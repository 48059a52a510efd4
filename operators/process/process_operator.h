#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "operators/api/functions.h"
#include "operators/process/stateful_operator.h"
#include "runtime/base/status_macros.h"
#include "runtime/record/typed_batch.h"

namespace weir::internal {

/// A function whose second input is broadcast, or one of two inputs alike.
template <class Fn>
concept BroadcastFunction = requires { typename Fn::BroadcastInput; };
template <class Fn>
concept CoFunction = requires { typename Fn::Input2; };

/// The records of a function's first input.
template <class Fn>
struct FirstInputOf {
  using Type = typename Fn::Input;
};
template <CoFunction Fn>
struct FirstInputOf<Fn> {
  using Type = typename Fn::Input1;
};

/// Runs a ProcessFunction or, with a second input, a BroadcastProcessFunction or CoProcessFunction.
/// `Fn` is the user's own class, so that its ProcessElement is called without a virtual call.
template <class Fn>
class ProcessOperator final : public StreamOperator {
 public:
  using In = typename FirstInputOf<Fn>::Type;
  using Out = typename Fn::OutputRecord;

  ProcessOperator(Fn function, std::shared_ptr<const SideOutputs> side_outputs)
      : function_(std::move(function)), side_outputs_(std::move(side_outputs)) {}

  absl::Status Open(OperatorContext& context, Output& output,
                    std::vector<OperatorSubtaskState> restored) override {
    RETURN_IF_ERROR(state_.Open(std::move(restored)));
    collector_.Bind(&output.port(0));
    side_collectors_.Open(*side_outputs_, output);
    function_context_.emplace(&context, &side_collectors_);
    OpenContext open_context(&context, &state_.backend());
    return function_.Open(open_context);
  }

  absl::StatusOr<Progress> ProcessBatch(uint32_t input, BatchCursor& cursor,
                                        Output& output) override {
    if constexpr (BroadcastFunction<Fn>) {
      if (input == 1) {
        return Loop<typename Fn::BroadcastInput>(cursor, output, [this](const auto& value) {
          function_.Fn::ProcessBroadcastElement(value, *function_context_, collector_);
        });
      }
    }
    if constexpr (CoFunction<Fn>) {
      if (input == 1) {
        return Loop<typename Fn::Input2>(cursor, output, [this](const auto& value) {
          function_.Fn::ProcessElement2(value, *function_context_, collector_);
        });
      }
    }
    return Loop<In>(cursor, output, [this](const In& value) {
      if constexpr (CoFunction<Fn>) {
        function_.Fn::ProcessElement1(value, *function_context_, collector_);
      } else {
        function_.Fn::ProcessElement(value, *function_context_, collector_);
      }
    });
  }

  absl::StatusOr<Progress> ProcessWatermark(Watermark watermark, Output& output) override {
    function_context_->set_watermark(watermark.time);
    return StreamOperator::ProcessWatermark(watermark, output);
  }

  absl::StatusOr<OperatorSnapshot> Snapshot(CheckpointId) override { return state_.Snapshot(); }
  void Close() override { function_.Close(); }

 private:
  template <class T, class Body>
  Progress Loop(BatchCursor& cursor, Output& output, Body body) {
    const auto& batch = static_cast<const TypedBatch<T>&>(*cursor.batch);
    const auto values = batch.values();
    while (cursor.row < values.size()) {
      const EventTime time = batch.event_time(cursor.row);
      function_context_->set_timestamp(time);
      collector_.set_timestamp(time);
      body(values[cursor.row]);
      ++cursor.row;
      if (output.Full()) return cursor.AtEnd() ? Progress::kDone : Progress::kSuspended;
    }
    return Progress::kDone;
  }

  Fn function_;
  const std::shared_ptr<const SideOutputs> side_outputs_;
  OperatorStateHolder state_;
  Collector<Out> collector_;
  SideCollectors side_collectors_;
  std::optional<FunctionContext> function_context_;
};

/// Stands for the key selector of a second input that there is not, or that has no key.
struct NoKeySelector {};

/// Runs a KeyedProcessFunction or, with a second input, a KeyedBroadcastProcessFunction or a
/// KeyedCoProcessFunction; `KeyFn2` selects the keys of the latter's second input.
template <class Fn, class KeyFn, class KeyFn2 = NoKeySelector>
class KeyedProcessOperator final : public KeyedOperator<typename Fn::Key, VoidNamespace>,
                                   public TimerService {
 public:
  using K = typename Fn::Key;
  using In = typename FirstInputOf<Fn>::Type;
  using Out = typename Fn::OutputRecord;
  using Base = KeyedOperator<K, VoidNamespace>;

  KeyedProcessOperator(Fn function, KeyFn key_of, std::shared_ptr<const SideOutputs> side_outputs,
                       KeyFn2 second_key_of = {})
      : function_(std::move(function)),
        key_of_(std::move(key_of)),
        second_key_of_(std::move(second_key_of)),
        side_outputs_(std::move(side_outputs)) {}

  absl::StatusOr<Progress> ProcessBatch(uint32_t input, BatchCursor& cursor,
                                        Output& output) override {
    if constexpr (BroadcastFunction<Fn>) {
      if (input == 1) return ProcessBroadcastBatch(cursor, output);
    }
    if constexpr (CoFunction<Fn>) {
      if (input == 1) {
        return Loop<typename Fn::Input2>(cursor, output, second_key_of_, [this](const auto& value) {
          function_.Fn::ProcessElement2(value, *function_context_, collector_);
        });
      }
    }
    return Loop<In>(cursor, output, key_of_, [this](const In& value) {
      if constexpr (CoFunction<Fn>) {
        function_.Fn::ProcessElement1(value, *function_context_, collector_);
      } else {
        function_.Fn::ProcessElement(value, *function_context_, collector_);
      }
    });
  }

  void Close() override { function_.Close(); }

  void RegisterEventTimeTimer(EventTime time) override {
    this->event_timers().Register(this->backend().current_key(), this->backend().current_hash(), {},
                                  time.millis());
  }
  void DeleteEventTimeTimer(EventTime time) override {
    this->event_timers().Delete(this->backend().current_key(), this->backend().current_hash(), {},
                                time.millis());
  }
  void RegisterProcessingTimeTimer(absl::Time time) override {
    this->RegisterProcessingTimer({}, absl::ToUnixMillis(time));
  }
  void DeleteProcessingTimeTimer(absl::Time time) override {
    this->processing_timers().Delete(this->backend().current_key(), this->backend().current_hash(),
                                     {}, absl::ToUnixMillis(time));
  }

 protected:
  absl::Status OpenFunction(OperatorContext& context, Output& output) override {
    collector_.Bind(&output.port(0));
    side_collectors_.Open(*side_outputs_, output);
    function_context_.emplace(&context, &side_collectors_, &this->backend(), this);
    broadcast_context_.emplace(&context, &side_collectors_);
    KeyedOpenContext<K> open_context(&context, &this->backend(), &this->operator_state());
    return function_.Open(open_context);
  }

  void OnTimer(TimerKind kind, const Timer<K, VoidNamespace>& timer) override {
    SetTime(EventTime::FromMillis(timer.time_ms));
    function_.Fn::OnTimer(kind, *function_context_, collector_);
  }
  void OnWatermarkAdvanced(EventTime watermark) override {
    function_context_->set_watermark(watermark);
    broadcast_context_->set_watermark(watermark);
  }

 private:
  void SetTime(EventTime time) {
    function_context_->set_timestamp(time);
    collector_.set_timestamp(time);
  }

  template <class T, class Selector, class Body>
  Progress Loop(BatchCursor& cursor, Output& output, Selector& key_of, Body body) {
    const auto& batch = static_cast<const TypedBatch<T>&>(*cursor.batch);
    const auto values = batch.values();
    const auto hashes = batch.key_hashes();
    while (cursor.row < values.size()) {
      const T& value = values[cursor.row];
      SetTime(batch.event_time(cursor.row));
      this->backend().SetRecordTime(batch.event_time(cursor.row));
      this->backend().SetCurrentKey(key_of(value), hashes[cursor.row]);
      body(value);
      ++cursor.row;
      if (output.Full()) return cursor.AtEnd() ? Progress::kDone : Progress::kSuspended;
    }
    return Progress::kDone;
  }

  Progress ProcessBroadcastBatch(BatchCursor& cursor, Output& output) {
    if constexpr (BroadcastFunction<Fn>) {
      const auto& batch =
          static_cast<const TypedBatch<typename Fn::BroadcastInput>&>(*cursor.batch);
      const auto values = batch.values();
      while (cursor.row < values.size()) {
        broadcast_context_->set_timestamp(batch.event_time(cursor.row));
        collector_.set_timestamp(batch.event_time(cursor.row));
        function_.Fn::ProcessBroadcastElement(values[cursor.row], *broadcast_context_, collector_);
        ++cursor.row;
        if (output.Full()) return cursor.AtEnd() ? Progress::kDone : Progress::kSuspended;
      }
    }
    return Progress::kDone;
  }

  Fn function_;
  KeyFn key_of_;
  [[no_unique_address]] KeyFn2 second_key_of_;
  const std::shared_ptr<const SideOutputs> side_outputs_;
  Collector<Out> collector_;
  SideCollectors side_collectors_;
  std::optional<KeyedContext<K>> function_context_;
  std::optional<FunctionContext> broadcast_context_;
};

}  // namespace weir::internal
