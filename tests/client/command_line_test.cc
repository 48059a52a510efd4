#include "client/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "client/settings.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

template <class Command>
Command Parsed(const std::vector<std::string>& arguments) {
  const auto line = ParseCommandLine(arguments);
  EXPECT_TRUE(line.ok()) << line.status();
  if (!line.ok() || !std::holds_alternative<Command>(line->command)) {
    ADD_FAILURE() << "another command: " << StrJoin(arguments, " ");
    return Command();
  }
  return std::get<Command>(line->command);
}

std::string Refusal(const std::vector<std::string>& arguments) {
  const auto line = ParseCommandLine(arguments);
  EXPECT_EQ(line.status().code(), absl::StatusCode::kInvalidArgument) << StrJoin(arguments, " ");
  return line.status().ToString();
}

TEST(CommandLineTest, RunTakesVariablesForTheJob) {
  const auto run = Parsed<RunCommand>(
      {"run", "sigma", "--env", "KAFKA_*,JOB_ID", "--env", "X", "--", "--a", "b"});
  EXPECT_THAT(run.environment, ElementsAre("KAFKA_*", "JOB_ID", "X"));
  EXPECT_THAT(run.arguments, ElementsAre("--a", "b"));
}

TEST(CommandLineTest, ReadsRun) {
  const auto run = Parsed<RunCommand>({"run", "ndr", "--entry", "x", "--name=mine", "--parallelism",
                                       "3", "--detached", "--", "--events", "F", "--json"});
  EXPECT_EQ(run.job, "ndr");
  EXPECT_EQ(run.entry, "x");
  EXPECT_EQ(run.name, "mine");
  EXPECT_EQ(run.parallelism, 3);
  EXPECT_TRUE(run.detached);
  EXPECT_THAT(run.arguments, ElementsAre("--events", "F", "--json"));
}

TEST(CommandLineTest, ReadsWhatAJobIsRestoredFrom) {
  const auto run = Parsed<RunCommand>({"run", "ndr", "--from-savepoint", "/s/savepoint-1",
                                       "--allow-non-restored-state", "--claim-mode", "CLAIM"});
  EXPECT_EQ(run.from_savepoint, "/s/savepoint-1");
  EXPECT_TRUE(run.allow_non_restored_state);
  EXPECT_EQ(run.claim_mode, "CLAIM");
}

TEST(CommandLineTest, ReadsSavepointCommands) {
  const auto savepoint =
      Parsed<SavepointCommand>({"savepoint", "job", "dir", "--format", "NATIVE"});
  EXPECT_EQ(savepoint.job, "job");
  EXPECT_EQ(savepoint.directory, "dir");
  EXPECT_EQ(savepoint.format, "NATIVE");
  EXPECT_EQ(Parsed<SavepointCommand>({"savepoint", "--dispose", "/s/1"}).dispose, "/s/1");
  EXPECT_THAT(Refusal({"savepoint"}), HasSubstr("either a job"));
  EXPECT_THAT(Refusal({"savepoint", "job", "--dispose", "/s/1"}), HasSubstr("either a job"));
  const auto stop = Parsed<StopCommand>({"stop", "job", "--drain", "--savepoint-path", "dir"});
  EXPECT_EQ(stop.job, "job");
  EXPECT_EQ(stop.directory, "dir");
  EXPECT_TRUE(stop.drain);
  EXPECT_EQ(Parsed<CheckpointCommand>({"checkpoint", "job"}).job, "job");
  EXPECT_THAT(Refusal({"stop"}), HasSubstr("JOB is required"));
}

TEST(CommandLineTest, HandsSigmaOverBeforeAnythingElse) {
  EXPECT_THAT(Refusal({"--config", "f", "sigma", "check", "rules"}),
              HasSubstr("sigma must be the first argument"));
}

TEST(CommandLineTest, ReadsLocal) {
  const auto local = Parsed<LocalCommand>({"local", "--task-managers", "3", "--slots=4",
                                           "--rest-port", "0", "--dir", "d", "--no-restart"});
  EXPECT_EQ(local.task_managers, 3);
  EXPECT_EQ(local.slots, 4);
  EXPECT_EQ(local.rest_port, 0);
  EXPECT_EQ(local.folder, "d");
  EXPECT_FALSE(local.restart_task_managers);
  const auto plain = Parsed<LocalCommand>({"local"});
  EXPECT_EQ(plain.task_managers, 2);
  EXPECT_FALSE(plain.slots.has_value());
  EXPECT_TRUE(plain.restart_task_managers);
}

TEST(CommandLineTest, ReadsScale) {
  const auto scale = Parsed<ScaleCommand>(
      {"scale", "abc", "4", "--vertex", "map -> x=2", "--vertex=a=b=3", "--json"});
  EXPECT_EQ(scale.job, "abc");
  EXPECT_EQ(scale.parallelism, 4);
  EXPECT_THAT(scale.of_vertices, ElementsAre(Pair("a=b", 3), Pair("map -> x", 2)));
  EXPECT_FALSE(Parsed<ScaleCommand>({"scale", "abc", "--vertex", "x=2"}).parallelism.has_value());
  EXPECT_THAT(Refusal({"scale", "abc"}), HasSubstr("PARALLELISM is missing"));
  EXPECT_THAT(Refusal({"scale", "abc", "0"}), HasSubstr("PARALLELISM"));
  for (const char* const vertex : {"x", "x=", "=2", "x=0", "x=2y", "x=99999"}) {
    EXPECT_THAT(Refusal({"scale", "abc", "--vertex", vertex}), HasSubstr("expected NAME=N"));
  }
}

