// Messages of the control topic.

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
constexpr const char* kUserEve = "  s: {User: eve}\n  condition: s\n";

TEST(ControlTopicTest, UpdateTheLastMessageOfAnIdWins) {
  MatchHarness job(AllEvents());
  job.Rule("r1", kUserBob);
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  EXPECT_THAT(job.Rules(), Optional(ElementsAre("r1")));
  job.Rule("r1", kUserEve);
  job.Event(R"({"User":"bob"})");
  EXPECT_THAT(job.Rules(), Optional(IsEmpty()));
  job.Event(R"({"User":"eve"})");
  EXPECT_THAT(job.Rules(), Optional(ElementsAre("r1")));
}

TEST(ControlTopicTest, UpdateAnIdenticalResendCompilesNothing) {
  MatchHarness job;
  job.Rule("r1", kUserBob);
  job.ControlCaughtUp();
  job.Event("{}");
  job.Rule("r1", kUserEve);
  job.Event("{}");
  job.Rule("r1", kUserEve);
  job.Event("{}");
  job.Rule("r1", kUserBob);  // So that the counter shows the compilations before.
  EXPECT_EQ(job.harness().CounterValue("ruleCompilations"), 2U);
}

TEST(ControlTopicTest, ScopeOfHotReloadIsAllFiveThings) {
  MatchHarness job(ParsedOut());
  job.ControlCaughtUp();
  const char* event = R"({"User":"bob","who":"eve"})";
  const auto ids = [&] {
    job.Event(event);
    return job.Rules();
  };
  EXPECT_THAT(ids(), Optional(IsEmpty()));
  job.Rule("r1", kUserEve);
  EXPECT_THAT(ids(), Optional(IsEmpty()));
  job.Parser(nullptr, "User: who\n");
  EXPECT_THAT(ids(), Optional(ElementsAre("r1")));
  job.Filter("f", kUserEve);
  EXPECT_THAT(ids(), std::nullopt);
  job.Control("j1:prefilter:f",
              Json{{"type", "filter"}, {"job_id", "j1"}, {"filter_id", "f"}, {"deleted", true}});
  EXPECT_THAT(ids(), Optional(ElementsAre("r1")));
  job.Parser(R"(set(field="who", value="nobody"))", "User: who\n");
  EXPECT_THAT(ids(), Optional(IsEmpty()));
  job.DeleteParser();
  EXPECT_THAT(ids(), Optional(IsEmpty()));
  job.CustomFields("tenant: emea");
  job.Event(event);
  EXPECT_EQ(job.Events().at(0)["tenant"], "emea");
  job.Control("j1:custom_fields",
              Json{{"type", "custom_fields"}, {"job_id", "j1"}, {"deleted", true}});
  job.Event(event);
  EXPECT_FALSE(job.Events().at(0).contains("tenant"));
  EXPECT_THAT(job.Problems(), IsEmpty());
}

TEST(ControlTopicTest, RuleCaseNameAndLevelAndTagsWinOverTheText) {
  MatchHarness job;
  job.Control("j1:a3",
              Json::parse(R"({"job_id":"j1","case":{"id":"a3","name":"Shadow copies removed"},
    "sigma":{"text":"title: t\nlogsource: {product: windows}\ntags: [attack.t1003]\ndetection:\n  s: {CommandLine|contains|all: [vssadmin, delete]}\n  condition: s\nlevel: low\n","level":"high"},
    "tags":{"technique":[{"id":"T1490","name":"Inhibit System Recovery"},{"id":"T1059.003"}]}})"));
  job.ControlCaughtUp();
  job.Event(R"({"EventID":1,"CommandLine":"vssadmin delete shadows /all"})");
  const auto texts = job.Texts();
  ASSERT_THAT(texts, SizeIs(1));
  EXPECT_EQ(
      texts[0],
      R"({"EventID":1,"CommandLine":"vssadmin delete shadows /all","sigma_rule_ids":["a3"],)"
      R"("sigma_detections":[{"rule_id":"a3","rule_title":"Shadow copies removed","severity":"high",)"
      R"("technique_ids":["T1490","T1059.003"],"techniques":[)"
      R"({"id":"T1490","name":"Inhibit System Recovery"},{"id":"T1059.003","name":null}]}]})");
}

TEST(ControlTopicTest, RuleTitleAndLevelComeFromTheTextOtherwise) {
  MatchHarness job;
  job.Rule("r1", kUserBob);
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  const Json detection = job.Events().at(0)["sigma_detections"][0];
  EXPECT_EQ(detection["rule_title"], "Title of r1");
  EXPECT_EQ(detection["severity"], "high");
  EXPECT_EQ(detection["technique_ids"], Json::array());
}

