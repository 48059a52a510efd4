// Traps that cost DetectFlow's users detections.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/jobs/sigma/match_harness.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;

constexpr const char* kUserBob = "  s: {User: bob}\n  condition: s\n";

std::string Item(const std::string& item) { return "  s:\n    " + item + "\n  condition: s\n"; }

bool Matches(const std::string& detection, const std::string& event,
             const Json& mapping = nullptr) {
  MatchHarness job;
  job.Rule("r1", detection);
  if (!mapping.is_null()) job.Parser(nullptr, mapping);
  job.ControlCaughtUp();
  job.Event(event);
  EXPECT_THAT(job.Problems(), IsEmpty()) << detection;
  return !job.Texts().empty();
}

TEST(TrapsTest, Trap01RulesAreReadToTheirEndBeforeTheFirstEvent) {
  for (const bool buffered : {false, true}) {
    MatchEventsOptions options;
    options.buffered = buffered;
    MatchHarness job(options);
    job.Event(R"({"User":"bob"})");
    job.harness().AdvanceProcessingTime(absl::Seconds(120));
    EXPECT_THAT(job.Texts(), IsEmpty());
    job.Rule("r1", kUserBob);
    job.ControlCaughtUp();
    job.harness().AdvanceProcessingTime(absl::Seconds(31));
    EXPECT_THAT(job.Rules(), Optional(ElementsAre("r1"))) << buffered;
  }
}

TEST(TrapsTest, Trap02PoisonHarmsNoNeighbour) {
  MatchHarness job(Buffered());
  job.Rule("r1", kUserBob);
  job.Rule("poison", "  s: {a|re: '('}\n  condition: s\n");
  job.Filter("list", "  s: {x: 1}\n  condition: [s, nothing]\n");
  job.ControlCaughtUp();
  for (const char* event :
       {"[1]", R"({"User":"bob","n":1})", "\"s\"", "7", "null", R"({"User":"bob","n":2})"}) {
    job.Event(event);
  }
  job.harness().AdvanceProcessingTime(absl::Seconds(30));
  EXPECT_THAT(job.Events(), SizeIs(2));
  EXPECT_THAT(job.DeadLetters(), SizeIs(4));
}

TEST(TrapsTest, Trap02AFilterWithAListOfConditionsExcludesByAnyOfThem) {
  MatchHarness job(AllEvents());
  job.Filter("list", "  a: {x: 1}\n  b: {y: 1}\n  condition: [a, b]\n");
  job.ControlCaughtUp();
  job.Event(R"({"x":1})");
  job.Event(R"({"y":1})");
  job.Event(R"({"z":1})");
  EXPECT_THAT(job.Events(), SizeIs(1));
}

TEST(TrapsTest, Trap03DeletesAndReAddsInQuickSuccession) {
  MatchHarness job(AllEvents());
  job.Rule("r1", kUserBob);
  job.DeleteRule("r1");
  job.Tombstone("r1");
  job.Rule("r1", kUserBob);
  job.Rule("r2", kUserBob);
  job.DeleteRule("r2");
  job.Rule("r2", kUserBob);
  job.Tombstone("r2");
  // Compaction leaves nothing but the tombstone.
  job.Tombstone("never-seen");
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  EXPECT_THAT(job.Rules(), Optional(ElementsAre("r1")));
  EXPECT_THAT(job.Problems(), IsEmpty());
}

TEST(TrapsTest, Trap03ATombstoneOfAnotherJobDeletesNothing) {
  MatchHarness job(AllEvents());
  job.Rule("r1", kUserBob);
  job.Control("j2:r1", std::nullopt);
  job.Control("j11:r1", std::nullopt);
  job.Control("r1", std::nullopt);
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  EXPECT_THAT(job.Rules(), Optional(ElementsAre("r1")));
}

TEST(TrapsTest, Trap04OneRuleIdInTwoJobs) {
  MatchHarness job(AllEvents());
  job.Rule("r1", kUserBob);
  job.Rule("r1", "  s: {User: eve}\n  condition: s\n", "j2");
  job.Control("j1:r1", Json{{"case", {{"id", "r1"}}}, {"sigma", {{"text", ""}}}});
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  EXPECT_THAT(job.Rules(), Optional(ElementsAre("r1")));
  job.Event(R"({"User":"eve"})");
  EXPECT_THAT(job.Rules(), Optional(IsEmpty()));
}

TEST(TrapsTest, Trap06Keywords) {
  EXPECT_TRUE(Matches("  k: ['C:\\Win']\n  condition: k\n", R"({"a":"in C:\\Windows"})"));
  EXPECT_TRUE(Matches("  k: ['say \"hi\"']\n  condition: k\n", R"({"a":"they say \"hi\"."})"));
  EXPECT_TRUE(Matches("  k: ['\u00dcber']\n  condition: k\n", "{\"a\":\"\u00fcbermorgen\"}"));
  EXPECT_FALSE(Matches("  k: [secret]\n  condition: k\n", R"({"secret":"x"})"));
  EXPECT_FALSE(Matches("  k: ['\":\"']\n  condition: k\n", R"({"a":"x"})"));
}

