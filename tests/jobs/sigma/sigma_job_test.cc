#include "jobs/sigma/sigma_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "jobs/sigma/match_rules.h"
#include "tests/jobs/job_runs.h"
#include "tests/support/memory_connectors.h"

namespace weir::sigma {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const char* kBundledRules = "jobs/sigma/rules";
constexpr const char* kBundledEvents = "jobs/sigma/events/mixed-logs.ndjson";

std::string RuleText(const std::string& id, const std::string& value) {
  return "title: " + id + "\nid: " + id + "\nlevel: high\ndetection:\n  s:\n    field: " + value +
         "\n  condition: s\n";
}

class SigmaJobTest : public ::testing::TestWithParam<uint32_t> {
 protected:
  absl::Status Run(std::vector<std::string> arguments) {
    for (const char* name : {"out", "errors", "dead-letters"}) {
      arguments.push_back(std::string("--") + name);
      arguments.push_back(folder_.PathOf(name));
    }
    return RunJob(BuildSigma, arguments, GetParam());
  }
  std::vector<json> Lines(const std::string& folder, const std::string& prefix) {
    std::vector<json> objects;
    for (const std::string& line : CommittedLines(folder_.PathOf(folder), prefix)) {
      objects.push_back(json::parse(line));
    }
    return objects;
  }
  TemporaryFolder folder_;
};

TEST_P(SigmaJobTest, MatchesTheBundledEventsWithTheBundledRules) {
  const absl::Status run = Run({"--rules", kBundledRules, "--events", kBundledEvents});
  ASSERT_TRUE(run.ok()) << run;
  std::map<std::string, int> matches;
  for (const json& event : Lines("out", "matches")) {
    for (const json& detection : event["sigma_detections"]) ++matches[detection["rule_title"]];
  }
  EXPECT_EQ(matches, (std::map<std::string, int>{{"Administrative service reached from outside", 1},
                                                 {"Cloud audit log switched off", 1},
                                                 {"Download piped into a shell", 1},
                                                 {"Office application starts a shell", 1},
                                                 {"Path traversal in a web request", 1},
                                                 {"PowerShell downloads and runs a script", 1},
                                                 {"Shadow copies deleted", 2}}));
  EXPECT_THAT(Lines("errors", "rule_errors"), IsEmpty());
  EXPECT_THAT(Lines("dead-letters", "dead_letters"), IsEmpty());
}

TEST_P(SigmaJobTest, TagsAnEventWithAllItsRules) {
  folder_.Write("rules/a.yml", RuleText("a", "x"));
  folder_.Write("rules/sub/b.yaml", RuleText("b", "x"));
  folder_.Write("events.ndjson",
                "{\"field\":\"x\",\"big\":12345678901234567890}\n{\"field\":\"y\"}\n");
  const absl::Status run =
      Run({"--rules", folder_.PathOf("rules"), "--events", folder_.PathOf("events.ndjson")});
  ASSERT_TRUE(run.ok()) << run;
  const auto lines = CommittedLines(folder_.PathOf("out"), "matches");
  EXPECT_THAT(lines, ElementsAre(AllOf(HasSubstr(R"({"field":"x","big":12345678901234567890,)"),
                                       HasSubstr(R"("sigma_rule_ids":["a","b"])"))));
}

TEST_P(SigmaJobTest, EmitsAllEventsIfAskedTo) {
  folder_.Write("a.yml", RuleText("a", "x"));
  folder_.Write("events.ndjson", "{\"field\":\"x\"}\n{\"field\":\"y\"}\n");
  const absl::Status run = Run({"--rules", folder_.PathOf("a.yml"), "--events",
                                folder_.PathOf("events.ndjson"), "--output-mode", "all_events"});
  ASSERT_TRUE(run.ok()) << run;
  const auto events = Lines("out", "matches");
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_EQ(events[0]["sigma_rule_ids"], json::array({"a"}));
  EXPECT_EQ(events[1]["sigma_rule_ids"], json::array());
  EXPECT_EQ(events[1]["sigma_detections"], json::array());
}

TEST_P(SigmaJobTest, ABrokenRuleIsReportedOnceAndHarmsNoOther) {
  folder_.Write("rules/a.yml", RuleText("a", "x"));
  folder_.Write("rules/b.yml",
                "title: b\nid: b\ndetection:\n  s:\n    field|nope: x\n  condition: s\n");
  folder_.Write("rules/c.yml", "{{{");
  folder_.Write("events.ndjson", "{\"field\":\"x\"}\n");
  const absl::Status run =
      Run({"--rules", folder_.PathOf("rules"), "--events", folder_.PathOf("events.ndjson")});
  ASSERT_TRUE(run.ok()) << run;
  EXPECT_THAT(Lines("out", "matches"), SizeIs(1));
  const auto errors = Lines("errors", "rule_errors");
  ASSERT_THAT(errors, SizeIs(2));
  EXPECT_THAT(errors[0]["source"].get<std::string>(), HasSubstr("b.yml"));
  EXPECT_THAT(errors[0]["reason"].get<std::string>(), HasSubstr("nope"));
  EXPECT_THAT(errors[1]["source"].get<std::string>(), HasSubstr("c.yml"));
}

TEST_P(SigmaJobTest, PutsEventsThatAreNoObjectsAside) {
  folder_.Write("a.yml", RuleText("a", "x"));
  folder_.Write(
      "events.ndjson",
      "{\"field\":\"x\"}\n[1]\n\"text\"\n5\nnull\n{\"field\":\n{\"field\":\"x\",\"n\":2}\n");
  const absl::Status run =
      Run({"--rules", folder_.PathOf("a.yml"), "--events", folder_.PathOf("events.ndjson")});
  ASSERT_TRUE(run.ok()) << run;
  EXPECT_THAT(Lines("out", "matches"), SizeIs(2));
  std::set<std::string> aside;
  for (const json& letter : Lines("dead-letters", "dead_letters")) {
    EXPECT_NE(letter["reason"], "");
    aside.insert(letter["event"].get<std::string>());
  }
  EXPECT_EQ(aside, (std::set<std::string>{"[1]", "\"text\"", "5", "null", "{\"field\":"}));
}

INSTANTIATE_TEST_SUITE_P(Parallelism, SigmaJobTest, ::testing::Values(1, 3));

// ---- Rules from a topic, as the job sees it behind ReadControlMessage. ----

RuleUpdate Set(const std::string& id, const std::string& value) {
  RuleUpdate update;
  update.kind = RuleUpdate::Kind::kSet;
  update.key = id;
  update.rule = {"j:" + id,   RuleText("ignored", value), id, std::nullopt, std::nullopt,
                 std::nullopt};
  return update;
}

struct Streams {
  StreamGraph graph;
  std::shared_ptr<MemorySinkContents<std::string>> tagged =
      std::make_shared<MemorySinkContents<std::string>>();
  std::shared_ptr<MemorySinkContents<std::string>> problems =
      std::make_shared<MemorySinkContents<std::string>>();
};

/// A job over events and rule updates in memory; it ends only if both do.
void Build(Streams& streams, MemorySource<std::string> events, MemorySource<RuleUpdate> updates) {
  StreamEnvironment environment(&streams.graph);
  const auto rules =
      environment
          .FromSource(std::move(updates), WatermarkStrategy<RuleUpdate>::NoWatermarks(), "rules")
          .Uid("rules")
          .SetParallelism(1);
  const auto tagged =
      environment
          .FromSource(std::move(events), WatermarkStrategy<std::string>::NoWatermarks(), "events")
          .Uid("events")
          .Connect(rules.Broadcast())
          .StartAfterBroadcast()
          .Process(MatchRules<std::string>(OutputMode::kMatchedOnly))
          .Uid("match");
  tagged.Map([](const TaggedEvent& event) { return event.json; })
      .SinkTo(MemorySink<std::string>(streams.tagged))
      .Uid("tagged");
  tagged.GetSideOutput(RuleProblemTag())
      .Map([](const RuleProblem& problem) { return problem.rule_id; })
      .SinkTo(MemorySink<std::string>(streams.problems))
      .Uid("problems");
}

TEST(MatchRulesTest, HasAllRulesBeforeTheFirstEvent) {
  std::vector<RuleUpdate> updates;
  for (int i = 0; i < 300; ++i) updates.push_back(Set("r" + std::to_string(1000 + i), "x"));
  Streams streams;
  Build(streams, MemorySource<std::string>({R"({"field":"x"})"}),
        MemorySource<RuleUpdate>(updates, 3, /*rate_limited=*/true));
  const TemporaryFolder checkpoints;
  LocalJobOptions options;
  options.parallelism = 2;
  options.directory = checkpoints.path();
  LocalJob job(std::move(streams.graph), options);
  ASSERT_TRUE(job.Start().ok());
  ASSERT_TRUE(job.WaitUntilFinished().ok());
  const auto tagged = streams.tagged->Committed();
  ASSERT_THAT(tagged, SizeIs(1));
  EXPECT_THAT(json::parse(*tagged.begin())["sigma_rule_ids"], SizeIs(300));
}

TEST(MatchRulesTest, ARestoredJobHasItsRulesFromState) {
  RuleUpdate broken = Set("kept", "x");
  broken.rule.text = "title: t\n";
  RuleUpdate removed;
  removed.kind = RuleUpdate::Kind::kDelete;
  removed.key = "removed";
  const std::vector<RuleUpdate> updates = {Set("kept", "x"), Set("removed", "x"), broken, removed};

  const TemporaryFolder checkpoints;
  LocalJobOptions options;
  options.parallelism = 2;
  options.directory = checkpoints.path();
  LocalCheckpoint checkpoint;
  {
    // Neither source ends, so that the checkpoint is taken with all rules read and no event.
    Streams streams;
    Build(streams, MemorySource<std::string>({}, 64, false, /*endless=*/true),
          MemorySource<RuleUpdate>(updates, 64, false, /*endless=*/true));
    LocalJob job(std::move(streams.graph), options);
    ASSERT_TRUE(job.Start().ok());
    ASSERT_TRUE(job.WaitUntilRunning().ok());
    auto taken = job.TriggerCheckpoint();
    ASSERT_TRUE(taken.ok()) << taken.status();
    checkpoint = *std::move(taken);
    EXPECT_THAT(streams.problems->Committed(), SizeIs(::testing::Le(1)));
    job.Kill();
  }
  Streams streams;
  Build(streams, MemorySource<std::string>({R"({"field":"x"})"}),
        MemorySource<RuleUpdate>(updates));
  LocalJob job(std::move(streams.graph), options);
  ASSERT_TRUE(job.Start(&checkpoint).ok());
  ASSERT_TRUE(job.WaitUntilFinished().ok());
  const auto tagged = streams.tagged->Committed();
  ASSERT_THAT(tagged, SizeIs(1));
  EXPECT_EQ(json::parse(*tagged.begin())["sigma_rule_ids"], json::array({"kept"}));
}

std::string BuildErrorOf(const std::vector<std::string>& arguments) {
  const auto graph = BuildTestGraph(
      [](StreamGraph& stream_graph, const JobArgs& args) {
        StreamEnvironment environment(&stream_graph);
        return BuildSigma(environment, args);
      },
      arguments);
  return graph.ok() ? "" : graph.status().ToString();
}

TEST(SigmaJobArgumentsTest, NeedsOnePlaceOfRulesAndOneOfEvents) {
  EXPECT_THAT(BuildErrorOf({"--rules", kBundledRules}), HasSubstr("--events-topic"));
  EXPECT_THAT(BuildErrorOf({"--events", "x"}), HasSubstr("--rules-topic"));
  EXPECT_THAT(BuildErrorOf({"--events", "x", "--rules", kBundledRules, "--rules-topic", "t"}),
              HasSubstr("one place"));
  EXPECT_THAT(BuildErrorOf({"--events", "x", "--rules-topic", "t"}), HasSubstr("--brokers"));
  EXPECT_THAT(BuildErrorOf({"--events", "x", "--rules", "no/such/folder"}),
              HasSubstr("no/such/folder"));
  EXPECT_THAT(BuildErrorOf({"--events", "x", "--rules", kBundledRules, "--output-mode", "some"}),
              HasSubstr("matched_only"));
}

TEST(SigmaJobArgumentsTest, BuildsAGraphForKafkaOnAllSides) {
  EXPECT_EQ(
      BuildErrorOf({"--brokers", "b:1", "--events-topic", "a,b", "--rules-topic", "r", "--job-id",
                    "j1", "--output-topic", "o", "--group", "g", "--starting-offset", "committed"}),
      "");
}

}  // namespace
}  // namespace weir::sigma
