#include "jobs/nexmark/nexmark_source.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "jobs/nexmark/generator.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/record/serde.h"

namespace weir::nexmark {
namespace {

// About a batch of 64 KiB.
constexpr size_t kEventsPerPoll = 384;

/// One generator, where it is, and when it began; the rest follows from the options.
struct Split {
  int64_t generator = 0;
  int64_t generators = 1;
  int64_t position = 0;
  /// Milliseconds since the epoch; 0 before the first event. For paced sources.
  int64_t started_ms = 0;
};

SourceSplit ToSplit(const Split& split) {
  return {StrCat("generator-", split.generator), ToBytes(split)};
}

class NexmarkEnumerator final : public SplitEnumerator {
 public:
  explicit NexmarkEnumerator(int64_t generators) : generators_(generators) {}

  absl::Status Start(SplitEnumeratorContext& context, const std::string* restored) override {
    context_ = &context;
    if (generators_ == 0) generators_ = context.parallelism();
    assigned_.resize(static_cast<size_t>(generators_));
    if (restored == nullptr) return absl::OkStatus();
    if (!FromBytes(*restored, assigned_)) {
      return absl::DataLossError("the checkpoint of the Nexmark source is damaged");
    }
    // The number of generators says what the events are: a new parallelism does not change it.
    generators_ = static_cast<int64_t>(assigned_.size());
    return absl::OkStatus();
  }
  absl::Status AddReader(uint32_t subtask, const std::vector<std::string>&) override {
    std::vector<SourceSplit> splits;
    for (int64_t i = subtask; i < generators_; i += context_->parallelism()) {
      uint8_t& assigned = assigned_[static_cast<size_t>(i)];
      if (assigned == 0) splits.push_back(ToSplit({i, generators_, 0, 0}));
      assigned = 1;
    }
    if (!splits.empty()) context_->AssignSplits(subtask, std::move(splits));
    context_->SignalInitialSplitsAssigned(subtask);
    context_->SignalNoMoreSplits(subtask);
    return absl::OkStatus();
  }
  absl::Status HandleSplitRequest(uint32_t) override { return absl::OkStatus(); }
  absl::StatusOr<std::string> Snapshot(CheckpointId) override { return ToBytes(assigned_); }

 private:
  int64_t generators_;
  SplitEnumeratorContext* context_ = nullptr;
  std::vector<uint8_t> assigned_;  // Per generator.
};

class NexmarkReader final : public SourceReader<Event> {
 public:
  explicit NexmarkReader(NexmarkSourceOptions options) : options_(options) {}

  absl::Status Start(SourceReaderContext& context) override {
    context_ = &context;
    return absl::OkStatus();
  }
  absl::Status AddSplits(std::vector<SourceSplit> splits) override {
    for (const SourceSplit& split : splits) {
      auto open = std::make_unique<OpenSplit>();
      if (!FromBytes(split.bytes, open->split) || open->split.generator < 0 ||
          open->split.generator >= open->split.generators) {
        return absl::DataLossError("a split of the Nexmark source is damaged");
      }
      open->id = split.id;
      const auto ranges = SplitEvents(options_.generator, open->split.generators);
      open->generator = std::make_unique<Generator>(
          options_.generator, ranges[static_cast<size_t>(open->split.generator)],
          open->split.position);
      splits_.push_back(std::move(open));
    }
    context_->handle()->Wake();
    return absl::OkStatus();
  }
  void NotifyNoMoreSplits() override {
    no_more_splits_ = true;
    context_->handle()->Wake();
  }

  absl::StatusOr<ReadStatus> Poll(SourceOutput<Event>& output) override {
    if (splits_.empty()) return no_more_splits_ ? ReadStatus::kEnd : ReadStatus::kNothing;
    // The one that is furthest behind: they share a time line.
    const auto next =
        std::min_element(splits_.begin(), splits_.end(), [](const auto& a, const auto& b) {
          return a->generator->position() < b->generator->position();
        });
    OpenSplit& open = **next;
    if (!Emit(open, output)) return ReadStatus::kNothing;
    if (open.generator->AtEnd()) {
      output.SplitFinished(open.id);
      splits_.erase(next);
    }
    return ReadStatus::kMore;
  }

