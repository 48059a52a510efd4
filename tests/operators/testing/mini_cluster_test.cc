#include "operators/testing/mini_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "operators/connectors/values_source.h"
#include "operators/testing/collect_sink.h"
#include "runtime/base/strings.h"
#include "tests/support/memory_connectors.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

// The sum of each key so far.
struct RunningSum final : KeyedProcessFunction<int64_t, int64_t, std::string> {
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(sum, context.GetState(ValueStateDescriptor<int64_t>("sum")));
    return absl::OkStatus();
  }
  void ProcessElement(const int64_t& n, Context& context, Collector<std::string>& out) override {
    sum.Set((sum.Get() == nullptr ? 0 : *sum.Get()) + n);
    out.Collect(StrCat(context.current_key(), ":", *sum.Get()));
  }
  ValueState<int64_t> sum;
};

template <class SourceType>
MiniCluster::Build Sums(SourceType source, CollectSink<std::string> sink) {
  return [=](StreamEnvironment& environment) {
    environment.FromSource(source, WatermarkStrategy<int64_t>::NoWatermarks(), "numbers")
        .KeyBy([](int64_t n) { return n % 2; })
        .Process(RunningSum{})
        .SinkTo(sink);
    return absl::OkStatus();
  };
}

TEST(MiniClusterTest, RunsAJobFromSourceToSink) {
  MiniCluster cluster;
  CollectSink<std::string> sink;
  ASSERT_EQ(cluster.Execute(Sums(ValuesSource<int64_t>({1, 2, 3, 4}), sink)), absl::OkStatus());
  EXPECT_THAT(sink.Values(), UnorderedElementsAre("1:1", "1:4", "0:2", "0:6"));
}

TEST(MiniClusterTest, RunsTheSameWithoutCheckpoints) {
  MiniCluster cluster({.parallelism = 3, .checkpointing = false});
  CollectSink<std::string> sink;
  ASSERT_EQ(cluster.Execute(Sums(ValuesSource<int64_t>({1, 2, 3, 4}), sink)), absl::OkStatus());
  EXPECT_THAT(sink.Values(), UnorderedElementsAre("1:1", "1:4", "0:2", "0:6"));
}

TEST(MiniClusterTest, AJobThatIsKilledGoesOnFromItsCheckpoint) {
  std::vector<int64_t> numbers;
  for (int64_t n = 1; n <= 2000; ++n) numbers.push_back(n);
  MiniCluster cluster({.parallelism = 2});
  CollectSink<std::string> sink;
  const auto build = Sums(MemorySource<int64_t>(numbers, 64, /*rate_limited=*/true), sink);
  auto job = cluster.Submit(build);
  ASSERT_EQ(job.status(), absl::OkStatus());
  const absl::StatusOr<LocalCheckpoint> checkpoint = (*job)->TriggerCheckpoint();
  ASSERT_EQ(checkpoint.status(), absl::OkStatus());
  (*job)->Kill();

  auto again = cluster.Submit(build, &*checkpoint);
  ASSERT_EQ(again.status(), absl::OkStatus());
  ASSERT_EQ((*again)->WaitUntilFinished(), absl::OkStatus());
  const std::vector<std::string> values = sink.Values();
  EXPECT_EQ(values.size(), 2000u);
  EXPECT_THAT(values, ::testing::IsSupersetOf({"1:1000000", "0:1001000"}));
}

TEST(MiniClusterTest, ReportsWhyAJobFails) {
  MiniCluster cluster;
  EXPECT_THAT(
      cluster
          .Execute([](StreamEnvironment& environment) {
            environment
                .FromSource(ValuesSource<int64_t>({1}), WatermarkStrategy<int64_t>::NoWatermarks(),
                            "numbers")
                .Map([](int64_t n) { return std::vector<int64_t>().at(static_cast<size_t>(n)); })
                .SinkTo(CollectSink<int64_t>());
            return absl::OkStatus();
          })
          .ToString(),
      HasSubstr("user code threw an exception: vector::_M_range_check"));
  EXPECT_THAT(cluster.Execute([](StreamEnvironment&) { return absl::OkStatus(); }).ToString(),
              HasSubstr("the job has no operators"));
}

}  // namespace
}  // namespace weir
