// The match node as a dataflow.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/jobs/sigma/match_harness.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;

constexpr const char* kUserBob = "  s: {User: bob}\n  condition: s\n";

TEST(DataflowTest, JobUnitIgnoresRulesOfOtherJobs) {
  MatchHarness job(AllEvents());
  job.Rule("mine", kUserBob);
  job.Rule("theirs", kUserBob, "another-job");
  job.Control("j1:none", Json{{"case", {{"id", "none"}}}, {"sigma", {{"text", "title: t"}}}});
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  EXPECT_THAT(job.Rules(), Optional(ElementsAre("mine")));
  EXPECT_THAT(job.Problems(), IsEmpty());
}

TEST(DataflowTest, RulesSourceAThousandRulesAreActiveAtTheFirstEvent) {
  MatchHarness job;
  for (int i = 0; i < 1000; ++i) job.Rule("r" + std::to_string(10'000 + i), kUserBob);
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  EXPECT_THAT(job.Rules(), Optional(SizeIs(1000)));
}

TEST(DataflowTest, StartUpOrderTheFirstEventWaitsForTheRules) {
  MatchHarness job;
  job.Event(R"({"User":"bob"})");
  EXPECT_THAT(job.Texts(), IsEmpty());
  job.Rule("r1", kUserBob);
  EXPECT_THAT(job.Texts(), IsEmpty());
  job.ControlCaughtUp();
  EXPECT_THAT(job.Rules(), Optional(ElementsAre("r1")));
}

TEST(DataflowTest, StateBufferedEventsAndAllFourKindsOfMessagesComeBack) {
  MatchHarness before(Buffered());
  before.Rule("r1", kUserBob);
  before.Filter("f", "  s: {drop: true}\n  condition: s\n");
  before.Parser(R"(parse_json(field="m"))", "User: name");
  before.CustomFields("tenant: emea");
  before.ControlCaughtUp();
  before.Event(R"({"m":"{\"name\":\"bob\"}"})");
  before.Event(R"({"m":"{\"name\":\"bob\",\"drop\":true}"})");
  const auto snapshot = before.harness().Snapshot();

  MatchHarness after(Buffered());
  after.harness().Restore(snapshot);
  after.harness().AdvanceProcessingTime(absl::Seconds(31));
  const std::vector<Json> events = after.Events();
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0]["tenant"], "emea");
  EXPECT_EQ(events[0]["sigma_rule_ids"], Json::array({"r1"}));
}

}  // namespace
}  // namespace weir::sigma
