#include "client/work_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "client/text_table.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

TEST(WorkFolderTest, RemovesATemporaryFolderAtItsEnd) {
  fs::path path;
  {
    const auto folder = WorkFolder::Open("", testing::TempDir());
    ASSERT_TRUE(folder.ok()) << folder.status();
    EXPECT_TRUE(folder->temporary());
    path = folder->path();
    EXPECT_TRUE(fs::is_directory(path / "logs"));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(WorkFolderTest, KeepsATemporaryFolderIfAsked) {
  fs::path path;
  {
    auto folder = WorkFolder::Open("", testing::TempDir());
    ASSERT_TRUE(folder.ok()) << folder.status();
    path = folder->path();
    folder->Keep();
  }
  EXPECT_TRUE(fs::exists(path / "logs"));
  fs::remove_all(path);
}

TEST(WorkFolderTest, KeepsAGivenFolderButForItsTemporaryFiles) {
  const fs::path path = fs::path(testing::TempDir()) / "work folder" / "deep";
  fs::remove_all(path);
  fs::create_directories(path / "tmp" / "old");
  {
    const auto folder = WorkFolder::Open(path.string(), "");
    ASSERT_TRUE(folder.ok()) << folder.status();
    EXPECT_TRUE(fs::is_empty(path / "tmp"));
    std::ofstream(folder->Below("logs/a.log")) << "x";
    std::ofstream(folder->Below("tmp/b")) << "x";
  }
  EXPECT_TRUE(fs::exists(path / "logs" / "a.log"));
  EXPECT_FALSE(fs::exists(path / "tmp"));
  fs::remove_all(path);
}

TEST(WorkFolderTest, IsOneClustersAlone) {
  const std::string path = testing::TempDir() + "/shared-folder";
  std::optional<WorkFolder> first = *WorkFolder::Open(path, "");
  EXPECT_EQ(WorkFolder::Open(path, "").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(fs::exists(path + "/tmp")) << "the refused one took the other's files away";
  first.reset();
  EXPECT_TRUE(WorkFolder::Open(path, "").ok());
  fs::remove_all(path);
}

TEST(WorkFolderTest, SaysSoWhenTheFolderCannotBeMade) {
  EXPECT_EQ(WorkFolder::Open("/proc/nowhere", "").status().code(), absl::StatusCode::kUnavailable);
}

TEST(TextTableTest, AlignsColumns) {
  EXPECT_EQ(FormatTable({{"A", "LONG", "C"}, {"xyz", "1", ""}}), "A    LONG  C\nxyz  1     \n");
}

}  // namespace
}  // namespace weir
