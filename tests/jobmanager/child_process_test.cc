#include "jobmanager/child_process.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "jobmanager/durable_file.h"
#include "jobmanager/job_builder.h"
#include "runtime/base/ids.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

class ChildProcessTest : public testing::Test {
 protected:
  ChildProcessTest()
      : output_(StrCat(testing::TempDir(), "weir-child-", ToString(RandomId<JobId>()))) {}
  ~ChildProcessTest() override { std::filesystem::remove(output_); }

  absl::StatusOr<ChildResult> Shell(const std::string& script,
                                    absl::Duration limit = absl::Minutes(1)) {
    return RunChild({"/bin/sh", "-c", script}, output_, limit);
  }

  const std::string output_;
};

TEST_F(ChildProcessTest, ReportsExitCodeAndOutput) {
  const auto result = Shell("echo out; echo err >&2; exit 3");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->signal, 0);
  EXPECT_FALSE(result->timed_out);
  EXPECT_EQ(*ReadWholeFile(output_), "out\nerr\n");
}

TEST_F(ChildProcessTest, ReportsTheSignalOfACrash) {
  const auto result = Shell("kill -SEGV $$");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->signal, SIGSEGV);
}

TEST_F(ChildProcessTest, KillsAnEndlessLoopWithAllThatItStarted) {
  const auto result =
      Shell("while :; do :; done & echo $! ; while :; do :; done", absl::Milliseconds(50));
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result->timed_out);
  EXPECT_EQ(result->signal, SIGKILL);
}

TEST_F(ChildProcessTest, SaysWhatCannotBeStarted) {
  EXPECT_EQ(RunChild({"/nonexistent/program"}, output_, absl::Seconds(1)).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(ChildProcessTest, GivesTheInputWhateverItsSizeAndWhetherItIsRead) {
  const std::string input(1'000'000, 'x');
  const auto result = RunChild({"/bin/sh", "-c", "wc -c"}, output_, absl::Minutes(1), input);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(*ReadWholeFile(output_), "1000000\n");
  EXPECT_EQ(RunChild({"/bin/true"}, output_, absl::Minutes(1), input)->exit_code, 0);
  EXPECT_EQ(Shell("wc -c")->exit_code, 0);
  EXPECT_EQ(*ReadWholeFile(output_), "0\n");
}

TEST_F(ChildProcessTest, InheritsNoOpenFiles) {
  const auto result = Shell("ls /proc/self/fd | wc -l");
  ASSERT_TRUE(result.ok());
  EXPECT_LE(std::stoi(*ReadWholeFile(output_)), 4) << "stdin, stdout, stderr and ls's own";
}

// Builders of one line, in place of weir-job-builder.
class JobBuilderTest : public ChildProcessTest {
 protected:
  absl::Status Build(const std::string& script, absl::Duration limit = absl::Minutes(1),
                     std::vector<std::string> arguments = {}) {
    const std::string program = output_ + ".sh";
    EXPECT_TRUE(WriteFileDurably(program, "#!/bin/sh\n" + script + "\n").ok());
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    const JobBuilder builder(program, testing::TempDir(), limit);
    const absl::Status status =
        builder.Build({.library = "lib.so", .entry = "", .arguments = std::move(arguments)})
            .status();
    std::filesystem::remove(program);
    return status;
  }
};

TEST_F(JobBuilderTest, NamesTheSignalAndTheLastWordsOfACrash) {
  const absl::Status status = Build("echo about to die >&2; kill -ABRT $$");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string text(ToStd(status.message()));
  EXPECT_NE(text.find("signal 6"), std::string::npos) << text;
  EXPECT_NE(text.find("about to die"), std::string::npos) << text;
}

TEST_F(JobBuilderTest, StopsAnEndlessBuildAndSaysSo) {
  const absl::Status status = Build("while :; do :; done", absl::Milliseconds(50));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_NE(ToStd(status.message()).find("50ms"), std::string::npos);
}

TEST_F(JobBuilderTest, SaysWhenTheLibraryEndedTheBuilder) {
  EXPECT_EQ(Build("exit 0").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(ToStd(Build("echo why; exit 5").message()).find("exit code 5; its last words: why"),
            std::string::npos);
}

TEST_F(JobBuilderTest, HandsArgumentsOverWhereNobodyElseCanReadThem) {
  const std::vector<std::string> arguments = {"--kafka-api-secret", "hunter2",
                                              "--environment=KAFKA_API_SECRET=hunter3\nA=1"};
  // Shows the builder's own command line and what it is given besides.
  const absl::Status status =
      Build("tr '\\0' ' ' < /proc/$$/cmdline; echo; echo stdin; tr '\\0' '|'; exit 5",
            absl::Minutes(1), arguments);
  const std::string text(ToStd(status.message()));
  const size_t input = text.find("stdin\n");
  ASSERT_NE(input, std::string::npos) << text;
  EXPECT_EQ(text.substr(0, input).find("hunter"), std::string::npos) << text;
  EXPECT_NE(text.substr(0, input).find("--library lib.so"), std::string::npos) << text;
  EXPECT_EQ(text.substr(input),
            "stdin\n--kafka-api-secret|hunter2|--environment=KAFKA_API_SECRET=hunter3\nA=1|");
}

TEST_F(JobBuilderTest, RefusesAnArgumentWithANul) {
  const absl::Status status = Build("exit 0", absl::Minutes(1), {std::string("--name=a\0b", 10)});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(ToStd(status.message()).find("argument=--name=a"), std::string::npos);
}

}  // namespace
}  // namespace weir
