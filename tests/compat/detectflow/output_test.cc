// What leaves.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/jobs/sigma/match_harness.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr const char* kUserBob = "  s: {User: bob}\n  condition: s\n";
constexpr const char* kMatching = R"({"User":"bob"})";
constexpr const char* kOther = R"({"User":"eve"})";
constexpr const char* kFiltered = R"({"User":"bob","drop":1})";
constexpr const char* kEmptyLists = R"("sigma_rule_ids":[],"sigma_detections":[]})";

std::vector<std::string> TextsOf(const MatchEventsOptions& options) {
  MatchHarness job(options);
  job.Rule("r1", kUserBob);
  job.Filter("f", "  s: {drop: 1}\n  condition: s\n");
  job.ControlCaughtUp();
  for (const char* event : {kMatching, kOther, kFiltered}) job.Event(event);
  return job.Texts();
}

TEST(OutputTest, MatchedOnly) {
  EXPECT_THAT(TextsOf({}), ElementsAre(StartsWith(R"({"User":"bob","sigma_rule_ids":["r1"],)")));
}

TEST(OutputTest, MatchedOnlyDropsFilteredEventsEvenIfTheyAreToBeKept) {
  MatchEventsOptions options;
  options.tagger.keep_filtered_events = true;
  EXPECT_THAT(TextsOf(options), SizeIs(1));
}

TEST(OutputTest, AllEvents) {
  EXPECT_THAT(TextsOf(AllEvents()), ElementsAre(HasSubstr(R"("sigma_rule_ids":["r1"])"),
                                                std::string(R"({"User":"eve",)") + kEmptyLists));
}

TEST(OutputTest, AllEventsKeepsFilteredEventsWithEmptyLists) {
  EXPECT_THAT(TextsOf(AllEvents(/*keep_filtered=*/true)),
              ElementsAre(HasSubstr(R"("sigma_rule_ids":["r1"])"),
                          std::string(R"({"User":"eve",)") + kEmptyLists,
                          std::string(R"({"User":"bob","drop":1,)") + kEmptyLists));
}

TEST(OutputTest, IsCompactWithKeysInOrderAndNumbersAsWritten) {
  MatchHarness job(AllEvents());
  job.ControlCaughtUp();
  job.Event(
      "{ \"z\" : 1.50 , \"a\" : [ 1 , { \"k\" : null } ],\n\"big\" : 12345678901234567890123 , "
      "\"u\" : \"\u00e9\" }");
  EXPECT_THAT(job.Texts(),
              ElementsAre(std::string("{\"z\":1.50,\"a\":[1,{\"k\":null}],"
                                      "\"big\":12345678901234567890123,\"u\":\"\u00e9\",") +
                          kEmptyLists));
}

TEST(OutputTest, ReplacesFieldsOfItsOwnNames) {
  MatchHarness job(AllEvents());
  job.ControlCaughtUp();
  job.Event(R"({"sigma_rule_ids":"x","a":1,"sigma_detections":{}})");
  EXPECT_THAT(job.Texts(), ElementsAre(std::string(R"({"a":1,)") + kEmptyLists));
}

TEST(OutputTest, OneEventIsOneRecordWithAllItsRules) {
  MatchHarness job;
  job.Rule("r1", kUserBob);
  job.Rule("r2", kUserBob);
  job.ControlCaughtUp();
  job.Event(kMatching);
  const std::vector<Json> events = job.Events();
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0]["sigma_rule_ids"], Json::array({"r1", "r2"}));
  EXPECT_THAT(events[0]["sigma_detections"], SizeIs(2));
}

TEST(OutputTest, IsTheEventAsItCameUnlessTheParserIsAppliedToIt) {
  const auto run = [](const MatchEventsOptions& options) {
    MatchHarness job(options);
    job.Rule("r1", kUserBob);
    job.Parser(R"(parse_json(field="m"))");
    job.ControlCaughtUp();
    job.Event(R"({"m":"{\"User\":\"bob\"}"})");
    return job.Texts();
  };
  EXPECT_THAT(run(AllEvents()),
              ElementsAre(StartsWith(R"({"m":"{\"User\":\"bob\"}","sigma_rule_ids":["r1"])")));
  EXPECT_THAT(run(ParsedOut()),
              ElementsAre(StartsWith(R"({"User":"bob","sigma_rule_ids":["r1"])")));
}

TEST(OutputTest, CarriesKeyAndTimeOfTheInput) {
  MatchHarness job;
  job.Rule("r1", kUserBob);
  job.ControlCaughtUp();
  job.Event(kMatching, "k", EventTime::FromMillis(42));
  job.Event(kMatching);
  const auto records = job.harness().TakeRecords();
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].value.key, "k");
  EXPECT_TRUE(records[0].value.has_key);
  EXPECT_EQ(records[0].timestamp, EventTime::FromMillis(42));
  EXPECT_FALSE(records[1].value.has_key);
}

}  // namespace
}  // namespace weir::sigma
