// The builder as a process: what it writes, and how it ends.

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/job_graph.pb.h"
#include "runtime/base/strings.h"
#include "runtime/graph/job_args.h"
#include "runtime/graph/job_library.h"

extern char** environ;

namespace weir {
namespace {

using ::testing::HasSubstr;

std::string Library(std::string_view name) { return StrCat(WEIR_TEST_JOBS, "/lib", name, ".so"); }

class JobBuilderTest : public ::testing::Test {
 protected:
  JobBuilderTest() : out_(StrCat(::testing::TempDir(), "/build_result_", getpid())) {
    std::remove(out_.c_str());
  }
  ~JobBuilderTest() override { std::remove(out_.c_str()); }

  // Returns the exit code, or the negated signal. stdin is the file, if one is given.
  int Run(std::vector<std::string> arguments, const char* input = "/dev/null") {
    arguments.insert(arguments.begin(), {WEIR_JOB_BUILDER, "--out", out_});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_t pid = 0;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0);
    EXPECT_EQ(posix_spawn(&pid, WEIR_JOB_BUILDER, &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  template <class Message>
  Message Answer() {
    std::ifstream file(out_, std::ios::binary);
    Message message;
    EXPECT_TRUE(file && message.ParseFromIstream(&file)) << "no answer";
    return message;
  }

  const std::string out_;
};

TEST_F(JobBuilderTest, ListsJobs) {
  ASSERT_EQ(Run({"--library", Library("test_jobs"), "--list"}), 0);
  const auto listing = Answer<proto::JobListing>();
  ASSERT_EQ(listing.jobs_size(), 6);
  EXPECT_EQ(listing.jobs(3).name(), "numbers");
  EXPECT_EQ(listing.jobs(3).description(), "Counts up");
}

TEST_F(JobBuilderTest, BuildsTheGraphWithTheDefaultParallelism) {
  ASSERT_EQ(Run({"--library", Library("test_jobs"), "--entry", "numbers", "--default-parallelism",
                 "3", "--max-parallelism", "64", "--", "--first", "7"}),
            0);
  const auto result = Answer<proto::BuildResult>();
  EXPECT_EQ(result.graph().job_name(), "numbers");
  ASSERT_EQ(result.graph().vertices_size(), 2);
  EXPECT_EQ(result.graph().vertices(0).parallelism(), 3U);
  EXPECT_EQ(result.graph().vertices(0).max_parallelism(), 64U);
  EXPECT_TRUE(result.graph().vertices(0).operators(0).has_coordinator());
  EXPECT_TRUE(result.error().empty());
}

TEST_F(JobBuilderTest, ReadsTheArgumentsOfTheJobFromStdin) {
  const std::string input = StrCat(::testing::TempDir(), "/builder_arguments_", getpid());
  std::ofstream(input, std::ios::binary) << std::string("--first\0\x37\0", 10);
  const std::vector<std::string> command = {"--library", Library("test_jobs"), "--entry", "numbers",
                                            "--arguments-from-stdin"};
  EXPECT_EQ(Run(command, input.c_str()), 0) << Answer<proto::BuildResult>().error();
  std::ofstream(input, std::ios::binary) << std::string("--frist\0\x37\0", 10);
  EXPECT_EQ(Run(command, input.c_str()), 1);
  EXPECT_THAT(Answer<proto::BuildResult>().error(), HasSubstr("did you mean --first?"));
  std::remove(input.c_str());
}

TEST_F(JobBuilderTest, KeepsItsAnswerToItself) {
  ASSERT_EQ(Run({"--library", Library("version_1")}), 0);
  EXPECT_EQ(std::filesystem::status(out_).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(JobBuilderTest, TakesTheOnlyJobWithoutItsName) {
  ASSERT_EQ(Run({"--library", Library("version_1")}), 0);
  EXPECT_EQ(Answer<proto::BuildResult>().graph().job_name(), "versioned");
}

TEST_F(JobBuilderTest, RecordsFilesSoThatTheyReplayWhereTheyAreMissing) {
  const std::string input = StrCat(::testing::TempDir(), "/builder_input");
  std::ofstream(input) << "seven";
  ASSERT_EQ(
      Run({"--library", Library("test_jobs"), "--entry", "read_file", "--", "--input", input}), 0);
  std::remove(input.c_str());
  const auto result = Answer<proto::BuildResult>();
  ASSERT_EQ(result.files().size(), 1U);
  EXPECT_EQ(result.files().at(input), "seven");

  const auto library = JobLibrary::Load(Library("test_jobs"));
  ASSERT_TRUE(library.ok()) << library.status();
  auto args = JobArgs::Parse({"--input", input});
  args->ReplayFiles({result.files().begin(), result.files().end()});
  const auto graph = BuildStreamGraph(**(*library)->Find("read_file"), *args);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(graph->Fingerprint(), result.graph().fingerprint());
}

TEST_F(JobBuilderTest, AnswersErrorsWithTheirCode) {
  ASSERT_EQ(Run({"--library", Library("test_jobs"), "--entry", "throw"}), 1);
  auto result = Answer<proto::BuildResult>();
  EXPECT_THAT(result.error(), HasSubstr("out of cheese"));
  EXPECT_EQ(result.error_code(), static_cast<int>(absl::StatusCode::kInternal));

  ASSERT_EQ(Run({"--library", Library("test_jobs"), "--entry", "fail"}), 1);
  result = Answer<proto::BuildResult>();
  EXPECT_EQ(result.error(), "no such topic");
  EXPECT_EQ(result.error_code(), static_cast<int>(absl::StatusCode::kNotFound));

  ASSERT_EQ(Run({"--library", Library("test_jobs"), "--entry", "numbers", "--", "--frist", "7"}),
            1);
  EXPECT_THAT(Answer<proto::BuildResult>().error(), HasSubstr("did you mean --first?"));

  ASSERT_EQ(Run({"--library", Library("test_jobs"), "--entry", "numbrs"}), 1);
  EXPECT_THAT(Answer<proto::BuildResult>().error(), HasSubstr("did you mean numbers?"));

  ASSERT_EQ(Run({"--library", Library("other_stamp"), "--list"}), 1);
  EXPECT_THAT(Answer<proto::BuildResult>().error(), HasSubstr("headers=of-another-time"));
}

TEST_F(JobBuilderTest, DiesOfACrashInBuildWithoutAnAnswer) {
  EXPECT_EQ(Run({"--library", Library("test_jobs"), "--entry", "crash"}), -SIGABRT);
  EXPECT_FALSE(std::ifstream(out_).good());
}

TEST_F(JobBuilderTest, RefusesAWrongCommandLine) {
  EXPECT_EQ(Run({"--libary", Library("test_jobs")}), 2);
}

}  // namespace
}  // namespace weir
