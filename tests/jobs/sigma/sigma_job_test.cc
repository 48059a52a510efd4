#include "jobs/sigma/sigma_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "jobs/sigma/match_events.h"
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
  std::map<std::string, json> rules;
  for (const json& event : Lines("out", "matches")) {
    EXPECT_EQ(event["sigma_detections"].size(), event["sigma_rule_ids"].size());
    rules[event["field"]] = event["sigma_rule_ids"];
  }
  EXPECT_EQ(rules, (std::map<std::string, json>{{"x", json::array({"a"})}, {"y", json::array()}}));
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

TEST_P(SigmaJobTest, WindowsGiveTheSameAsSingleEvents) {
  folder_.Write("a.yml", RuleText("a", "x"));
  std::string events;
  for (int i = 0; i < 500; ++i) {
    events += R"({"field":")" + std::string(i % 3 == 0 ? "x" : "y") + R"(","n":)" +
              std::to_string(i) + "}\n";
  }
  folder_.Write("events.ndjson", events);
  const absl::Status run =
      Run({"--rules", folder_.PathOf("a.yml"), "--events", folder_.PathOf("events.ndjson"),
           "--latency-mode", "window", "--window-count-threshold", "40", "--metrics",
           folder_.PathOf("metrics")});
  ASSERT_TRUE(run.ok()) << run;
  std::set<int> numbers;
  for (const json& event : Lines("out", "matches")) {
    EXPECT_TRUE(numbers.insert(event["n"].get<int>()).second) << event;
  }
  EXPECT_THAT(numbers, SizeIs(167));
  int total = 0;
  int matched = 0;
  for (const json& message : Lines("metrics", "metrics")) {
    total += message["window_total_events"].get<int>();
    matched += message["window_matched_events"].get<int>();
  }
  EXPECT_EQ(total, 500);
  EXPECT_EQ(matched, 167);
}

// A rule of process creation, and events of Sysmon in EVTX's shape, of another log source, and of
// none.
constexpr const char* kWhoamiRule =
    "title: Whoami\nid: whoami\nlogsource: {product: windows, category: process_creation}\n"
    "detection:\n  s:\n    Image|endswith: '\\whoami.exe'\n  condition: s\n";
constexpr const char* kRoutedEvents =
    R"({"n":1,"Event":{"System":{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1},"EventData":{"Image":"C:\\whoami.exe"}}}
{"n":2,"Event":{"System":{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":7},"EventData":{"Image":"C:\\whoami.exe"}}}
{"n":3,"Image":"C:\\whoami.exe"}
{"n":4,"my":{"image":"C:\\whoami.exe"}}
)";

TEST_P(SigmaJobTest, PipelinesFitRulesToEventsAndRouteThem) {
  folder_.Write("a.yml", kWhoamiRule);
  folder_.Write("events.ndjson", kRoutedEvents);
  folder_.Write("mine.yml",
                "name: mine\ntransformations:\n"
                "  - {type: field_name_mapping, mapping: {Image: my.image}}\n");
  const auto numbers = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--rules", folder_.PathOf("a.yml"), "--events",
                                       folder_.PathOf("events.ndjson")});
    const TemporaryFolder out;
    arguments.insert(arguments.end(), {"--out", out.path()});
    const absl::Status run = RunJob(BuildSigma, arguments, GetParam());
    EXPECT_TRUE(run.ok()) << run;
    std::set<int> found;
    for (const std::string& line : CommittedLines(out.path(), "matches")) {
      found.insert(json::parse(line)["n"].get<int>());
    }
    return found;
  };
  EXPECT_THAT(numbers({}), ElementsAre(1, 3)) << "the ready pipeline windows, routing";
  EXPECT_THAT(numbers({"--logsource", "ignore"}), ElementsAre(1, 2, 3));
  EXPECT_THAT(numbers({"--pipeline", "none"}), ElementsAre(3)) << "as DetectFlow";
  EXPECT_THAT(numbers({"--pipeline", folder_.PathOf("mine.yml")}), ElementsAre(4));
}

TEST_P(SigmaJobTest, ADetectionTellsWhatMadeItIfAsked) {
  folder_.Write("a.yml", kWhoamiRule);
  folder_.Write("events.ndjson", kRoutedEvents);
  const absl::Status run = Run({"--rules", folder_.PathOf("a.yml"), "--events",
                                folder_.PathOf("events.ndjson"), "--evidence"});
  ASSERT_TRUE(run.ok()) << run;
  for (const json& event : Lines("out", "matches")) {
    const json& detection = event["sigma_detections"][0];
    EXPECT_EQ(detection["matched_selections"], json::array({"s"})) << event;
    EXPECT_EQ(detection["matched_fields"],
              json::parse(R"([{"selection":"s","field":"Image","value":"C:\\whoami.exe"}])"))
        << event;
  }
}

