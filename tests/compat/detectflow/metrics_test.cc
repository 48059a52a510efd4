// Messages of the metrics topic.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/jobs/sigma/match_harness.h"

namespace weir::sigma {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const char* kUserBob = "  s: {User: bob}\n  condition: s\n";

TEST(MetricsTest, PerWindowMessage) {
  OperatorTestOptions test_options;
  test_options.start_time = absl::FromUnixMillis(1'766'000'000'000);
  MatchHarness job({}, test_options);
  job.Rule("a", kUserBob);
  job.Rule("b", "  s: {User|contains: o}\n  condition: s\n");
  job.Rule("c", "  s: {never: 1}\n  condition: s\n");
  job.ControlCaughtUp();
  for (const char* event : {R"({"User":"bob"})", R"({"User":"joe"})", R"({"User":"eve"})", "[]"}) {
    job.Event(event);
  }
  EXPECT_THAT(job.Metrics(), IsEmpty());
  job.harness().AdvanceProcessingTime(absl::Seconds(30));
  const std::vector<Json> messages = job.Metrics();
  ASSERT_THAT(messages, SizeIs(1));
  const Json& message = messages[0];
  EXPECT_EQ(message["job_id"], "j1");
  EXPECT_EQ(message["instance_id"], 0);
  EXPECT_EQ(message["timestamp"], 1'766'000'030'000);
  EXPECT_EQ(message["window_total_events"], 3);
  EXPECT_EQ(message["window_matched_events"], 2);
  EXPECT_EQ(
      message["rules"]["matched_rules"],
      Json::parse(R"([{"rule_id":"b","window_matches":2},{"rule_id":"a","window_matches":1}])"));
}

TEST(MetricsTest, FillsWhatTheBackendAlsoReads) {
  OperatorTestOptions test_options;
  test_options.start_time = absl::FromUnixMillis(1'766'000'000'000);
  MatchEventsOptions options;
  options.origin.input_topics = "t1,t2";
  options.origin.output_topic = "out";
  MatchHarness job(options, test_options);
  job.Rule("a", kUserBob);
  job.Rule("broken", "  s: {f|nonsense: 1}\n  condition: s\n");
  job.Parser(R"(rename(from="x", to="y"))");
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  job.Event("{broken");
  job.harness().AdvanceProcessingTime(absl::Seconds(30));
  const Json message = job.Metrics().at(0);
  EXPECT_EQ(message["window_match_rate_percent"], 100.0);
  EXPECT_EQ(message["window_start_time"], 1'766'000'000.0);
  EXPECT_EQ(message["window_end_time"], 1'766'000'030.0);
  EXPECT_EQ(message["window_duration_seconds"], 30.0);
  EXPECT_TRUE(message["window_throughput_eps"].is_number_integer());
  for (const char* part : {"on_timer", "matching"}) {
    for (const char* value : {"_start_time", "_end_time", "_duration_seconds", "_throughput_eps"}) {
      EXPECT_TRUE(message.contains(std::string(part) + value)) << part << value;
    }
  }
  EXPECT_EQ(message["state"]["broadcast_state_rules"], 1);
  EXPECT_EQ(message["errors"]["event_parsing_errors"], 1);
  EXPECT_EQ(message["errors"]["schema_parsing_errors"], 1);
  EXPECT_EQ(message["errors"]["rule_parsing_errors"], 1);
  EXPECT_EQ(message["errors"]["total"], 3);
  EXPECT_THAT(message["errors"]["messages"], SizeIs(2));
  EXPECT_EQ(message["rules"]["total"], 1);
  EXPECT_EQ(message["rules"]["triggered_unique"], 1);
  EXPECT_EQ(message["rules"]["top_by_matches"], Json::parse(R"([{"rule_id":"a","count":1}])"));
  EXPECT_EQ(message["system"]["parallelism"], 1);
  EXPECT_EQ(message["system"]["subtask_index"], 0);
  EXPECT_EQ(message["system"]["input_topic"], "t1,t2");
  EXPECT_EQ(message["system"]["output_topic"], "out");
  EXPECT_FALSE(message["system"]["hostname"].get<std::string>().empty());
}

TEST(MetricsTest, ErrorMessagesAreAtMostTen) {
  MatchHarness job;
  job.ControlCaughtUp();
  for (int i = 0; i < 50; ++i) job.Event("{broken");
  job.Event("{}");
  job.harness().AdvanceProcessingTime(absl::Seconds(30));
  const Json message = job.Metrics().at(0);
  EXPECT_EQ(message["errors"]["event_parsing_errors"], 50);
  EXPECT_THAT(message["errors"]["messages"], SizeIs(10));
}

TEST(MetricsTest, AWindowWithoutEventsHasNoMessage) {
  MatchHarness job;
  job.Rule("a", kUserBob);
  job.ControlCaughtUp();
  job.Event("{}");
  job.harness().AdvanceProcessingTime(absl::Seconds(30));
  EXPECT_THAT(job.Metrics(), SizeIs(1));
  job.harness().AdvanceProcessingTime(absl::Seconds(300));
  EXPECT_THAT(job.Metrics(), IsEmpty());
}

TEST(MetricsTest, FilteredAndDroppedEventsCount) {
  MatchHarness job;
  job.Rule("a", kUserBob);
  job.Filter("f", "  s: {drop: 1}\n  condition: s\n");
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob","drop":1})");
  job.Event(R"({"User":"eve"})");
  job.harness().AdvanceProcessingTime(absl::Seconds(30));
  const Json message = job.Metrics().at(0);
  EXPECT_EQ(message["window_total_events"], 2);
  EXPECT_EQ(message["window_matched_events"], 0);
  EXPECT_EQ(message["rules"]["matched_rules"], Json::array());
}

TEST(MetricsTest, BufferedWindowsTellWhatWasBuffered) {
  MatchHarness job(Buffered());
  job.ControlCaughtUp();
  job.Event(R"({"a":1})");
  job.Event(R"({"a":2})");
  job.harness().AdvanceProcessingTime(absl::Seconds(30));
  const Json message = job.Metrics().at(0);
  EXPECT_EQ(message["state"]["event_buffer_size"], 2);
  EXPECT_EQ(message["state"]["event_buffer_memory_bytes"], 14);
}

}  // namespace
}  // namespace weir::sigma
