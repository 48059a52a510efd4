#include "jobs/sigma/match_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/jobs/sigma/match_harness.h"

namespace weir::sigma {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;

constexpr const char* kUserBob = "  s: {User: bob}\n  condition: s\n";

TEST(MatchEventsTest, EmitsAMatchAtOnceWithKeyAndTimeOfTheRecord) {
  MatchHarness job;
  job.Rule("r1", kUserBob);
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})", "host-7", EventTime::FromMillis(1234));
  const auto records = job.harness().TakeRecords();
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].value.key, "host-7");
  EXPECT_TRUE(records[0].value.has_key);
  EXPECT_EQ(records[0].timestamp, EventTime::FromMillis(1234));
  EXPECT_EQ(Json::parse(records[0].value.json)["sigma_rule_ids"], Json::array({"r1"}));
}

TEST(MatchEventsTest, KeepsTimesOfBufferedRecords) {
  MatchHarness job(Buffered(absl::Seconds(5)));
  job.Rule("r1", kUserBob);
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})", "k", EventTime::FromMillis(17));
  EXPECT_THAT(job.harness().TakeRecords(), IsEmpty());
  job.harness().AdvanceProcessingTime(absl::Seconds(5));
  const auto records = job.harness().TakeRecords();
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].timestamp, EventTime::FromMillis(17));
  EXPECT_EQ(records[0].value.key, "k");
}

TEST(MatchEventsTest, DeadLettersNameReasonAndPlace) {
  MatchHarness job;
  job.ControlCaughtUp();
  job.Event("{broken", "k");
  const auto letters = job.DeadLetters();
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_THAT(letters[0].reason, HasSubstr("JSON"));
  EXPECT_EQ(letters[0].source, "events/2/0");
  EXPECT_EQ(letters[0].event, "{broken");
  EXPECT_EQ(letters[0].key, "k");
  EXPECT_EQ(job.harness().CounterValue("eventParsingErrors"), 1U);
}

TEST(MatchEventsTest, ReportsProblemsOnceWhateverTheParallelism) {
  OperatorTestOptions options;
  options.parallelism = 3;
  MatchHarness job({}, options);
  job.Rule("r1", "  s: {f|nonsense: x}\n  condition: s\n");
  EXPECT_THAT(job.Problems(), ElementsAre(AllOf(HasSubstr("j1:r1|"), HasSubstr("nonsense"))));
  EXPECT_EQ(job.harness().CounterValue("ruleParsingErrors"), 1U);
}

TEST(MatchEventsTest, WindowsEndWithTheInput) {
  MatchHarness job(Buffered());
  job.Rule("r1", kUserBob);
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  job.harness().ProcessWatermark(EventTime::Max());
  job.harness().EndInput();
  EXPECT_THAT(job.Events(), SizeIs(1));
  EXPECT_THAT(job.Metrics(), SizeIs(1));
}

TEST(MatchEventsTest, LeavesNoStateBehindAWindow) {
  MatchHarness job(Buffered());
  job.ControlCaughtUp();
  for (int i = 0; i < 50; ++i) job.Event(R"({"n":)" + std::to_string(i) + "}");
  EXPECT_GE(job.harness().NumKeyedStateEntries("window-events"), 50U);
  job.harness().AdvanceProcessingTime(absl::Seconds(31));
  EXPECT_EQ(job.harness().NumKeyedStateEntries(), 0U);
  EXPECT_EQ(job.harness().NumProcessingTimeTimers(), 0U);
  EXPECT_EQ(job.harness().NumEventTimeTimers(), 0U);
}

TEST(MatchEventsTest, WithoutStatisticsThereIsNoStatePerKey) {
  MatchEventsOptions options;
  options.metrics = false;
  MatchHarness job(options);
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  EXPECT_EQ(job.harness().NumKeyedStateEntries(), 0U);
  EXPECT_EQ(job.harness().NumProcessingTimeTimers(), 0U);
}

TEST(MatchEventsTest, RestoredAtAnotherParallelismItGoesOn) {
  OperatorTestOptions two;
  two.parallelism = 2;
  KeyingOptions keying;
  keying.num_buckets = 16;
  MatchHarness before(Buffered(), two, keying);
  before.Rule("r1", kUserBob);
  before.Parser(R"(parse_json(field="m"))", "User: name\n");
  before.CustomFields("tenant: emea\n");
  before.Filter("f", "  s: {drop: true}\n  condition: s\n");
  before.ControlCaughtUp();
  for (int i = 0; i < 40; ++i) {
    before.Event(Json{{"m", Json{{"name", "bob"}, {"n", i}, {"drop", i % 2 == 1}}.dump()}}.dump());
  }
  const auto snapshot = before.harness().Snapshot();

  OperatorTestOptions three;
  three.parallelism = 3;
  MatchHarness after(Buffered(), three, keying);
  after.harness().Restore(snapshot);
  after.harness().AdvanceProcessingTime(absl::Seconds(31));
  const std::vector<Json> events = after.Events();
  ASSERT_THAT(events, SizeIs(20));
  for (const Json& event : events) {
    EXPECT_EQ(event["tenant"], "emea");
    EXPECT_EQ(event["sigma_rule_ids"], Json::array({"r1"}));
  }
}

