// Measures what a record costs in the joins, beside a two-input operator that does nothing, and how
// many records a subtask asks a slow service for.
// Usage: join_bench [thousand records]

#include <sys/resource.h>
#include <time.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "operators/api/async_data_stream.h"
#include "operators/api/stream_environment.h"
#include "operators/testing/operator_test_harness.h"
#include "runtime/base/clock.h"
#include "runtime/base/strings.h"
#include "tests/support/local_job.h"
#include "tests/support/memory_connectors.h"

namespace weir {
namespace {

struct Event {
  int64_t key = 0;
  int64_t value = 0;
};
struct Pair {
  int64_t left = 0;
  int64_t right = 0;
};
using Build = std::function<DataStream<Pair>(DataStream<Event>, DataStream<Event>)>;

const auto kKey = [](const Event& event) { return event.key; };
const auto kPair = [](const Event& left, const Event& right) {
  return Pair{left.value, right.value};
};

/// Emits a pair for every other record, as the joins below do.
class Nothing final : public KeyedCoProcessFunction<int64_t, Event, Event, Pair> {
 public:
  void ProcessElement1(const Event&, Context&, Collector<Pair>&) override {}
  void ProcessElement2(const Event& event, Context&, Collector<Pair>& out) override {
    out.Collect({event.key, event.value});
  }
};

double ThreadCpuNanos() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// Pushes `count` records into each side, of `keys` keys in turn, a record a millisecond, with a
// watermark each batch. Prints this thread's CPU time per record.
void Measure(const char* name, int64_t count, int64_t keys, const Build& build) {
  TwoInputOperatorTestHarness<Event, Event, Pair> harness(build);
  std::vector<StreamRecord<Event>> batch(1024);
  size_t results = 0;
  const double begin = ThreadCpuNanos();
  for (int64_t next = 0; next < count; next += 1024) {
    for (int64_t i = 0; i < 1024; ++i) {
      batch[static_cast<size_t>(i)] = {
          {(next + i) * 7919 % keys, next + i}, EventTime::FromMillis(next + i), 0};
    }
    harness.ProcessElements1(batch);
    harness.ProcessElements2(batch);
    harness.ProcessWatermark(next + 1023);
    results += harness.TakeOutput().size();
  }
  const double nanos = ThreadCpuNanos() - begin;
  std::printf("%-44s %7.1f ns/record  %9zu out  %8zu in state\n", name,
              nanos / (2.0 * static_cast<double>(count)), results, harness.NumKeyedStateEntries());
}

/// Answers each question 50 ms after it was asked, from one thread.
class SlowService {
 public:
  SlowService() : thread_([this](const std::stop_token& stop) { Run(stop); }) {}
  void Ask(int64_t number, ResultFuture<int64_t> future) {
    std::lock_guard<std::mutex> lock(mutex_);
    questions_.push_back({absl::Now() + absl::Milliseconds(50), number, std::move(future)});
  }

 private:
  struct Question {
    absl::Time due;
    int64_t number;
    ResultFuture<int64_t> future;
  };
  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      absl::SleepFor(absl::Microseconds(500));
      std::vector<Question> due;
      {
        std::lock_guard<std::mutex> lock(mutex_);
        const absl::Time now = absl::Now();
        while (!questions_.empty() && questions_.front().due <= now) {
          due.push_back(std::move(questions_.front()));
          questions_.pop_front();
        }
      }
      for (const Question& question : due) question.future.Complete({question.number});
    }
  }

  std::mutex mutex_;
  std::deque<Question> questions_;
  std::jthread thread_;
};

class AskSlowService final : public AsyncFunction<int64_t, int64_t> {
 public:
  explicit AskSlowService(std::shared_ptr<SlowService> service) : service_(std::move(service)) {}
  void AsyncInvoke(const int64_t& number, ResultFuture<int64_t> future) override {
    service_->Ask(number, std::move(future));
  }

 private:
  std::shared_ptr<SlowService> service_;
};

void MeasureAsync(const char* name, bool ordered) {
  constexpr int64_t kRecords = 8000;
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / StrCat("join-bench-", ToString(RandomId<JobId>()));
  std::filesystem::create_directories(folder);
  std::vector<int64_t> numbers(kRecords);
  auto service = std::make_shared<SlowService>();
  auto results = std::make_shared<MemorySinkContents<int64_t>>();
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  const auto stream = environment.FromSource(MemorySource<int64_t>(numbers),
                                             WatermarkStrategy<int64_t>::NoWatermarks(), "Numbers");
  (ordered
       ? AsyncDataStream::OrderedWait(stream, AskSlowService(service), absl::Seconds(10), 100)
       : AsyncDataStream::UnorderedWait(stream, AskSlowService(service), absl::Seconds(10), 100))
      .SinkTo(MemorySink<int64_t>(results));
  LocalJobOptions options;
  options.directory = folder;
  const Stopwatch stopwatch;
  absl::Status status;
  {
    LocalJob job(std::move(graph), options);
    status = job.Start();
    if (status.ok()) status = job.WaitUntilFinished(absl::Minutes(5));
  }
  std::filesystem::remove_all(folder);
  std::printf("%-44s %7.0f records/s a subtask  %zu out  %s\n", name,
              static_cast<double>(kRecords) / absl::ToDoubleSeconds(stopwatch.Elapsed()),
              results->Committed().size(), std::string(status.message()).c_str());
}

void Run(int64_t count) {
  for (const int64_t keys : {int64_t{1000}, int64_t{100'000}}) {
    std::printf("%lld keys\n", static_cast<long long>(keys));
    Measure("KeyedCoProcess, nothing done", count, keys,
            [](const DataStream<Event>& left, const DataStream<Event>& right) {
              return left.KeyBy(kKey).Connect(right.KeyBy(kKey)).Process(Nothing());
            });
    // The other side's record of the same time, alone.
    Measure("interval join, 900 ms, 1 match", count, keys,
            [](const DataStream<Event>& left, const DataStream<Event>& right) {
              return left.KeyBy(kKey)
                  .IntervalJoin(right.KeyBy(kKey))
                  .Between(absl::ZeroDuration(), absl::Milliseconds(900))
                  .Apply(kPair);
            });
    Measure("temporal join", count, keys,
            [](const DataStream<Event>& left, const DataStream<Event>& right) {
              return left.KeyBy(kKey).TemporalJoin(right.KeyBy(kKey)).Apply(kPair);
            });
  }
  Measure("regular join, a key of its own each", count, INT64_MAX / 8000,
          [](const DataStream<Event>& left, const DataStream<Event>& right) {
            return left.KeyBy(kKey).RegularJoin(right.KeyBy(kKey)).Apply(kPair);
          });
  MeasureAsync("async unordered, 50 ms, capacity 100", false);
  MeasureAsync("async ordered, 50 ms, capacity 100", true);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("peak memory %ld MB\n", usage.ru_maxrss / 1024);
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  weir::Run((argc > 1 ? std::atoll(argv[1]) : 1000) * 1000);
  return 0;
}
