// Whole jobs behind a slow sink, with aligned and unaligned checkpoints: what a checkpoint waits
// for, and that a job which is killed and restored, also at another parallelism, gives exact
// results.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "operators/api/stream_environment.h"
#include "operators/connectors/blackhole_sink.h"
#include "runtime/base/clock.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "tests/support/local_job.h"
#include "tests/support/memory_connectors.h"
#include "tests/support/seeds.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

struct Shared {
  std::atomic<bool> slow{true};
  std::atomic<uint64_t> taken{0};

  // What a slow sink does with a record.
  void Take() {
    if (slow.load(std::memory_order_relaxed)) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    taken.fetch_add(1, std::memory_order_relaxed);
  }
};

// Waits until `condition` holds; fails the test if that takes too long.
void Until(const std::function<bool()>& condition) {
  const int64_t deadline = MonotonicNanos() + 60'000'000'000;
  while (!condition()) {
    ASSERT_LT(MonotonicNanos(), deadline) << "the condition did not come true";
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

// A fast source, two shuffles, and two sinks that are some hundred times slower.
class SlowSinkTest : public ::testing::Test {
 protected:
  static constexpr size_t kNumRecords = 200'000;
  static constexpr uint64_t kInFlight = 10'000;

  void StartJob(TaskDescription::Alignment alignment) {
    job_.reset();
    shared_ = std::make_shared<Shared>();
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
          shared->Take();
          return text;
        })
        .Name("end")
        .SinkTo(BlackholeSink<std::string>());
    LocalJobOptions options;
    options.directory = folder_.path();
    options.parallelism = 2;
    options.num_workers = 4;
    options.channel_bytes = size_t{256} << 10;
    options.alignment = alignment;
    job_ = std::make_unique<LocalJob>(std::move(graph), options);
    ASSERT_TRUE(job_->Start().ok());
    ASSERT_NO_FATAL_FAILURE(Until([&] { return InFlight() > kInFlight; }));
  }

  uint64_t InFlight() const {
    uint64_t sent = 0;
    for (const auto& task : job_->TasksOf("Texts")) sent += task->metrics().records_out;
    const uint64_t taken = shared_->taken.load();
    return sent > taken ? sent - taken : 0;
  }

  // How many records the sinks take from the trigger of a checkpoint to its completion.
  uint64_t TakenDuringCheckpoint(LocalCheckpoint* checkpoint) {
    const uint64_t before = shared_->taken.load();
    absl::StatusOr<LocalCheckpoint> taken = job_->TriggerCheckpoint();
    EXPECT_TRUE(taken.ok()) << taken.status();
    if (taken.ok()) *checkpoint = *std::move(taken);
    return shared_->taken.load() - before;
  }

  const TemporaryFolder folder_;
  std::shared_ptr<Shared> shared_;
  std::unique_ptr<LocalJob> job_;
};

// Row E3. A sink finishes the batch it has begun, of at most 1,024 records.
TEST_F(SlowSinkTest, AnUnalignedCheckpointDoesNotWaitForWhatIsInFlight) {
  LocalCheckpoint aligned;
  ASSERT_NO_FATAL_FAILURE(StartJob({}));
  EXPECT_GT(TakenDuringCheckpoint(&aligned), kInFlight / 2);
  EXPECT_EQ(aligned.num_unaligned, 0U);
  EXPECT_EQ(aligned.persisted_bytes, 0U);

  LocalCheckpoint unaligned;
  ASSERT_NO_FATAL_FAILURE(StartJob({.unaligned = true}));
  EXPECT_LT(TakenDuringCheckpoint(&unaligned), 2 * 2 * 1024U);
  EXPECT_EQ(unaligned.num_unaligned, 4U) << "all but the source";
  EXPECT_GT(unaligned.persisted_bytes, kInFlight / 2 * 68);
  // Again at once: what the first one recorded is still queued.
  EXPECT_LT(TakenDuringCheckpoint(&unaligned), 2 * 2 * 1024U);
  shared_->slow = false;
  const absl::Status finished = job_->WaitUntilFinished();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_EQ(shared_->taken.load(), kNumRecords);
}

