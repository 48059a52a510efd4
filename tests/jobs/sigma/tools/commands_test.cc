#include "jobs/sigma/tools/commands.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/jobs/sigma/tools/captured_output.h"
#include "tests/operators/formats/evtx/evtx_writer.h"
#include "tests/support/temporary_folder.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Json = nlohmann::json;

constexpr std::string_view kRule =
    "title: Shell Asks Who It Is\nid: 0e0d9c1a-6a0c-4c53-9a5e-0b8a5a0f4d11\nlevel: high\n"
    "tags: [attack.t1033]\nlogsource: {product: windows}\ndetection:\n"
    "  selection:\n    Image|endswith: '\\cmd.exe'\n    CommandLine|contains: whoami\n"
    "  filter:\n    User: SYSTEM\n  condition: selection and not filter\n";
constexpr std::string_view kHit =
    R"({"Image":"C:\\Windows\\cmd.exe","CommandLine":"cmd /c whoami","User":"bob"})";
constexpr std::string_view kMiss = R"({"Image":"C:\\a.exe","CommandLine":"a","User":"bob"})";

class CommandsTest : public ::testing::Test {
 protected:
  CommandsTest() {
    folder_.Write("rules/shell.yml", kRule);
    match_.rules = {folder_.PathOf("rules")};
  }

  // Runs `match` on a file with `text` and returns the lines it prints.
  std::vector<Json> MatchText(const std::string& name, std::string_view text) {
    folder_.Write(name, text);
    match_.events = {folder_.PathOf(name)};
    return RunMatch();
  }

  std::vector<Json> RunMatch() {
    written_ = {};
    const absl::StatusOr<int> code = Match(match_, written_.output());
    EXPECT_TRUE(code.ok()) << code.status();
    std::vector<Json> lines;
    std::istringstream stream(written_.out);
    for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
    return lines;
  }

  TemporaryFolder folder_;
  MatchCommand match_;
  CapturedOutput written_;
};

std::string Lines(std::string_view a, std::string_view b) {
  return std::string(a) + "\n" + std::string(b) + "\n";
}

TEST_F(CommandsTest, MatchSaysWhichEventMatchesWhatAndWhy) {
  const std::vector<Json> lines = MatchText("events.ndjson", Lines(kMiss, kHit));
  ASSERT_EQ(lines.size(), 1u) << written_.err;
  EXPECT_EQ(lines[0]["rule_id"], "0e0d9c1a-6a0c-4c53-9a5e-0b8a5a0f4d11");
  EXPECT_EQ(lines[0]["title"], "Shell Asks Who It Is");
  EXPECT_EQ(lines[0]["level"], "high");
  EXPECT_EQ(lines[0]["tags"].size(), 1u);
  EXPECT_EQ(lines[0]["file"], folder_.PathOf("events.ndjson"));
  EXPECT_EQ(lines[0]["event"], 1);
  EXPECT_EQ(lines[0]["line"], 2);
  EXPECT_EQ(lines[0]["selections"], Json::array({"selection"}));
  EXPECT_EQ(
      lines[0]["fields"],
      Json::parse(R"([{"selection":"selection","field":"Image","value":"C:\\Windows\\cmd.exe"},
              {"selection":"selection","field":"CommandLine","value":"cmd /c whoami"}])"));
  EXPECT_THAT(written_.err, HasSubstr("2 events in 1 files, 1 of them match"));
}

TEST_F(CommandsTest, MatchReadsArraysAndPrettyPrintedEvents) {
  EXPECT_EQ(MatchText("a.json", "[" + std::string(kHit) + ",\n" + std::string(kHit) + "]").size(),
            2u);
  const std::string pretty = Json::parse(kHit).dump(2);
  const std::vector<Json> lines = MatchText("b.json", pretty + "\n" + pretty);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1]["line"], 6);
}