TEST(MatchEventsTest, RestoredStatisticsCountOn) {
  MatchHarness before;
  before.Rule("r1", kUserBob);
  before.ControlCaughtUp();
  before.Event(R"({"User":"bob"})");
  before.Event(R"({"User":"eve"})");
  const auto snapshot = before.harness().Snapshot();
  MatchHarness after;
  after.harness().Restore(snapshot);
  after.ControlCaughtUp();
  after.Event(R"({"User":"bob"})");
  after.harness().AdvanceProcessingTime(absl::Seconds(31));
  const std::vector<Json> messages = after.Metrics();
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0]["window_total_events"], 3);
  EXPECT_EQ(messages[0]["window_matched_events"], 2);
}

TEST(MatchEventsTest, ABrokenParserLeavesTheOneBeforeInForce) {
  MatchHarness job(ParsedOut());
  job.Parser(R"(set(field="a", value=1))");
  job.Parser(R"(set(field="a", value=2) | nonsense(x=1))");
  EXPECT_THAT(job.Problems(), ElementsAre(AllOf(HasSubstr("j1:parser|"), HasSubstr("nonsense"),
                                                HasSubstr("line=1 column=27"))));
  job.ControlCaughtUp();
  job.Event("{}");
  EXPECT_EQ(job.Events().at(0)["a"], 1);
}

TEST(MatchEventsTest, ManySubtasksShareTheWork) {
  OperatorTestOptions options;
  options.parallelism = 4;
  KeyingOptions keying;
  keying.num_buckets = keying.parallelism = 4;
  MatchHarness job(AllEvents(), options, keying);
  job.Rule("r1", kUserBob);
  job.ControlCaughtUp();
  for (int i = 0; i < 400; ++i) job.Event(R"({"User":"bob","n":)" + std::to_string(i) + "}");
  std::map<uint32_t, int> by_subtask;
  for (const auto& record : job.harness().TakeRecords()) ++by_subtask[record.subtask];
  EXPECT_THAT(by_subtask, SizeIs(4));
  for (const auto& [subtask, count] : by_subtask) EXPECT_GT(count, 50) << subtask;
}

TEST(MatchEventsTest, CountsUnderDetectFlowsNames) {
  MatchHarness job;
  job.Rule("r1", kUserBob);
  job.Parser(R"(rename(from="x", to="User"))");
  job.ControlCaughtUp();
  job.Event(R"({"x":"bob"})");
  job.Event(R"({"User":"bob"})");
  job.Event("[]");
  EXPECT_EQ(job.harness().CounterValue("schemaParsingErrors"), 1U);
  EXPECT_EQ(job.harness().CounterValue("eventParsingErrors"), 1U);
  EXPECT_EQ(job.harness().CounterValue("ruleCompilations"), 1U);
  EXPECT_THAT(job.Events(), SizeIs(2));
}

TEST(MatchEventsTest, EvidenceNamesTheEventsOwnFieldBehindAMapping) {
  MatchEventsOptions options;
  options.tagger.evidence = true;
  MatchHarness match(options);
  match.Rule("r1",
             "  s: {CommandLine|contains: whoami}\n  f: {User: eve}\n  condition: s and not f\n");
  match.Parser(nullptr, "CommandLine: process.command_line\n");
  match.ControlCaughtUp();
  match.Event(R"({"process":{"command_line":"C:\\whoami /all"}})");
  const std::vector<Json> events = match.Events();
  ASSERT_EQ(events.size(), 1U);
  const Json& detection = events[0]["sigma_detections"][0];
  EXPECT_EQ(detection["matched_selections"], Json::array({"s"}));
  EXPECT_EQ(detection["matched_fields"],
            Json::parse(R"([{"selection":"s","field":"process.command_line",
                             "value":"C:\\whoami /all"}])"));
}

TEST(MatchEventsTest, GivesCorrelationsWhatTheyReadAndKeepsSilentRulesToItself) {
  MatchEventsOptions options = AllEvents();
  options.tagger.rules.correlation_levels = 1;
  MatchHarness match(options);
  match.harness().CollectSideOutput(CorrelationTag());
  match.Rule("r1", "  s: {EventID: 1}\n  condition: s\n");
  match.Rule("r2", "  s: {EventID: 1}\n  condition: s\n");
  match.Control("j1:c", Json{{"job_id", "j1"},
                             {"case", {{"id", "c"}}},
                             {"sigma",
                              {{"text",
                                "title: c\ncorrelation:\n  type: event_count\n  rules: [r1]\n"
                                "  group-by: [User]\n  timespan: 1m\n  condition: {gte: 2}\n"}}}});
  match.ControlCaughtUp();
  match.Event(R"({"EventID":1,"User":"bob"})", std::nullopt, EventTime::FromMillis(77));
  match.Event(R"({"EventID":2,"User":"bob"})", std::nullopt, EventTime::FromMillis(78));
  const std::vector<Json> events = match.Events();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0]["sigma_rule_ids"], Json::array({"r2"}));
  EXPECT_EQ(events[1]["sigma_rule_ids"], Json::array());
  const auto inputs = match.harness().TakeSideOutput(CorrelationTag());
  ASSERT_EQ(inputs.size(), 1U);
  EXPECT_EQ(inputs[0].value.correlation, "c");
  EXPECT_EQ(inputs[0].value.group_values, std::vector<std::string>{"bob"});
  EXPECT_EQ(inputs[0].value.match.time_ms, 77);
  EXPECT_EQ(inputs[0].value.match.event, "events/2/0");
}

}  // namespace
}  // namespace weir::sigma
