#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operators/api/source.h"
#include "operators/api/watermark_strategy.h"
#include "operators/process/combined_watermark.h"
#include "operators/process/source_events.h"
#include "operators/process/stateful_operator.h"
#include "runtime/base/status_macros.h"
#include "runtime/task/collector.h"
#include "runtime/task/operator.h"

namespace weir::internal {

/// Runs a SourceReader as the head of a chain: gives records their event times, follows the
/// watermark of each split (the lowest of the active ones counts), pauses splits that are ahead of
/// their alignment group, and speaks with the enumerator.
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
    output_ = &output;
    collector_.Bind(&output.port(0));
    side_collectors_.Open(*side_outputs_, output);
    combined_.emplace(strategy_.idle_timeout(), context_->clock()->Now());
    RETURN_IF_ERROR(state_.Open(std::move(restored)));
    ASSIGN_OR_RETURN(const OperatorListState<SplitBytes> stored,
                     state_.backend().GetListState(SplitsDescriptor()));
    std::vector<SourceSplit> splits;
    for (const SplitBytes& split : stored.Get()) splits.push_back({split.id, split.bytes});
    reader_ = source_->CreateReader();
    RETURN_IF_ERROR(reader_->Start(*this));
    SourceEvent registration{SourceEvent::Kind::kRegister, {}, {}};
    for (const SourceSplit& split : splits) registration.splits.push_back({split.id, ""});
    FollowSplits(splits);
    if (!splits.empty()) RETURN_IF_ERROR(reader_->AddSplits(std::move(splits)));
    context_->SendToCoordinator(ToBytes(registration));
    return absl::OkStatus();
  }

  absl::StatusOr<PollResult> Poll(Output& output) override {
    if (!strategy_.has_watermarks() && !std::exchange(told_idle_, true))
      output.EmitControl(WatermarkStatus{true});
    ReadStatus read = ReadStatus::kNothing;
    if (!reader_paused_) {
      ASSIGN_OR_RETURN(read, reader_->Poll(*this));
    }
    if (strategy_.has_watermarks()) RETURN_IF_ERROR(AdvanceWatermark(read));
    if (!caught_up_ && initial_splits_assigned_ && reader_->IsCaughtUp()) {
      caught_up_ = true;
      output.EmitControl(CaughtUp{});
    }
    if (read == ReadStatus::kEnd) {
      output.EmitWatermark(EventTime::Max());
      return PollResult::kEnd;
    }
    return read == ReadStatus::kMore ? PollResult::kMore : PollResult::kNothing;
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
        FollowSplits(splits);
        return reader_->AddSplits(std::move(splits));
      }
      case SourceEvent::Kind::kNoMoreSplits:
        reader_->NotifyNoMoreSplits();
        return absl::OkStatus();
      case SourceEvent::Kind::kInitialSplitsAssigned:
        initial_splits_assigned_ = true;
        combined_->ExpectNoSplits();
        return absl::OkStatus();
      case SourceEvent::Kind::kAlignment:
        max_watermark_ = EventTime::FromMillis(event.watermark_ms);
        return Align();
      case SourceEvent::Kind::kCustom:
        return reader_->HandleEnumeratorEvent(event.payload);
      case SourceEvent::Kind::kRegister:
      case SourceEvent::Kind::kRequestSplit:
      case SourceEvent::Kind::kReportWatermark:
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
    if (strategy_.has_watermarks()) {
      // The stream is active before the record that makes it so.
      if (combined_->idle() && combined_->Activate()) [[unlikely]]
        output_->EmitControl(WatermarkStatus{false});
      SplitProgress& progress = ProgressOf(split_id);
      progress.tracker.OnRecord(record, time);
      progress.split->got_record = true;
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
    found->second.split->watermark = found->second.tracker.Current();
    combined_->Remove(split_id);
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
    WatermarkTracker<T> tracker;
    CombinedWatermark::Split* split;
  };

  static constexpr size_t kMaxReportedSplits = 16;
  static constexpr absl::Duration kReportInterval = absl::Seconds(1);

  static OperatorListStateDescriptor<SplitBytes> SplitsDescriptor() { return {"splits"}; }
  [[nodiscard]] bool aligned() const { return !strategy_.alignment().group.empty(); }

  void FollowSplits(const std::vector<SourceSplit>& splits) {
    for (const SourceSplit& split : splits) Follow(split.id);
  }
  SplitProgress& Follow(std::string_view id) {
    const auto found = progress_.find(id);
    if (found != progress_.end()) return found->second;
    SplitProgress progress{WatermarkTracker<T>(strategy_),
                           &combined_->Add(id, context_->clock()->Now())};
    return progress_.emplace(std::string(id), std::move(progress)).first->second;
  }
  SplitProgress& ProgressOf(std::string_view split_id) {
    if (last_progress_ == nullptr || last_split_id_ != split_id) {
      last_progress_ = &Follow(split_id);
      last_split_id_ = progress_.find(split_id)->first;
    }
    return *last_progress_;
  }

  absl::Status AdvanceWatermark(ReadStatus read) {
    const absl::Time now = context_->clock()->Now();
    for (auto& [id, progress] : progress_) {
      progress.tracker.OnPeriodicEmit();
      progress.split->watermark = progress.tracker.Current();
      progress.split->marked_idle = progress.tracker.marked_idle();
    }
    const CombinedWatermark::Outcome outcome = combined_->Update(now, was_blocked_);
    if (outcome.became_active) output_->EmitControl(WatermarkStatus{false});
    if (outcome.watermark.has_value()) output_->EmitWatermark(*outcome.watermark);
    if (outcome.became_idle) output_->EmitControl(WatermarkStatus{true});
    RETURN_IF_ERROR(Align());
    ReportAlignment(now, read);
    if (combined_->changed() && now >= next_report_) {
      next_report_ = now + kReportInterval;
      combined_->ClearChanged();
      context_->ReportSplitWatermarks(combined_->Describe(kMaxReportedSplits));
    }
    // While the output is full nobody asks for records, and no split can give any.
    was_blocked_ = output_->Full();
    if (read == ReadStatus::kNothing) ScheduleWake(now);
    return absl::OkStatus();
  }

  // Pauses what is too far ahead, and lets go on what no longer is.
  absl::Status Align() {
    if (!aligned()) return absl::OkStatus();
    if (!reader_->SupportsPausing()) {
      const bool ahead = combined_->AlignmentWatermark() > max_watermark_ && !progress_.empty() &&
                         !combined_->idle();
      if (ahead != reader_paused_) context_->handle()->Wake();
      reader_paused_ = ahead;
      for (auto& [id, progress] : progress_) progress.split->paused = ahead;
      return absl::OkStatus();
    }
    std::vector<std::string> to_pause;
    std::vector<std::string> to_resume;
    for (auto& [id, progress] : progress_) {
      const bool ahead = progress.split->watermark > max_watermark_;
      if (ahead == progress.split->paused) continue;
      progress.split->paused = ahead;
      (ahead ? to_pause : to_resume).push_back(id);
    }
    if (to_pause.empty() && to_resume.empty()) return absl::OkStatus();
    return reader_->PauseOrResumeSplits(to_pause, to_resume);
  }

  void ReportAlignment(absl::Time now, ReadStatus read) {
    if (!aligned()) return;
    const EventTime watermark =
        read == ReadStatus::kEnd ? EventTime::Max() : combined_->AlignmentWatermark();
    // The end, and the first that is known at all, do not wait.
    const bool at_once =
        read == ReadStatus::kEnd || reported_.value_or(watermark) == EventTime::Min();
    if (reported_ == watermark || (now < next_alignment_ && !at_once)) return;
    next_alignment_ = now + strategy_.alignment().update_interval;
    reported_ = watermark;
    SourceEvent report{SourceEvent::Kind::kReportWatermark, {}, {}};
    report.watermark_ms = watermark.millis();
    context_->SendToCoordinator(ToBytes(report));
  }

  // What is due without records must happen although nothing else wakes the task.
  void ScheduleWake(absl::Time now) {
    absl::Time next = combined_->NextIdleTime();
    if (strategy_.has_generator()) next = std::min(next, now + context_->auto_watermark_interval());
    if (combined_->changed()) next = std::min(next, next_report_);
    if (aligned() && reported_ != combined_->AlignmentWatermark())
      next = std::min(next, next_alignment_);
    if (next == absl::InfiniteFuture() || (next_wake_ > now && next_wake_ <= next)) return;
    next_wake_ = next;
    context_->handle()->WakeAt(next);
  }

  const std::shared_ptr<const Source<T>> source_;
  const WatermarkStrategy<T> strategy_;
  const std::shared_ptr<const SideOutputs> side_outputs_;
  SideCollectors side_collectors_;
  OperatorContext* context_ = nullptr;
  Output* output_ = nullptr;
  OperatorStateHolder state_;
  std::unique_ptr<SourceReader<T>> reader_;
  Collector<T> collector_;
  std::optional<CombinedWatermark> combined_;
  std::map<std::string, SplitProgress, std::less<>> progress_;
  SplitProgress* last_progress_ = nullptr;
  std::string_view last_split_id_;
  bool told_idle_ = false;  // Of a stream without watermarks.
  bool was_blocked_ = false;
  bool initial_splits_assigned_ = false;
  bool caught_up_ = false;
  absl::Time next_wake_ = absl::InfinitePast();
  absl::Time next_report_ = absl::InfinitePast();
  // Alignment.
  EventTime max_watermark_ = EventTime::Min();  // How far splits may come.
  std::optional<EventTime> reported_;
  absl::Time next_alignment_ = absl::InfinitePast();
  bool reader_paused_ = false;  // As a whole, because it cannot pause splits.
};

}  // namespace weir::internal