TEST_F(CommandsTest, MatchReadsWindowsEventLogsAndTheirDumps) {
  evtx::ChunkWriter chunk;
  chunk.Plain(7).Record(8, [](evtx::XmlWriter& xml) {
    xml.Instance(
        [](evtx::XmlWriter& t) {
          t.Open("Event").CloseStart().Open("EventData").CloseStart();
          t.Data("Image", 0).Data("CommandLine", 1).End().End();
        },
        {{1, evtx::Utf16("C:\\cmd.exe")}, {1, evtx::Utf16("WhoAmI")}});
  });
  const std::vector<Json> lines = MatchText("log.evtx", evtx::LogOf({chunk.Finish()}));
  ASSERT_EQ(lines.size(), 1u) << written_.err;
  EXPECT_EQ(lines[0]["event"], 1);
  EXPECT_EQ(lines[0]["record_id"], 8);

  const std::string dump =
      R"({"Event":{"System":{"EventID":1},"EventData":{"Image":"C:\\cmd.exe","CommandLine":"whoami"}}})";
  EXPECT_EQ(MatchText("dump.json", dump).size(), 1u) << written_.err;
}

TEST_F(CommandsTest, MatchReadsZeekLogs) {
  match_.options.format = EventFormat::kZeek;
  const std::string header = "#separator \\x09\n#path\tx\n#fields\tImage\tCommandLine\n";
  const std::vector<Json> lines = MatchText("x.log", header + "C:\\cmd.exe\twhoami\na\nb\tc\n");
  ASSERT_EQ(lines.size(), 1u) << written_.err;
  EXPECT_EQ(lines[0]["line"], 4);
  EXPECT_THAT(written_.err, HasSubstr("x.log:5: the record has another number of columns"));
  EXPECT_EQ(MatchText("json.log", kHit).size(), 1u) << "Zeek writes JSON too";
}

TEST_F(CommandsTest, MatchGoesThroughFoldersAndNamesWhatItCannotRead) {
  folder_.Write("events/a.ndjson", Lines(kHit, "{\"broken\":") + std::string(kHit) + "\n[1]\n");
  folder_.Write("events/deep/b.json", kHit);
  folder_.Write("events/notes.txt", "no events");
  folder_.Write("rules/broken.yml", "title: x\n");
  match_.events = {folder_.PathOf("events")};
  EXPECT_EQ(RunMatch().size(), 3u);
  EXPECT_THAT(written_.err, HasSubstr("broken.yml:1: "));
  EXPECT_THAT(written_.err, HasSubstr("a.ndjson:2: the event is not valid JSON"));
  EXPECT_THAT(written_.err, HasSubstr("a.ndjson:4: the event is no JSON object"));
  EXPECT_THAT(written_.err, HasSubstr("1 rules not used, 2 damages and events not read"));
}

TEST_F(CommandsTest, MatchRefusesWhatThereIsNot) {
  match_.events = {folder_.PathOf("none.json")};
  EXPECT_THAT(std::string(Match(match_, written_.output()).status().message()),
              HasSubstr("none.json: there is no such file or folder"));
  match_.rules = {folder_.PathOf("none")};
  EXPECT_THAT(std::string(Match(match_, written_.output()).status().message()),
              HasSubstr("no such rule file or folder"));
  folder_.Write("empty/x.txt", "");
  match_.rules = {folder_.PathOf("rules")};
  match_.events = {folder_.PathOf("empty")};
  EXPECT_THAT(std::string(Match(match_, written_.output()).status().message()),
              HasSubstr("the folder has no event files"));
}

TEST_F(CommandsTest, ExplainShowsTheConditionAsATree) {
  folder_.Write("events.ndjson", Lines(kMiss, kHit));
  ExplainCommand explain;
  explain.rule = folder_.PathOf("rules/shell.yml");
  explain.event = folder_.PathOf("events.ndjson");
  ASSERT_TRUE(Explain(explain, written_.output()).ok());
  EXPECT_EQ(written_.out,
            "rule Shell Asks Who It Is, event 0 (line 1): does not match\n"
            "  - all of\n"
            "    - selection: all of\n"
            "      - Image ends with \"\\cmd.exe\": it is \"C:\\a.exe\"\n"
            "      - CommandLine contains \"whoami\": it is \"a\"\n"
            "    + not\n"
            "      - filter: User is \"SYSTEM\": it is \"bob\"\n"
            "rule Shell Asks Who It Is, event 1 (line 2): matches\n"
            "  + all of\n"
            "    + selection: all of\n"
            "      + Image ends with \"\\cmd.exe\": \"C:\\Windows\\cmd.exe\"\n"
            "      + CommandLine contains \"whoami\": \"cmd /c whoami\"\n"
            "    + not\n"
            "      - filter: User is \"SYSTEM\": it is \"bob\"\n");
}

