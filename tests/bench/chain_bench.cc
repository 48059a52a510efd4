// Measures what a chain of element operators costs per record: source → map → filter → map → sink
// in one task, records with two strings beyond the small-string size.
// Usage: chain_bench [million records]

#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "operators/api/stream_environment.h"
#include "operators/connectors/blackhole_sink.h"
#include "runtime/base/clock.h"
#include "runtime/base/strings.h"
#include "tests/support/local_job.h"

namespace weir {
namespace {

struct Bid {
  int64_t auction = 0;
  int64_t bidder = 0;
  int64_t price = 0;
  std::string url;
  std::string extra;
};

class OneSplit final : public SplitEnumerator {
 public:
  absl::Status Start(SplitEnumeratorContext& context, const std::string* restored) override {
    context_ = &context;
    assigned_ = restored != nullptr;
    return absl::OkStatus();
  }
  absl::Status AddReader(uint32_t subtask, const std::vector<std::string>&) override {
    if (!std::exchange(assigned_, true)) context_->AssignSplits(subtask, {{"bids", ""}});
    context_->SignalInitialSplitsAssigned(subtask);
    context_->SignalNoMoreSplits(subtask);
    return absl::OkStatus();
  }
  absl::Status HandleSplitRequest(uint32_t) override { return absl::OkStatus(); }
  absl::StatusOr<std::string> Snapshot(CheckpointId) override { return std::string(); }

 private:
  SplitEnumeratorContext* context_ = nullptr;
  bool assigned_ = false;
};

class BidReader final : public SourceReader<Bid> {
 public:
  explicit BidReader(int64_t count) : count_(count) {}
  absl::Status Start(SourceReaderContext&) override { return absl::OkStatus(); }
  absl::Status AddSplits(std::vector<SourceSplit>) override {
    has_split_ = true;
    return absl::OkStatus();
  }
  void NotifyNoMoreSplits() override { no_more_ = true; }
  absl::StatusOr<ReadStatus> Poll(SourceOutput<Bid>& output) override {
    if (!has_split_) return no_more_ ? ReadStatus::kEnd : ReadStatus::kNothing;
    for (int i = 0; i < 1024 && next_ < count_ && !output.Full(); ++i, ++next_) {
      output.Collect({next_ % 1000, next_ % 777, next_, kUrl, kExtra},
                     EventTime::FromMillis(next_ / 1000), "bids");
    }
    return next_ < count_ ? ReadStatus::kMore : ReadStatus::kEnd;
  }
  std::vector<SourceSplit> Snapshot(CheckpointId) override { return {{"bids", ""}}; }
  [[nodiscard]] bool IsCaughtUp() const override { return true; }

 private:
  static inline const std::string kUrl =
      "https://example.test/abc/def/item.htm?query=1&channel_id=12";
  static inline const std::string kExtra = std::string(70, 'x');
  const int64_t count_;
  int64_t next_ = 0;
  bool has_split_ = false;
  bool no_more_ = false;
};

class BidSource final : public Source<Bid> {
 public:
  explicit BidSource(int64_t count) : count_(count) {}
  std::unique_ptr<SplitEnumerator> CreateEnumerator() const override {
    return std::make_unique<OneSplit>();
  }
  std::unique_ptr<SourceReader<Bid>> CreateReader() const override {
    return std::make_unique<BidReader>(count_);
  }

 private:
  int64_t count_;
};

int Run(int64_t records) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / StrCat("chain-bench-", ToString(RandomId<JobId>()));
  std::filesystem::create_directories(folder);
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  environment.FromSource(BidSource(records), WatermarkStrategy<Bid>::Monotonous(), "Bids")
      .Map([](Bid bid) {
        bid.price = bid.price * 908 / 1000;
        return bid;
      })
      .Filter([](const Bid& bid) { return bid.price >= 0; })
      .Filter([](const Bid& bid) { return bid.auction % 4 != 0; })
      .Map([](Bid bid) {
        ++bid.bidder;
        return bid;
      })
      .SinkTo(BlackholeSink<Bid>());
  LocalJobOptions options;
  options.directory = folder;
  options.checkpointing = false;
  absl::Status status;
  const Stopwatch stopwatch;
  {
    LocalJob job(std::move(graph), options);
    status = job.Start();
    if (status.ok()) status = job.WaitUntilFinished(absl::Minutes(5));
  }
  std::filesystem::remove_all(folder);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double cpu_seconds =
      static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
      static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  std::printf("%.1f M records, wall %.2f s, CPU %.2f s, %.1f ns of CPU a record\n",
              static_cast<double>(records) / 1e6, absl::ToDoubleSeconds(stopwatch.Elapsed()),
              cpu_seconds, cpu_seconds * 1e9 / static_cast<double>(records));
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  const double millions = argc > 1 ? std::atof(argv[1]) : 10;
  return weir::Run(static_cast<int64_t>(millions * 1e6));
}