// A chain: many failures of a user, then a logon of the same, under another field.
constexpr const char* kGuessingRules = R"(
title: Failure
id: failure
detection: {s: {EventID: 4625}, condition: s}
---
title: Logon
id: logon
detection: {s: {EventID: 4624}, condition: s}
---
title: Guessing
id: guessing
correlation: {type: event_count, rules: [failure], group-by: [User], timespan: 1m, condition: {gte: 3}}
---
title: Guessed
id: guessed
level: critical
correlation:
  type: temporal_ordered
  rules: [guessing, logon]
  group-by: [account]
  timespan: 1h
  aliases: {account: {guessing: User, logon: TargetUserName}}
)";

std::string AtSecond(int second, const std::string& fields) {
  const std::string two = std::to_string(second % 60);
  return "{\"@timestamp\":\"2026-03-02T10:" + std::to_string(10 + second / 60) + ":" +
         (two.size() < 2 ? "0" : "") + two + "Z\"," + fields + "}\n";
}

TEST_P(SigmaJobTest, RunsCorrelationsOfCorrelations) {
  folder_.Write("rules.yml", kGuessingRules);
  std::string events = AtSecond(30, R"("EventID":4624,"TargetUserName":"eve")");
  // Later events first: the events' own times decide.
  for (const int second : {20, 10, 0}) {
    events += AtSecond(second, R"("EventID":4625,"User":"bob")");
    events += AtSecond(second * 4, R"("EventID":4625,"User":"eve")");
  }
  events += AtSecond(300, R"("EventID":4624,"TargetUserName":"bob")");
  folder_.Write("events.ndjson", events);
  const absl::Status run =
      Run({"--rules", folder_.PathOf("rules.yml"), "--events", folder_.PathOf("events.ndjson"),
           "--metrics", folder_.PathOf("metrics")});
  ASSERT_TRUE(run.ok()) << run;
  EXPECT_THAT(Lines("out", "matches"), IsEmpty()) << "all rules only feed correlations";
  const std::vector<json> alerts = Lines("out", "correlations");
  ASSERT_THAT(alerts, SizeIs(1));
  EXPECT_EQ(alerts[0]["sigma_rule_ids"], json::array({"guessed"}));
  EXPECT_EQ(alerts[0]["sigma_detections"][0]["severity"], "critical");
  EXPECT_EQ(alerts[0]["correlation"]["group"], json::parse(R"({"account":"bob"})"));
  EXPECT_EQ(alerts[0]["correlation"]["first"], "2026-03-02T10:10:20.000Z");
  EXPECT_EQ(alerts[0]["correlation"]["time"], "2026-03-02T10:15:00.000Z");
}

TEST_P(SigmaJobTest, ReportsACorrelationOfNothing) {
  folder_.Write("rules.yml", std::string(kGuessingRules) +
                                 "---\ntitle: d\nid: dangling\ncorrelation: {type: event_count, "
                                 "rules: [nobody], timespan: 1m, condition: {gte: 3}}\n");
  folder_.Write("events.ndjson", "{\"EventID\":1}\n");
  const absl::Status run =
      Run({"--rules", folder_.PathOf("rules.yml"), "--events", folder_.PathOf("events.ndjson")});
  ASSERT_TRUE(run.ok()) << run;
  if (GetParam() > 1) return;  // The subtask that reports sees an event only if it is the only one.
  const std::vector<json> errors = Lines("errors", "rule_errors");
  ASSERT_THAT(errors, SizeIs(1));
  EXPECT_EQ(errors[0]["rule_id"], "dangling");
}

TEST_P(SigmaJobTest, SuppressesMatchesOfTheSameValues) {
  folder_.Write("a.yml", RuleText("a", "x"));
  std::string events;
  for (int second = 0; second < 30; ++second) {
    events += AtSecond(second * 10, R"("field":"x","User":")" + std::to_string(second % 2) + "\"");
  }
  folder_.Write("events.ndjson", events);
  const absl::Status run =
      Run({"--rules", folder_.PathOf("a.yml"), "--events", folder_.PathOf("events.ndjson"),
           "--event-time", "@timestamp", "--suppress", "600", "--suppress-by", "User",
           "--suppress-summary"});
  ASSERT_TRUE(run.ok()) << run;
  int whole = 0;
  int held = 0;
  for (const json& event : Lines("out", "matches")) {
    if (!event.contains("sigma_suppressed")) ++whole;
    if (event.contains("sigma_suppressed")) held += event["sigma_suppressed"]["count"].get<int>();
  }
  EXPECT_EQ(whole, 2);
  EXPECT_EQ(held, 28);
}

