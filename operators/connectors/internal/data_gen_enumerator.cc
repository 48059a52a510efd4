#include "operators/connectors/internal/data_gen_enumerator.h"

#include <algorithm>
#include <utility>

#include "operators/connectors/data_gen_source.h"
#include "runtime/base/strings.h"
#include "runtime/record/serde.h"

namespace weir::internal {
namespace {

// The bytes of a split.
struct DataGenSplit {
  uint64_t next = 0;    // Index of the next record.
  uint64_t stride = 1;  // The number of splits.
};

std::string SplitId(uint64_t split) { return StrCat("datagen#", split); }

class DataGenEnumerator final : public SplitEnumerator {
 public:
  DataGenEnumerator(const DataGenOptions& options, bool makes_text)
      : options_(options), makes_text_(makes_text) {}

  absl::Status Start(SplitEnumeratorContext& context, const std::string* restored) override {
    context_ = &context;
    if (restored != nullptr) {
      return FromBytes(*restored, assigned_)
                 ? absl::OkStatus()
                 : absl::DataLossError("the checkpoint of a data generator is damaged");
    }
    assigned_.resize(options_.num_splits > 0 ? options_.num_splits : context.parallelism());
    return Validate();
  }
  absl::Status AddReader(uint32_t subtask, const std::vector<std::string>&) override {
    std::vector<SourceSplit> splits;
    for (uint64_t split = subtask; split < assigned_.size(); split += context_->parallelism()) {
      if (assigned_[split]) continue;
      assigned_[split] = true;
      splits.push_back({SplitId(split), ToBytes(DataGenSplit{split, assigned_.size()})});
    }
    if (!splits.empty()) context_->AssignSplits(subtask, std::move(splits));
    context_->SignalInitialSplitsAssigned(subtask);
    context_->SignalNoMoreSplits(subtask);
    return absl::OkStatus();
  }
  absl::Status HandleSplitRequest(uint32_t) override { return absl::OkStatus(); }
  absl::StatusOr<std::string> Snapshot(CheckpointId) override { return ToBytes(assigned_); }

 private:
  absl::Status Validate() const {
    const auto is_share = [](double share) { return share >= 0 && share <= 1; };
    if (!is_share(options_.late_share) || !is_share(options_.malformed_share)) {
      return absl::InvalidArgumentError(
          StrCat("shares of a data generator are between 0 and 1: late_share=", options_.late_share,
                 " malformed_share=", options_.malformed_share));
    }
    if (!(options_.records_per_second >= 0) || options_.event_interval < absl::ZeroDuration() ||
        options_.disorder < absl::ZeroDuration() || options_.lateness < absl::ZeroDuration()) {
      return absl::InvalidArgumentError(
          StrCat("rates and times of a data generator are not negative: records_per_second=",
                 options_.records_per_second,
                 " event_interval=", absl::FormatDuration(options_.event_interval),
                 " disorder=", absl::FormatDuration(options_.disorder),
                 " lateness=", absl::FormatDuration(options_.lateness)));
    }
    if (options_.malformed_share > 0 && !makes_text_) {
      return absl::InvalidArgumentError(
          "malformed_share needs a data generator that makes std::string: a record of another type "
          "cannot be malformed");
    }
    return absl::OkStatus();
  }

