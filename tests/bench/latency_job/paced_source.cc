#include "tests/bench/latency_job/paced_source.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/base/strings.h"
#include "runtime/record/serde.h"

namespace weir::bench {
namespace {

// Time that all readers have to start.
constexpr absl::Duration kHeadStart = absl::Seconds(1);
// Between two looks at the clock: as a network source would find several records at once.
constexpr absl::Duration kPollInterval = absl::Microseconds(250);
constexpr int64_t kRecordsPerPoll = 1024;

/// Records [next, end) of one reader. Record i is due at start_ms + i * readers / rate seconds.
struct Pace {
  int64_t start_ms = 0;
  int64_t readers = 1;
  int64_t first_key = 0;
  int64_t next = 0;
  int64_t end = 0;
};

class PacedEnumerator final : public SplitEnumerator {
 public:
  explicit PacedEnumerator(const PacedSourceOptions& options) : options_(options) {}

  absl::Status Start(SplitEnumeratorContext& context, const std::string* restored) override {
    context_ = &context;
    if (restored != nullptr && !FromBytes(*restored, start_ms_)) {
      return absl::DataLossError("the paced source's checkpoint is damaged");
    }
    if (restored == nullptr) {
      const absl::Time begin = context.clock()->Now() + kHeadStart;
      start_ms_ = (absl::ToUnixMillis(begin) / 1000 + 1) * 1000;
    }
    return absl::OkStatus();
  }
  absl::Status AddReader(uint32_t subtask, const std::vector<std::string>& split_ids) override {
    if (split_ids.empty()) {
      const int64_t readers = context_->parallelism();
      const Pace pace{start_ms_, readers, subtask, 0, options_.rate * options_.seconds / readers};
      context_->AssignSplits(subtask, {{StrCat("pace-", subtask), ToBytes(pace)}});
    }
    context_->SignalInitialSplitsAssigned(subtask);
    context_->SignalNoMoreSplits(subtask);
    return absl::OkStatus();
  }
  absl::Status HandleSplitRequest(uint32_t) override { return absl::OkStatus(); }
  absl::StatusOr<std::string> Snapshot(CheckpointId) override { return ToBytes(start_ms_); }

 private:
  const PacedSourceOptions options_;
  SplitEnumeratorContext* context_ = nullptr;
  int64_t start_ms_ = 0;
};

class PacedReader final : public SourceReader<Tick> {
 public:
  explicit PacedReader(const PacedSourceOptions& options) : options_(options) {}

  absl::Status Start(SourceReaderContext& context) override {
    context_ = &context;
    return absl::OkStatus();
  }
  absl::Status AddSplits(std::vector<SourceSplit> splits) override {
    if (split_.has_value() || splits.size() != 1) {
      return absl::InternalError("a reader of the paced source takes one split");
    }
    split_ = std::move(splits.front());
    if (!FromBytes(split_->bytes, pace_)) {
      return absl::DataLossError("a split of the paced source is damaged");
    }
    context_->handle()->Wake();
    return absl::OkStatus();
  }
  void NotifyNoMoreSplits() override {}

  absl::StatusOr<ReadStatus> Poll(SourceOutput<Tick>& output) override {
    if (!split_.has_value()) return ReadStatus::kNothing;
    const int64_t micros_now = absl::ToUnixMicros(context_->clock()->Now()) - pace_.start_ms * 1000;
    const int64_t due = micros_now < 0 ? 0 : micros_now * options_.rate / Step() + 1;
    const int64_t end = std::min({pace_.end, due, pace_.next + kRecordsPerPoll});
    for (; pace_.next < end && !output.Full(); ++pace_.next) {
      const int64_t due_micros = pace_.next * Step() / options_.rate;
      const int64_t key = (pace_.first_key + pace_.next * pace_.readers) % options_.keys;
      output.Collect({key}, EventTime::FromMillis(pace_.start_ms + due_micros / 1000), split_->id);
    }
    if (pace_.next == pace_.end) {
      output.SplitFinished(split_->id);
      return ReadStatus::kEnd;
    }
    if (pace_.next < due) return ReadStatus::kMore;
    const absl::Time next_due = absl::FromUnixMillis(pace_.start_ms) +
                                absl::Microseconds(pace_.next * Step() / options_.rate);
    context_->handle()->WakeAt(std::max(next_due, context_->clock()->Now() + kPollInterval));
    return ReadStatus::kNothing;
  }

  std::vector<SourceSplit> Snapshot(CheckpointId) override {
    if (!split_.has_value()) return {};
    return {{split_->id, ToBytes(pace_)}};
  }
  [[nodiscard]] bool IsCaughtUp() const override { return true; }

 private:
  // Microseconds between two records of one reader, times the rate.
  [[nodiscard]] int64_t Step() const { return pace_.readers * 1'000'000; }

  const PacedSourceOptions options_;
  SourceReaderContext* context_ = nullptr;
  std::optional<SourceSplit> split_;
  Pace pace_;
};

}  // namespace

std::unique_ptr<SplitEnumerator> PacedSource::CreateEnumerator() const {
  return std::make_unique<PacedEnumerator>(options_);
}

std::unique_ptr<SourceReader<Tick>> PacedSource::CreateReader() const {
  return std::make_unique<PacedReader>(options_);
}

}  // namespace weir::bench
