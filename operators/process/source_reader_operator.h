#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operators/api/source.h"
#include "operators/api/watermark_strategy.h"
#include "operators/process/source_events.h"
#include "operators/process/stateful_operator.h"
#include "runtime/base/status_macros.h"
#include "runtime/task/collector.h"
#include "runtime/task/operator.h"

namespace weir::internal {

/// Runs a SourceReader as the head of a chain: gives records their event times, follows the
/// watermark of each split (the lowest of the active ones counts), and speaks with the enumerator.
template <class T>
class SourceReaderOperator final : public SourceOperator,
                                   public SourceOutput<T>,
                                   public SourceReaderContext {
 public:
  SourceReaderOperator(std::shared_ptr<const Source<T>> source, WatermarkStrategy<T> strategy,
                       std::shared_ptr<const SideOutputs> side_outputs)
      : source_(std::move(source)),
        strategy_(std::move(strategy)),
        side_outputs_(std::move(side_outputs)) {}

  absl::Status Open(OperatorContext& context, Output& output,
                    std::vector<OperatorSubtaskState> restored) override {
    context_ = &context;
    collector_.Bind(&output.port(0));
    side_collectors_.Open(*side_outputs_, output);
    RETURN_IF_ERROR(state_.Open(std::move(restored)));
    ASSIGN_OR_RETURN(const OperatorListState<SplitBytes> stored,
                     state_.backend().GetListState(SplitsDescriptor()));
    std::vector<SourceSplit> splits;
    for (const SplitBytes& split : stored.Get()) splits.push_back({split.id, split.bytes});
    reader_ = source_->CreateReader();
    RETURN_IF_ERROR(reader_->Start(*this));
    SourceEvent registration{SourceEvent::Kind::kRegister, {}, {}};
    for (const SourceSplit& split : splits) registration.splits.push_back({split.id, ""});
    AddSplits(splits);
    if (!splits.empty()) RETURN_IF_ERROR(reader_->AddSplits(std::move(splits)));
    context_->SendToCoordinator(ToBytes(registration));
    return absl::OkStatus();
  }

  absl::StatusOr<PollResult> Poll(Output& output) override {
    if (!strategy_.has_watermarks() && !idle_) SetIdle(true, output);
    got_record_ = false;
    absl::StatusOr<ReadStatus> read = reader_->Poll(*this);
    RETURN_IF_ERROR(read.status());
    if (strategy_.has_watermarks()) AdvanceWatermark(output);
    if (!caught_up_ && initial_splits_assigned_ && reader_->IsCaughtUp()) {
      caught_up_ = true;
      output.EmitControl(CaughtUp{});
    }
    if (*read == ReadStatus::kEnd) {
      output.EmitWatermark(EventTime::Max());
      return PollResult::kEnd;
    }
    if (*read == ReadStatus::kNothing) ScheduleIdleCheck();
    return *read == ReadStatus::kMore ? PollResult::kMore : PollResult::kNothing;
  }

  absl::Status HandleCoordinatorEvent(std::string_view bytes) override {
    SourceEvent event;
    if (!FromBytes(bytes, event))
      return absl::InternalError("malformed event from the split enumerator");
    switch (event.kind) {
      case SourceEvent::Kind::kAssignSplits: {
        std::vector<SourceSplit> splits;
        for (SplitBytes& split : event.splits)
          splits.push_back({std::move(split.id), std::move(split.bytes)});
        AddSplits(splits);
        return reader_->AddSplits(std::move(splits));
      }
      case SourceEvent::Kind::kNoMoreSplits:
        reader_->NotifyNoMoreSplits();
        return absl::OkStatus();
      case SourceEvent::Kind::kInitialSplitsAssigned:
        initial_splits_assigned_ = true;
        return absl::OkStatus();
      case SourceEvent::Kind::kCustom:
        return reader_->HandleEnumeratorEvent(event.payload);
      case SourceEvent::Kind::kRegister:
      case SourceEvent::Kind::kRequestSplit:
        break;
    }
    return absl::InternalError("the split enumerator sent a reader's event");
  }

  absl::StatusOr<OperatorSnapshot> Snapshot(CheckpointId checkpoint) override {
    ASSIGN_OR_RETURN(OperatorListState<SplitBytes> stored,
                     state_.backend().GetListState(SplitsDescriptor()));
    std::vector<SplitBytes> splits;
    for (SourceSplit& split : reader_->Snapshot(checkpoint)) {
      splits.push_back({std::move(split.id), std::move(split.bytes)});
    }
    stored.Update(std::move(splits));
    return state_.Snapshot();
  }
  absl::Status NotifyCheckpointComplete(CheckpointId checkpoint) override {
    return reader_->NotifyCheckpointComplete(checkpoint);
  }
  void Close() override {
    if (reader_ != nullptr) reader_->Close();
  }

  // SourceOutput:
  void Collect(T record, EventTime source_time, std::string_view split_id) override {
    const EventTime time = strategy_.TimestampOf(record, source_time);
    got_record_ = true;
    if (strategy_.has_watermarks()) {
      SplitProgress& progress = ProgressOf(split_id);
      progress.tracker.OnRecord(time);
      progress.got_record = true;
    }
    collector_.Collect(std::move(record), time);
  }
  void CollectAt(T record, EventTime source_time, std::string_view split_id, uint64_t) override {
    Collect(std::move(record), source_time, split_id);  // Not virtual here: one call a record.
  }
  void CollectDeadLetter(DeadLetter letter) override {
    internal::CollectDeadLetter(side_collectors_, std::move(letter));
  }
  void SplitFinished(std::string_view split_id) override {
    const auto found = progress_.find(split_id);
    if (found == progress_.end()) return;
    if (last_progress_ == &found->second) last_progress_ = nullptr;
    finished_ = std::max(finished_, found->second.tracker.Current(strategy_.bound_ms()));
    progress_.erase(found);
  }
  [[nodiscard]] bool Full() const override { return collector_.Full(); }

  // SourceReaderContext:
  [[nodiscard]] const OperatorContext::Place& place() const override { return context_->place(); }
  [[nodiscard]] IoPool* io_pool() const override { return context_->io_pool(); }
  [[nodiscard]] const Clock* clock() const override { return context_->clock(); }
  [[nodiscard]] const std::shared_ptr<TaskHandle>& handle() const override {
    return context_->handle();
  }
  [[nodiscard]] MetricGroup* metrics() const override { return context_->metrics(); }
  void RequestSplit() override {
    context_->SendToCoordinator(ToBytes(SourceEvent{SourceEvent::Kind::kRequestSplit, {}, {}}));
  }
  void SendToEnumerator(std::string event) override {
    context_->SendToCoordinator(
        ToBytes(SourceEvent{SourceEvent::Kind::kCustom, {}, std::move(event)}));
  }

 private:
  struct SplitProgress {
    WatermarkTracker tracker;
    absl::Time last_record;
    bool idle = false;
    bool got_record = false;  // Since the watermark was last computed.
  };

  static OperatorListStateDescriptor<SplitBytes> SplitsDescriptor() { return {"splits"}; }

  void AddSplits(const std::vector<SourceSplit>& splits) {
    for (const SourceSplit& split : splits) {
      progress_[split.id].last_record = context_->clock()->Now();
    }
  }

  SplitProgress& ProgressOf(std::string_view split_id) {
    if (last_progress_ == nullptr || last_split_id_ != split_id) {
      auto found = progress_.find(split_id);
      if (found == progress_.end())
        found = progress_.emplace(std::string(split_id), SplitProgress{}).first;
      last_progress_ = &found->second;
      last_split_id_ = found->first;
    }
    return *last_progress_;
  }

  // The lowest watermark over the splits that are not idle; a split that has read nothing yet holds
  // it at Min.
  void AdvanceWatermark(Output& output) {
    const absl::Time now = context_->clock()->Now();
    EventTime lowest = EventTime::Max();
    bool any_active = false;
    for (auto& [id, progress] : progress_) {
      if (progress.got_record) progress.last_record = now;
      progress.got_record = false;
      progress.idle = now - progress.last_record >= strategy_.idle_timeout();
      if (progress.idle) continue;
      any_active = true;
      lowest = std::min(lowest, progress.tracker.Current(strategy_.bound_ms()));
    }
    // With no split left, time has come as far as the furthest that ended.
    if (progress_.empty()) lowest = finished_;
    if (any_active || progress_.empty()) SetIdle(false, output);
    if ((any_active || progress_.empty()) && lowest > emitted_) {
      emitted_ = lowest;
      output.EmitWatermark(lowest);
    }
    if (!any_active && !progress_.empty() && !got_record_) SetIdle(true, output);
  }

  void SetIdle(bool idle, Output& output) {
    if (idle_ == idle) return;
    idle_ = idle;
    output.EmitControl(WatermarkStatus{idle});
  }

  // The step that finds a split idle must happen although nothing else wakes the task.
  void ScheduleIdleCheck() {
    if (!strategy_.has_watermarks() || strategy_.idle_timeout() == absl::InfiniteDuration() ||
        idle_)
      return;
    const absl::Time now = context_->clock()->Now();
    if (next_idle_check_ > now) return;
    next_idle_check_ = now + strategy_.idle_timeout();
    context_->handle()->WakeAt(next_idle_check_);
  }

  const std::shared_ptr<const Source<T>> source_;
  const WatermarkStrategy<T> strategy_;
  const std::shared_ptr<const SideOutputs> side_outputs_;
  SideCollectors side_collectors_;
  OperatorContext* context_ = nullptr;
  OperatorStateHolder state_;
  std::unique_ptr<SourceReader<T>> reader_;
  Collector<T> collector_;
  std::map<std::string, SplitProgress, std::less<>> progress_;
  SplitProgress* last_progress_ = nullptr;
  std::string_view last_split_id_;
  EventTime emitted_ = EventTime::Min();
  EventTime finished_ = EventTime::Min();  // The furthest watermark of splits that ended.
  bool idle_ = false;
  bool got_record_ = false;
  bool initial_splits_assigned_ = false;
  bool caught_up_ = false;
  absl::Time next_idle_check_ = absl::InfinitePast();
};

}  // namespace weir::internal
