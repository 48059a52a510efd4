#include "operators/process/watermark_alignment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "operators/api/stream_environment.h"
#include "operators/connectors/file/file_source.h"
#include "operators/connectors/values_source.h"
#include "runtime/base/strings.h"
#include "tests/support/local_job.h"
#include "tests/support/memory_connectors.h"

namespace weir {
namespace {

using internal::AlignmentOptions;
using internal::WatermarkAlignment;
using ::testing::SizeIs;

EventTime At(int64_t millis) { return EventTime::FromMillis(millis); }

TEST(WatermarkAlignmentTest, TheSlowestSubtaskOfAllSourcesSaysHowFarTheOthersMayCome) {
  WatermarkAlignment alignment(AlignmentOptions{"g", absl::Milliseconds(30), absl::Seconds(1), 2},
                               2);
  alignment.OnReport(0, At(100));
  alignment.OnReport(1, At(50));
  EXPECT_EQ(alignment.lowest(), At(50));
  EXPECT_EQ(alignment.max_watermark(), EventTime::Min()) << "the other source is not known yet";
  alignment.OnOtherSource(OperatorId(1, 1), At(40));
  EXPECT_EQ(alignment.max_watermark(), At(70));
  alignment.OnOtherSource(OperatorId(1, 1), EventTime::Max());
  EXPECT_EQ(alignment.max_watermark(), At(80)) << "it has ended or is idle";
  alignment.OnReport(0, EventTime::Max());
  alignment.OnReport(1, EventTime::Max());
  EXPECT_EQ(alignment.max_watermark(), EventTime::Max());
}

TEST(WatermarkAlignmentTest, KnowsNothingBeforeEverySubtaskHasReported) {
  WatermarkAlignment alignment(AlignmentOptions{"g", absl::Milliseconds(30), absl::Seconds(1), 1},
                               2);
  alignment.OnReport(1, At(50));
  EXPECT_EQ(alignment.max_watermark(), EventTime::Min());
  alignment.OnReport(0, At(60));
  EXPECT_EQ(alignment.max_watermark(), At(80));
}

constexpr int64_t kDriftMs = 30'000;

/// How far the fast stream was ahead of the slow one when it emitted a record, at most.
struct Lead {
  std::atomic<int64_t> slow{0};
  std::atomic<int64_t> fast{0};
  std::atomic<int64_t> most{0};
  void OnSlow(int64_t time) { slow.store(std::max(slow.load(), time)); }
  void OnFast(int64_t time) {
    fast.store(std::max(fast.load(), time));
    // The slow one only moves on meanwhile, which makes the lead smaller than what was allowed.
    most.store(std::max(most.load(), fast.load() - slow.load()));
  }
};

class AlignedJobTest : public ::testing::Test {
 protected:
  AlignedJobTest()
      : directory_(StrCat(::testing::TempDir(), "/aligned-", ToString(RandomId<JobId>()))) {
    std::filesystem::create_directories(directory_);
  }
  ~AlignedJobTest() override { std::filesystem::remove_all(directory_); }

  // Times from 0 on, `step` milliseconds apart.
  static std::vector<int64_t> Times(int64_t count, int64_t step) {
    std::vector<int64_t> times;
    for (int64_t i = 0; i < count; ++i) times.push_back(i * step);
    return times;
  }
  static WatermarkStrategy<int64_t> Strategy() {
    return WatermarkStrategy<int64_t>::Monotonous()
        .WithTimestamps([](const int64_t& time) { return At(time); })
        .WithWatermarkAlignment("both", absl::Milliseconds(kDriftMs), absl::Milliseconds(5));
  }
  // 200 records over ten minutes of event time, one a millisecond.
  DataStream<int64_t> Slow() {
    return environment_
        .FromSource(MemorySource<int64_t>(Times(200, 3000), 1, /*rate_limited=*/true), Strategy(),
                    "slow")
        .Map([lead = lead_](const int64_t& time) {
          lead->OnSlow(time);
          return time;
        });
  }
  void Watch(const DataStream<int64_t>& fast) {
    fast.Map([lead = lead_](const int64_t& time) {
          lead->OnFast(time);
          return time;
        })
        .Union(Slow())
        .SinkTo(MemorySink<int64_t>(results_));
  }
  void Run() {
    LocalJobOptions options;
    options.directory = directory_;
    LocalJob job(std::move(graph_), options);
    ASSERT_TRUE(job.Start().ok());
    const absl::Status finished = job.WaitUntilFinished();
    ASSERT_TRUE(finished.ok()) << finished;
  }

  const std::string directory_;
  StreamGraph graph_;
  StreamEnvironment environment_{&graph_};
  std::shared_ptr<Lead> lead_ = std::make_shared<Lead>();
  std::shared_ptr<MemorySinkContents<int64_t>> results_ =
      std::make_shared<MemorySinkContents<int64_t>>();
};

// Row B5 of the features. The fast source would be through at once; a poll is 1,024 records, here
// of 10 ms.
TEST_F(AlignedJobTest, AFastSourceNeverLeadsByMoreThanTheDriftAndOnePoll) {
  constexpr int64_t kPollMs = 1024 * 10;
  Watch(environment_.FromSource(ValuesSource<int64_t>(Times(60'000, 10)), Strategy(), "fast"));
  Run();
  EXPECT_THAT(results_->Committed(), SizeIs(60'200));
  EXPECT_LE(lead_->most.load(), kDriftMs + kPollMs);
  EXPECT_GT(lead_->most.load(), 0) << "it does run ahead";
}

TEST_F(AlignedJobTest, FilesArePausedAsWell) {
  // Two files of one reader, one of them ahead of everything from its first record on.
  std::filesystem::create_directories(directory_ + "/input");
  for (const auto& [name, begin] : {std::pair("a", 0), std::pair("b", 400'000)}) {
    std::ofstream file(StrCat(directory_, "/input/", name, ".ndjson"));
    for (int64_t i = 0; i < 20'000; ++i) file << "{\"t\":" << begin + i * 10 << "}\n";
  }
  const auto time_of = [](const std::string& line) { return std::stoll(line.substr(5)); };
  FileSourceOptions options;
  options.path = directory_ + "/input";
  options.chunk_bytes = 4096;
  Watch(environment_
            .FromSource(FileSource(options),
                        WatermarkStrategy<std::string>::Monotonous()
                            .WithTimestamps(
                                [time_of](const std::string& line) { return At(time_of(line)); })
                            .WithWatermarkAlignment("both", absl::Milliseconds(kDriftMs),
                                                    absl::Milliseconds(5)),
                        "files")
            .Map([time_of](const std::string& line) -> int64_t { return time_of(line); }));
  Run();
  EXPECT_THAT(results_->Committed(), SizeIs(40'200));
  EXPECT_EQ(results_->Committed().count(400'000), 1U);
}

TEST_F(AlignedJobTest, AlignmentBehindTheSourceIsRefused) {
  const auto numbers = environment_.FromSource(
      ValuesSource<int64_t>({1}), WatermarkStrategy<int64_t>::NoWatermarks(), "numbers");
  EXPECT_THROW(static_cast<void>(numbers.AssignTimestampsAndWatermarks(Strategy())),
               std::invalid_argument);
}

}  // namespace
}  // namespace weir
