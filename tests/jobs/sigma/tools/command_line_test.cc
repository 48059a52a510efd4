#include "jobs/sigma/tools/command_line.h"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <variant>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class Wanted>
Wanted Parse(std::vector<std::string> arguments) {
  const absl::StatusOr<Command> command = ParseSigmaCommandLine(std::move(arguments));
  EXPECT_TRUE(command.ok()) << command.status();
  return command.ok() && std::holds_alternative<Wanted>(*command) ? std::get<Wanted>(*command)
                                                                  : Wanted();
}

std::string ErrorOf(std::vector<std::string> arguments) {
  return std::string(ParseSigmaCommandLine(std::move(arguments)).status().message());
}

TEST(CommandLineTest, UnderstandsEveryCommand) {
  const auto check =
      Parse<CheckCommand>({"check", "a", "b", "--fail-on", "warning", "--level", "error",
                           "--format", "json", "--disable", "author", "--disable", "date"});
  EXPECT_THAT(check.rules, ElementsAre("a", "b"));
  EXPECT_EQ(check.fail_on, Severity::kWarning);
  EXPECT_EQ(check.level, Severity::kError);
  EXPECT_TRUE(check.json);
  EXPECT_THAT(check.disabled, ElementsAre("author", "date"));

  const auto match =
      Parse<MatchCommand>({"match", "--rules", "r", "--events", "e", "f", "--format", "evtx",
                           "--logsource", "ignore", "--pipeline", "ecs", "--pipeline", "own.yml"});
  EXPECT_THAT(match.rules, ElementsAre("r"));
  EXPECT_THAT(match.events, ElementsAre("e", "f"));
  EXPECT_EQ(match.options.format, EventFormat::kEvtx);
  EXPECT_TRUE(match.options.ignore_log_source);
  EXPECT_THAT(match.options.pipelines, ElementsAre("ecs", "own.yml"));

  const auto explain = Parse<ExplainCommand>({"explain", "r.yml", "--event", "-", "--index", "3"});
  EXPECT_EQ(explain.rule, "r.yml");
  EXPECT_EQ(explain.event, "-");
  EXPECT_EQ(explain.index, 3u);

  const auto bench =
      Parse<BenchCommand>({"bench", "--rules", "r", "--events", "e", "--rounds", "7"});
  EXPECT_EQ(bench.rounds, 7);

  const auto settings =
      Parse<SettingsCommand>({"settings", "--env-file", "f", "--job-id", "x", "--a=b"});
  EXPECT_EQ(settings.env_file, "f");
  EXPECT_THAT(settings.flags, ElementsAre("--job-id", "x", "--a=b"));
}

TEST(CommandLineTest, PrintsHelp) {
  EXPECT_THAT(Parse<PrintCommand>({}).text, HasSubstr("explain"));
  EXPECT_THAT(Parse<PrintCommand>({"--help"}).text, HasSubstr("Usage: weir sigma"));
  EXPECT_THAT(Parse<PrintCommand>({"check", "--help"}).text, HasSubstr("Usage: weir sigma check"));
}

TEST(CommandLineTest, SaysWhatIsWrong) {
  EXPECT_THAT(ErrorOf({"mach"}), HasSubstr("unknown command: \"mach\"; did you mean \"match\"?"));
  EXPECT_THAT(ErrorOf({"check", "r", "--fail"}), HasSubstr("unknown option: \"--fail\""));
  EXPECT_THAT(ErrorOf({"match", "--rules", "r"}), HasSubstr("--events is required"));
  EXPECT_THAT(ErrorOf({"check", "r", "--level", "bad"}), HasSubstr("--level"));
  EXPECT_THAT(ErrorOf({"match", "--rules", "r", "--events", "e", "--event", "x"}),
              HasSubstr("did you mean \"--events\"?"));
}

// Tests run in the repository's root. WEIR_TEST_UPDATE_DOCS=1 writes the reference anew.
TEST(CommandLineTest, ReferenceSaysWhatTheProgramSays) {
  const std::string path = "docs/reference/sigma-cli.md";
  const std::string begin = "<!-- generated: WEIR_TEST_UPDATE_DOCS=1 sigma_tools_test -->\n";
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  const std::string page = content.str();
  const size_t at = page.find(begin);
  ASSERT_NE(at, page.npos) << path << " lacks the mark before what is generated";
  const std::string expected =
      page.substr(0, at + begin.size()) + "\n" + SigmaCommandLineReference();
  if (std::getenv("WEIR_TEST_UPDATE_DOCS") != nullptr) {
    std::ofstream(path, std::ios::binary) << expected;
  } else {
    EXPECT_TRUE(page == expected)
        << path << " is out of date; write it anew with WEIR_TEST_UPDATE_DOCS=1 sigma_tools_test";
  }
}

}  // namespace
}  // namespace weir::sigma