TEST_P(SigmaJobTest, TakesSettingsFromAFileAndTheEnvironment) {
  folder_.Write("a.yml", RuleText("a", "x"));
  folder_.Write("events.ndjson", "{\"field\":\"x\"}\n{\"field\":\"y\"}\n");
  folder_.Write(".env", "OUTPUT_MODE=matched_only\nJOB_ID=from-file\n");
  const absl::Status run =
      Run({"--rules", folder_.PathOf("a.yml"), "--events", folder_.PathOf("events.ndjson"),
           "--env-file", folder_.PathOf(".env"), "--environment", "output_mode=all_events\nX=1",
           "--metrics", folder_.PathOf("metrics")});
  ASSERT_TRUE(run.ok()) << run;
  EXPECT_THAT(Lines("out", "matches"), SizeIs(2));
  const auto messages = Lines("metrics", "metrics");
  ASSERT_FALSE(messages.empty());
  EXPECT_EQ(messages[0]["job_id"], "from-file");
}

INSTANTIATE_TEST_SUITE_P(Parallelism, SigmaJobTest, ::testing::Values(1, 3));

// ---- Rules from a topic, as the job sees it behind ReadControlMessage. ----

ControlUpdate Set(const std::string& id, const std::string& value) {
  ControlUpdate update;
  update.kind = ControlUpdate::Kind::kSetRule;
  update.key = id;
  update.rule.source = "j:" + id;
  update.rule.text = RuleText("ignored", value);
  update.rule.id = id;
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
void Build(Streams& streams, MemorySource<std::string> events,
           MemorySource<ControlUpdate> updates) {
  StreamEnvironment environment(&streams.graph);
  const auto rules =
      environment
          .FromSource(std::move(updates), WatermarkStrategy<ControlUpdate>::NoWatermarks(), "rules")
          .Uid("rules")
          .SetParallelism(1);
  const auto tagged =
      environment
          .FromSource(std::move(events), WatermarkStrategy<std::string>::NoWatermarks(), "events")
          .Uid("events")
          .Process(KeyEvents<std::string>(KeyingOptions{}))
          .Uid("keys")
          .KeyBy([](const SourceEvent& event) { return event.bucket; })
          .Connect(rules.Broadcast())
          .StartAfterBroadcast()
          .Process(MatchEvents(MatchEventsOptions{}))
          .Uid("match");
  tagged.Map([](const TaggedEvent& event) { return event.json; })
      .SinkTo(MemorySink<std::string>(streams.tagged))
      .Uid("tagged");
  tagged.GetSideOutput(RuleProblemTag())
      .Map([](const RuleProblem& problem) { return problem.rule_id; })
      .SinkTo(MemorySink<std::string>(streams.problems))
      .Uid("problems");
}

TEST(MatchEventsJobTest, HasAllRulesBeforeTheFirstEvent) {
  std::vector<ControlUpdate> updates;
  for (int i = 0; i < 300; ++i) updates.push_back(Set("r" + std::to_string(1000 + i), "x"));
  Streams streams;
  Build(streams, MemorySource<std::string>({R"({"field":"x"})"}),
        MemorySource<ControlUpdate>(updates, 3, /*rate_limited=*/true));
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

TEST(MatchEventsJobTest, ARestoredJobHasItsRulesFromState) {
  ControlUpdate broken = Set("kept", "x");
  broken.rule.text = "title: t\n";
  ControlUpdate removed;
  removed.kind = ControlUpdate::Kind::kDeleteRule;
  removed.key = "removed";
  const std::vector<ControlUpdate> updates = {Set("kept", "x"), Set("removed", "x"), broken,
                                              removed};

  const TemporaryFolder checkpoints;
  LocalJobOptions options;
  options.parallelism = 2;
  options.directory = checkpoints.path();
  LocalCheckpoint checkpoint;
  {
    // Neither source ends, so that the checkpoint is taken with all rules read and no event.
    Streams streams;
    Build(streams, MemorySource<std::string>({}, 64, false, /*endless=*/true),
          MemorySource<ControlUpdate>(updates, 64, false, /*endless=*/true));
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
        MemorySource<ControlUpdate>(updates));
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
  EXPECT_THAT(BuildErrorOf({"--rules", kBundledRules}), HasSubstr("--input-topics"));
  EXPECT_THAT(BuildErrorOf({"--events", "x"}), HasSubstr("--rules-topic"));
  EXPECT_THAT(BuildErrorOf({"--events", "x", "--rules", kBundledRules, "--rules-topic", "t"}),
              HasSubstr("one place"));
  EXPECT_THAT(BuildErrorOf({"--events", "x", "--rules-topic", "t"}), HasSubstr("--brokers"));
  EXPECT_THAT(BuildErrorOf({"--events", "x", "--rules", "no/such/folder"}),
              HasSubstr("no/such/folder"));
  EXPECT_THAT(BuildErrorOf({"--events", "x", "--rules", kBundledRules, "--output-mode", "some"}),
              HasSubstr("matched_only"));
}

TEST(SigmaJobArgumentsTest, ChecksSettingsAgainstEachOther) {
  const std::vector<std::string> kafka = {"--brokers", "b:1"};
  const auto error_with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), kafka.begin(), kafka.end());
    return BuildErrorOf(more);
  };
  EXPECT_EQ(error_with({}), "");
  EXPECT_THAT(error_with({"--input-topics", "a,b", "--output-topic", "b"}),
              HasSubstr("KAFKA_OUTPUT_TOPIC=b"));
  EXPECT_THAT(error_with({"--flink-parallelism", "50", "--max-parallelism", "40"}),
              HasSubstr("MAX_PARALLELISM=40"));
  EXPECT_THAT(error_with({"--keying-strategy", "fields"}), HasSubstr("KEYING_FIELDS"));
  EXPECT_THAT(error_with({"--input-topics", " , "}), HasSubstr("KAFKA_INPUT_TOPICS"));
  EXPECT_EQ(error_with({"--until-end", "--since", "2026-01-31T10:00:00Z"}), "");
  EXPECT_THAT(error_with({"--since", "yesterday"}), HasSubstr("--since=yesterday"));
  EXPECT_THAT(error_with({"--no-such-flag", "1"}), HasSubstr("no-such-flag"));
}

