#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "operators/api/stream_environment.h"
#include "runtime/base/ids.h"
#include "runtime/base/strings.h"
#include "tests/support/local_job.h"
#include "tests/support/memory_connectors.h"

namespace weir {

/// A number that counts how often it is serialised.
struct Counted {
  int64_t n = 0;
  static inline std::atomic<int> num_writes{0};
};

template <>
struct Serde<Counted> {
  static void Write(ByteWriter& writer, const Counted& value) {
    ++Counted::num_writes;
    writer.WriteFixed(value.n);
  }
  static bool Read(ByteReader& reader, Counted& value) { return reader.ReadFixed(&value.n); }
  static Schema GetSchema() { return Serde<int64_t>::GetSchema(); }
};

namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

/// Which numbers each subtask got, in order.
struct Received {
  std::mutex mutex;
  std::map<uint32_t, std::vector<int64_t>> by_subtask;
};

class Recorder final : public ProcessFunction<int64_t, int64_t> {
 public:
  explicit Recorder(std::shared_ptr<Received> received) : received_(std::move(received)) {}
  void ProcessElement(const int64_t& value, Context& context, Collector<int64_t>& out) override {
    const std::lock_guard<std::mutex> lock(received_->mutex);
    received_->by_subtask[context.place().subtask].push_back(value);
    out.Collect(value);
  }

 private:
  std::shared_ptr<Received> received_;
};

class PartitioningTest : public ::testing::Test {
 protected:
  PartitioningTest()
      : directory_(StrCat(::testing::TempDir(), "/partition-", ToString(RandomId<JobId>()))) {
    std::filesystem::create_directories(directory_);
  }
  ~PartitioningTest() override { std::filesystem::remove_all(directory_); }

  DataStream<int64_t> Numbers(int64_t begin, int64_t end) {
    std::vector<int64_t> numbers;
    for (int64_t i = begin; i < end; ++i) numbers.push_back(i);
    return environment_.FromSource(MemorySource<int64_t>(std::move(numbers)),
                                   WatermarkStrategy<int64_t>::NoWatermarks(), "Numbers");
  }
  void Record(const DataStream<int64_t>& stream, uint32_t parallelism) {
    stream.Process(Recorder(received_))
        .SetParallelism(parallelism)
        .SinkTo(MemorySink<int64_t>(results_));
  }
  absl::Status Run(uint32_t parallelism = 1) {
    LocalJobOptions options;
    options.parallelism = parallelism;
    options.directory = directory_;
    LocalJob job(std::move(graph_), options);
    absl::Status status = job.Start();
    strategies_.clear();
    vertices_.clear();
    for (const JobGraph::Vertex& vertex : job.job_graph().vertices)
      vertices_.push_back(vertex.name);
    for (const JobGraph::Edge& edge : job.job_graph().edges)
      strategies_.emplace_back(ToString(edge.strategy));
    if (status.ok()) status = job.WaitUntilFinished();
    return status;
  }