TEST_F(SlowSinkTest, ACheckpointBecomesUnalignedWhenItsTimeIsOver) {
  LocalCheckpoint checkpoint;
  ASSERT_NO_FATAL_FAILURE(StartJob({.unaligned = true, .aligned_timeout = absl::Milliseconds(50)}));
  EXPECT_LT(TakenDuringCheckpoint(&checkpoint), kInFlight / 2);
  EXPECT_GT(checkpoint.num_unaligned, 0U);

  ASSERT_NO_FATAL_FAILURE(StartJob({.unaligned = true, .aligned_timeout = absl::Hours(1)}));
  EXPECT_GT(TakenDuringCheckpoint(&checkpoint), kInFlight / 2);
  EXPECT_EQ(checkpoint.num_unaligned, 0U);
}

/// Numbers the records of each key.
class Number final : public KeyedProcessFunction<int64_t, int64_t, std::string> {
 public:
  explicit Number(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(count_, context.GetState(ValueStateDescriptor<int64_t>{"count"}));
    return absl::OkStatus();
  }
  void ProcessElement(const int64_t&, Context& context, Collector<std::string>& out) override {
    shared_->Take();
    out.Collect(StrCat(context.current_key(), " ", ++count_.Mutable()));
  }

 private:
  std::shared_ptr<Shared> shared_;
  ValueState<int64_t> count_;
};

// Of which some ten thousand are in flight: a batch in every channel. So no source ends before the
// last run.
constexpr int64_t kNumKeys = 37;
constexpr int64_t kNumPerSource = 60'000;

// Two sources; records meet by key behind an exchange and a partial one.
class KilledJobTest : public ::testing::Test {
 protected:
  std::unique_ptr<LocalJob> MakeJob(uint32_t parallelism, TaskDescription::Alignment alignment) {
    shared_ = std::make_shared<Shared>();
    StreamGraph graph;
    StreamEnvironment environment(&graph);
    const auto numbers = [&](int64_t first, const char* name) {
      std::vector<int64_t> values;
      for (int64_t i = 0; i < kNumPerSource; ++i) values.push_back(first + i);
      return environment
          .FromSource(MemorySource<int64_t>(std::move(values), 64),
                      WatermarkStrategy<int64_t>::NoWatermarks(), name)
          .SetParallelism(1);
    };
    numbers(0, "First")
        .Union(numbers(kNumPerSource, "Second"))
        .Rebalance()
        .Map([](int64_t value) { return value; })
        .Name("middle")
        .KeyBy([](const int64_t& value) { return value % kNumKeys; })
        .Process(Number(shared_))
        .Name("number")
        .SinkTo(MemorySink<std::string>(contents_));
    LocalJobOptions options;
    options.directory = folder_.path();
    options.parallelism = parallelism;
    options.num_workers = 4;
    options.channel_bytes = size_t{2} << 10;
    options.alignment = alignment;
    return std::make_unique<LocalJob>(std::move(graph), options);
  }

  // Waits until so many more records have been processed.
  void Take(LocalJob& job, uint64_t count) {
    const uint64_t goal = shared_->taken.load() + count;
    ASSERT_NO_FATAL_FAILURE(Until([&] {
      const absl::Status running = job.WaitUntilRunning(absl::ZeroDuration());
      EXPECT_TRUE(running.ok()) << running << " taken=" << shared_->taken.load();
      return !running.ok() || shared_->taken.load() >= goal;
    }));
  }

