// Measures a window count over keys of which one has half of all records, in one stage and in two
// (WithLocalAggregation), and a count over the whole stream. Each of `parallelism` subtasks makes
// its share of the records. Prints wall and CPU seconds and records a second.
// Usage: skew_bench [million records] [parallelism]

#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "operators/api/all_windowed_stream.h"
#include "operators/api/stream_environment.h"
#include "operators/connectors/blackhole_sink.h"
#include "runtime/base/clock.h"
#include "runtime/base/strings.h"
#include "tests/support/local_job.h"

namespace weir {
namespace {

struct Event {
  int64_t key = 0;
  int64_t value = 0;
};

class OneSplitEach final : public SplitEnumerator {
 public:
  absl::Status Start(SplitEnumeratorContext& context, const std::string*) override {
    context_ = &context;
    return absl::OkStatus();
  }
  absl::Status AddReader(uint32_t subtask, const std::vector<std::string>&) override {
    context_->AssignSplits(subtask, {{StrCat("events-", subtask), ""}});
    context_->SignalInitialSplitsAssigned(subtask);
    context_->SignalNoMoreSplits(subtask);
    return absl::OkStatus();
  }
  absl::Status HandleSplitRequest(uint32_t) override { return absl::OkStatus(); }
  absl::StatusOr<std::string> Snapshot(CheckpointId) override { return std::string(); }

 private:
  SplitEnumeratorContext* context_ = nullptr;
};

class EventReader final : public SourceReader<Event> {
 public:
  explicit EventReader(int64_t count) : count_(count) {}
  absl::Status Start(SourceReaderContext&) override { return absl::OkStatus(); }
  absl::Status AddSplits(std::vector<SourceSplit> splits) override {
    split_ = splits.front().id;
    return absl::OkStatus();
  }
  void NotifyNoMoreSplits() override { no_more_ = true; }
  absl::StatusOr<ReadStatus> Poll(SourceOutput<Event>& output) override {
    if (split_.empty()) return no_more_ ? ReadStatus::kEnd : ReadStatus::kNothing;
    for (int i = 0; i < 1024 && next_ < count_ && !output.Full(); ++i, ++next_) {
      random_ = random_ * 6364136223846793005 + 1442695040888963407;
      const auto draw = static_cast<int64_t>(random_ >> 40);
      output.Collect({draw % 2 == 0 ? 0 : draw % 1'000'000, draw},
                     EventTime::FromMillis(next_ / 100), split_);
    }
    return next_ < count_ ? ReadStatus::kMore : ReadStatus::kEnd;
  }
  std::vector<SourceSplit> Snapshot(CheckpointId) override { return {}; }
  [[nodiscard]] bool IsCaughtUp() const override { return true; }

 private:
  const int64_t count_;
  int64_t next_ = 0;
  uint64_t random_ = 1;
  std::string split_;
  bool no_more_ = false;
};

class EventSource final : public Source<Event> {
 public:
  explicit EventSource(int64_t count) : count_(count) {}
  std::unique_ptr<SplitEnumerator> CreateEnumerator() const override {
    return std::make_unique<OneSplitEach>();
  }
  std::unique_ptr<SourceReader<Event>> CreateReader() const override {
    return std::make_unique<EventReader>(count_);
  }

 private:
  int64_t count_;
};

struct Count {
  using Accumulator = int64_t;
  using Result = int64_t;
  void Add(const Event&, int64_t& count) const { ++count; }
  void Merge(const int64_t& from, int64_t& into) const { into += from; }
  int64_t GetResult(const int64_t& count) const { return count; }
};

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

template <class AddWindows>
void Measure(const char* name, int64_t num_records, uint32_t parallelism, AddWindows add_windows) {
  const std::string directory =
      (std::filesystem::temp_directory_path() / ("weir-skew-" + ToString(RandomId<JobId>())))
          .string();
  std::filesystem::create_directories(directory);
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  add_windows(environment.FromSource(EventSource(num_records / parallelism),
                                     WatermarkStrategy<Event>::Monotonous(), "Events"))
      .SinkTo(BlackholeSink<int64_t>());
  LocalJobOptions options;
  options.parallelism = parallelism;
  options.directory = directory;
  options.checkpointing = false;
  LocalJob job(std::move(graph), options);
  const double cpu = CpuSeconds();
  const Stopwatch stopwatch;
  if (!job.Start().ok() || !job.WaitUntilFinished(absl::Minutes(10)).ok()) {
    std::fprintf(stderr, "%s: the job failed\n", name);
    std::exit(1);
  }
  const double wall = absl::ToDoubleSeconds(stopwatch.Elapsed());
  const double spent = CpuSeconds() - cpu;
  std::printf("%-36s %7.2f s wall %7.2f s CPU %12.0f records/s %12.0f records/CPU-s\n", name, wall,
              spent, static_cast<double>(num_records) / wall,
              static_cast<double>(num_records) / spent);
  std::fflush(stdout);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  using namespace weir;  // NOLINT
  const int64_t records = (argc > 1 ? std::atoll(argv[1]) : 10) * 1'000'000;
  const auto parallelism = static_cast<uint32_t>(argc > 2 ? std::atoi(argv[2]) : 4);
  const auto window = TumblingEventTimeWindows::Of(absl::Seconds(10));
  const auto hot_key = [](const Event& event) { return event.key; };
  const auto few_keys = [](const Event& event) { return event.key % 1000; };
  Measure("keyed, one stage", records, parallelism, [&](const auto& events) {
    return events.KeyBy(hot_key).Window(window).Aggregate(Count());
  });
  Measure("keyed, two stages", records, parallelism, [&](const auto& events) {
    return events.KeyBy(hot_key).Window(window).WithLocalAggregation().Aggregate(Count());
  });
  Measure("1,000 keys, one stage", records, parallelism, [&](const auto& events) {
    return events.KeyBy(few_keys).Window(window).Aggregate(Count());
  });
  Measure("1,000 keys, two stages", records, parallelism, [&](const auto& events) {
    return events.KeyBy(few_keys).Window(window).WithLocalAggregation().Aggregate(Count());
  });
  Measure("all, one stage", records, parallelism, [&](const auto& events) {
    return events.KeyBy([](const Event&) { return 0; }).Window(window).Aggregate(Count());
  });
  Measure("all, two stages", records, parallelism,
          [&](const auto& events) { return events.WindowAll(window).Aggregate(Count()); });
  return 0;
}
