#include "operators/process/process_operator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "operators/api/stream_environment.h"
#include "runtime/base/ids.h"
#include "runtime/base/strings.h"
#include "tests/support/local_job.h"
#include "tests/support/memory_connectors.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::vector<int64_t> Numbers(int64_t count) {
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < count; ++i) numbers.push_back(i);
  return numbers;
}

class ProcessOperatorTest : public ::testing::Test {
 protected:
  ProcessOperatorTest()
      : directory_(StrCat(::testing::TempDir(), "/process-", ToString(RandomId<JobId>()))) {
    std::filesystem::create_directories(directory_);
  }
  ~ProcessOperatorTest() override { std::filesystem::remove_all(directory_); }

  LocalJobOptions Options(uint32_t parallelism) const {
    LocalJobOptions options;
    options.parallelism = parallelism;
    options.directory = directory_;
    return options;
  }
  absl::Status Run(StreamGraph graph, uint32_t parallelism) {
    LocalJob job(std::move(graph), Options(parallelism));
    if (absl::Status started = job.Start(); !started.ok()) return started;
    return job.WaitUntilFinished();
  }

  const std::string directory_;
};

TEST_F(ProcessOperatorTest, FlatMapFilterAndMapKeepEveryRecordThroughAChain) {
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  auto results = std::make_shared<MemorySinkContents<std::string>>();
  environment
      .FromSource(MemorySource<int64_t>(Numbers(3000)), WatermarkStrategy<int64_t>::NoWatermarks(),
                  "Numbers")
      // None for the even, a thousand for every thousandth, else one: more than a batch from one
      // record.
      .FlatMap<int64_t>([](const int64_t& n, Collector<int64_t>& out) {
        const int64_t copies = n % 1000 == 999 ? 1000 : n % 2;
        for (int64_t i = 0; i < copies; ++i) out.Collect(n);
      })
      .Filter([](const int64_t& n) { return n != 1; })
      .Map([](const int64_t& n) { return StrCat("n", n); })
      .SinkTo(MemorySink<std::string>(results));
  const absl::Status finished = Run(std::move(graph), 2);
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(results->Committed(), SizeIs(1500 - 3 - 1 + 3000));
  EXPECT_EQ(results->Committed().count("n999"), 1000U);
}

class SplitBySign final : public ProcessFunction<int64_t, int64_t> {
 public:
  static const OutputTag<std::string>& OddTag() {
    static const OutputTag<std::string> tag("odd");
    return tag;
  }
  void ProcessElement(const int64_t& value, Context& context, Collector<int64_t>& out) override {
    if (value % 2 == 0) {
      out.Collect(value);
    } else {
      context.Output(SplitBySign::OddTag(), StrCat("odd ", value));
    }
    context.Output(OutputTag<int64_t>("nobody reads this"), value);
  }
};

TEST_F(ProcessOperatorTest, SideOutputsAndMainOutputAddUpToTheInput) {
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  auto even = std::make_shared<MemorySinkContents<int64_t>>();
  auto odd = std::make_shared<MemorySinkContents<std::string>>();
  const auto split = environment
                         .FromSource(MemorySource<int64_t>(Numbers(5000)),
                                     WatermarkStrategy<int64_t>::NoWatermarks(), "Numbers")
                         .Rebalance()
                         .Process(SplitBySign());
  split.GetSideOutput(SplitBySign::OddTag()).SinkTo(MemorySink<std::string>(odd));
  split.SinkTo(MemorySink<int64_t>(even));
  const absl::Status finished = Run(std::move(graph), 3);
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(even->Committed(), SizeIs(2500));
  EXPECT_THAT(odd->Committed(), SizeIs(2500));
}

/// Lets a number pass if the broadcast stream has allowed its remainder.
class AllowedOnly final : public KeyedBroadcastProcessFunction<int64_t, int64_t, int64_t, int64_t> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    auto allowed = context.GetBroadcastState(BroadcastStateDescriptor<int64_t, bool>{"allowed"});
    if (!allowed.ok()) return allowed.status();
    allowed_.emplace(*allowed);
    return absl::OkStatus();
  }
  void ProcessElement(const int64_t& value, Context& context, Collector<int64_t>& out) override {
    if (allowed_->Contains(context.current_key())) out.Collect(value);
  }
  void ProcessBroadcastElement(const int64_t& value, BroadcastContext&,
                               Collector<int64_t>&) override {
    allowed_->Put(value, true);
  }

 private:
  std::optional<BroadcastState<int64_t, bool>> allowed_;
};

