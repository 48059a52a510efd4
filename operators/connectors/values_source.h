#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "operators/api/source.h"

namespace weir {

namespace internal {

inline constexpr const char* kValuesSplit = "values";
/// Gives the one split of a ValuesSource to the first reader that comes.
[[nodiscard]] std::unique_ptr<SplitEnumerator> MakeValuesEnumerator();

/// What of a ValuesSource's reader does not depend on the type of the values.
class ValuesReaderState {
 public:
  explicit ValuesReaderState(size_t num_values) : num_values_(num_values) {}
  void Start(SourceReaderContext& context) { context_ = &context; }
  [[nodiscard]] absl::Status AddSplits(const std::vector<SourceSplit>& splits);
  void NotifyNoMoreSplits();
  void Pause(bool pause);
  /// What Poll returns if no value may be emitted now.
  [[nodiscard]] std::optional<ReadStatus> NothingToRead() const;
  [[nodiscard]] bool AtEnd() const { return *next_ >= num_values_; }
  [[nodiscard]] size_t TakeNext() { return (*next_)++; }
  void Finish() { next_.reset(); }
  [[nodiscard]] std::vector<SourceSplit> Snapshot() const;
  [[nodiscard]] bool IsCaughtUp() const { return !next_.has_value(); }

 private:
  const size_t num_values_;
  SourceReaderContext* context_ = nullptr;
  std::optional<uint64_t> next_;  // Of the values; nothing without a split to read.
  bool no_more_splits_ = false;
  bool paused_ = false;
};

}  // namespace internal

/// A bounded source of values that are part of the job itself: rules read when it was built, a
/// table, an example. One reader emits them in order, without event time, exactly once.
template <class T>
class ValuesSource final : public Source<T> {
 public:
  explicit ValuesSource(std::vector<T> values)
      : values_(std::make_shared<const std::vector<T>>(std::move(values))) {}

  [[nodiscard]] std::unique_ptr<SplitEnumerator> CreateEnumerator() const override {
    return internal::MakeValuesEnumerator();
  }
  [[nodiscard]] std::unique_ptr<SourceReader<T>> CreateReader() const override {
    return std::make_unique<Reader>(values_);
  }

 private:
  static constexpr size_t kValuesPerPoll = 1024;

  class Reader final : public SourceReader<T> {
   public:
    explicit Reader(std::shared_ptr<const std::vector<T>> values)
        : values_(std::move(values)), state_(values_->size()) {}

    absl::Status Start(SourceReaderContext& context) override {
      state_.Start(context);
      return absl::OkStatus();
    }
    absl::Status AddSplits(std::vector<SourceSplit> splits) override {
      return state_.AddSplits(splits);
    }
    void NotifyNoMoreSplits() override { state_.NotifyNoMoreSplits(); }
    [[nodiscard]] bool SupportsPausing() const override { return true; }
    absl::Status PauseOrResumeSplits(const std::vector<std::string>& to_pause,
                                     const std::vector<std::string>&) override {
      state_.Pause(!to_pause.empty());
      return absl::OkStatus();
    }
    absl::StatusOr<ReadStatus> Poll(SourceOutput<T>& output) override {
      if (const auto nothing = state_.NothingToRead()) return *nothing;
      for (size_t emitted = 0; !state_.AtEnd(); ++emitted) {
        if (emitted == kValuesPerPoll || output.Full()) return ReadStatus::kMore;
        output.Collect((*values_)[state_.TakeNext()], EventTime::Min(), internal::kValuesSplit);
      }
      output.SplitFinished(internal::kValuesSplit);
      state_.Finish();
      return ReadStatus::kMore;
    }
    std::vector<SourceSplit> Snapshot(CheckpointId) override { return state_.Snapshot(); }
    [[nodiscard]] bool IsCaughtUp() const override { return state_.IsCaughtUp(); }

   private:
    const std::shared_ptr<const std::vector<T>> values_;
    internal::ValuesReaderState state_;
  };

  std::shared_ptr<const std::vector<T>> values_;
};

}  // namespace weir