TEST(ControlTopicTest, RuleMalformedTagsOnlyEmptyTheList) {
  MatchHarness job;
  job.Control("j1:r1", Json::parse(R"({"job_id":"j1","case":{"id":"r1"},"tags":{"technique":"T1"},
      "sigma":{"text":"title: t\ndetection:\n  s: {User: bob}\n  condition: s\n"}})"));
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  EXPECT_EQ(job.Events().at(0)["sigma_detections"][0]["techniques"], Json::array());
}

TEST(ControlTopicTest, RuleAbsentOrEmptyTextIsALogicalDelete) {
  for (const char* sigma : {R"({"text":""})", R"({})", "null"}) {
    MatchHarness job(AllEvents());
    job.Rule("r1", kUserBob);
    job.Control("j1:r1",
                Json{{"job_id", "j1"}, {"case", {{"id", "r1"}}}, {"sigma", Json::parse(sigma)}});
    job.ControlCaughtUp();
    job.Event(R"({"User":"bob"})");
    EXPECT_THAT(job.Rules(), Optional(IsEmpty())) << sigma;
  }
}

TEST(ControlTopicTest, ATombstoneDeletesTooWhereDetectFlowIgnoresIt) {
  MatchHarness job(AllEvents());
  job.Rule("r1", kUserBob);
  job.Tombstone("r1");
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  EXPECT_THAT(job.Rules(), Optional(IsEmpty()));
}

TEST(ControlTopicTest, FilterWithoutIdIsIgnoredAndWithoutBodyIsSkipped) {
  MatchHarness job(AllEvents());
  job.Control("j1:prefilter:", Json{{"type", "filter"}, {"job_id", "j1"}, {"filter_body", "x"}});
  job.Control("j1:prefilter:f", Json{{"type", "filter"}, {"job_id", "j1"}, {"filter_id", "f"}});
  EXPECT_THAT(job.Problems(), ElementsAre(HasSubstr("filter_id"), HasSubstr("no body")));
  job.ControlCaughtUp();
  job.Event("{}");
  EXPECT_THAT(job.Events(), SizeIs(1));
}

TEST(ControlTopicTest, ParserDeletedClearsParserAndMapping) {
  MatchHarness job(AllEvents());
  job.Rule("r1", kUserBob);
  job.Parser(R"(parse_json(field="m"))", "User: name");
  job.ControlCaughtUp();
  job.Event(R"({"m":"{\"name\":\"bob\"}"})");
  EXPECT_THAT(job.Rules(), Optional(ElementsAre("r1")));
  job.DeleteParser();
  job.Tombstone("parser");
  job.Event(R"({"m":"{\"name\":\"bob\"}"})");
  EXPECT_THAT(job.Rules(), Optional(IsEmpty()));
  job.Event(R"({"name":"bob"})");
  EXPECT_THAT(job.Rules(), Optional(IsEmpty()));
}

TEST(ControlTopicTest, CustomFieldsThatAreNoMappingCountAsNone) {
  MatchHarness job(AllEvents());
  job.CustomFields("tenant: emea");
  job.CustomFields("- a\n- b\n");
  EXPECT_THAT(job.Problems(), ElementsAre(AllOf(HasSubstr("custom_fields"), HasSubstr("mapping"))));
  job.ControlCaughtUp();
  job.Event(R"({"a":1})");
  EXPECT_EQ(job.Texts().at(0), R"({"a":1,"sigma_rule_ids":[],"sigma_detections":[]})");
}

TEST(ControlTopicTest, AnythingElseIsReportedAndIgnored) {
  MatchHarness job(AllEvents());
  job.Rule("r1", kUserBob);
  job.Control("j1:x", std::optional<std::string>("{broken"));
  job.Control("j1:x", Json{{"job_id", "j1"}, {"type", "rulez"}});
  job.Control("j1:x", Json{{"job_id", "j1"}, {"sigma", {{"text", "t"}}}});
  job.Control("j1:x", Json{{"job_id", "j1"}, {"case", {{"id", ""}}}});
  EXPECT_THAT(job.Problems(), SizeIs(4));
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  EXPECT_THAT(job.Rules(), Optional(ElementsAre("r1")));
}

TEST(ControlTopicTest, CostOfOneChangeIsOneCompilation) {
  MatchHarness job;
  for (int i = 0; i < 500; ++i) job.Rule("r" + std::to_string(i), kUserBob);
  job.ControlCaughtUp();
  job.Event("{}");
  job.Rule("r7", kUserEve);
  job.Event("{}");
  job.Tombstone("nothing-there");
  EXPECT_EQ(job.harness().CounterValue("ruleCompilations"), 2U);
}

}  // namespace
}  // namespace weir::sigma