  // Runs the job with the parallelisms, each but the last until it is killed behind a checkpoint.
  void Run(const std::vector<uint32_t>& parallelisms, TaskDescription::Alignment alignment,
           unsigned seed) {
    std::mt19937 random(seed);
    contents_ = std::make_shared<MemorySinkContents<std::string>>();
    std::optional<LocalCheckpoint> checkpoint;
    for (size_t i = 0; i < parallelisms.size(); ++i) {
      const std::unique_ptr<LocalJob> job = MakeJob(parallelisms[i], alignment);
      const absl::Status started = job->Start(checkpoint.has_value() ? &*checkpoint : nullptr);
      ASSERT_TRUE(started.ok()) << started;
      if (i + 1 == parallelisms.size()) {
        shared_->slow = false;
        const absl::Status finished = job->WaitUntilFinished();
        ASSERT_TRUE(finished.ok()) << finished;
        continue;
      }
      ASSERT_TRUE(job->WaitUntilRunning().ok());
      for (unsigned n = 1 + random() % 2; n > 0; --n) {
        ASSERT_NO_FATAL_FAILURE(Take(*job, random() % 200));
        absl::StatusOr<LocalCheckpoint> taken = job->TriggerCheckpoint();
        ASSERT_TRUE(taken.ok()) << taken.status();
        checkpoint = *std::move(taken);
        num_unaligned_ += checkpoint->num_unaligned;
        persisted_bytes_ += checkpoint->persisted_bytes;
      }
      ASSERT_NO_FATAL_FAILURE(Take(*job, random() % 100));
      job->Kill();
    }
  }

  // How often each key's numbers were given out, by key.
  std::map<std::string, size_t> Committed() const {
    std::map<std::string, size_t> committed;
    for (const std::string& text : contents_->Committed()) ++committed[text];
    return committed;
  }
  static std::map<std::string, size_t> Expected() {
    std::map<int64_t, int64_t> counts;
    std::map<std::string, size_t> expected;
    for (int64_t i = 0; i < 2 * kNumPerSource; ++i) {
      const int64_t key = i % kNumKeys;
      expected[StrCat(key, " ", ++counts[key])] = 1;
    }
    return expected;
  }

  const TemporaryFolder folder_;
  std::shared_ptr<Shared> shared_;
  std::shared_ptr<MemorySinkContents<std::string>> contents_;
  size_t num_unaligned_ = 0;
  uint64_t persisted_bytes_ = 0;
};

TEST_F(KilledJobTest, GivesExactResultsOutOfUnalignedCheckpoints) {
  for (unsigned seed = 1; seed <= NumSeeds(5); ++seed) {
    SCOPED_TRACE(seed);
    ASSERT_NO_FATAL_FAILURE(Run({2, 2, 2}, {.unaligned = true}, seed));
    EXPECT_EQ(Committed(), Expected());
  }
  EXPECT_GT(num_unaligned_, 0U);
  EXPECT_GT(persisted_bytes_, 0U) << "the test is of in-flight records";
}

TEST_F(KilledJobTest, GivesExactResultsOutOfCheckpointsAlignedForATime) {
  for (unsigned seed = 1; seed <= NumSeeds(3); ++seed) {
    SCOPED_TRACE(seed);
    ASSERT_NO_FATAL_FAILURE(Run(
        {2, 2, 2}, {.unaligned = true, .aligned_timeout = absl::Milliseconds(seed % 3 * 5)}, seed));
    EXPECT_EQ(Committed(), Expected());
  }
}

TEST_F(KilledJobTest, GivesExactResultsOutOfAlignedCheckpoints) {
  ASSERT_NO_FATAL_FAILURE(Run({2, 2, 2}, {}, 1));
  EXPECT_EQ(Committed(), Expected());
  EXPECT_EQ(num_unaligned_, 0U);
}

// Row F9.
TEST_F(KilledJobTest, RescalesOutOfUnalignedCheckpoints) {
  for (unsigned seed = 1; seed <= NumSeeds(3); ++seed) {
    SCOPED_TRACE(seed);
    ASSERT_NO_FATAL_FAILURE(Run({2, 3, 1, 2}, {.unaligned = true}, seed));
    EXPECT_EQ(Committed(), Expected());
  }
  EXPECT_GT(persisted_bytes_, 0U) << "the test is of in-flight records";
}

// Row E2.
TEST_F(KilledJobTest, LosesNothingInAtLeastOnceMode) {
  for (unsigned seed = 1; seed <= NumSeeds(1); ++seed) {
    SCOPED_TRACE(seed);
    ASSERT_NO_FATAL_FAILURE(Run({2, 2, 2}, {.mode = CheckpointMode::kAtLeastOnce}, seed));
    const std::map<std::string, size_t> committed = Committed();
    for (const auto& [text, count] : Expected()) {
      ASSERT_TRUE(committed.contains(text)) << text;
    }
  }
}

}  // namespace
}  // namespace weir
