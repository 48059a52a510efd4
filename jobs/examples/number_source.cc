#include "jobs/examples/number_source.h"

#include <algorithm>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/record/serde.h"

namespace weir::examples {
namespace {

constexpr int64_t kMaxRecordsPerSplit = 1'000'000;
constexpr int64_t kRecordsPerPoll = 1024;

/// Records [next, end) of the sequence.
struct Range {
  int64_t next = 0;
  int64_t end = 0;
};

SourceSplit ToSplit(const std::string& id, const Range& range) { return {id, ToBytes(range)}; }

// A bijective mix of 64 bits (splitmix64, by S. Vigna): event i without drawing the ones before it.
uint64_t Mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

class NumberEnumerator final : public SplitEnumerator {
 public:
  explicit NumberEnumerator(const NumberSourceOptions& options)
      : records_(options.records), splits_per_reader_(options.splits_per_reader) {}

  absl::Status Start(SplitEnumeratorContext& context, const std::string* restored) override {
    context_ = &context;
    if (restored != nullptr && !FromBytes(*restored, next_)) {
      return absl::DataLossError("the number source's checkpoint is damaged");
    }
    return absl::OkStatus();
  }
  // A reader that has no split yet is not idle: another may be ahead of the one that it will get,
  // whose records would be late.
  absl::Status AddReader(uint32_t, const std::vector<std::string>&) override {
    return absl::OkStatus();
  }
  absl::Status HandleSplitRequest(uint32_t subtask) override {
    if (next_ >= records_) {
      context_->SignalInitialSplitsAssigned(subtask);
      context_->SignalNoMoreSplits(subtask);
      return absl::OkStatus();
    }
    const int64_t share = records_ / (splits_per_reader_ * int64_t{context_->parallelism()}) + 1;
    const Range range{next_, std::min(records_, next_ + std::min(share, kMaxRecordsPerSplit))};
    next_ = range.end;
    context_->AssignSplits(subtask, {ToSplit(StrCat("from-", range.next), range)});
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> Snapshot(CheckpointId) override { return ToBytes(next_); }

 private:
  const int64_t records_;
  const int64_t splits_per_reader_;
  SplitEnumeratorContext* context_ = nullptr;
  int64_t next_ = 0;
};

class NumberReader final : public SourceReader<Event> {
 public:
  explicit NumberReader(const NumberSourceOptions& options) : options_(options) {}

  absl::Status Start(SourceReaderContext& context) override {
    context_ = &context;
    rate_ = options_.rate / context.place().parallelism;
    started_ = context.clock()->Now();
    return absl::OkStatus();
  }
  absl::Status AddSplits(std::vector<SourceSplit> splits) override {
    for (SourceSplit& split : splits) {
      Range range;
      if (!FromBytes(split.bytes, range))
        return absl::DataLossError("a split of the number source is damaged");
      splits_.emplace_back(std::move(split.id), range);
    }
    requested_ = false;
    context_->handle()->Wake();
    return absl::OkStatus();
  }
  void NotifyNoMoreSplits() override {
    no_more_splits_ = true;
    context_->handle()->Wake();
  }

  absl::StatusOr<ReadStatus> Poll(SourceOutput<Event>& output) override {
    if (splits_.empty()) {
      if (no_more_splits_) return ReadStatus::kEnd;
      if (!std::exchange(requested_, true)) context_->RequestSplit();
      return ReadStatus::kNothing;
    }
    auto& [id, range] = splits_.front();
    int64_t count = std::min(kRecordsPerPoll, range.end - range.next);
    if (rate_ > 0) {
      count = std::min(count, Allowed());
      if (count == 0) return ReadStatus::kNothing;
    }
    const uint64_t keys = static_cast<uint64_t>(options_.keys);
    for (int64_t i = 0; i < count; ++i, ++range.next) {
      const uint64_t random = Mix(static_cast<uint64_t>(range.next) ^ (options_.seed << 40));
      output.Collect({static_cast<int64_t>(random % keys), range.next},
                     EventTime::FromMillis(range.next), id);
    }
    emitted_ += count;
    if (range.next == range.end) {
      output.SplitFinished(id);
      splits_.pop_front();
    }
    return ReadStatus::kMore;
  }

  std::vector<SourceSplit> Snapshot(CheckpointId) override {
    std::vector<SourceSplit> splits;
    for (const auto& [id, range] : splits_) splits.push_back(ToSplit(id, range));
    return splits;
  }
  [[nodiscard]] bool IsCaughtUp() const override { return true; }

 private:
  // How many records the rate allows now; sets the alarm for the next ones if it is none.
  int64_t Allowed() {
    const absl::Duration elapsed = context_->clock()->Now() - started_;
    const auto due = static_cast<int64_t>(absl::ToDoubleSeconds(elapsed) * rate_);
    if (due > emitted_) return due - emitted_;
    // Not for each record by itself where there are many.
    const absl::Duration next_due = absl::Seconds(static_cast<double>(emitted_ + 1) / rate_);
    context_->handle()->WakeAt(
        std::max(started_ + next_due, context_->clock()->Now() + absl::Milliseconds(1)));
    return 0;
  }

  const NumberSourceOptions options_;
  SourceReaderContext* context_ = nullptr;
  std::deque<std::pair<std::string, Range>> splits_;
  bool requested_ = false;
  bool no_more_splits_ = false;
  double rate_ = 0;
  absl::Time started_;
  int64_t emitted_ = 0;
};

}  // namespace

std::unique_ptr<SplitEnumerator> NumberSource::CreateEnumerator() const {
  return std::make_unique<NumberEnumerator>(options_);
}

std::unique_ptr<SourceReader<Event>> NumberSource::CreateReader() const {
  return std::make_unique<NumberReader>(options_);
}

}  // namespace weir::examples