TEST(SigmaJobArgumentsTest, NamesAPipelineThatCannotBeUsed) {
  const TemporaryFolder folder;
  folder.Write("a.yml", RuleText("a", "x"));
  folder.Write("broken.yml", "transformations:\n  - {type: no_such}\n");
  const auto error = [&](const std::string& pipeline) {
    return BuildErrorOf(
        {"--rules", folder.PathOf("a.yml"), "--events", "-", "--pipeline", pipeline});
  };
  EXPECT_THAT(error("widnows"), AllOf(HasSubstr("no such pipeline"), HasSubstr("windows"),
                                      HasSubstr("SIGMA_PIPELINES=widnows")));
  EXPECT_THAT(error(folder.PathOf("broken.yml")),
              AllOf(HasSubstr("no_such"), HasSubstr("broken.yml")));
}

TEST(SigmaJobArgumentsTest, SetsParallelismAndCheckpointing) {
  StreamGraph graph;
  const auto args =
      JobArgs::Parse({"--brokers", "b:1", "--input-topics", "x,y", "--flink-parallelism", "3",
                      "--kafka-source-parallelism", "1", "--max-parallelism", "720",
                      "--flink-checkpoint-interval-ms", "60000"});
  ASSERT_TRUE(args.ok());
  StreamEnvironment environment(&graph);
  ASSERT_TRUE(BuildSigma(environment, *args).ok());
  EXPECT_EQ(graph.settings().at("execution.checkpointing.interval"), "60000 ms");
  std::map<std::string, std::optional<uint32_t>> parallelism;
  for (const StreamNode& node : graph.nodes()) parallelism[node.uid] = node.parallelism;
  EXPECT_EQ(parallelism.at("kafka-events-x"), 1U);
  EXPECT_EQ(parallelism.at("kafka-events-y"), 1U);
  EXPECT_EQ(parallelism.at("rules-topic"), 1U);
  EXPECT_EQ(parallelism.at("match-rules"), 3U);
  EXPECT_EQ(parallelism.at("tagged-kafka"), 3U);
  EXPECT_TRUE(parallelism.contains("metrics-kafka"));
}

TEST(SigmaJobArgumentsTest, BuildsAGraphForKafkaOnAllSides) {
  EXPECT_EQ(
      BuildErrorOf({"--brokers", "b:1", "--events-topic", "a,b", "--rules-topic", "r", "--job-id",
                    "j1", "--output-topic", "o", "--group", "g", "--starting-offset", "committed"}),
      "");
}

}  // namespace
}  // namespace weir::sigma