  std::vector<SourceSplit> Snapshot(CheckpointId) override {
    std::vector<SourceSplit> splits;
    for (const auto& open : splits_) {
      open->split.position = open->generator->position();
      splits.push_back(ToSplit(open->split));
    }
    return splits;
  }
  [[nodiscard]] bool IsCaughtUp() const override { return true; }

 private:
  struct OpenSplit {
    std::string id;
    Split split;
    std::unique_ptr<Generator> generator;
  };

  // Emits about a batch of events, those that are due. Returns false, with the alarm set, if none
  // is.
  bool Emit(OpenSplit& open, SourceOutput<Event>& output) {
    Generator& generator = *open.generator;
    EventTime due = EventTime::Max();
    if (options_.paced) {
      const int64_t now_ms = absl::ToUnixMillis(context_->clock()->Now());
      if (open.split.started_ms == 0) open.split.started_ms = now_ms;
      due = options_.generator.base_time + (now_ms - open.split.started_ms);
      if (!generator.AtEnd() && generator.NextDue() > due) {
        context_->handle()->WakeAt(
            absl::FromUnixMillis(now_ms + (generator.NextDue().millis() - due.millis())));
        return false;
      }
    }
    for (size_t i = 0; i < kEventsPerPoll && !generator.AtEnd(); ++i) {
      if (options_.paced && generator.NextDue() > due) break;
      EventTime time;
      Event event = generator.Next(&time);
      output.Collect(std::move(event), time, open.id);
    }
    return true;
  }

  const NexmarkSourceOptions options_;
  SourceReaderContext* context_ = nullptr;
  std::vector<std::unique_ptr<OpenSplit>> splits_;
  bool no_more_splits_ = false;
};

}  // namespace

std::unique_ptr<SplitEnumerator> NexmarkSource::CreateEnumerator() const {
  return std::make_unique<NexmarkEnumerator>(options_.generators);
}

std::unique_ptr<SourceReader<Event>> NexmarkSource::CreateReader() const {
  return std::make_unique<NexmarkReader>(options_);
}

WatermarkStrategy<Event> NexmarkWatermarks() {
  return WatermarkStrategy<Event>::BoundedOutOfOrderness(absl::Seconds(4));
}

absl::StatusOr<NexmarkSourceOptions> ParseNexmarkSourceOptions(const JobArgs& args) {
  NexmarkSourceOptions options;
  GeneratorOptions& generator = options.generator;
  const std::pair<const char*, int64_t*> integers[] = {
      {"events", &generator.events},
      {"person-proportion", &generator.person_proportion},
      {"auction-proportion", &generator.auction_proportion},
      {"bid-proportion", &generator.bid_proportion},
      {"person-bytes", &generator.average_person_bytes},
      {"auction-bytes", &generator.average_auction_bytes},
      {"bid-bytes", &generator.average_bid_bytes},
      {"hot-auction-ratio", &generator.hot_auction_ratio},
      {"hot-bidders-ratio", &generator.hot_bidders_ratio},
      {"hot-sellers-ratio", &generator.hot_sellers_ratio},
      {"in-flight-auctions", &generator.in_flight_auctions},
      {"active-people", &generator.active_people},
      {"out-of-order-group-size", &generator.out_of_order_group_size},
      {"late-by-ms", &generator.late_by_ms},
      {"generators", &options.generators},
  };
  for (const auto& [name, value] : integers) {
    ASSIGN_OR_RETURN(*value, args.GetInt(name, *value));
  }
  ASSIGN_OR_RETURN(generator.rate, args.GetDouble("rate", generator.rate));
  ASSIGN_OR_RETURN(generator.late_probability,
                   args.GetDouble("late-probability", generator.late_probability));
  ASSIGN_OR_RETURN(const int64_t seed, args.GetInt("seed", 1));
  generator.seed = static_cast<uint64_t>(seed);
  ASSIGN_OR_RETURN(const int64_t base_ms,
                   args.GetInt("base-time-ms", generator.base_time.millis()));
  generator.base_time = EventTime::FromMillis(base_ms);
  ASSIGN_OR_RETURN(options.paced, args.GetBool("paced", false));
  RETURN_IF_ERROR(generator.Validate());
  constexpr int64_t kMaxGenerators = 1 << 15;
  if (options.generators < 0 || options.generators > kMaxGenerators) {
    return absl::InvalidArgumentError(
        StrCat("--generators must be in 0..", kMaxGenerators, ": generators=", options.generators));
  }
  return options;
}

}  // namespace weir::nexmark
