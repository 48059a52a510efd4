// What happens to an event, step by step.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/jobs/sigma/match_harness.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;

constexpr const char* kUserBob = "  s: {User: bob}\n  condition: s\n";

TEST(ProcessingTest, Step1RecordsThatAreNoObjectsAreDeadLettersAndHarmNoNeighbour) {
  for (const bool buffered : {false, true}) {
    MatchEventsOptions options;
    options.buffered = buffered;
    MatchHarness job(options);
    job.Rule("r1", kUserBob);
    job.ControlCaughtUp();
    for (const char* record : {R"({"User":"bob","n":1})", "[]", "\"x\"", "5", "null", "{broken", "",
                               "\xff\xfe", R"({"User":"bob","n":2})"}) {
      job.Event(record);
    }
    job.harness().AdvanceProcessingTime(absl::Seconds(30));
    EXPECT_THAT(job.Events(), SizeIs(2)) << buffered;
    const auto letters = job.DeadLetters();
    EXPECT_THAT(letters, SizeIs(7)) << buffered;
    for (const DeadLetter& letter : letters) EXPECT_NE(letter.reason, "");
    EXPECT_EQ(job.harness().CounterValue("eventParsingErrors"), 7U);
  }
}

TEST(ProcessingTest, Step1HoldsBehindAParserToo) {
  MatchHarness job;
  job.Rule("r1", kUserBob);
  job.Parser(R"(set(field="a", value=1))");
  job.ControlCaughtUp();
  for (const char* record : {"[]", "5", "{broken", R"({"User":"bob"})"}) job.Event(record);
  EXPECT_THAT(job.Events(), SizeIs(1));
  EXPECT_THAT(job.DeadLetters(), SizeIs(3));
}

TEST(ProcessingTest, Step2AnEventOnWhichTheParserFailsIsFlaggedAndStillMatched) {
  MatchHarness job(ParsedOut());
  job.Rule("r1", kUserBob);
  job.Rule("flagged", "  s: {_detect_flow_parser_failed: true}\n  condition: s\n");
  job.Parser(R"(set(field="x", value=1) | rename(from="missing", to="y"))");
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  const std::vector<Json> events = job.Events();
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0]["_detect_flow_parser_failed"], true);
  EXPECT_FALSE(events[0].contains("x"));
  EXPECT_EQ(events[0]["sigma_rule_ids"], Json::array({"flagged", "r1"}));
  EXPECT_EQ(job.harness().CounterValue("schemaParsingErrors"), 1U);
}

TEST(ProcessingTest, Step2WithoutParsedEventsOutTheEventLeavesAsItCame) {
  MatchHarness job(AllEvents());
  job.Parser(R"(rename(from="missing", to="y"))");
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  EXPECT_THAT(job.Texts(),
              ElementsAre(R"({"User":"bob","sigma_rule_ids":[],"sigma_detections":[]})"));
}

TEST(ProcessingTest, Step4AnyFilterExcludes) {
  MatchHarness job(AllEvents());
  job.Rule("r1", "  s: {User|contains: b}\n  condition: s\n");
  job.Filter("f1", "  s: {EventID: 4624}\n  condition: s\n");
  job.Filter("f2", "  s: {LogonType: 3}\n  condition: s\n");
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob","EventID":4624})");
  EXPECT_THAT(job.Texts(), IsEmpty());
  job.Event(R"({"User":"bob","LogonType":3})");
  EXPECT_THAT(job.Texts(), IsEmpty());
  job.Event(R"({"User":"bob","EventID":4625,"LogonType":2})");
  EXPECT_THAT(job.Rules(), Optional(ElementsAre("r1")));
}

TEST(ProcessingTest, Step4ABrokenFilterHarmsNobody) {
  MatchHarness job(AllEvents());
  job.Rule("r1", kUserBob);
  job.Filter("bad", "  s: {a|nonsense: 1}\n  condition: s\n");
  job.Filter("worse", "  s: {x: 1}\n  condition: s and nothing\n");
  job.Filter("good", "  s: {drop: 1}\n  condition: s\n");
  EXPECT_THAT(job.Problems(), SizeIs(2));
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  EXPECT_THAT(job.Rules(), Optional(ElementsAre("r1")));
  job.Event(R"({"User":"bob","drop":1})");
  EXPECT_THAT(job.Texts(), IsEmpty());
}

TEST(ProcessingTest, Step5RulesAreInOrderOfTheirIds) {
  MatchHarness job;
  for (const char* id : {"c", "a", "B", "b"}) job.Rule(id, kUserBob);
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  EXPECT_THAT(job.Rules(), Optional(ElementsAre("B", "a", "b", "c")));
}

TEST(ProcessingTest, Step6CustomFieldsReplaceFieldsOfEveryEventThatLeaves) {
  MatchHarness job(AllEvents());
  job.Rule("r1", kUserBob);
  job.CustomFields("User: hidden\nsite: {name: lab, tier: 2}\n");
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob","n":1})");
  job.Event(R"({"n":2})");
  const auto texts = job.Texts();
  ASSERT_THAT(texts, SizeIs(2));
  EXPECT_THAT(
      texts[0],
      HasSubstr(
          R"({"User":"hidden","n":1,"site":{"name":"lab","tier":2},"sigma_rule_ids":["r1"])"));
  EXPECT_EQ(texts[1], R"({"n":2,"User":"hidden","site":{"name":"lab","tier":2},)"
                      R"("sigma_rule_ids":[],"sigma_detections":[]})");
}

}  // namespace
}  // namespace weir::sigma
