#include "taskmanager/metrics_collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "jobmanager/metrics_decoder.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/clock.h"
#include "runtime/base/strings.h"
#include "taskmanager/metrics_encoder.h"
#include "tests/taskmanager/fake_task.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr int64_t kSecond = 1'000'000'000;

class MetricsCollectorTest : public ::testing::Test {
 protected:
  MetricsCollectorTest()
      : collector_({"127.0.0.1:1234-abcdef", "127.0.0.1", &budget_, &counters_, &counters_}) {}

  std::shared_ptr<FakeTask> AddTask(uint32_t subtask) {
    auto task = std::make_shared<FakeTask>();
    collector_.AddTask({JobId(7, 8), "my job", JobVertexId(9, 10), "Source: gen -> win", subtask,
                        task->attempt(), 0},
                       task);
    return task;
  }

  void Collect(int64_t seconds) {
    collector_.Collect(seconds * kSecond, absl::FromUnixSeconds(1'000 + seconds));
  }

  static double ValueOf(const MetricReport& report, std::string_view name) {
    const auto found = std::find(report.layout->names.begin(), report.layout->names.end(), name);
    EXPECT_NE(found, report.layout->names.end()) << name;
    if (found == report.layout->names.end()) return -12345;
    return report.values[static_cast<size_t>(found - report.layout->names.begin())];
  }

  MemoryBudget budget_{1 << 20};
  NetworkCounters counters_;
  MetricsCollector collector_;
};

TEST_F(MetricsCollectorTest, GivesTotalsRatesAndTimesByFlinksNames) {
  const auto task = AddTask(3);
  Collect(1);
  task->snapshot.records_in = 2000;
  task->snapshot.bytes_in = 8000;
  task->snapshot.busy = absl::Milliseconds(500);
  task->snapshot.running = absl::Milliseconds(400);
  task->snapshot.idle = absl::Milliseconds(1200);
  task->snapshot.backpressured = absl::Milliseconds(300);
  task->snapshot.is_backpressured = true;
  task->window.num_records_in = 1000;
  task->window.input_watermark = EventTime::FromMillis(42);
  Collect(3);
  const auto latest = collector_.Latest();
  ASSERT_THAT(latest->subtasks, SizeIs(1));
  const MetricReport& report = latest->subtasks[0].report;
  EXPECT_EQ(ValueOf(report, "numRecordsIn"), 2000);
  EXPECT_EQ(ValueOf(report, "numRecordsInPerSecond"), 1000);
  EXPECT_EQ(ValueOf(report, "numBytesInPerSecond"), 4000);
  EXPECT_EQ(ValueOf(report, "busyTimeMsPerSecond"), 250);
  EXPECT_EQ(ValueOf(report, "runningTimeMsPerSecond"), 200);
  EXPECT_EQ(ValueOf(report, "idleTimeMsPerSecond"), 600);
  EXPECT_EQ(ValueOf(report, "backPressuredTimeMsPerSecond"), 150);
  EXPECT_EQ(ValueOf(report, "isBackPressured"), 1);
  EXPECT_EQ(ValueOf(report, "currentInputWatermark"), -9223372036854775808.0);
  EXPECT_EQ(ValueOf(report, "Shuffle.Netty.Input.Buffers.inPoolUsage"), 0.5);
  EXPECT_EQ(ValueOf(report, "Shuffle.Netty.Output.Buffers.outPoolUsage"), 0.25);
  EXPECT_EQ(ValueOf(report, "mailboxQueueSize"), 2);
  EXPECT_EQ(ValueOf(report, "win.numRecordsInPerSecond"), 500);
  EXPECT_EQ(ValueOf(report, "win.currentInputWatermark"), 42);
}

TEST_F(MetricsCollectorTest, ATaskWithBufferDebloatingSaysWhatItsChannelsMayHold) {
  const auto task = AddTask(3);
  task->snapshot.debloated_bytes = 4096;
  task->snapshot.time_to_consume = absl::Milliseconds(1500);
  (void)AddTask(4);
  Collect(1);
  const auto latest = collector_.Latest();
  ASSERT_THAT(latest->subtasks, SizeIs(2));
  const bool first = latest->subtasks[0].attempt == task->attempt();
  const MetricReport& with = latest->subtasks[first ? 0 : 1].report;
  EXPECT_EQ(ValueOf(with, "debloatedBufferSize"), 4096);
  EXPECT_EQ(ValueOf(with, "estimatedTimeToConsumeBuffersMs"), 1500);
  const MetricReport& without = latest->subtasks[first ? 1 : 0].report;
  EXPECT_THAT(without.layout->names, ::testing::Not(::testing::Contains("debloatedBufferSize")));
}

TEST_F(MetricsCollectorTest, KnowsHowFarASourceIsBehind) {
  const auto task = AddTask(0);
  Collect(1);
  const MetricReport before = collector_.Latest()->subtasks[0].report;
  EXPECT_EQ(ValueOf(before, "Source__gen.watermarkLag"), -1);
  EXPECT_EQ(ValueOf(before, "Source__gen.currentEmitEventTimeLag"), -1);
  EXPECT_EQ(ValueOf(before, "Source__gen.sourceIdleTime"), 0);
  task->source.output_watermark = EventTime::FromMillis(1'000'000);
  task->source.emit_nanos = 2 * kSecond;
  task->source.emit_event_time_lag_ms = 70;
  Collect(5);
  const MetricReport after = collector_.Latest()->subtasks[0].report;
  EXPECT_EQ(ValueOf(after, "Source__gen.watermarkLag"), 5'000);
  EXPECT_EQ(ValueOf(after, "Source__gen.currentEmitEventTimeLag"), 70);
  EXPECT_EQ(ValueOf(after, "Source__gen.sourceIdleTime"), 3'000);
}

TEST_F(MetricsCollectorTest, ShowsWhatOperatorsAddLater) {
  const auto task = AddTask(0);
  Collect(1);
  task->window_group.AddCounter("numLateRecordsDropped")->Add(4);
  task->source_group.AddGroup("split", "topic-3")
      ->AddGroup("watermark")
      ->AddGauge("currentWatermark")
      ->Set(17);
  Collect(2);
  const MetricReport report = collector_.Latest()->subtasks[0].report;
  EXPECT_EQ(ValueOf(report, "win.numLateRecordsDropped"), 4);
  EXPECT_EQ(ValueOf(report, "Source__gen.split.topic-3.watermark.currentWatermark"), 17);
  const std::string text = collector_.RenderPrometheus();
  EXPECT_THAT(text,
              HasSubstr("flink_taskmanager_job_task_operator_split_watermark_currentWatermark{"));
  EXPECT_THAT(text, HasSubstr("split=\"topic_3\"} 17\n"));
  task->source_group.RemoveGroup("split", "topic-3");
  Collect(3);
  EXPECT_THAT(collector_.Latest()->subtasks[0].report.layout->names,
              Not(Contains(HasSubstr("topic-3"))));
}

TEST_F(MetricsCollectorTest, SubtasksOfAVertexShareTheirNames) {
  AddTask(0);
  AddTask(1);
  Collect(1);
  const auto latest = collector_.Latest();
  ASSERT_THAT(latest->subtasks, SizeIs(2));
  EXPECT_EQ(latest->subtasks[0].report.layout, latest->subtasks[1].report.layout);
}

TEST_F(MetricsCollectorTest, WritesTheLabelsOfFlinksReporter) {
  const auto task = AddTask(3);
  Collect(1);
  EXPECT_THAT(
      collector_.RenderPrometheus(),
      AllOf(
          HasSubstr(StrCat(
              "flink_taskmanager_job_task_numRecordsIn{host=\"127_0_0_1\",tm_id=\"127_0_0_1:1234_"
              "abcdef\",job_id=\"",
              ToString(JobId(7, 8)), "\",job_name=\"my_job\",task_id=\"",
              ToString(JobVertexId(9, 10)),
              "\",task_name=\"Source:_gen____win\",task_attempt_id=\"", ToString(task->attempt()),
              "\",task_attempt_num=\"0\",subtask_index=\"3\"} 0\n")),
          HasSubstr(StrCat("subtask_index=\"3\",operator_id=\"", ToString(OperatorId(3, 4)),
                           "\",operator_name=\"win\"} 0\n")),
          HasSubstr("flink_taskmanager_Status_Flink_Memory_Managed_Total{host=\"127_0_0_1\",tm_id="
                    "\"127_0_0_1:1234_abcdef\"} 1048576\n")));
}

TEST_F(MetricsCollectorTest, ForgetsTasksThatEnded) {
  const auto task = AddTask(0);
  Collect(1);
  collector_.RemoveTask(task->attempt());
  Collect(2);
  EXPECT_THAT(collector_.Latest()->subtasks, IsEmpty());
}

// What the JobManager reads is what was measured, in whatever parts it comes; names come once.
TEST_F(MetricsCollectorTest, ReportsArriveWholeAndNamesOnce) {
  std::vector<std::shared_ptr<FakeTask>> tasks;
  for (uint32_t subtask = 0; subtask < 50; ++subtask) tasks.push_back(AddTask(subtask));
  const auto coordinator = std::make_shared<MetricGroup>();
  coordinator->AddGroup("enumerator")->AddGauge("unassignedSplits")->Set(5);
  const auto coordinator_attempt = RandomId<ExecutionAttemptId>();
  collector_.AddCoordinator(JobId(7, 8), coordinator_attempt, "Source: gen", coordinator);
  MetricsEncoder encoder;
  MetricsDecoder decoder;
  for (int round = 1; round < 4; ++round) {
    for (size_t i = 0; i < tasks.size(); ++i) tasks[i]->snapshot.records_in += i * 10;
    Collect(round * 2);
    size_t num_names = 0;
    size_t num_parts = 0;
    std::vector<MetricsDecoder::Scope> scopes;
    encoder.Encode(
        *collector_.Latest(),
        [&](const proto::TaskManagerMessage& message) {
          ++num_parts;
          num_names += static_cast<size_t>(message.metrics().names_size());
          EXPECT_LT(message.ByteSizeLong(), 32U << 10);
          for (auto& scope : decoder.Decode(message.metrics())) scopes.push_back(std::move(scope));
        },
        10'000);
    EXPECT_GT(num_parts, 3U);
    EXPECT_EQ(num_names, round == 1 ? 3U : 0U);  // Process, task, coordinator.
    ASSERT_THAT(scopes, SizeIs(round == 1 ? 51 : 50)) << "the coordinator's do not change";
    for (const MetricsDecoder::Scope& scope : scopes) {
      EXPECT_EQ(scope.job, JobId(7, 8));
      if (scope.attempt == coordinator_attempt) {
        EXPECT_EQ(ValueOf(scope.report, "Source__gen.coordinator.enumerator.unassignedSplits"), 5);
        continue;
      }
      const auto task = std::find_if(tasks.begin(), tasks.end(), [&](const auto& candidate) {
        return candidate->attempt() == scope.attempt;
      });
      ASSERT_NE(task, tasks.end());
      EXPECT_EQ(ValueOf(scope.report, "numRecordsIn"),
                static_cast<double>((*task)->snapshot.records_in));
    }
    EXPECT_EQ(ValueOf(decoder.process(), "Status.Flink.Memory.Managed.Total"), 1 << 20);
  }
  EXPECT_EQ(decoder.num_malformed(), 0U);
}

TEST_F(MetricsCollectorTest, MeasuresIdleTasksNowAndThen) {
  const auto busy = AddTask(0);
  const auto idle = AddTask(1);
  std::map<ExecutionAttemptId, int> measured;
  for (int second = 2; second <= 60; second += 2) {
    busy->snapshot.records_in += 10;
    idle->snapshot.idle += absl::Seconds(2);
    Collect(second);
    for (const CollectedMetrics::Scope& scope : collector_.Latest()->subtasks) {
      if (scope.round == collector_.Latest()->round) ++measured[scope.attempt];
    }
  }
  EXPECT_EQ(measured[busy->attempt()], 30);
  // Until 15 seconds after the first time, and then every ten.
  EXPECT_EQ(measured[idle->attempt()], 8 + 4);
  ASSERT_THAT(collector_.Latest()->subtasks, SizeIs(2)) << "it is shown all the same";
  ++idle->snapshot.records_out;
  Collect(62);
  EXPECT_THAT(collector_.Latest()->subtasks,
              Contains(AllOf(Field(&CollectedMetrics::Scope::attempt, idle->attempt()),
                             Field(&CollectedMetrics::Scope::round, collector_.Latest()->round))));
}

// Nothing that has not changed travels, and names live as long as anything has them.
TEST_F(MetricsCollectorTest, ReportsWhatWasMeasuredAnewAndForgetsNamesThatNothingHas) {
  const auto task = AddTask(0);
  MetricsEncoder encoder;
  MetricsDecoder decoder;
  int num_names = 0;
  int num_forgotten = 0;
  const auto encode = [&] {
    num_names = 0;
    num_forgotten = 0;
    size_t num_scopes = 0;
    encoder.Encode(*collector_.Latest(), [&](const proto::TaskManagerMessage& message) {
      num_names += message.metrics().names_size();
      num_forgotten += message.metrics().forgotten_size();
      num_scopes += decoder.Decode(message.metrics()).size();
    });
    return num_scopes;
  };
  Collect(2);
  EXPECT_EQ(encode(), 1U);
  EXPECT_EQ(num_names, 2) << "of the process and of the task";
  EXPECT_EQ(encode(), 0U) << "the same again";
  Collect(18);  // Idle since.
  EXPECT_EQ(encode(), 1U);
  for (int second = 20; second < 28; second += 2) {
    Collect(second);
    EXPECT_EQ(encode(), 0U);
  }
  Collect(28);
  EXPECT_EQ(encode(), 1U);
  EXPECT_EQ(num_names, 0) << "they were known all the time";
  encoder.Reset();
  decoder = {};
  EXPECT_EQ(encode(), 1U) << "on a new connection all is news";
  EXPECT_EQ(num_names, 2);

  collector_.RemoveTask(task->attempt());
  Collect(30);
  EXPECT_EQ(encode(), 0U);
  EXPECT_EQ(num_forgotten, 1);
  AddTask(1);
  Collect(32);
  EXPECT_EQ(encode(), 1U);
  EXPECT_EQ(num_names, 1);
  EXPECT_EQ(decoder.num_malformed(), 0U);
}

TEST_F(MetricsCollectorTest, DecoderLeavesOutWhatDoesNotFitItsNames) {
  proto::MetricsReport report;
  proto::MetricNames* const names = report.add_names();
  names->set_id(1);
  names->add_names("a");
  report.mutable_process()->set_names(1);
  report.mutable_process()->add_values(1);
  report.mutable_process()->add_values(2);                  // One too many.
  report.add_subtasks()->mutable_metrics()->set_names(77);  // Never heard of.
  MetricsDecoder decoder;
  EXPECT_THAT(decoder.Decode(report), IsEmpty());
  EXPECT_EQ(decoder.process().layout, nullptr);
  EXPECT_EQ(decoder.num_malformed(), 2U);
}

}  // namespace
}  // namespace weir
