#pragma once

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
      : strategy_(std::move(strategy)) {}

  absl::Status Open(OperatorContext& context, Output& output,
                    std::vector<OperatorSubtaskState>) override {
    context_ = &context;
    collector_.Bind(&output.port(0));
    last_record_ = context.clock()->Now();
    ScheduleIdleCheck();
    return absl::OkStatus();
  }

  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output& output) override {
    const auto& batch = static_cast<const TypedBatch<T>&>(*cursor.batch);
    const auto values = batch.values();
    SetIdle(false, output);
    while (cursor.row < values.size()) {
      const EventTime time =
          strategy_.TimestampOf(values[cursor.row], batch.event_time(cursor.row));
      tracker_.OnRecord(time);
      collector_.Collect(values[cursor.row], time);
      ++cursor.row;
      if (output.Full() && !cursor.AtEnd()) return Progress::kSuspended;
    }
    last_record_ = context_->clock()->Now();
    if (strategy_.has_watermarks()) EmitIfAdvanced(tracker_.Current(strategy_.bound_ms()), output);
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
    if (strategy_.idle_timeout() == absl::InfiniteDuration() || idle_) return Progress::kDone;
    if (context_->clock()->Now() - last_record_ >= strategy_.idle_timeout()) {
      SetIdle(true, output);
    } else if (context_->clock()->Now() >= next_check_) {
      ScheduleIdleCheck();
    }
    return Progress::kDone;
  }

 private:
  void EmitIfAdvanced(EventTime watermark, Output& output) {
    if (watermark <= emitted_) return;
    emitted_ = watermark;
    output.EmitWatermark(watermark);
  }
  void SetIdle(bool idle, Output& output) {
    if (idle_ == idle) return;
    idle_ = idle;
    output.EmitControl(WatermarkStatus{idle});
    if (!idle) ScheduleIdleCheck();
  }
  void ScheduleIdleCheck() {
    if (strategy_.idle_timeout() == absl::InfiniteDuration()) return;
    next_check_ = last_record_ + strategy_.idle_timeout();
    context_->handle()->WakeAt(next_check_);
  }

  const WatermarkStrategy<T> strategy_;
  OperatorContext* context_ = nullptr;
  Collector<T> collector_;
  WatermarkTracker tracker_;
  EventTime emitted_ = EventTime::Min();
  bool idle_ = false;
  absl::Time last_record_;
  absl::Time next_check_;
};

}  // namespace weir::internal
