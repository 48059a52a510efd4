#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "operators/api/source.h"
#include "operators/connectors/data_gen_random.h"
#include "operators/connectors/internal/data_gen_enumerator.h"

namespace weir {

struct DataGenOptions {
  /// How many records there are in all; nothing: no end.
  std::optional<uint64_t> count = std::nullopt;
  /// Records a second, of all readers together; 0: as fast as what follows takes them.
  double records_per_second = 0;

  /// Event time of record 0, and how far event time moves on from each to the next.
  EventTime first_event_time = EventTime::FromMillis(0);
  absl::Duration event_interval = absl::Milliseconds(1);
  /// Records lie up to this far behind their place in the order of time, evenly spread:
  /// WatermarkStrategy::BoundedOutOfOrderness(disorder) is just enough for all but late ones.
  absl::Duration disorder = absl::ZeroDuration();
  /// The share of records, 0 to 1, that are late by about `lateness` under that strategy.
  double late_share = 0;
  absl::Duration lateness = absl::Seconds(1);
  /// The share of records, 0 to 1, whose text is cut and ends in a byte that no text has. Only for
  /// sources of std::string.
  double malformed_share = 0;

  /// Another seed, other records.
  uint64_t seed = 1;
  /// How many readers can share the work at most; 0: as many as there are.
  uint32_t num_splits = 0;
};

/// What a generator knows of the record it makes, besides its random numbers. Plain data.
struct DataGenRecord {
  uint64_t index = 0;  ///< Counts from 0.
  EventTime time;      ///< The event time that the source gives the record.
};

/// A source that makes its records: record i is `generate(DataGenRecord{i, …}, random)`, the same
/// for the same seed in every run and at every parallelism. Exactly once: a restored job goes on
/// behind the records it has made.
///
///     ZipfKeys users(10'000, 1.1);
///     DataGenSource source({.count = 1'000'000, .disorder = absl::Seconds(2)},
///                          [users](const DataGenRecord& record, DataGenRandom& random) {
///                            return Click{users.Draw(random), record.time};
///                          });
///
/// Errors: kInvalidArgument, at the start, for shares out of range and negative times.
template <class Fn>
class DataGenSource final
    : public Source<std::invoke_result_t<const Fn&, const DataGenRecord&, DataGenRandom&>> {
 public:
  using Record = std::invoke_result_t<const Fn&, const DataGenRecord&, DataGenRandom&>;

  DataGenSource(DataGenOptions options, Fn generate)
      : options_(options), generate_(std::move(generate)) {}

  [[nodiscard]] std::unique_ptr<SplitEnumerator> CreateEnumerator() const override {
    return internal::MakeDataGenEnumerator(options_, std::is_same_v<Record, std::string>);
  }
  [[nodiscard]] std::unique_ptr<SourceReader<Record>> CreateReader() const override {
    return std::make_unique<Reader>(options_, generate_);
  }

  /// Makes record `index`; what tests compare with.
  [[nodiscard]] std::pair<Record, EventTime> Generate(uint64_t index) const {
    return Make(options_, generate_, index);
  }

 private:
  static std::pair<Record, EventTime> Make(const DataGenOptions& options, const Fn& generate,
                                           uint64_t index) {
    DataGenRandom random(options.seed, index);
    const internal::DataGenPlace place = internal::PlaceRecord(options, index, random);
    Record record = generate(DataGenRecord{index, place.time}, random);
    if constexpr (std::is_same_v<Record, std::string>) {
      if (place.malformed) internal::DamageText(random, record);
    }
    return {std::move(record), place.time};
  }

  class Reader final : public SourceReader<Record> {
   public:
    Reader(const DataGenOptions& options, const Fn& generate)
        : options_(options), generate_(generate), progress_(options) {}

    absl::Status Start(SourceReaderContext& context) override {
      context_ = &context;
      return absl::OkStatus();
    }
    absl::Status AddSplits(std::vector<SourceSplit> splits) override {
      context_->handle()->Wake();
      return progress_.AddSplits(splits, context_->clock()->Now());
    }
    void NotifyNoMoreSplits() override {
      no_more_splits_ = true;
      context_->handle()->Wake();
    }
    absl::StatusOr<ReadStatus> Poll(SourceOutput<Record>& output) override {
      const absl::Time now = context_->clock()->Now();
      for (int budget = kRecordsPerPoll; budget > 0 && !output.Full(); --budget) {
        const internal::DataGenProgress::Step step = progress_.Next(now);
        if (step.finished_split != nullptr) {
          output.SplitFinished(*step.finished_split);
        } else if (step.split != nullptr) {
          auto [record, time] = Make(options_, generate_, step.index);
          output.CollectAt(std::move(record), time, *step.split, step.index);
        } else if (step.next_due.has_value()) {
          // Not for each record of a fast stream.
          context_->handle()->WakeAt(std::max(*step.next_due, now + absl::Milliseconds(1)));
          return ReadStatus::kNothing;
        } else {
          return no_more_splits_ ? ReadStatus::kEnd : ReadStatus::kNothing;
        }
      }
      return ReadStatus::kMore;
    }
    std::vector<SourceSplit> Snapshot(CheckpointId /*checkpoint*/) override {
      return progress_.Snapshot();
    }
    [[nodiscard]] bool IsCaughtUp() const override { return progress_.empty(); }

   private:
    static constexpr int kRecordsPerPoll = 1024;

    const DataGenOptions options_;
    const Fn generate_;
    internal::DataGenProgress progress_;
    SourceReaderContext* context_ = nullptr;
    bool no_more_splits_ = false;
  };

  DataGenOptions options_;
  Fn generate_;
};

}  // namespace weir
