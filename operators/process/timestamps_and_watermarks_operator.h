#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "operators/api/watermark_strategy.h"
#include "runtime/record/typed_batch.h"
#include "runtime/task/collector.h"
#include "runtime/task/operator.h"

namespace weir::internal {

/// Gives records event times by a WatermarkStrategy and emits its watermarks, in place of those
/// from upstream; only the last one, at the end of the input, passes.
template <class T>
class TimestampsAndWatermarksOperator final : public StreamOperator {
 public:
  explicit TimestampsAndWatermarksOperator(WatermarkStrategy<T> strategy)
      : strategy_(std::move(strategy)), tracker_(strategy_) {}

  absl::Status Open(OperatorContext& context, Output& output,
                    std::vector<OperatorSubtaskState>) override {
    context_ = &context;
    collector_.Bind(&output.port(0));
    last_record_ = context.clock()->Now();
    ScheduleWake(last_record_);
    return absl::OkStatus();
  }

  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output& output) override {
    const auto& batch = static_cast<const TypedBatch<T>&>(*cursor.batch);
    const auto values = batch.values();
    if (!tracker_.marked_idle()) SetIdle(false, output);
    suspect_ = false;
    if (cursor.row == 0 && cursor.batch.IsUnique()) {
      // The batch itself goes on, with other times.
      std::vector<EventTime> times;
      times.reserve(values.size());
      for (; cursor.row < values.size(); ++cursor.row) {
        times.push_back(strategy_.TimestampOf(values[cursor.row], batch.event_time(cursor.row)));
        tracker_.OnRecord(values[cursor.row], times.back());
      }
      collector_.Flush();
      cursor.batch.MakeUnique().SetEventTimes(std::move(times));
      output.port(0).EmitBatch(std::move(cursor.batch));
    }
    while (cursor.batch && cursor.row < values.size()) {
      const EventTime time =
          strategy_.TimestampOf(values[cursor.row], batch.event_time(cursor.row));
      tracker_.OnRecord(values[cursor.row], time);
      collector_.Collect(values[cursor.row], time);
      ++cursor.row;
      if (output.Full() && !cursor.AtEnd()) return Progress::kSuspended;
    }
    last_record_ = context_->clock()->Now();
    EmitPeriodically(output);
    return Progress::kDone;
  }

  absl::StatusOr<Progress> ProcessWatermark(Watermark watermark, Output& output) override {
    if (watermark.time == EventTime::Max()) EmitIfAdvanced(watermark.time, output);
    return Progress::kDone;
  }

  // Whether the stream is idle follows from its records, not from what the source made of
  // watermarks it does not have.
  void ProcessWatermarkStatus(WatermarkStatus, Output&) override {}

  absl::StatusOr<Progress> OnWake(Output& output) override {
    const absl::Time now = context_->clock()->Now();
    if (strategy_.has_generator() && now >= next_emit_) EmitPeriodically(output);
    if (!idle_ && now >= last_record_ + strategy_.idle_timeout()) {
      // Records may have waited for room in the output meanwhile. If there are any, they come in
      // this step, before the next wake.
      if (std::exchange(suspect_, true)) SetIdle(true, output);
    }
    ScheduleWake(now);
    return Progress::kDone;
  }

 private:
  void EmitPeriodically(Output& output) {
    if (!strategy_.has_watermarks()) return;
    tracker_.OnPeriodicEmit();
    next_emit_ = context_->clock()->Now() + context_->auto_watermark_interval();
    EmitIfAdvanced(tracker_.Current(), output);
    if (tracker_.marked_idle()) SetIdle(true, output);
  }
  void EmitIfAdvanced(EventTime watermark, Output& output) {
    if (watermark <= emitted_) return;
    if (!tracker_.marked_idle()) SetIdle(false, output);
    emitted_ = watermark;
    output.EmitWatermark(watermark);
  }
  void SetIdle(bool idle, Output& output) {
    if (idle_ == idle) return;
    idle_ = idle;
    output.EmitControl(WatermarkStatus{idle});
  }
  void ScheduleWake(absl::Time now) {
    absl::Time next = absl::InfiniteFuture();
    if (!idle_) next = last_record_ + strategy_.idle_timeout();
    if (suspect_ && !idle_) next = now + kConfirmation;
    if (strategy_.has_generator()) {
      if (next_emit_ <= now) next_emit_ = now + context_->auto_watermark_interval();
      next = std::min(next, next_emit_);
    }
    if (next == absl::InfiniteFuture() || (next_wake_ > now && next_wake_ <= next)) return;
    next_wake_ = next;
    context_->handle()->WakeAt(next);
  }

  static constexpr absl::Duration kConfirmation = absl::Milliseconds(1);

  const WatermarkStrategy<T> strategy_;
  WatermarkTracker<T> tracker_;
  OperatorContext* context_ = nullptr;
  Collector<T> collector_;
  EventTime emitted_ = EventTime::Min();
  bool idle_ = false;
  bool suspect_ = false;  // Silent for the idle timeout when last looked at.
  absl::Time last_record_;
  absl::Time next_emit_ = absl::InfinitePast();
  absl::Time next_wake_ = absl::InfinitePast();
};

}  // namespace weir::internal
