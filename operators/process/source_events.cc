#include "operators/process/source_events.h"

#include <utility>

#include "absl/status/status.h"
#include "runtime/base/strings.h"
#include "runtime/record/serde.h"

namespace weir::internal {

/// What the coordinators of one alignment group tell each other.
struct AlignmentNews {
  std::string group;
  int64_t lowest_ms = EventTime::Min().millis();
};

namespace {

class EnumeratorCoordinator final : public OperatorCoordinator, public SplitEnumeratorContext {
 public:
  EnumeratorCoordinator(std::unique_ptr<SplitEnumerator> enumerator,
                        std::optional<AlignmentOptions> alignment)
      : enumerator_(std::move(enumerator)), alignment_options_(std::move(alignment)) {}

  absl::Status Start(CoordinatorContext& context, const std::string* restored) override {
    context_ = &context;
    if (alignment_options_.has_value()) {
      alignment_.emplace(*alignment_options_, context.parallelism());
      ScheduleAlignment();
    }
    return enumerator_->Start(*this, restored);
  }

  absl::Status HandleEvent(uint32_t subtask, std::string_view bytes) override {
    SourceEvent event;
    if (!FromBytes(bytes, event))
      return absl::InternalError("malformed event from a source reader");
    if (event.kind == SourceEvent::Kind::kRegister) {
      std::vector<std::string> ids;
      for (SplitBytes& split : event.splits) ids.push_back(std::move(split.id));
      return enumerator_->AddReader(subtask, ids);
    }
    if (event.kind == SourceEvent::Kind::kRequestSplit)
      return enumerator_->HandleSplitRequest(subtask);
    if (event.kind == SourceEvent::Kind::kCustom)
      return enumerator_->HandleReaderEvent(subtask, event.payload);
    if (event.kind == SourceEvent::Kind::kReportWatermark && alignment_.has_value()) {
      alignment_->OnReport(subtask, EventTime::FromMillis(event.watermark_ms));
      // The first ones wait for nothing but this.
      if (!announced_.has_value()) {
        TellOthers();
        Announce();
      }
      return absl::OkStatus();
    }
    return absl::InternalError("a source reader sent an enumerator's event");
  }