TEST(CommandLineTest, ReadsTheOtherCommands) {
  EXPECT_EQ(Parsed<CancelCommand>({"cancel", "abc"}).job, "abc");
  EXPECT_EQ(Parsed<CheckpointsCommand>({"checkpoints", "abc"}).job, "abc");
  EXPECT_EQ(Parsed<UploadCommand>({"upload", "lib.so"}).library, "lib.so");
  static_cast<void>(Parsed<ListCommand>({"list"}));
  static_cast<void>(Parsed<InfoCommand>({"info"}));
  const auto line = ParseCommandLine({"list", "--json", "--rest", "host:1"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_TRUE(line->json);
  EXPECT_EQ(line->rest, "host:1");
}

TEST(CommandLineTest, TakesSettingsAnywhereBeforeTheJobsArguments) {
  const auto line = ParseCommandLine({"-Drest.port=1", "run", "--config", "f.yaml", "ndr",
                                      "-Dparallelism.default=2", "--", "-Dx=y"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->sources.file, "f.yaml");
  EXPECT_THAT(line->sources.definitions, ElementsAre("rest.port=1", "parallelism.default=2"));
  EXPECT_THAT(std::get<RunCommand>(line->command).arguments, ElementsAre("-Dx=y"));
}

TEST(CommandLineTest, NamesTheNearestMatch) {
  EXPECT_THAT(Refusal({"lsit"}), HasSubstr("unknown command: \"lsit\"; did you mean \"list\"?"));
  EXPECT_THAT(Refusal({"run", "ndr", "--paralelism", "3"}),
              HasSubstr("unknown option: \"--paralelism\"; did you mean \"--parallelism\"?"));
  EXPECT_THAT(Refusal({"local", "--task-manager=3"}), HasSubstr("\"--task-managers\""));
  EXPECT_THAT(Refusal({"run", "--detachd", "ndr"}), HasSubstr("\"--detached\""));
  EXPECT_THAT(Refusal({"list", "--qqq"}), HasSubstr("see weir list --help"));
}

TEST(CommandLineTest, RefusesWhatCannotBe) {
  EXPECT_THAT(Refusal({"run"}), HasSubstr("JOB_OR_LIBRARY"));
  EXPECT_THAT(Refusal({"cancel"}), HasSubstr("JOB"));
  EXPECT_THAT(Refusal({"run", "ndr", "events.json"}),
              AllOf(HasSubstr("\"events.json\""), HasSubstr("behind --")));
  EXPECT_THAT(Refusal({"list", "--", "x"}), HasSubstr("only weir run"));
  EXPECT_THAT(Refusal({"local", "--rest-port", "99999"}), HasSubstr("99999"));
  EXPECT_THAT(Refusal({"local", "--task-managers", "0"}), HasSubstr("--task-managers"));
  EXPECT_THAT(Refusal({"list", "--config"}), HasSubstr("--config"));
}

TEST(CommandLineTest, PrintsHelpAndVersion) {
  EXPECT_THAT(Parsed<PrintCommand>({}).text, HasSubstr("checkpoints"));
  EXPECT_THAT(Parsed<PrintCommand>({"--help"}).text, HasSubstr("rest.port"));
  EXPECT_THAT(Parsed<PrintCommand>({"run", "--help"}).text, HasSubstr("--detached"));
  EXPECT_THAT(Parsed<PrintCommand>({"--version"}).text, HasSubstr("weir 0"));
}

TEST(SettingsTest, FindsTheRestAddress) {
  const Configuration configuration(WeirOptions());
  CommandLine line;
  EXPECT_EQ(NamedRestAddress(line), "");
  EXPECT_EQ(RestAddress(line, configuration), "127.0.0.1:8081");
  line.sources.environment = {"WEIR_REST_PORT=5", "WEIR_REST=a:1"};
  EXPECT_EQ(RestAddress(line, configuration), "a:1");
  line.rest = "b:2";
  EXPECT_EQ(RestAddress(line, configuration), "b:2");
}

TEST(SettingsTest, GivesJobsTheDefinitionsThatConcernThem) {
  ConfigurationSources sources;
  sources.definitions = {"rest.port=1", "execution.checkpointing.interval=2 s",
                         "env.log.level=INFO"};
  EXPECT_THAT(JobSettings(sources), ElementsAre(Pair("execution.checkpointing.interval", "2 s")));
}

TEST(SettingsTest, SetsDefaultsOnlyWhereNothingIsSet) {
  Configuration configuration(WeirOptions());
  SetDefault(kRestPort, 1, &configuration);
  EXPECT_EQ(configuration.Get(kRestPort), 1);
  SetDefault(kRestPort, 2, &configuration);
  EXPECT_EQ(configuration.Get(kRestPort), 1);
}

}  // namespace
}  // namespace weir