  const DataGenOptions options_;
  const bool makes_text_;
  SplitEnumeratorContext* context_ = nullptr;
  std::vector<bool> assigned_;  // By split.
};

}  // namespace

std::unique_ptr<SplitEnumerator> MakeDataGenEnumerator(const DataGenOptions& options,
                                                       bool makes_text) {
  return std::make_unique<DataGenEnumerator>(options, makes_text);
}

DataGenPlace PlaceRecord(const DataGenOptions& options, uint64_t index, DataGenRandom& random) {
  // Whole milliseconds and the rest apart, so that neither drifts nor overflows.
  constexpr int64_t kNanosPerMilli = 1'000'000;
  const int64_t interval_nanos = absl::ToInt64Nanoseconds(options.event_interval);
  const int64_t rest_nanos = interval_nanos % kNanosPerMilli;
  const auto record = static_cast<int64_t>(index);
  const int64_t in_order = record * (interval_nanos / kNanosPerMilli) +
                           record / kNanosPerMilli * rest_nanos +
                           record % kNanosPerMilli * rest_nanos / kNanosPerMilli;
  const int64_t disorder = absl::ToInt64Milliseconds(options.disorder);
  DataGenPlace place;
  place.time = options.first_event_time + in_order;
  if (disorder > 0) {
    place.time =
        place.time - static_cast<int64_t>(random.Below(static_cast<uint64_t>(disorder) + 1));
  }
  if (options.late_share > 0 && random.Chance(options.late_share)) {
    // The records before it may themselves be `disorder` behind: twice that is late for certain.
    place.time = options.first_event_time + in_order - 2 * disorder -
                 absl::ToInt64Milliseconds(options.lateness) - 1;
  }
  if (options.malformed_share > 0) place.malformed = random.Chance(options.malformed_share);
  return place;
}

void DamageText(DataGenRandom& random, std::string& text) {
  text.resize(random.Below(text.size() + 1));
  text += '\xff';
}

struct DataGenProgress::Split {
  std::string id;
  DataGenSplit position;
  uint64_t first = 0;  // Of the records made since `begin`.
  absl::Time begin;
};

DataGenProgress::DataGenProgress(const DataGenOptions& options)
    : count_(options.count), records_per_second_(options.records_per_second) {}

DataGenProgress::~DataGenProgress() = default;

absl::Status DataGenProgress::AddSplits(const std::vector<SourceSplit>& splits, absl::Time now) {
  for (const SourceSplit& source_split : splits) {
    Split split;
    split.id = source_split.id;
    if (!FromBytes(source_split.bytes, split.position) || split.position.stride == 0) {
      return absl::DataLossError(
          StrCat("the split of a data generator is damaged: split=", source_split.id));
    }
    split.first = split.position.next;
    split.begin = now;
    splits_.push_back(std::move(split));
  }
  return absl::OkStatus();
}

bool DataGenProgress::empty() const { return splits_.empty(); }

absl::Time DataGenProgress::DueTime(const Split& split) const {
  return split.begin + absl::Seconds(static_cast<double>(split.position.next - split.first) /
                                     records_per_second_);
}

DataGenProgress::Step DataGenProgress::Next(absl::Time now) {
  // A few records of each split in turn.
  static constexpr int kRecordsPerTurn = 32;
  Step step;
  for (size_t tried = 0; tried < splits_.size(); ++tried) {
    if (turn_ == 0 || current_ >= splits_.size()) {
      current_ = splits_.empty() ? 0 : (current_ + 1) % splits_.size();
      turn_ = kRecordsPerTurn;
    }
    Split& split = splits_[current_];
    if (count_.has_value() && split.position.next >= *count_) {
      finished_id_ = std::move(split.id);
      splits_.erase(splits_.begin() + static_cast<std::ptrdiff_t>(current_));
      turn_ = 0;
      step.finished_split = &finished_id_;
      return step;
    }
    if (records_per_second_ > 0) {
      const absl::Time due = DueTime(split);
      if (due > now) {
        if (!step.next_due.has_value() || due < *step.next_due) step.next_due = due;
        turn_ = 0;
        continue;
      }
    }
    step.next_due.reset();
    step.split = &split.id;
    step.index = split.position.next;
    split.position.next += split.position.stride;
    --turn_;
    return step;
  }
  return step;
}

std::vector<SourceSplit> DataGenProgress::Snapshot() const {
  std::vector<SourceSplit> splits;
  for (const Split& split : splits_) splits.push_back({split.id, ToBytes(split.position)});
  return splits;
}

}  // namespace weir::internal