  absl::Status HandleCoordinatorEvent(OperatorId sender, std::string_view bytes) override {
    AlignmentNews news;
    if (!alignment_.has_value() || !FromBytes(bytes, news) ||
        news.group != alignment_options_->group) {
      return absl::OkStatus();
    }
    alignment_->OnOtherSource(sender, EventTime::FromMillis(news.lowest_ms));
    if (!announced_.has_value()) Announce();
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> Snapshot(CheckpointId checkpoint) override {
    return enumerator_->Snapshot(checkpoint);
  }
  absl::Status NotifyCheckpointComplete(CheckpointId checkpoint) override {
    return enumerator_->NotifyCheckpointComplete(checkpoint);
  }
  void Close() override { enumerator_->Close(); }

  // SplitEnumeratorContext:
  [[nodiscard]] uint32_t parallelism() const override { return context_->parallelism(); }
  [[nodiscard]] IoPool* io_pool() const override { return context_->io_pool(); }
  [[nodiscard]] const Clock* clock() const override { return context_->clock(); }
  [[nodiscard]] MetricGroup* metrics() override {
    return context_->metrics()->AddGroup("enumerator");
  }
  void AssignSplits(uint32_t subtask, std::vector<SourceSplit> splits) override {
    SourceEvent event{SourceEvent::Kind::kAssignSplits, {}, {}};
    for (SourceSplit& split : splits)
      event.splits.push_back({std::move(split.id), std::move(split.bytes)});
    context_->SendEvent(subtask, ToBytes(event));
  }
  void SignalInitialSplitsAssigned(uint32_t subtask) override {
    context_->SendEvent(subtask,
                        ToBytes(SourceEvent{SourceEvent::Kind::kInitialSplitsAssigned, {}, {}}));
  }
  void SignalNoMoreSplits(uint32_t subtask) override {
    context_->SendEvent(subtask, ToBytes(SourceEvent{SourceEvent::Kind::kNoMoreSplits, {}, {}}));
  }
  void SendToReader(uint32_t subtask, std::string event) override {
    context_->SendEvent(subtask,
                        ToBytes(SourceEvent{SourceEvent::Kind::kCustom, {}, std::move(event)}));
  }
  void Post(absl::AnyInvocable<absl::Status()> mail) override { context_->Post(std::move(mail)); }
  void PostAfter(absl::Duration delay, absl::AnyInvocable<absl::Status()> mail) override {
    context_->PostAfter(delay, std::move(mail));
  }
  void Fail(absl::Status reason) override { context_->Fail(std::move(reason)); }

 private:
  void ScheduleAlignment() {
    context_->PostAfter(alignment_options_->update_interval, [this] {
      TellOthers();
      Announce();
      ScheduleAlignment();
      return absl::OkStatus();
    });
  }
  // Tells the other sources how far this one has come.
  void TellOthers() {
    if (alignment_options_->num_sources == 1) return;
    context_->SendToCoordinators(
        ToBytes(AlignmentNews{alignment_options_->group, alignment_->lowest().millis()}));
  }
  // Tells the readers how far they may go.
  void Announce() {
    const EventTime max = alignment_->max_watermark();
    if (max == EventTime::Min() || max == announced_) return;
    announced_ = max;
    SourceEvent event{SourceEvent::Kind::kAlignment, {}, {}};
    event.watermark_ms = max.millis();
    const std::string bytes = ToBytes(event);
    for (uint32_t subtask = 0; subtask < context_->parallelism(); ++subtask)
      context_->SendEvent(subtask, bytes);
  }

  const std::unique_ptr<SplitEnumerator> enumerator_;
  const std::optional<AlignmentOptions> alignment_options_;
  CoordinatorContext* context_ = nullptr;
  std::optional<WatermarkAlignment> alignment_;
  std::optional<EventTime> announced_;
};

class SourceCoordinatorFactory final : public CoordinatorFactory {
 public:
  SourceCoordinatorFactory(std::shared_ptr<const SourceBase> source,
                           WatermarkAlignmentSettings alignment,
                           std::shared_ptr<const AlignmentGroups> groups)
      : source_(std::move(source)), alignment_(std::move(alignment)), groups_(std::move(groups)) {}
  [[nodiscard]] std::unique_ptr<OperatorCoordinator> Create() const override {
    std::optional<AlignmentOptions> options;
    if (!alignment_.group.empty()) {
      options.emplace(AlignmentOptions{alignment_.group, alignment_.max_drift,
                                       alignment_.update_interval, groups_->at(alignment_.group)});
    }
    return MakeEnumeratorCoordinator(source_->CreateEnumerator(), std::move(options));
  }

 private:
  const std::shared_ptr<const SourceBase> source_;
  const WatermarkAlignmentSettings alignment_;
  const std::shared_ptr<const AlignmentGroups> groups_;
};

}  // namespace

std::unique_ptr<OperatorCoordinator> MakeEnumeratorCoordinator(
    std::unique_ptr<SplitEnumerator> enumerator, std::optional<AlignmentOptions> alignment) {
  return std::make_unique<EnumeratorCoordinator>(std::move(enumerator), std::move(alignment));
}

std::shared_ptr<const CoordinatorFactory> MakeSourceCoordinatorFactory(
    std::shared_ptr<const SourceBase> source, WatermarkAlignmentSettings alignment,
    std::shared_ptr<const AlignmentGroups> groups) {
  return std::make_shared<SourceCoordinatorFactory>(std::move(source), std::move(alignment),
                                                    std::move(groups));
}

void CollectDeadLetter(SideCollectors& side_outputs, DeadLetter letter) {
  side_outputs.Collect(DeadLetterTag(), std::move(letter), EventTime::Min());
}

}  // namespace weir::internal
