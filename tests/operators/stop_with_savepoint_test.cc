#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "jobs/examples/keyed_count.h"
#include "runtime/base/ids.h"
#include "runtime/base/strings.h"
#include "tests/support/local_job.h"

namespace weir {
namespace {

// A count per key, emitted by a timer at the end of time and committed to files, which is stopped
// long before its end.
class StopWithSavepointTest : public ::testing::Test {
 protected:
  static constexpr int64_t kRecords = 400'000;

  StopWithSavepointTest()
      : directory_(StrCat(::testing::TempDir(), "/stop-", ToString(RandomId<JobId>()))),
        out_(StrCat(directory_, "/out")) {
    std::filesystem::create_directories(out_);
  }
  ~StopWithSavepointTest() override { std::filesystem::remove_all(directory_); }

  LocalJob MakeJob(uint32_t parallelism, int64_t rate) {
    auto graph = BuildTestGraph(
        [](StreamGraph& stream_graph, const JobArgs& args) {
          StreamEnvironment environment(&stream_graph);
          return examples::BuildKeyedCount(environment, args);
        },
        {"--records", StrCat(kRecords), "--keys", "500", "--rate", StrCat(rate), "--out", out_});
    EXPECT_TRUE(graph.ok()) << graph.status();
    LocalJobOptions options;
    options.parallelism = parallelism;
    options.directory = directory_;
    return LocalJob(*std::move(graph), options);
  }

  // The sum of all committed counts.
  int64_t Total() const {
    int64_t total = 0;
    for (const auto& entry : std::filesystem::directory_iterator(out_)) {
      if (entry.path().filename().string().starts_with('.')) continue;
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) {
        total += std::stoll(line.substr(line.rfind(':') + 1));
      }
    }
    return total;
  }

  const std::string directory_;
  const std::string out_;
};

TEST_F(StopWithSavepointTest, SuspendsWithoutOutputAndGoesOnAtAnotherParallelism) {
  LocalJob job = MakeJob(2, 20'000);
  ASSERT_TRUE(job.Start().ok());
  const auto savepoint = job.TriggerCheckpoint(/*notify=*/true, BarrierKind::kSuspend);
  ASSERT_TRUE(savepoint.ok()) << savepoint.status();
  const absl::Status stopped = job.WaitUntilStopped();
  ASSERT_TRUE(stopped.ok()) << stopped;
  EXPECT_EQ(Total(), 0) << "a timer has fired";

  LocalJob next = MakeJob(3, 0);
  ASSERT_TRUE(next.Start(&*savepoint).ok());
  const absl::Status finished = next.WaitUntilFinished();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_EQ(Total(), kRecords);
}

TEST_F(StopWithSavepointTest, DrainFiresTheTimersAndCommitsWhatTheyEmit) {
  LocalJob job = MakeJob(2, 20'000);
  ASSERT_TRUE(job.Start().ok());
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (job.TasksOf("Count")[0]->metrics().records_in == 0) {
    ASSERT_LT(absl::Now(), deadline);
    ASSERT_TRUE(job.TriggerCheckpoint().ok());
  }
  const auto savepoint = job.TriggerCheckpoint(/*notify=*/true, BarrierKind::kTerminate);
  ASSERT_TRUE(savepoint.ok()) << savepoint.status();
  const absl::Status stopped = job.WaitUntilStopped();
  ASSERT_TRUE(stopped.ok()) << stopped;
  const int64_t drained = Total();
  EXPECT_GT(drained, 0);
  EXPECT_LT(drained, kRecords);

  // What was counted is out: the next run counts the rest, and no record twice.
  LocalJob next = MakeJob(2, 0);
  ASSERT_TRUE(next.Start(&*savepoint).ok());
  const absl::Status finished = next.WaitUntilFinished();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_EQ(Total(), kRecords);
}

TEST_F(StopWithSavepointTest, GoesOnWhenTheSavepointFails) {
  LocalJob job = MakeJob(2, 400'000);
  ASSERT_TRUE(job.Start().ok());
  const auto savepoint = job.TriggerCheckpoint(/*notify=*/false, BarrierKind::kSuspend);
  ASSERT_TRUE(savepoint.ok()) << savepoint.status();
  job.NotifyCheckpointAborted(savepoint->id);
  const absl::Status finished = job.WaitUntilFinished();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_EQ(Total(), kRecords);
}

}  // namespace
}  // namespace weir