TEST(TrapsTest, Trap08NullEmptyAndMissing) {
  const std::string null = Item("a: null");
  const std::string empty = Item("a: ''");
  const std::string not_null = "  s: {a: null}\n  condition: not s\n";
  const std::string not_empty = "  s: {a: ''}\n  condition: not s\n";
  struct Case {
    const char* event;
    bool null;
    bool empty;
  };
  for (const auto& [event, is_null, is_empty] :
       {Case{R"({"a":null})", true, false}, Case{R"({"a":""})", false, true},
        Case{R"({"b":1})", true, false}, Case{R"({"a":"x"})", false, false}}) {
    EXPECT_EQ(Matches(null, event), is_null) << event;
    EXPECT_EQ(Matches(empty, event), is_empty) << event;
    EXPECT_EQ(Matches(not_null, event), !is_null) << event;
    EXPECT_EQ(Matches(not_empty, event), !is_empty) << event;
  }
  const char* mapping = "a: [one, two]";
  for (const auto& [event, is_null, is_empty] :
       {Case{R"({"one":null,"two":null})", true, false},
        Case{R"({"one":"","two":null})", false, true}, Case{R"({"one":"x"})", false, false},
        Case{R"({"one":"","two":"x"})", false, false}, Case{R"({"c":1})", true, false},
        Case{R"({"one":"","two":"","a":""})", false, true}}) {
    EXPECT_EQ(Matches(null, event, mapping), is_null) << event;
    EXPECT_EQ(Matches(empty, event, mapping), is_empty) << event;
    EXPECT_EQ(Matches(not_null, event, mapping), !is_null) << event;
    EXPECT_EQ(Matches(not_empty, event, mapping), !is_empty) << event;
  }
}

TEST(TrapsTest, Trap10FiltersAreOr) {
  for (const bool keep : {false, true}) {
    for (const bool all : {false, true}) {
      MatchEventsOptions options = all ? AllEvents(keep) : MatchEventsOptions{};
      options.tagger.keep_filtered_events = keep;
      MatchHarness job(options);
      job.Rule("r1", kUserBob);
      job.Filter("f1", Item("x: 1"));
      job.Filter("f2", Item("y: 1"));
      job.ControlCaughtUp();
      job.Event(R"({"User":"bob","x":1})");
      const auto rules = job.Rules();
      if (all && keep) {
        EXPECT_THAT(rules, Optional(IsEmpty()));
      } else {
        EXPECT_EQ(rules, std::nullopt);
      }
    }
  }
}

TEST(TrapsTest, Trap11CustomFieldsOverrideEventsAndAreInvisibleToRules) {
  MatchHarness job(AllEvents());
  job.Rule("of-event", kUserBob);
  job.Rule("of-custom", "  s: {User: custom}\n  condition: s\n");
  job.Filter("f", "  s: {User: custom}\n  condition: s\n");
  job.CustomFields("User: custom\n");
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob"})");
  const std::vector<Json> events = job.Events();
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0]["User"], "custom");
  EXPECT_EQ(events[0]["sigma_rule_ids"], Json::array({"of-event"}));
}

TEST(TrapsTest, Trap12Parser) {
  MatchHarness job(ParsedOut());
  job.Rule("r1", kUserBob);
  job.Parser(R"(set(field="a", value="1|#") | set(field="b", value="2") # three | nope()
                | rename(from="who", to="User"))");
  EXPECT_THAT(job.Problems(), IsEmpty());
  job.ControlCaughtUp();
  job.Event(R"({"who":"bob"})");
  job.Event(R"({"User":"bob"})");
  const std::vector<Json> events = job.Events();
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_EQ(events[0]["a"], "1|#");
  EXPECT_EQ(events[0]["b"], "2");
  EXPECT_EQ(events[0]["sigma_rule_ids"], Json::array({"r1"}));
  EXPECT_EQ(events[1]["_detect_flow_parser_failed"], true);
  EXPECT_EQ(events[1]["sigma_rule_ids"], Json::array({"r1"}));
  job.Parser(R"(unknown(field="a"))");
  EXPECT_THAT(job.Problems(), SizeIs(1));
}

TEST(TrapsTest, Trap13EarlyFlushLosesAndDoublesNothing) {
  for (const int events : {99, 100, 101, 199, 200, 201, 1000}) {
    MatchHarness job(Buffered(absl::Seconds(30), 100));
    job.Rule("r1", kUserBob);
    job.ControlCaughtUp();
    for (int i = 0; i < events; ++i) {
      job.Event(R"({"User":"bob","n":)" + std::to_string(i) + "}");
      if (i % 70 == 69) job.harness().AdvanceProcessingTime(absl::Milliseconds(1));
    }
    job.harness().AdvanceProcessingTime(absl::Seconds(31));
    std::set<int> numbers;
    for (const Json& event : job.Events()) {
      EXPECT_TRUE(numbers.insert(event["n"].get<int>()).second) << event;
    }
    EXPECT_THAT(numbers, SizeIs(events));
  }
}

TEST(TrapsTest, Trap14ARestoredBufferLosesAndDoublesNothing) {
  MatchHarness before(Buffered(absl::Seconds(30), 10));
  before.Rule("r1", kUserBob);
  before.ControlCaughtUp();
  for (int i = 0; i < 12; ++i) before.Event(R"({"User":"bob","n":)" + std::to_string(i) + "}");
  const auto snapshot = before.harness().Snapshot();
  MatchHarness after(Buffered(absl::Seconds(30), 10));
  after.harness().Restore(snapshot);
  after.ControlCaughtUp();
  after.Event(R"({"User":"bob","n":12})");
  after.harness().AdvanceProcessingTime(absl::Seconds(31));
  std::set<int> numbers;
  for (const Json& event : after.Events()) numbers.insert(event["n"].get<int>());
  EXPECT_THAT(numbers, SizeIs(13));
}

}  // namespace
}  // namespace weir::sigma
