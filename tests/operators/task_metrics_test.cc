// What a running task says of itself and its operators: the source of all task metrics.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "operators/api/stream_environment.h"
#include "runtime/base/clock.h"
#include "tests/support/local_job.h"
#include "tests/support/memory_connectors.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

std::vector<int64_t> Numbers(int64_t count) {
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < count; ++i) numbers.push_back(i);
  return numbers;
}

std::map<std::string, OperatorMetrics> OperatorsByName(const Task& task) {
  std::map<std::string, OperatorMetrics> by_name;
  for (const OperatorMetrics& op : task.operator_metrics()) by_name[std::string(op.name)] = op;
  return by_name;
}

class FindHistogram final : public MetricGroup::Visitor {
 public:
  explicit FindHistogram(std::string_view wanted) : wanted_(wanted) {}
  void OnCounter(std::string_view, uint64_t) override {}
  void OnGauge(std::string_view, double) override {}
  void OnHistogram(std::string_view name, const HistogramSnapshot& snapshot) override {
    if (name == wanted_) found = snapshot;
  }
  HistogramSnapshot found;

 private:
  const std::string wanted_;
};

class TaskMetricsTest : public ::testing::Test {
 protected:
  LocalJobOptions Options() const {
    LocalJobOptions options;
    options.directory = folder_.path();
    return options;
  }

  // Waits until `condition` holds; fails the test if that takes too long.
  static void Until(const std::function<bool()>& condition) {
    const int64_t deadline = MonotonicNanos() + 20'000'000'000;
    while (!condition()) {
      ASSERT_LT(MonotonicNanos(), deadline) << "the condition did not come true";
      std::this_thread::yield();
    }
  }

  const TemporaryFolder folder_;
};

TEST_F(TaskMetricsTest, CountsRecordsAndFollowsWatermarksOfEveryOperator) {
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  auto results = std::make_shared<MemorySinkContents<int64_t>>();
  environment
      .FromSource(MemorySource<int64_t>(Numbers(5000)),
                  WatermarkStrategy<int64_t>::Monotonous().WithTimestamps(
                      [](const int64_t& n) { return EventTime::FromMillis(n); }),
                  "Numbers")
      .Filter([](const int64_t& n) { return n % 2 == 0; })
      .Name("even")
      .Rebalance()
      .Map([](const int64_t& n) { return n + 1; })
      .Name("plus one")
      .SinkTo(MemorySink<int64_t>(results))
      .Name("memory");
  LocalJob job(std::move(graph), Options());
  ASSERT_TRUE(job.Start().ok());
  ASSERT_TRUE(job.WaitUntilFinished().ok());

  const auto source_task = job.TasksOf("Numbers").at(0);
  const auto source = OperatorsByName(*source_task);
  const auto& read = source.begin()->first.find("Numbers") != std::string::npos
                         ? source.begin()->second
                         : std::next(source.begin())->second;
  EXPECT_TRUE(read.is_source);
  EXPECT_EQ(read.num_records_in, 5000U);
  EXPECT_EQ(read.num_records_out, 5000U);
  EXPECT_EQ(read.input_watermark, EventTime::Min());
  EXPECT_EQ(read.output_watermark, EventTime::Max());
  EXPECT_GT(read.emit_nanos, 0);
  const OperatorMetrics even = source.at("even");
  EXPECT_FALSE(even.is_source);
  EXPECT_EQ(even.num_records_in, 5000U);
  EXPECT_EQ(even.num_records_out, 2500U);
  EXPECT_EQ(even.input_watermark, EventTime::Max());

  const TaskMetricsSnapshot sent = source_task->metrics();
  EXPECT_EQ(sent.records_out, 2500U);
  EXPECT_GT(sent.batches_out, 0U);
  const auto sink_task = job.TasksOf("memory").at(0);
  const TaskMetricsSnapshot received = sink_task->metrics();
  EXPECT_EQ(received.records_in, 2500U);
  EXPECT_EQ(received.records_out, 0U);
  EXPECT_GE(received.bytes_in, sent.bytes_out);
  EXPECT_EQ(received.bytes_in_local, received.bytes_in);
  EXPECT_EQ(received.bytes_in_remote, 0U);
  EXPECT_EQ(received.batches_in_local, sent.batches_out);
  EXPECT_EQ(received.watermark, EventTime::Max());
  EXPECT_GT(received.initialization, absl::ZeroDuration());
  const auto sink = OperatorsByName(*sink_task);
  EXPECT_EQ(sink.at("memory").num_records_in, 2500U);
  EXPECT_EQ(sink.at("memory").num_records_out, 0U);
}

