#include "runtime/graph/job_library.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/base/strings.h"
#include "runtime/graph/content_hash.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

std::string Library(std::string_view name) { return StrCat(WEIR_TEST_JOBS, "/lib", name, ".so"); }

std::string ReadFile(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return std::move(content).str();
}

std::string WriteTemporary(std::string_view name, std::string_view content) {
  const std::string path = StrCat(::testing::TempDir(), "/", name);
  std::ofstream(path, std::ios::binary)
      .write(content.data(), static_cast<std::streamsize>(content.size()));
  return path;
}

std::string MessageOf(const absl::Status& status) { return status.ToString(); }

TEST(JobLibraryTest, ListsItsJobsByName) {
  const auto library = JobLibrary::Load(Library("test_jobs"));
  ASSERT_TRUE(library.ok()) << library.status();
  std::vector<std::string> names;
  for (const JobDefinition& job : (*library)->jobs()) names.push_back(job.name);
  EXPECT_THAT(names,
              ::testing::ElementsAre("crash", "differ", "fail", "numbers", "read_file", "throw"));
  EXPECT_EQ((*library)->hash(), *ContentHashOfFile(Library("test_jobs")));
}

TEST(JobLibraryTest, LoadsEqualContentOnceWhateverItsName) {
  const auto library = JobLibrary::Load(Library("version_1"));
  const auto again = JobLibrary::Load(WriteTemporary("copy.so", ReadFile(Library("version_1"))));
  ASSERT_TRUE(library.ok() && again.ok());
  EXPECT_EQ(*library, *again);
}

TEST(JobLibraryTest, KeepsTwoVersionsOfOneFileNameApart) {
  const auto first = JobLibrary::Load(WriteTemporary("job.so", ReadFile(Library("version_1"))));
  const auto second = JobLibrary::Load(WriteTemporary("job.so", ReadFile(Library("version_2"))));
  ASSERT_TRUE(first.ok() && second.ok());
  ASSERT_EQ((*first)->jobs().size(), 1U);
  ASSERT_EQ((*second)->jobs().size(), 1U);
  EXPECT_STREQ((*first)->jobs()[0].description, "1");
  EXPECT_STREQ((*second)->jobs()[0].description, "2");
}

TEST(JobLibraryTest, RemovesCopiesThatNobodyHasUsedForADay) {
  const char* const former = std::getenv("TMPDIR");
  const std::string kept = former == nullptr ? "" : former;
  const TemporaryFolder folder;
  ::setenv("TMPDIR", folder.path().c_str(), 1);
  const std::string copies = StrCat("weir-libraries-", ::geteuid(), "/");
  const auto load = [&](std::string_view name) {
    // Of other content than whatever was loaded before, and a library still.
    const auto library = JobLibrary::Load(
        WriteTemporary("job.so", StrCat(ReadFile(Library("version_1")), name, folder.path())));
    EXPECT_TRUE(library.ok()) << library.status();
    return folder.PathOf(StrCat(copies, (*library)->hash(), ".so"));
  };
  const auto make_old = [](const std::string& path) {
    std::filesystem::last_write_time(
        path, std::filesystem::file_time_type::clock::now() - std::chrono::hours(25));
  };
  const std::string in_use = load("a");
  folder.Write(StrCat(copies, "unused.so"), "of a process that is gone");
  folder.Write(StrCat(copies, "recent.so"), "of another");
  make_old(in_use);
  make_old(folder.PathOf(StrCat(copies, "unused.so")));
  load("b");
  EXPECT_TRUE(std::filesystem::exists(in_use));
  EXPECT_TRUE(std::filesystem::exists(folder.PathOf(StrCat(copies, "recent.so"))));
  EXPECT_FALSE(std::filesystem::exists(folder.PathOf(StrCat(copies, "unused.so"))));
  former == nullptr ? ::unsetenv("TMPDIR") : ::setenv("TMPDIR", kept.c_str(), 1);
}

TEST(JobLibraryTest, RefusesAnotherStampWithoutRunningItsCode) {
  const absl::Status status = JobLibrary::Load(Library("other_stamp")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(status), HasSubstr("headers=of-another-time"));
  EXPECT_THAT(MessageOf(status), HasSubstr(std::string(JobLibrary::ProcessAbiStamp())));
}

TEST(JobLibraryTest, SaysWhatIsMissing) {
  EXPECT_THAT(MessageOf(JobLibrary::Load(Library("no_entry")).status()),
              HasSubstr("exports no function weir_job_library"));
  EXPECT_THAT(MessageOf(JobLibrary::Load(Library("no_stamp")).status()),
              HasSubstr("exports no symbol weir_abi_stamp"));
  const absl::Status unknown = JobLibrary::Load(Library("unknown_symbol")).status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(MessageOf(unknown), HasSubstr("DefinedNowhere"));
}

TEST(JobLibraryTest, RefusesWhatIsNoLibrary) {
  const absl::Status text =
      JobLibrary::Load(WriteTemporary("text.so", "#!/bin/sh\necho hello\n")).status();
  EXPECT_EQ(text.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(MessageOf(text), HasSubstr("no ELF header"));
  EXPECT_EQ(JobLibrary::Load(WriteTemporary("empty.so", "")).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(JobLibrary::Load("/proc/self/exe").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(JobLibrary::Load(::testing::TempDir()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(JobLibrary::Load("/nowhere/job.so").status().code(), absl::StatusCode::kNotFound);
}

TEST(JobLibraryTest, SurvivesALibraryCutShortAnywhere) {
  const std::string whole = ReadFile(Library("test_jobs"));
  for (size_t size = 0; size < whole.size(); size = size < 256 ? size + 1 : size + 4999) {
    const absl::Status status =
        JobLibrary::Load(WriteTemporary("cut.so", std::string_view(whole).substr(0, size)))
            .status();
    ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << "size=" << size;
  }
}

TEST(JobLibraryTest, NamesTheNearestJob) {
  const auto library = JobLibrary::Load(Library("test_jobs"));
  ASSERT_TRUE(library.ok());
  EXPECT_STREQ((*(*library)->Find("numbers"))->name, "numbers");
  EXPECT_THAT(MessageOf((*library)->Find("numbrs").status()), HasSubstr("did you mean numbers?"));
  EXPECT_THAT(MessageOf((*library)->Find("").status()), HasSubstr("name one of them"));
  const auto single = JobLibrary::Load(Library("version_1"));
  ASSERT_TRUE(single.ok());
  EXPECT_TRUE((*single)->Find("").ok());
}

TEST(BuildStreamGraphTest, TurnsWhatBuildThrowsIntoAnError) {
  const auto library = JobLibrary::Load(Library("test_jobs"));
  ASSERT_TRUE(library.ok());
  const auto args = JobArgs::Parse({});
  const absl::Status thrown = BuildStreamGraph(**(*library)->Find("throw"), *args).status();
  EXPECT_EQ(thrown.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(MessageOf(thrown), HasSubstr("out of cheese"));
  EXPECT_EQ(BuildStreamGraph(**(*library)->Find("fail"), *args).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(BuildStreamGraphTest, RefusesAnArgumentThatBuildDidNotAskFor) {
  const auto library = JobLibrary::Load(Library("test_jobs"));
  ASSERT_TRUE(library.ok());
  const auto args = JobArgs::Parse({"--frist", "7"});
  EXPECT_THAT(MessageOf(BuildStreamGraph(**(*library)->Find("numbers"), *args).status()),
              HasSubstr("did you mean --first?"));
}

}  // namespace
}  // namespace weir