TEST_F(CommandsTest, RulesSeeOnlyEventsOfTheirLogSource) {
  const std::string event =
      R"({"Channel":"Security","EventID":4624,"Image":"C:\\cmd.exe","CommandLine":"whoami"})";
  folder_.Write("rules/shell.yml",
                "title: Shell\nid: a\nlogsource: {product: windows, category: "
                "process_creation}\ndetection: {s: {CommandLine: whoami}, "
                "condition: s}\n");
  EXPECT_THAT(MatchText("e.json", event), IsEmpty());
  match_.options.ignore_log_source = true;
  EXPECT_EQ(MatchText("e.json", event).size(), 1u);
  match_.options = {};
  match_.options.pipelines = {"none"};
  EXPECT_EQ(MatchText("e.json", event).size(), 1u);

  ExplainCommand explain;
  explain.rule = folder_.PathOf("rules/shell.yml");
  explain.event = folder_.PathOf("e.json");
  ASSERT_TRUE(Explain(explain, written_.output()).ok());
  EXPECT_THAT(written_.out,
              HasSubstr("event 0 (line 1): does not match\n  the rule is not tried: it "
                        "reads product windows, category process_creation; the event "
                        "is of product windows"));
}

TEST_F(CommandsTest, PipelinesSayWhereEventsHoldFields) {
  folder_.Write("own.yml",
                "name: own\nevent_fields:\n  names:\n    Image: [proc.path]\n"
                "    CommandLine: [proc.args]\n");
  match_.options.pipelines = {folder_.PathOf("own.yml")};
  const std::vector<Json> lines =
      MatchText("e.json", R"({"proc":{"path":"C:\\cmd.exe","args":"whoami"}})");
  ASSERT_EQ(lines.size(), 1u) << written_.err;
  EXPECT_EQ(lines[0]["fields"][0]["field"], "Image");
  EXPECT_EQ(lines[0]["fields"][0]["value"], "C:\\cmd.exe");
  match_.options.pipelines = {"windos"};
  EXPECT_FALSE(Match(match_, written_.output()).ok());
}

TEST_F(CommandsTest, ExplainShowsOneEventAsJson) {
  folder_.Write("events.ndjson", Lines(kMiss, kHit));
  ExplainCommand explain;
  explain.rule = folder_.PathOf("rules/shell.yml");
  explain.event = folder_.PathOf("events.ndjson");
  explain.index = 1;
  explain.json = true;
  ASSERT_TRUE(Explain(explain, written_.output()).ok());
  const Json json = Json::parse(written_.out);
  EXPECT_EQ(json["matches"], true);
  EXPECT_EQ(json["event"], 1);
  const Json& test = json["condition"]["children"][0]["children"][1];
  EXPECT_EQ(test["field"], "CommandLine");
  EXPECT_EQ(test["hit"], "cmd /c whoami");
  explain.index = 9;
  EXPECT_THAT(std::string(Explain(explain, written_.output()).status().message()),
              HasSubstr("the file has no event 9"));
}

TEST_F(CommandsTest, ExplainRefusesABrokenRule) {
  folder_.Write("broken.yml", "title: x\ndetection: {a: {b|xx: 1}, condition: a}\n");
  folder_.Write("e.json", kHit);
  ExplainCommand explain;
  explain.rule = folder_.PathOf("broken.yml");
  explain.event = folder_.PathOf("e.json");
  EXPECT_THAT(std::string(Explain(explain, written_.output()).status().message()),
              HasSubstr("broken.yml:2: unknown modifier"));
}

