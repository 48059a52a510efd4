// Measures a window count over keys of which one has half of all records, in one stage and in two
// (WithLocalAggregation), and a count over the whole stream. Each of `parallelism` subtasks makes
// its share of the records. Prints wall and CPU seconds, the seconds on a worker thread of the
// subtask that had most, and the records a second that it allows: what the job reaches where every
// subtask has a core of its own. The machine must be quiet for these: a thread that waits for a
// core counts.
// Usage: skew_bench [million records] [parallelism]

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "operators/api/all_windowed_stream.h"
#include "operators/api/stream_environment.h"
#include "operators/connectors/blackhole_sink.h"
#include "runtime/base/clock.h"
#include "runtime/base/strings.h"
#include "tests/bench/counting_source.h"
#include "tests/bench/cpu_seconds.h"
#include "tests/support/local_job.h"

namespace weir {
namespace {

struct Event {
  int64_t key = 0;
  int64_t value = 0;
};

/// Half of the records have key 0, the others one of a million.
class MakeEvent {
 public:
  std::pair<Event, EventTime> operator()(int64_t index) {
    random_ = random_ * 6364136223846793005 + 1442695040888963407;
    const auto draw = static_cast<int64_t>(random_ >> 40);
    return {{draw % 2 == 0 ? 0 : draw % 1'000'000, draw}, EventTime::FromMillis(index / 100)};
  }

 private:
  uint64_t random_ = 1;
};

struct Count {
  using Accumulator = int64_t;
  using Result = int64_t;
  void Add(const Event&, int64_t& count) const { ++count; }
  void Merge(const int64_t& from, int64_t& into) const { into += from; }
  int64_t GetResult(const int64_t& count) const { return count; }
};

/// An aggregate that costs more than the record's way to it: how often each byte occurs in a
/// message of 256 bytes, which stands for itself as the number that it is made from.
struct CountBytes {
  using Accumulator = std::array<int64_t, 256>;
  using Result = int64_t;
  void Add(const Event& event, Accumulator& counts) const {
    auto state = static_cast<uint64_t>(event.value);
    for (int i = 0; i < 256; ++i) {
      state = state * 6364136223846793005 + 1442695040888963407;
      ++counts[state >> 56];
    }
  }
  void Merge(const Accumulator& from, Accumulator& into) const {
    for (size_t i = 0; i < from.size(); ++i) into[i] += from[i];
  }
  int64_t GetResult(const Accumulator& counts) const {
    return *std::max_element(counts.begin(), counts.end());
  }
};

/// One type for all jobs, so that their operators are compiled once.
struct Key {
  int64_t operator()(const Event& event) const { return event.key & mask; }
  int64_t mask;
};

/// The seconds that the subtask that worked most was on a worker thread.
double BusiestSeconds(const LocalJob& job) {
  absl::Duration busiest = absl::ZeroDuration();
  for (const JobGraph::Vertex& vertex : job.job_graph().vertices) {
    for (const std::shared_ptr<Task>& task : job.TasksOf(vertex.name)) {
      busiest = std::max(busiest, task->metrics().running);
    }
  }
  return absl::ToDoubleSeconds(busiest);
}

template <class AddWindows>
void Measure(const char* name, int64_t num_records, uint32_t parallelism, AddWindows add_windows) {
  const std::string directory =
      (std::filesystem::temp_directory_path() / ("weir-skew-" + ToString(RandomId<JobId>())))
          .string();
  std::filesystem::create_directories(directory);
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  add_windows(environment.FromSource(CountingSource(num_records / parallelism, MakeEvent()),
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
  const double busiest = BusiestSeconds(job);
  const auto millions = static_cast<double>(num_records) / 1e6;
  std::printf(
      "%-24s %6.2f s wall %6.2f s CPU %6.2f s busiest; M records/s: %6.1f, %6.1f of CPU, %6.1f at "
      "most\n",
      name, wall, spent, busiest, millions / wall, millions / spent, millions / busiest);
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
  const auto one_stage = [&](Key key, auto aggregate) {
    return [&window, key, aggregate](const auto& events) {
      return events.KeyBy(key).Window(window).Aggregate(aggregate);
    };
  };
  const auto two_stages = [&](Key key, auto aggregate) {
    return [&window, key, aggregate](const auto& events) {
      return events.KeyBy(key).Window(window).WithLocalAggregation().Aggregate(aggregate);
    };
  };
  constexpr Key kHot{-1};
  constexpr Key kFew{1023};
  Measure("hot key, one stage", records, parallelism, one_stage(kHot, Count()));
  Measure("hot key, two stages", records, parallelism, two_stages(kHot, Count()));
  Measure("1,024 keys, one stage", records, parallelism, one_stage(kFew, Count()));
  Measure("1,024 keys, two stages", records, parallelism, two_stages(kFew, Count()));
  Measure("bytes, one stage", records / 10, parallelism, one_stage(kFew, CountBytes()));
  Measure("bytes, two stages", records / 10, parallelism, two_stages(kFew, CountBytes()));
  Measure("all, one stage", records, parallelism, one_stage({0}, Count()));
  Measure("all, two stages", records, parallelism,
          [&](const auto& events) { return events.WindowAll(window).Aggregate(Count()); });
  return 0;
}