TEST_F(ProcessOperatorTest, RulesArriveBeforeEventsAndSurviveARestoreAtAnotherParallelism) {
  auto results = std::make_shared<MemorySinkContents<int64_t>>();
  const auto build = [&](std::vector<int64_t> rules) {
    StreamGraph graph;
    StreamEnvironment environment(&graph);
    // The rules are slow and the events fast: only the order that StartAfterBroadcast asks for lets
    // all events pass.
    const auto broadcast =
        environment
            .FromSource(MemorySource<int64_t>(std::move(rules), 1, /*rate_limited=*/true),
                        WatermarkStrategy<int64_t>::NoWatermarks(), "Rules")
            .Uid("rules")
            .SetParallelism(1)
            .Broadcast();
    environment
        .FromSource(MemorySource<int64_t>(Numbers(4000), 16, /*rate_limited=*/true),
                    WatermarkStrategy<int64_t>::NoWatermarks(), "Events")
        .Uid("events")
        .KeyBy([](const int64_t& n) { return n % 10; })
        .Connect(broadcast)
        .StartAfterBroadcast()
        .Process(AllowedOnly())
        .Uid("allowed")
        .SinkTo(MemorySink<int64_t>(results))
        .Uid("sink");
    return graph;
  };
  LocalCheckpoint checkpoint;
  {
    LocalJob job(build({0, 2, 4, 6, 8}), Options(2));
    ASSERT_TRUE(job.Start().ok());
    auto taken = job.TriggerCheckpoint();
    ASSERT_TRUE(taken.ok()) << taken.status();
    checkpoint = *std::move(taken);
  }
  LocalJob job(build({0, 2, 4, 6, 8}), Options(3));
  ASSERT_TRUE(job.Start(&checkpoint).ok());
  const absl::Status finished = job.WaitUntilFinished();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(results->Committed(), SizeIs(2000));
}

/// Emits how far event time had come when the record was processed.
class WatermarkSeen final : public KeyedProcessFunction<int64_t, int64_t, int64_t> {
 public:
  void ProcessElement(const int64_t&, Context& context, Collector<int64_t>& out) override {
    if (context.timestamp() <= context.current_watermark())
      out.Collect(context.timestamp().millis());
  }
};

TEST_F(ProcessOperatorTest, ASourceWithoutWatermarksDoesNotMakeAnAssignedStreamIdle) {
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  auto late = std::make_shared<MemorySinkContents<int64_t>>();
  const auto numbers = [&](const char* name, bool slow) {
    return environment
        .FromSource(MemorySource<int64_t>(Numbers(2000), 64, slow),
                    WatermarkStrategy<int64_t>::NoWatermarks(), name)
        .AssignTimestampsAndWatermarks(WatermarkStrategy<int64_t>::Monotonous().WithTimestamps(
            [](const int64_t& n) { return EventTime::FromMillis(n); }));
  };
  // The fast stream is far ahead; the slow one must hold event time back all the same.
  numbers("Fast", false)
      .Union(numbers("Slow", true))
      .KeyBy([](const int64_t& n) { return n % 3; })
      .Process(WatermarkSeen())
      .SinkTo(MemorySink<int64_t>(late));
  const absl::Status finished = Run(std::move(graph), 2);
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_THAT(late->Committed(), SizeIs(0));
}

TEST_F(ProcessOperatorTest, AnExceptionOfUserCodeFailsTheTaskAndNamesThePlace) {
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  environment
      .FromSource(MemorySource<int64_t>(Numbers(100)), WatermarkStrategy<int64_t>::NoWatermarks(),
                  "Numbers")
      .Map([](const int64_t& n) -> int64_t {
        if (n == 42) throw std::runtime_error("no answer");
        return n;
      })
      .Name("Question")
      .SinkTo(MemorySink<int64_t>(std::make_shared<MemorySinkContents<int64_t>>()));
  const absl::Status finished = Run(std::move(graph), 1);
  EXPECT_THAT(std::string(finished.message()),
              AllOf(HasSubstr("no answer"), HasSubstr("operator=Question"), HasSubstr("record=42"),
                    HasSubstr("subtask=0/1")));
}

TEST_F(ProcessOperatorTest, AStalledSinkBoundsWhatTheJobHolds) {
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  std::vector<std::string> records(200000, std::string(1000, 'x'));
  auto results = std::make_shared<MemorySinkContents<std::string>>();
  environment
      .FromSource(MemorySource<std::string>(std::move(records), 64, false, /*endless=*/true),
                  WatermarkStrategy<std::string>::NoWatermarks(), "Records")
      .KeyBy([](const std::string& text) { return text.size(); })
      .Process([] {
        class Pass final : public KeyedProcessFunction<size_t, std::string, std::string> {
         public:
          void ProcessElement(const std::string& value, Context&,
                              Collector<std::string>& out) override {
            out.Collect(value);
          }
        };
        return Pass();
      }())
      .Rebalance()
      .SinkTo(MemorySink<std::string>(results, /*stalled=*/true));
  LocalJob job(std::move(graph), Options(2));
  ASSERT_TRUE(job.Start().ok());
  ASSERT_TRUE(job.WaitUntilRunning().ok());
  // 200 MB want to pass; channels of 64 KiB between two times two subtasks hold them back.
  const auto charged = [&] { return job.memory_budget().used_bytes(); };
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  int64_t last = -1;
  int unchanged = 0;
  while (unchanged < 20 && absl::Now() < deadline) {
    const int64_t now = charged();
    unchanged = now == last && now > 0 ? unchanged + 1 : 0;
    last = now;
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_EQ(unchanged, 20) << "what is held still changes";
  // Eight channels, each its capacity and one batch beyond.
  EXPECT_LT(job.memory_budget().peak_bytes(), 8 * ((64 << 10) + (80 << 10)));
}

}  // namespace
}  // namespace weir