TEST_F(CommandsTest, CheckPrintsFindingsAndAnswersWithItsExitCode) {
  folder_.Write("rules/broken.yml", "title: x\n");
  CheckCommand check;
  check.rules = {folder_.PathOf("rules/shell.yml")};
  EXPECT_EQ(*Check(check, written_.output()), kExitDone);
  EXPECT_THAT(written_.out, HasSubstr("shell.yml:1: info: the rule has no `status` [status]\n"));
  check.fail_on = Severity::kInfo;
  EXPECT_EQ(*Check(check, written_.output()), kExitFailed);

  written_ = {};
  check.rules = {folder_.PathOf("rules")};
  check.fail_on = Severity::kError;
  check.level = Severity::kError;
  EXPECT_EQ(*Check(check, written_.output()), kExitFailed);
  EXPECT_THAT(written_.out, HasSubstr("broken.yml:1: error: "));
  EXPECT_THAT(written_.out, Not(HasSubstr("info: ")));
  EXPECT_THAT(written_.err, HasSubstr("checked 2 rules in 2 files: 1 errors"));

  written_ = {};
  check.json = true;
  EXPECT_EQ(*Check(check, written_.output()), kExitFailed);
  const Json json = Json::parse(written_.out);
  EXPECT_EQ(json["errors"], 1);
  EXPECT_EQ(json["findings"][0]["check"], "rule");
  EXPECT_EQ(json["findings"][0]["file"], folder_.PathOf("rules/broken.yml"));

  check.rules = {folder_.PathOf("none.yml")};
  EXPECT_EQ(Check(check, written_.output()).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CommandsTest, BenchPrintsALineARound) {
  folder_.Write("events.ndjson", Lines(kMiss, kHit));
  BenchCommand bench;
  bench.rules = {folder_.PathOf("rules")};
  bench.events = {folder_.PathOf("events.ndjson")};
  bench.rounds = 2;
  ASSERT_TRUE(Bench(bench, written_.output()).ok());
  std::istringstream stream(written_.out);
  int rounds = 0;
  for (std::string line; std::getline(stream, line); ++rounds) {
    const Json json = Json::parse(line);
    EXPECT_EQ(json["events"], 2);
    EXPECT_EQ(json["matches"], 1);
    EXPECT_EQ(json["rules"], 1);
    EXPECT_GT(json["max_memory_bytes"], 0);
  }
  EXPECT_EQ(rounds, 2);
}

TEST_F(CommandsTest, SettingsTellWhereEachIsFromAndHideSecrets) {
  folder_.Write("job.env", "JOB_ID=soc\nKAFKA_API_SECRET=hush\nKAFKA_INPUT_TOPICS=a\n");
  SettingsCommand command;
  command.env_file = folder_.PathOf("job.env");
  command.flags = {"--input-topics", "b,c", "--keep-filtered-events", "--output-mode=all_events"};
  written_ = {};
  const auto code =
      ShowSettings(command, {"PATH=/bin", "kafka_output_topic=out"}, written_.output());
  ASSERT_TRUE(code.ok()) << code.status();
  for (const char* line :
       {"JOB_ID=soc  # file\n", "KAFKA_INPUT_TOPICS=b,c  # flag\n",
        "KEEP_FILTERED_EVENTS=true  # flag\n", "OUTPUT_MODE=all_events  # flag\n",
        "KAFKA_OUTPUT_TOPIC=out  # environment\n", "KAFKA_API_SECRET=***  # file\n"}) {
    EXPECT_THAT(written_.out, HasSubstr(line));
  }
  EXPECT_THAT(written_.out, Not(HasSubstr("hush")));
}

TEST_F(CommandsTest, SettingsThatAreNotAllowedAreErrors) {
  const auto error_of = [&](const SettingsCommand& command) {
    return ShowSettings(command, {}, written_.output()).status().ToString();
  };
  EXPECT_THAT(error_of({"", {"--window-size-seconds", "0"}}), HasSubstr("from 1 to 3600"));
  EXPECT_THAT(error_of({"", {"--jobid", "x"}}), HasSubstr("did you mean --job-id?"));
  EXPECT_THAT(error_of({"", {"job-id"}}), HasSubstr("--name value"));
  EXPECT_THAT(error_of({folder_.PathOf("nothing"), {}}), HasSubstr("nothing"));
}

}  // namespace
}  // namespace weir::sigma
