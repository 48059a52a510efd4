#include "jobs/examples/keyed_count.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/strings.h"
#include "tests/support/local_job.h"

namespace weir {
namespace {

using ::testing::SizeIs;

class KeyedCountTest : public ::testing::Test {
 protected:
  KeyedCountTest()
      : directory_(StrCat(::testing::TempDir(), "/keyed-count-", ToString(RandomId<JobId>()))),
        out_(StrCat(directory_, "/out")) {
    std::filesystem::create_directories(directory_);
  }
  ~KeyedCountTest() override { std::filesystem::remove_all(directory_); }

  LocalJob MakeJob(uint32_t parallelism, std::vector<std::string> arguments) {
    arguments.push_back("--out");
    arguments.push_back(out_);
    auto graph = BuildTestGraph(
        [](StreamGraph& stream_graph, const JobArgs& args) {
          StreamEnvironment environment(&stream_graph);
          return examples::BuildKeyedCount(environment, args);
        },
        arguments);
    EXPECT_TRUE(graph.ok()) << graph.status();
    LocalJobOptions options;
    options.parallelism = parallelism;
    options.directory = directory_;
    return LocalJob(*std::move(graph), options);
  }

  // All committed lines.
  std::multiset<std::string> Lines() const {
    std::multiset<std::string> lines;
    for (const auto& entry : std::filesystem::directory_iterator(out_)) {
      if (entry.path().filename().string().starts_with('.')) continue;
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) lines.insert(line);
    }
    return lines;
  }

  int64_t Total() const {
    int64_t total = 0;
    for (const std::string& line : Lines()) total += std::stoll(line.substr(line.rfind(':') + 1));
    return total;
  }

  const std::string directory_;
  const std::string out_;
};

TEST_F(KeyedCountTest, CountsEveryEventOnceAndFinishes) {
  LocalJob job = MakeJob(2, {"--records", "1000000", "--keys", "1000"});
  ASSERT_TRUE(job.Start().ok());
  const absl::Status finished = job.WaitUntilFinished();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(Lines(), SizeIs(1000));
  EXPECT_EQ(Total(), 1000000);
}

TEST_F(KeyedCountTest, FinishesWithoutCheckpointsToo) {
  auto graph = BuildTestGraph(
      [](StreamGraph& stream_graph, const JobArgs& args) {
        StreamEnvironment environment(&stream_graph);
        return examples::BuildKeyedCount(environment, args);
      },
      {"--records", "100000", "--keys", "10", "--out", out_});
  ASSERT_TRUE(graph.ok());
  LocalJobOptions options;
  options.parallelism = 2;
  options.directory = directory_;
  options.checkpointing = false;
  LocalJob job(*std::move(graph), options);
  ASSERT_TRUE(job.Start().ok());
  const absl::Status finished = job.WaitUntilFinished();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_EQ(Total(), 100000);
}

TEST_F(KeyedCountTest, CountsTheSameWhenKilledAndRestoredAtAnotherParallelism) {
  const std::vector<std::string> arguments = {"--records", "3000000", "--keys",
                                              "5000",      "--rate",  "2000000"};
  std::mt19937 random(5);
  LocalCheckpoint checkpoint;
  bool restored = false;
  for (const uint32_t parallelism : {2U, 3U, 1U, 4U}) {
    LocalJob job = MakeJob(parallelism, arguments);
    ASSERT_TRUE(job.Start(restored ? &checkpoint : nullptr).ok());
    for (unsigned i = 0; i < 1 + random() % 3; ++i) {
      auto taken = job.TriggerCheckpoint();
      ASSERT_TRUE(taken.ok()) << taken.status();
      checkpoint = *std::move(taken);
      restored = true;
    }
    job.Kill();
  }
  LocalJob job = MakeJob(2, arguments);
  ASSERT_TRUE(job.Start(&checkpoint).ok());
  const absl::Status finished = job.WaitUntilFinished();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(Lines(), SizeIs(5000));
  EXPECT_EQ(Total(), 3000000);
}

}  // namespace
}  // namespace weir
