#include "operators/api/async_data_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "operators/api/stream_environment.h"
#include "runtime/base/ids.h"
#include "runtime/base/strings.h"
#include "tests/operators/async/fake_service.h"
#include "tests/support/local_job.h"
#include "tests/support/memory_connectors.h"

namespace weir {
namespace {

/// Answers the questions of a FakeService from a thread of its own, in random order.
class AnsweringThread {
 public:
  AnsweringThread(std::shared_ptr<FakeService> service, unsigned seed)
      : thread_([service = std::move(service), seed](const std::stop_token& stop) {
          std::mt19937 random(seed);
          while (!stop.stop_requested()) {
            const size_t open = service->Open().size();
            if (open == 0) {
              std::this_thread::yield();
            } else {
              service->Answer(random() % open);
            }
          }
        }) {}

 private:
  std::jthread thread_;
};

TEST(AsyncDataStreamTest, AnswersFromOtherThreadsAreExactlyOnceThroughAKillInFlight) {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(StrCat("seed=", seed));
    const std::string directory =
        StrCat(::testing::TempDir(), "/async-", ToString(RandomId<JobId>()));
    std::filesystem::create_directories(directory);
    auto service = std::make_shared<FakeService>();
    auto results = std::make_shared<MemorySinkContents<std::string>>();
    std::vector<int64_t> numbers;
    std::multiset<std::string> expected;
    for (int64_t i = 0; i < 3000; ++i) {
      numbers.push_back(i);
      expected.insert(FakeService::AnswerTo(i));
    }
    const auto build = [&] {
      StreamGraph graph;
      StreamEnvironment environment(&graph);
      const auto stream = environment
                              .FromSource(MemorySource<int64_t>(numbers, 16, /*rate_limited=*/true),
                                          WatermarkStrategy<int64_t>::NoWatermarks(), "Numbers")
                              .Uid("numbers")
                              .Rebalance();
      auto asked =
          seed % 2 == 0
              ? AsyncDataStream::OrderedWait(stream, AskService(service), absl::Minutes(1), 20)
              : AsyncDataStream::UnorderedWait(stream, AskService(service), absl::Minutes(1), 20);
      asked.Uid("asked");
      asked.SinkTo(MemorySink<std::string>(results)).Uid("sink");
      return graph;
    };
    LocalJobOptions options;
    options.directory = directory;
    LocalCheckpoint checkpoint;
    {
      const AnsweringThread answering(service, seed);
      options.parallelism = 1 + seed % 3;
      LocalJob job(build(), options);
      ASSERT_TRUE(job.Start().ok());
      auto taken = job.TriggerCheckpoint();
      ASSERT_TRUE(taken.ok()) << taken.status();
      checkpoint = *std::move(taken);
    }
    service->Forget();
    const AnsweringThread answering(service, seed + 100);
    options.parallelism = 1 + (seed + 1) % 3;
    LocalJob job(build(), options);
    ASSERT_TRUE(job.Start(&checkpoint).ok());
    const absl::Status finished = job.WaitUntilFinished();
    ASSERT_TRUE(finished.ok()) << finished;
    EXPECT_EQ(results->Committed(), expected);
    EXPECT_GE(service->num_asked(), expected.size());
    std::filesystem::remove_all(directory);
  }
}

}  // namespace
}  // namespace weir