  const std::string directory_;
  StreamGraph graph_;
  StreamEnvironment environment_{&graph_};
  std::shared_ptr<Received> received_ = std::make_shared<Received>();
  std::shared_ptr<MemorySinkContents<int64_t>> results_ =
      std::make_shared<MemorySinkContents<int64_t>>();
  std::vector<std::string> strategies_;
  std::vector<std::string> vertices_;
};

TEST_F(PartitioningTest, RebalanceGivesEverySubtaskTheSameWithinOnePercent) {
  Record(Numbers(0, 20'000).Rebalance(), 4);
  const absl::Status finished = Run();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(strategies_, testing::Contains("REBALANCE"));
  ASSERT_THAT(received_->by_subtask, SizeIs(4));
  for (const auto& [subtask, numbers] : received_->by_subtask)
    EXPECT_NEAR(static_cast<double>(numbers.size()), 5000, 25) << subtask;
  EXPECT_THAT(results_->Committed(), SizeIs(20'000));
}

TEST_F(PartitioningTest, RescaleStaysWithinAShareOfTheSubtasks) {
  // Two sources of which the first has everything: its share is subtasks 0 and 1.
  const auto source = Numbers(0, 1000).SetParallelism(2);
  Record(source.Rescale(), 4);
  const absl::Status finished = Run();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(strategies_, testing::Contains("RESCALE"));
  ASSERT_THAT(received_->by_subtask, SizeIs(2));
  EXPECT_EQ(received_->by_subtask.begin()->first % 2, 0U);
  for (const auto& [subtask, numbers] : received_->by_subtask) EXPECT_THAT(numbers, SizeIs(500));
}

TEST_F(PartitioningTest, ShuffleReachesAllAndGlobalOnlyTheFirst) {
  Record(Numbers(0, 4000).Shuffle(), 4);
  absl::Status finished = Run();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(strategies_, testing::Contains("SHUFFLE"));
  for (const auto& [subtask, numbers] : received_->by_subtask)
    EXPECT_NEAR(static_cast<double>(numbers.size()), 1000, 150) << subtask;

  received_->by_subtask.clear();
  graph_ = StreamGraph();
  Record(Numbers(0, 100).Global(), 4);
  finished = Run();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(strategies_, testing::Contains("GLOBAL"));
  ASSERT_THAT(received_->by_subtask, SizeIs(1));
  EXPECT_THAT(received_->by_subtask[0], SizeIs(100));
}

TEST_F(PartitioningTest, CustomPutsEachKeyWhereThePartitionerSays) {
  Record(Numbers(0, 1000).PartitionCustom(
             [](const int64_t& tens, uint32_t partitions) { return tens % partitions; },
             [](const int64_t& n) { return n / 10; }),
         3);
  const absl::Status finished = Run();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(strategies_, testing::Contains("CUSTOM"));
  for (const auto& [subtask, numbers] : received_->by_subtask) {
    for (const int64_t n : numbers) EXPECT_EQ(n / 10 % 3, subtask);
  }
  EXPECT_THAT(results_->Committed(), SizeIs(1000));
}

TEST_F(PartitioningTest, APartitionerOutOfRangeFailsTheJobAndSaysWhy) {
  Record(Numbers(0, 10).PartitionCustom([](const int64_t&, uint32_t) { return 7; },
                                        [](const int64_t& n) { return n; }),
         2);
  const absl::Status finished = Run();
  EXPECT_FALSE(finished.ok());
  EXPECT_THAT(finished.ToString(), HasSubstr("returned=7 partitions=2"));
  EXPECT_THAT(finished.ToString(), HasSubstr("operator=Numbers"));
}

class PassKeyed final : public KeyedProcessFunction<int64_t, int64_t, int64_t> {
 public:
  void ProcessElement(const int64_t& n, Context&, Collector<int64_t>& out) override {
    out.Collect(n);
  }
};

TEST_F(PartitioningTest, AKeySelectorThatThrowsFailsTheJobAlsoWhenTheBatchIsNotFull) {
  Numbers(0, 3)
      .Map([](const int64_t& n) { return n; })
      .KeyBy([](const int64_t& n) -> int64_t {
        if (n == 2) throw std::runtime_error("no key");
        return n;
      })
      .Process(PassKeyed())
      .SinkTo(MemorySink<int64_t>(results_));
  const absl::Status finished = Run();
  EXPECT_THAT(finished.ToString(), HasSubstr("user code threw an exception: no key"));
}

TEST_F(PartitioningTest, UnitedStreamsKeepTheirOwnPartitioning) {
  const auto global = Numbers(0, 100).Global();
  const auto custom = Numbers(100, 200).PartitionCustom([](const int64_t&, uint32_t) { return 2; },
                                                        [](const int64_t& n) { return n; });
  Record(global.Union(custom), 3);
  const absl::Status finished = Run();
  ASSERT_TRUE(finished.ok()) << finished;
  ASSERT_THAT(received_->by_subtask, SizeIs(2));
  EXPECT_LT(received_->by_subtask[0].back(), 100);
  EXPECT_GE(received_->by_subtask[2].front(), 100);
  EXPECT_THAT(results_->Committed(), SizeIs(200));
}

TEST_F(PartitioningTest, AStreamUnitedWithItselfComesTwice) {
  const auto numbers = Numbers(0, 50);
  Record(numbers.Union(numbers, numbers.Rebalance()), 2);
  const absl::Status finished = Run();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(results_->Committed(), SizeIs(150));
  EXPECT_EQ(results_->Committed().count(7), 3U);
}

TEST_F(PartitioningTest, ASideOutputOfAnOperatorWithoutSideOutputsIsAnError) {
  const auto mapped = Numbers(0, 1).Map([](const int64_t& n) { return n; });
  try {
    static_cast<void>(mapped.GetSideOutput(OutputTag<int64_t>("late")));
    FAIL() << "must throw";
  } catch (const std::invalid_argument& error) {
    EXPECT_THAT(error.what(), HasSubstr("tag=late"));
  }
}

/// Sorts into late, malformed and matched; drops nothing.
class Triage final : public ProcessFunction<int64_t, int64_t> {
 public:
  void ProcessElement(const int64_t& value, Context& context, Collector<int64_t>&) override {
    if (value % 7 == 0) {
      context.Output(OutputTag<std::string>("late"), StrCat(value));
    } else if (value % 5 == 0) {
      context.Output(OutputTag<double>("malformed"), static_cast<double>(value));
    } else {
      context.Output(OutputTag<int64_t>("matched"), value);
    }
  }
};

TEST_F(PartitioningTest, ThreeTagsOfThreeTypesAddUpToTheInput) {
  auto late = std::make_shared<MemorySinkContents<std::string>>();
  auto malformed = std::make_shared<MemorySinkContents<double>>();
  const auto triaged = Numbers(0, 10'000).Rebalance().Process(Triage()).SetParallelism(3);
  triaged.GetSideOutput(OutputTag<std::string>("late")).SinkTo(MemorySink<std::string>(late));
  triaged.GetSideOutput(OutputTag<double>("malformed")).SinkTo(MemorySink<double>(malformed));
  triaged.GetSideOutput(OutputTag<int64_t>("matched")).SinkTo(MemorySink<int64_t>(results_));
  const absl::Status finished = Run(2);
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(late->Committed(), SizeIs(1429));
  EXPECT_THAT(malformed->Committed(), SizeIs(1714));
  EXPECT_THAT(results_->Committed(), SizeIs(10'000 - 1429 - 1714));
}

// Row A8 of the features: one vertex, and nothing is serialised within it.
TEST_F(PartitioningTest, AChainIsOneVertexAndSerialisesNothing) {
  const auto build = [&] {
    graph_ = StreamGraph();
    std::vector<Counted> records(5000);
    environment_
        .FromSource(MemorySource<Counted>(records), WatermarkStrategy<Counted>::NoWatermarks(),
                    "Records")
        .Map([](const Counted& record) { return record; })
        .Filter([](const Counted&) { return true; })
        .Map([](const Counted& record) { return record.n; })
        .SinkTo(MemorySink<int64_t>(results_));
  };
  build();
  Counted::num_writes = 0;
  absl::Status finished = Run();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(vertices_,
              testing::ElementsAre("Source: Records -> Map -> Filter -> Map -> Sink: Sink"));
  EXPECT_EQ(Counted::num_writes, 0);

  build();
  environment_.DisableOperatorChaining();
  finished = Run();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(vertices_, SizeIs(5));
  EXPECT_THAT(results_->Committed(), SizeIs(10'000));
}

// Row A1 of the features: a million records against an oracle, as multisets.
TEST_F(PartitioningTest, AMillionRecordsThroughMapFilterAndFlatMapMatchAnOracle) {
  constexpr int64_t kCount = 1'000'000;
  const auto map = [](const int64_t& n) { return n * 2654435761 % 1'000'003; };
  const auto keep = [](const int64_t& n) { return n % 3 != 0; };
  const auto copies_of = [](int64_t n) -> int64_t { return n % 100'000 == 1 ? 1000 : n % 2; };
  Numbers(0, kCount)
      .Map(map)
      .Rebalance()
      .Filter(keep)
      .FlatMap<int64_t>([copies_of](const int64_t& n, Collector<int64_t>& out) {
        for (int64_t i = copies_of(n); i > 0; --i) out.Collect(n + i);
      })
      .SinkTo(MemorySink<int64_t>(results_));
  std::vector<int64_t> expected;
  for (int64_t i = 0; i < kCount; ++i) {
    const int64_t n = map(i);
    if (!keep(n)) continue;
    for (int64_t copy = copies_of(n); copy > 0; --copy) expected.push_back(n + copy);
  }
  const absl::Status finished = Run(2);
  ASSERT_TRUE(finished.ok()) << finished;
  std::sort(expected.begin(), expected.end());
  const std::multiset<int64_t> got = results_->Committed();
  ASSERT_EQ(got.size(), expected.size());
  EXPECT_TRUE(std::equal(got.begin(), got.end(), expected.begin()));
}

}  // namespace
}  // namespace weir
