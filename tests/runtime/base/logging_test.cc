#include "runtime/base/logging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "runtime/base/strings.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class LoggingTest : public ::testing::Test {
 protected:
  ~LoggingTest() override { static_cast<void>(InitLogging(LogOptions{})); }

  // Returns what `action` writes to stderr.
  template <class Action>
  std::string Capture(Action action) {
    ::testing::internal::CaptureStderr();
    action();
    return ::testing::internal::GetCapturedStderr();
  }
};

TEST_F(LoggingTest, ConsoleLineHasTimeLevelProcessAndComponent) {
  ASSERT_TRUE(InitLogging({.process = "taskmanager-1"}).ok());
  const std::string line = Capture([] { LogWarning("checkpoint", "declined: id=7"); });
  EXPECT_THAT(line, MatchesRegex("20[0-9][0-9]-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+\\.[0-9]+Z WARN  "
                                 "\\[taskmanager-1\\] checkpoint: declined: id=7\n"));
}

TEST_F(LoggingTest, WritesNothingBelowTheLevel) {
  ASSERT_TRUE(InitLogging({.level = LogLevel::kWarning}).ok());
  EXPECT_EQ(Capture([] {
              LogInfo("a", "quiet");
              LogDebug("a", "quiet");
            }),
            "");
  EXPECT_FALSE(LogEnabled(LogLevel::kInfo));
  EXPECT_TRUE(LogEnabled(LogLevel::kError));
}

TEST_F(LoggingTest, JsonLineIsOneObjectWhateverTheMessageHolds) {
  ASSERT_TRUE(InitLogging({.format = LogFormat::kJson, .process = "jobmanager"}).ok());
  const std::string message = "quote \" newline \n bell \a not utf-8 \xFF";
  const std::string line = Capture([&message] { LogError("rest", message); });
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  simdjson::dom::parser parser;
  const simdjson::dom::element object = parser.parse(line).value();
  EXPECT_EQ(object["level"].get_string().value(), "ERROR");
  EXPECT_EQ(object["process"].get_string().value(), "jobmanager");
  EXPECT_EQ(object["component"].get_string().value(), "rest");
  EXPECT_EQ(object["message"].get_string().value(),
            "quote \" newline \n bell \a not utf-8 \xEF\xBF\xBD");
}

TEST_F(LoggingTest, AMessageCannotPassForAnotherLogLine) {
  ASSERT_TRUE(InitLogging({.process = "p"}).ok());
  const std::string text = Capture([] { LogInfo("a", "first\n2024 ERROR forged\r\x1b[2J"); });
  EXPECT_THAT(text, HasSubstr("first\n    2024 ERROR forged\\x0d\\x1b[2J\n"));
}

TEST_F(LoggingTest, WritesToTheFileAsWellInAFolderItCreates) {
  const std::string folder = ::testing::TempDir() + "/weir_logging_test/deep";
  std::filesystem::remove_all(folder);
  const std::string file = folder + "/weir.log";
  ASSERT_TRUE(InitLogging({.process = "p", .file = file}).ok());
  const std::string text = Capture([] { LogInfo("a", "both"); });
  EXPECT_THAT(text, HasSubstr("[p] a: both"));
  EXPECT_EQ(ReadFile(file), text);
  std::filesystem::remove_all(folder);
}

TEST_F(LoggingTest, KeepsItsDestinationWhenTheNewFileCannotBeOpened) {
  ASSERT_TRUE(InitLogging({.process = "before"}).ok());
  const absl::Status status = InitLogging({.process = "after", .file = "/dev/null/no/weir.log"});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/dev/null/no/weir.log"));
  EXPECT_THAT(Capture([] { LogInfo("a", "still"); }), HasSubstr("[before] a: still"));
}

TEST_F(LoggingTest, LinesOfManyThreadsStayWhole) {
  ASSERT_TRUE(InitLogging({.process = "p"}).ok());
  const std::string text = Capture([] {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([] {
        for (int i = 0; i < 100; ++i) LogInfo("thread", "one whole line");
      });
    }
  });
  const std::vector<std::string_view> lines = StrSplit(text, '\n');
  ASSERT_EQ(lines.size(), 401u);
  for (size_t i = 0; i < 400; ++i) {
    EXPECT_TRUE(lines[i].ends_with("[p] thread: one whole line")) << lines[i];
  }
}

TEST_F(LoggingTest, ParsesLevelsAndFormatsAndRefusesOthers) {
  EXPECT_EQ(*ParseLogLevel("debug"), LogLevel::kDebug);
  EXPECT_EQ(*ParseLogLevel("Warning"), LogLevel::kWarning);
  EXPECT_EQ(*ParseLogFormat("JSON"), LogFormat::kJson);
  EXPECT_FALSE(ParseLogLevel("loud").ok());
  EXPECT_FALSE(ParseLogFormat("xml").ok());
}

}  // namespace
}  // namespace weir
