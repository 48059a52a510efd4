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

/// Runs a ProcessFunction, or, with a second broadcast input, a BroadcastProcessFunction.
/// `Fn` is the user's own class, so that its ProcessElement is called without a virtual call.
template <class Fn>
class ProcessOperator final : public StreamOperator {
 public:
  using In = typename Fn::Input;
  using Out = typename Fn::OutputRecord;
  static constexpr bool kHasBroadcastInput = requires { typename Fn::BroadcastInput; };

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
    if constexpr (kHasBroadcastInput) {
      if (input == 1) {
        return Loop<typename Fn::BroadcastInput>(cursor, output, [this](const auto& value) {
          function_.Fn::ProcessBroadcastElement(value, *function_context_, collector_);
        });
      }
    }
    return Loop<In>(cursor, output, [this](const In& value) {
      function_.Fn::ProcessElement(value, *function_context_, collector_);
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

/// Runs a KeyedProcessFunction or, with a second broadcast input, a KeyedBroadcastProcessFunction.
template <class Fn, class KeyFn>
class KeyedProcessOperator final : public KeyedOperator<typename Fn::Key, VoidNamespace>,
                                   public TimerService {
 public:
  using K = typename Fn::Key;
  using In = typename Fn::Input;
  using Out = typename Fn::OutputRecord;
  using Base = KeyedOperator<K, VoidNamespace>;
  static constexpr bool kHasBroadcastInput = requires { typename Fn::BroadcastInput; };

  KeyedProcessOperator(Fn function, KeyFn key_of, std::shared_ptr<const SideOutputs> side_outputs)
      : function_(std::move(function)),
        key_of_(std::move(key_of)),
        side_outputs_(std::move(side_outputs)) {}

  absl::StatusOr<Progress> ProcessBatch(uint32_t input, BatchCursor& cursor,
                                        Output& output) override {
    if constexpr (kHasBroadcastInput) {
      if (input == 1) return ProcessBroadcastBatch(cursor, output);
    }
    const auto& batch = static_cast<const TypedBatch<In>&>(*cursor.batch);
    const auto values = batch.values();
    const auto hashes = batch.key_hashes();
    while (cursor.row < values.size()) {
      const In& value = values[cursor.row];
      SetTime(batch.event_time(cursor.row));
      this->backend().SetCurrentKey(key_of_(value), hashes[cursor.row]);
      function_.Fn::ProcessElement(value, *function_context_, collector_);
      ++cursor.row;
      if (output.Full()) return cursor.AtEnd() ? Progress::kDone : Progress::kSuspended;
    }
    return Progress::kDone;
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

  Progress ProcessBroadcastBatch(BatchCursor& cursor, Output& output) {
    if constexpr (kHasBroadcastInput) {
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
  const std::shared_ptr<const SideOutputs> side_outputs_;
  Collector<Out> collector_;
  SideCollectors side_collectors_;
  std::optional<KeyedContext<K>> function_context_;
  std::optional<FunctionContext> broadcast_context_;
};

}  // namespace weir::internal
