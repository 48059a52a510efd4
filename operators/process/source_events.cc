#include "operators/process/source_events.h"

#include <utility>

#include "absl/status/status.h"
#include "runtime/base/strings.h"
#include "runtime/record/serde.h"

namespace weir::internal {
namespace {

class EnumeratorCoordinator final : public OperatorCoordinator, public SplitEnumeratorContext {
 public:
  explicit EnumeratorCoordinator(std::unique_ptr<SplitEnumerator> enumerator)
      : enumerator_(std::move(enumerator)) {}

  absl::Status Start(CoordinatorContext& context, const std::string* restored) override {
    context_ = &context;
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
    return absl::InternalError("a source reader sent an enumerator's event");
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
  const std::unique_ptr<SplitEnumerator> enumerator_;
  CoordinatorContext* context_ = nullptr;
};

}  // namespace

std::unique_ptr<OperatorCoordinator> MakeEnumeratorCoordinator(
    std::unique_ptr<SplitEnumerator> enumerator) {
  return std::make_unique<EnumeratorCoordinator>(std::move(enumerator));
}

void CollectDeadLetter(SideCollectors& side_outputs, DeadLetter letter) {
  side_outputs.Collect(DeadLetterTag(), std::move(letter), EventTime::Min());
}

}  // namespace weir::internal
