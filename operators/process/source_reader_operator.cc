#include "operators/process/source_reader_operator.h"

#include <algorithm>

#include "runtime/base/status_macros.h"

namespace weir::internal {
namespace {

constexpr size_t kMaxReportedSplits = 16;
constexpr absl::Duration kReportInterval = absl::Seconds(1);

OperatorListStateDescriptor<SplitBytes> SplitsDescriptor() { return {"splits"}; }

}  // namespace

SourceReaderOperatorBase::SourceReaderOperatorBase(Settings settings,
                                                   std::shared_ptr<const SideOutputs> side_outputs)
    : settings_(std::move(settings)), side_outputs_(std::move(side_outputs)) {}

SourceReaderOperatorBase::~SourceReaderOperatorBase() = default;

absl::Status SourceReaderOperatorBase::Open(OperatorContext& context, Output& output,
                                            std::vector<OperatorSubtaskState> restored) {
  context_ = &context;
  output_ = &output;
  BindCollector(&output.port(0));
  side_collectors_.Open(*side_outputs_, output);
  combined_.emplace(settings_.idle_timeout, context_->clock()->Now());
  RETURN_IF_ERROR(state_.Open(std::move(restored)));
  ASSIGN_OR_RETURN(const OperatorListState<SplitBytes> stored,
                   state_.backend().GetListState(SplitsDescriptor()));
  std::vector<SourceSplit> splits;
  for (const SplitBytes& split : stored.Get()) splits.push_back({split.id, split.bytes});
  reader_ = MakeReader();
  RETURN_IF_ERROR(reader_->Start(*this));
  SourceEvent registration{SourceEvent::Kind::kRegister, {}, {}};
  for (const SourceSplit& split : splits) registration.splits.push_back({split.id, ""});
  FollowSplits(splits);
  if (!splits.empty()) RETURN_IF_ERROR(reader_->AddSplits(std::move(splits)));
  context_->SendToCoordinator(ToBytes(registration));
  return absl::OkStatus();
}

absl::StatusOr<SourceReaderOperatorBase::PollResult> SourceReaderOperatorBase::Poll(
    Output& output) {
  if (!has_watermarks() && !std::exchange(told_idle_, true))
    output.EmitControl(WatermarkStatus{true});
  ReadStatus read = ReadStatus::kNothing;
  if (!reader_paused_) {
    ASSIGN_OR_RETURN(read, PollReader());
  }
  if (has_watermarks()) RETURN_IF_ERROR(AdvanceWatermark(read));
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

absl::Status SourceReaderOperatorBase::HandleCoordinatorEvent(std::string_view bytes) {
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

absl::StatusOr<OperatorSnapshot> SourceReaderOperatorBase::Snapshot(CheckpointId checkpoint) {
  ASSIGN_OR_RETURN(OperatorListState<SplitBytes> stored,
                   state_.backend().GetListState(SplitsDescriptor()));
  std::vector<SplitBytes> splits;
  for (SourceSplit& split : reader_->Snapshot(checkpoint)) {
    splits.push_back({std::move(split.id), std::move(split.bytes)});
  }
  stored.Update(std::move(splits));
  return state_.Snapshot();
}

absl::Status SourceReaderOperatorBase::NotifyCheckpointComplete(CheckpointId checkpoint) {
  return reader_->NotifyCheckpointComplete(checkpoint);
}

void SourceReaderOperatorBase::Close() {
  if (reader_ != nullptr) reader_->Close();
}

void SourceReaderOperatorBase::RequestSplit() {
  context_->SendToCoordinator(ToBytes(SourceEvent{SourceEvent::Kind::kRequestSplit, {}, {}}));
}

void SourceReaderOperatorBase::SendToEnumerator(std::string event) {
  context_->SendToCoordinator(
      ToBytes(SourceEvent{SourceEvent::Kind::kCustom, {}, std::move(event)}));
}

void SourceReaderOperatorBase::PutDeadLetter(DeadLetter letter) {
  CollectDeadLetter(side_collectors_, std::move(letter));
}

void SourceReaderOperatorBase::EndSplit(std::string_view split_id) {
  const auto found = progress_.find(split_id);
  if (found == progress_.end()) return;
  if (last_progress_ == &found->second) last_progress_ = nullptr;
  found->second.split->watermark = found->second.tracker->Current();
  combined_->Remove(split_id);
  progress_.erase(found);
}

void SourceReaderOperatorBase::Activate() {
  if (combined_->Activate()) output_->EmitControl(WatermarkStatus{false});
}

void SourceReaderOperatorBase::FindProgress(std::string_view split_id) {
  last_progress_ = &Follow(split_id);
  last_split_id_ = progress_.find(split_id)->first;
}

void SourceReaderOperatorBase::FollowSplits(const std::vector<SourceSplit>& splits) {
  for (const SourceSplit& split : splits) Follow(split.id);
}

SourceReaderOperatorBase::SplitProgress& SourceReaderOperatorBase::Follow(std::string_view id) {
  const auto found = progress_.find(id);
  if (found != progress_.end()) return found->second;
  SplitProgress progress{NewTracker(), &combined_->Add(id, context_->clock()->Now())};
  return progress_.emplace(std::string(id), std::move(progress)).first->second;
}

absl::Status SourceReaderOperatorBase::AdvanceWatermark(ReadStatus read) {
  const absl::Time now = context_->clock()->Now();
  for (auto& [id, progress] : progress_) {
    progress.tracker->OnPeriodicEmit();
    progress.split->watermark = progress.tracker->Current();
    progress.split->marked_idle = progress.tracker->marked_idle();
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

absl::Status SourceReaderOperatorBase::Align() {
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

void SourceReaderOperatorBase::ReportAlignment(absl::Time now, ReadStatus read) {
  if (!aligned()) return;
  const EventTime watermark =
      read == ReadStatus::kEnd ? EventTime::Max() : combined_->AlignmentWatermark();
  // The end, and the first that is known at all, do not wait.
  const bool at_once =
      read == ReadStatus::kEnd || reported_.value_or(watermark) == EventTime::Min();
  if (reported_ == watermark || (now < next_alignment_ && !at_once)) return;
  next_alignment_ = now + settings_.alignment.update_interval;
  reported_ = watermark;
  SourceEvent report{SourceEvent::Kind::kReportWatermark, {}, {}};
  report.watermark_ms = watermark.millis();
  context_->SendToCoordinator(ToBytes(report));
}

void SourceReaderOperatorBase::ScheduleWake(absl::Time now) {
  absl::Time next = combined_->NextIdleTime();
  if (settings_.has_generator) next = std::min(next, now + context_->auto_watermark_interval());
  if (combined_->changed()) next = std::min(next, next_report_);
  if (aligned() && reported_ != combined_->AlignmentWatermark())
    next = std::min(next, next_alignment_);
  if (next == absl::InfiniteFuture() || (next_wake_ > now && next_wake_ <= next)) return;
  next_wake_ = next;
  context_->handle()->WakeAt(next);
}

}  // namespace weir::internal
