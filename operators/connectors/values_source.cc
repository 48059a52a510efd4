#include "operators/connectors/values_source.h"

#include "runtime/record/serde.h"

namespace weir::internal {
namespace {

class Enumerator final : public SplitEnumerator {
 public:
  absl::Status Start(SplitEnumeratorContext& context, const std::string* restored) override {
    context_ = &context;
    if (restored != nullptr && !FromBytes(*restored, assigned_)) {
      return absl::DataLossError("the checkpoint of a values source is damaged");
    }
    return absl::OkStatus();
  }
  absl::Status AddReader(uint32_t subtask, const std::vector<std::string>&) override {
    if (!std::exchange(assigned_, true)) {
      context_->AssignSplits(subtask, {{kValuesSplit, ToBytes(uint64_t{0})}});
    }
    context_->SignalInitialSplitsAssigned(subtask);
    context_->SignalNoMoreSplits(subtask);
    return absl::OkStatus();
  }
  absl::Status HandleSplitRequest(uint32_t) override { return absl::OkStatus(); }
  absl::StatusOr<std::string> Snapshot(CheckpointId) override { return ToBytes(assigned_); }

 private:
  SplitEnumeratorContext* context_ = nullptr;
  bool assigned_ = false;
};

}  // namespace

std::unique_ptr<SplitEnumerator> MakeValuesEnumerator() { return std::make_unique<Enumerator>(); }

absl::Status ValuesReaderState::AddSplits(const std::vector<SourceSplit>& splits) {
  uint64_t next = 0;
  if (!FromBytes(splits.front().bytes, next)) {
    return absl::DataLossError("the split of a values source is damaged");
  }
  next_ = next;
  context_->handle()->Wake();
  return absl::OkStatus();
}

void ValuesReaderState::NotifyNoMoreSplits() {
  no_more_splits_ = true;
  context_->handle()->Wake();
}

void ValuesReaderState::Pause(bool pause) {
  paused_ = pause;
  if (!paused_) context_->handle()->Wake();
}

std::optional<ReadStatus> ValuesReaderState::NothingToRead() const {
  if (paused_) return ReadStatus::kNothing;
  if (!next_.has_value()) return no_more_splits_ ? ReadStatus::kEnd : ReadStatus::kNothing;
  return std::nullopt;
}

std::vector<SourceSplit> ValuesReaderState::Snapshot() const {
  if (!next_.has_value()) return {};
  return {{kValuesSplit, ToBytes(*next_)}};
}

}  // namespace weir::internal
