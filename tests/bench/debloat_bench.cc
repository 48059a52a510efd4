// Measures buffer debloating on a job with two shuffles, source → map → sink, records of 100 bytes:
// what is in flight and how long a checkpoint takes behind a slow sink, aligned and unaligned, and
// what debloating costs a fast one.
// Usage: debloat_bench [slow|fast] [parallelism] [million records of fast]

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

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
  std::string text;
};

std::pair<Event, EventTime> MakeEvent(int64_t index) {
  static const std::string text(90, 'x');
  return {{index, text}, EventTime::Min()};
}

struct Settings {
  uint32_t parallelism = 2;
  int64_t records = 0;
  bool debloat = false;
  bool slow = false;
  bool unaligned = false;
};

class BenchJob {
 public:
  explicit BenchJob(const Settings& settings)
      : folder_(std::filesystem::temp_directory_path() /
                StrCat("debloat-bench-", ToString(RandomId<JobId>()))) {
    std::filesystem::create_directories(folder_);
    StreamGraph graph;
    StreamEnvironment environment(&graph);
    const bool slow = settings.slow;
    environment
        .FromSource(CountingSource(settings.records, &MakeEvent),
                    WatermarkStrategy<Event>::NoWatermarks(), "Events")
        .SetParallelism(1)
        .Shuffle()
        .Map([](Event event) { return event; })
        .Name("middle")
        .Shuffle()
        .Map([slow, taken = taken_](Event event) {
          if (slow) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            taken->fetch_add(1, std::memory_order_relaxed);
          }
          return event;
        })
        .Name("end")
        .SinkTo(BlackholeSink<Event>());
    LocalJobOptions options;
    options.directory = folder_;
    options.parallelism = settings.parallelism;
    options.num_workers = slow ? static_cast<int>(settings.parallelism) + 2 : 2;
    options.channel_bytes = 256 << 10;
    options.checkpointing = slow;
    options.buffer_debloat.enabled = settings.debloat;
    options.alignment.unaligned = settings.unaligned;
    job_ = std::make_unique<LocalJob>(std::move(graph), options);
    if (const absl::Status status = job_->Start(); !status.ok()) std::abort();
  }
  ~BenchJob() {
    job_.reset();
    std::filesystem::remove_all(folder_);
  }

  LocalJob& job() { return *job_; }
  uint64_t taken() const { return taken_->load(std::memory_order_relaxed); }
  uint64_t sent() const {
    uint64_t sum = 0;
    for (const auto& task : job_->TasksOf("Events")) sum += task->metrics().records_out;
    return sum;
  }
  double queued_bytes() const {
    double sum = 0;
    for (const auto& task : job_->TasksOf("middle")) sum += task->input_usage().num_bytes;
    for (const auto& task : job_->TasksOf("end")) sum += task->input_usage().num_bytes;
    return sum;
  }

 private:
  const std::filesystem::path folder_;
  const std::shared_ptr<std::atomic<uint64_t>> taken_ = std::make_shared<std::atomic<uint64_t>>(0);
  std::unique_ptr<LocalJob> job_;
};

void RunSlow(Settings settings) {
  settings.slow = true;
  settings.records = int64_t{1} << 40;
  BenchJob bench(settings);
  const Stopwatch since_start;
  for (int i = 0; i < 6; ++i) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    const uint64_t in_flight = bench.sent() - bench.taken();
    const double queued_bytes = bench.queued_bytes();
    const uint64_t before = bench.taken();
    const Stopwatch stopwatch;
    const absl::StatusOr<LocalCheckpoint> checkpoint = bench.job().TriggerCheckpoint();
    if (!checkpoint.ok()) {
      std::printf("the checkpoint did not complete in %.1f s\n",
                  absl::ToDoubleSeconds(stopwatch.Elapsed()));
      return;
    }
    const uint64_t taken = bench.taken() - before;
    std::printf(
        "  %5.1f s: in flight %llu records, %.0f KiB queued; checkpoint took %.2f s and %llu "
        "records, at %.0f records/s; %.0f KiB of records are in it\n",
        absl::ToDoubleSeconds(since_start.Elapsed()), static_cast<unsigned long long>(in_flight),
        queued_bytes / 1024, absl::ToDoubleSeconds(stopwatch.Elapsed()),
        static_cast<unsigned long long>(taken),
        static_cast<double>(taken) / absl::ToDoubleSeconds(stopwatch.Elapsed()),
        static_cast<double>(checkpoint->persisted_bytes) / 1024);
  }
}

void RunFast(const Settings& settings) {
  const double cpu_before = CpuSeconds();
  const Stopwatch stopwatch;
  {
    BenchJob bench(settings);
    if (!bench.job().WaitUntilFinished(absl::Minutes(5)).ok()) std::abort();
  }
  const double seconds = absl::ToDoubleSeconds(stopwatch.Elapsed());
  const auto records = static_cast<double>(settings.records);
  std::printf("  %.2f s, %.2f M records/s, %.0f ns of CPU a record\n", seconds,
              records / 1e6 / seconds, (CpuSeconds() - cpu_before) * 1e9 / records);
}

int Main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "fast";
  Settings settings;
  settings.parallelism = argc > 2 ? static_cast<uint32_t>(std::atoi(argv[2])) : 2;
  settings.records = static_cast<int64_t>((argc > 3 ? std::atof(argv[3]) : 5) * 1e6);
  const int runs = mode == "fast" ? 5 : 1;
  for (int run = 0; run < runs; ++run) {
    for (const bool debloat : {true, false}) {
      settings.debloat = debloat;
      for (const bool unaligned : {false, true}) {
        if (unaligned && mode == "fast") continue;  // It takes no checkpoints.
        settings.unaligned = unaligned;
        std::printf("%s, parallelism %u, debloating %s, %s\n", mode == "fast" ? "fast" : "slow",
                    settings.parallelism, debloat ? "on" : "off",
                    unaligned ? "unaligned" : "aligned");
        mode == "fast" ? RunFast(settings) : RunSlow(settings);
        std::fflush(stdout);
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) { return weir::Main(argc, argv); }