// Row N5: a known delay shows as p50 and p99 within 10 %.
TEST_F(TaskMetricsTest, SinksRecordHowFarEventTimeIsBehind) {
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  auto results = std::make_shared<MemorySinkContents<int64_t>>();
  constexpr int64_t kDelayMs = 60'000;
  environment
      .FromSource(MemorySource<int64_t>(Numbers(20'000)),
                  WatermarkStrategy<int64_t>::BoundedOutOfOrderness(absl::Seconds(1))
                      .WithTimestamps([](const int64_t&) {
                        return EventTime::FromTime(absl::Now()) - kDelayMs;
                      }),
                  "Delayed")
      .Rebalance()
      .SinkTo(MemorySink<int64_t>(results))
      .Name("memory");
  LocalJob job(std::move(graph), Options());
  ASSERT_TRUE(job.Start().ok());
  ASSERT_TRUE(job.WaitUntilFinished().ok());
  FindHistogram lag("eventTimeLag");
  OperatorsByName(*job.TasksOf("memory").at(0)).at("memory").group->Visit(lag);
  EXPECT_GT(lag.found.count, 0U);
  for (const double quantile : {0.5, 0.99}) {
    EXPECT_NEAR(static_cast<double>(lag.found.Quantile(quantile)), kDelayMs, kDelayMs * 0.1)
        << quantile;
  }
  for (const OperatorMetrics& op : job.TasksOf("Delayed").at(0)->operator_metrics()) {
    if (!op.is_source) continue;
    EXPECT_GE(op.emit_event_time_lag_ms, kDelayMs);
    EXPECT_LT(op.emit_event_time_lag_ms, kDelayMs * 11 / 10);
  }
}

/// Blocks its task until it is opened.
struct Gate {
  std::atomic<bool> open{false};
  std::atomic<bool> waiting{false};
};

// Row H5: busy, idle and back-pressured time sum to the time that passed, within 5 %.
TEST_F(TaskMetricsTest, TimesSumToTheTimeThatPassedAndBackPressureIsSeen) {
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  auto results = std::make_shared<MemorySinkContents<int64_t>>();
  const auto gate = std::make_shared<Gate>();
  environment
      .FromSource(MemorySource<int64_t>(Numbers(200'000)),
                  WatermarkStrategy<int64_t>::NoWatermarks(), "Numbers")
      .Rebalance()
      .Map([gate](const int64_t& n) {
        gate->waiting.store(true);
        while (!gate->open.load()) std::this_thread::yield();  // As slow user code is.
        return n;
      })
      .Name("slow")
      .SinkTo(MemorySink<int64_t>(results));
  LocalJobOptions options = Options();
  options.channel_bytes = 4096;
  LocalJob job(std::move(graph), options);
  ASSERT_TRUE(job.Start().ok());
  const auto source = job.TasksOf("Numbers").at(0);
  const auto slow = job.TasksOf("slow").at(0);
  Until([&] { return gate->waiting.load() && source->metrics().is_backpressured; });

  const int64_t begin = MonotonicNanos();
  const TaskMetricsSnapshot source_before = source->metrics();
  const TaskMetricsSnapshot slow_before = slow->metrics();
  Until([&] { return MonotonicNanos() - begin > 200'000'000; });
  const TaskMetricsSnapshot source_after = source->metrics();
  const TaskMetricsSnapshot slow_after = slow->metrics();
  const auto elapsed = static_cast<double>(MonotonicNanos() - begin);
  EXPECT_GT(source->output_usage().Fraction(), 0.9);
  EXPECT_GT(slow->input_usage().Fraction(), 0.9);
  gate->open.store(true);

  const auto sum = [](const TaskMetricsSnapshot& before, const TaskMetricsSnapshot& after) {
    return static_cast<double>(absl::ToInt64Nanoseconds(after.busy - before.busy + after.idle -
                                                        before.idle + after.backpressured -
                                                        before.backpressured));
  };
  EXPECT_NEAR(sum(source_before, source_after), elapsed, elapsed * 0.05);
  EXPECT_NEAR(sum(slow_before, slow_after), elapsed, elapsed * 0.05);
  EXPECT_NEAR(static_cast<double>(absl::ToInt64Nanoseconds(source_after.backpressured -
                                                           source_before.backpressured)),
              elapsed, elapsed * 0.05);
  EXPECT_NEAR(static_cast<double>(absl::ToInt64Nanoseconds(slow_after.busy - slow_before.busy)),
              elapsed, elapsed * 0.05);
  EXPECT_LE(
      static_cast<double>(absl::ToInt64Nanoseconds(source_after.running - source_before.running)),
      elapsed * 0.05);
  ASSERT_TRUE(job.WaitUntilFinished().ok());
  EXPECT_GE(static_cast<double>(absl::ToInt64Nanoseconds(source->metrics().longest_backpressure)),
            elapsed * 0.95);
  const TaskMetricsSnapshot slow_in_all = slow->metrics();
  EXPECT_GE(static_cast<double>(absl::ToInt64Nanoseconds(slow_in_all.running)), elapsed * 0.95);
  EXPECT_LE(slow_in_all.running, slow_in_all.busy);
  EXPECT_FALSE(source->metrics().is_backpressured);
}

}  // namespace
}  // namespace weir
