// A whole job behind a slow sink: how much is in flight, and how much an aligned checkpoint waits
// for.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "operators/api/stream_environment.h"
#include "operators/connectors/blackhole_sink.h"
#include "runtime/base/clock.h"
#include "tests/support/local_job.h"
#include "tests/support/memory_connectors.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

constexpr uint32_t kParallelism = 2;
constexpr size_t kNumRecords = 300'000;
constexpr size_t kChannelBytes = size_t{256} << 10;

struct Shared {
  std::atomic<bool> slow{true};
  std::atomic<uint64_t> taken{0};
};

// A fast source, two shuffles, and a sink that takes at most 1,000 records of 100 bytes a second.
class BufferDebloatTest : public ::testing::Test {
 protected:
  void StartJob(bool debloat) {
    StreamGraph graph;
    StreamEnvironment environment(&graph);
    environment
        .FromSource(MemorySource<std::string>(
                        std::vector<std::string>(kNumRecords, std::string(68, 'x')), 1024),
                    WatermarkStrategy<std::string>::NoWatermarks(), "Texts")
        .SetParallelism(1)
        .Shuffle()
        .Map([](std::string text) { return text; })
        .Name("middle")
        .Shuffle()
        .Map([shared = shared_](std::string text) {
          if (shared->slow.load(std::memory_order_relaxed)) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));  // As slow user code does.
          }
          shared->taken.fetch_add(1, std::memory_order_relaxed);
          return text;
        })
        .Name("end")
        .SinkTo(BlackholeSink<std::string>());
    LocalJobOptions options;
    options.directory = folder_.path();
    options.parallelism = kParallelism;
    options.num_workers = kParallelism + 2;
    options.channel_bytes = kChannelBytes;
    options.buffer_debloat = {
        .enabled = debloat, .target = absl::Milliseconds(300), .period = absl::Milliseconds(50)};
    job_ = std::make_unique<LocalJob>(std::move(graph), options);
    ASSERT_TRUE(job_->Start().ok());
  }

  // Waits until `condition` holds; fails the test if that takes too long.
  static void Until(const std::function<bool()>& condition) {
    const int64_t deadline = MonotonicNanos() + 60'000'000'000;
    while (!condition()) {
      ASSERT_LT(MonotonicNanos(), deadline) << "the condition did not come true";
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  uint64_t Taken() const { return shared_->taken.load(std::memory_order_relaxed); }
  uint64_t InFlight() const {
    uint64_t sent = 0;
    for (const auto& task : job_->TasksOf("Texts")) sent += task->metrics().records_out;
    const uint64_t taken = Taken();
    return sent > taken ? sent - taken : 0;
  }
  // How many records the sinks take from the trigger of a checkpoint to its completion.
  uint64_t TakenDuringCheckpoint() {
    const uint64_t before = Taken();
    EXPECT_TRUE(job_->TriggerCheckpoint().ok());
    return Taken() - before;
  }

  const TemporaryFolder folder_;
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  std::unique_ptr<LocalJob> job_;
};

// Row H4. In 300 ms the two sinks take 600 records at most. In flight are as much between the
// shuffles, as much again before them, and the batches that tasks work on.
TEST_F(BufferDebloatTest, ACheckpointBehindASlowSinkWaitsForLittleAndTheSinksSpeedBringsItBack) {
  ASSERT_NO_FATAL_FAILURE(StartJob(true));
  const std::vector<std::shared_ptr<Task>> ends = job_->TasksOf("end");
  const std::vector<std::shared_ptr<Task>> middles = job_->TasksOf("middle");
  const auto is_limited = [](const std::shared_ptr<Task>& task) {
    return task->metrics().debloated_bytes.value_or(kChannelBytes) < 40'000;
  };
  // What was sent before anything was measured has to be worked off.
  ASSERT_NO_FATAL_FAILURE(Until([&] {
    return std::all_of(ends.begin(), ends.end(), is_limited) &&
           std::all_of(middles.begin(), middles.end(), is_limited) && InFlight() < 3000;
  }));
  for (int i = 0; i < 3; ++i) {
    EXPECT_LT(InFlight(), 4000U);
    EXPECT_LT(TakenDuringCheckpoint(), 4000U) << "two seconds of two sinks";
  }
  for (const auto& task : ends) {
    const TaskMetricsSnapshot metrics = task->metrics();
    ASSERT_TRUE(metrics.debloated_bytes.has_value());
    EXPECT_LT(*metrics.debloated_bytes, kChannelBytes / 4);
    EXPECT_GT(metrics.time_to_consume, absl::Milliseconds(100));
    EXPECT_LT(metrics.time_to_consume, absl::Milliseconds(900));
  }
  EXPECT_TRUE(middles.at(0)->metrics().debloated_bytes.has_value());
  EXPECT_FALSE(job_->TasksOf("Texts").at(0)->metrics().debloated_bytes.has_value())
      << "a source has no input to limit";

  shared_->slow.store(false);
  Until([&] {
    return ends[0]->metrics().debloated_bytes == kChannelBytes || Taken() == kNumRecords;
  });
  ASSERT_TRUE(job_->WaitUntilFinished().ok()) << "at 2,000 records a second it takes minutes";
  EXPECT_EQ(Taken(), kNumRecords);
}

// What the test above would see if nothing were done.
TEST_F(BufferDebloatTest, WithoutItChannelsFillUpToTheirCapacity) {
  ASSERT_NO_FATAL_FAILURE(StartJob(false));
  ASSERT_NO_FATAL_FAILURE(Until([&] { return InFlight() > 10'000; }));
  EXPECT_FALSE(job_->TasksOf("end").at(0)->metrics().debloated_bytes.has_value());
  shared_->slow.store(false);
  ASSERT_TRUE(job_->WaitUntilFinished().ok());
}

}  // namespace
}  // namespace weir
