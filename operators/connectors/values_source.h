#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "operators/api/source.h"
#include "runtime/record/serde.h"

namespace weir {

/// A bounded source of values that are part of the job itself: rules read when it was built, a
/// table, an example. One reader emits them in order, without event time, exactly once.
template <class T>
class ValuesSource final : public Source<T> {
 public:
  explicit ValuesSource(std::vector<T> values)
      : values_(std::make_shared<const std::vector<T>>(std::move(values))) {}

  [[nodiscard]] std::unique_ptr<SplitEnumerator> CreateEnumerator() const override {
    return std::make_unique<Enumerator>();
  }
  [[nodiscard]] std::unique_ptr<SourceReader<T>> CreateReader() const override {
    return std::make_unique<Reader>(values_);
  }

 private:
  static constexpr const char* kSplit = "values";
  static constexpr size_t kValuesPerPoll = 1024;

  /// Gives the one split to the first reader that comes.
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
        context_->AssignSplits(subtask, {{kSplit, ToBytes(uint64_t{0})}});
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

  class Reader final : public SourceReader<T> {
   public:
    explicit Reader(std::shared_ptr<const std::vector<T>> values) : values_(std::move(values)) {}

    absl::Status Start(SourceReaderContext& context) override {
      context_ = &context;
      return absl::OkStatus();
    }
    absl::Status AddSplits(std::vector<SourceSplit> splits) override {
      uint64_t next = 0;
      if (!FromBytes(splits.front().bytes, next)) {
        return absl::DataLossError("the split of a values source is damaged");
      }
      next_ = next;
      context_->handle()->Wake();
      return absl::OkStatus();
    }
    void NotifyNoMoreSplits() override {
      no_more_splits_ = true;
      context_->handle()->Wake();
    }
    [[nodiscard]] bool SupportsPausing() const override { return true; }
    absl::Status PauseOrResumeSplits(const std::vector<std::string>& to_pause,
                                     const std::vector<std::string>&) override {
      paused_ = !to_pause.empty();
      if (!paused_) context_->handle()->Wake();
      return absl::OkStatus();
    }
    absl::StatusOr<ReadStatus> Poll(SourceOutput<T>& output) override {
      if (paused_) return ReadStatus::kNothing;
      if (!next_.has_value()) return no_more_splits_ ? ReadStatus::kEnd : ReadStatus::kNothing;
      size_t emitted = 0;
      while (*next_ < values_->size()) {
        if (output.Full()) return ReadStatus::kMore;
        output.Collect((*values_)[(*next_)++], EventTime::Min(), kSplit);
        if (++emitted % kValuesPerPoll == 0) return ReadStatus::kMore;
      }
      output.SplitFinished(kSplit);
      next_.reset();
      return ReadStatus::kMore;
    }
    std::vector<SourceSplit> Snapshot(CheckpointId) override {
      if (!next_.has_value()) return {};
      return {{kSplit, ToBytes(*next_)}};
    }
    [[nodiscard]] bool IsCaughtUp() const override { return !next_.has_value(); }

   private:
    const std::shared_ptr<const std::vector<T>> values_;
    SourceReaderContext* context_ = nullptr;
    std::optional<uint64_t> next_;  // Of the values; nothing without a split to read.
    bool no_more_splits_ = false;
    bool paused_ = false;
  };

  std::shared_ptr<const std::vector<T>> values_;
};

}  // namespace weir
