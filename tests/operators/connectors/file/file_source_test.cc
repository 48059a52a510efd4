#include "operators/connectors/file/file_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/base/strings.h"
#include "tests/support/connector_contexts.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class FileSourceTest : public ::testing::Test {
 protected:
  // Reads what `options` say to the end.
  absl::StatusOr<std::vector<std::string>> ReadAll(FileSourceOptions options,
                                                   uint32_t parallelism = 2) {
    const FileSource source(std::move(options));
    SourceHarness<std::string> harness(source, parallelism, &pool_);
    absl::Status status = harness.Start();
    if (status.ok()) status = harness.RunToEnd();
    if (!status.ok()) return status;
    return harness.records();
  }

  TemporaryFolder folder_;
  IoPool pool_{"test-io", 2};
};

TEST_F(FileSourceTest, ReadsOneFileOfLines) {
  folder_.Write("events", "1\n\n2\r\n3");
  const auto records = ReadAll({.path = folder_.PathOf("events")});
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_THAT(*records, ElementsAre("1", "2", "3"));
}

TEST_F(FileSourceTest, ReadsAFolderOfLinesAndArraysButNoHiddenOrOtherFiles) {
  folder_.Write("a.ndjson", "{\"a\":1}\n{\"a\":2}\n");
  folder_.Write("b.json", "[\n  {\"b\": 1},\n  {\"b\": 2}\n]");
  folder_.Write("c.log", "c\n");
  folder_.Write("empty.json", "");
  folder_.Write("notes.txt", "no\n");
  folder_.Write(".hidden.json", "no\n");
  folder_.Write("deeper/d.jsonl", "d\n");
  const auto records = ReadAll({.path = folder_.path()});
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_THAT(*records,
              UnorderedElementsAre("{\"a\":1}", "{\"a\":2}", "{\"b\": 1}", "{\"b\": 2}", "c"));
  const auto deep = ReadAll({.path = folder_.path(), .recursive = true});
  ASSERT_TRUE(deep.ok()) << deep.status();
  EXPECT_THAT(*deep, ::testing::Contains("d"));
}

TEST_F(FileSourceTest, EndsAtOnceForAnEmptyFolder) {
  const auto records = ReadAll({.path = folder_.path()});
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_THAT(*records, IsEmpty());
}

TEST_F(FileSourceTest, SaysWhichPathIsMissing) {
  const auto records = ReadAll({.path = folder_.PathOf("nowhere")});
  EXPECT_TRUE(absl::IsNotFound(records.status())) << records.status();
  EXPECT_THAT(std::string(records.status().message()), HasSubstr(folder_.PathOf("nowhere")));
}

TEST_F(FileSourceTest, SaysWhereARecordIsTooLong) {
  folder_.Write("events", StrCat("short\n", std::string(100, 'x'), "\n"));
  const auto records =
      ReadAll({.path = folder_.PathOf("events"), .max_record_bytes = 50, .chunk_bytes = 10});
  EXPECT_TRUE(absl::IsInvalidArgument(records.status())) << records.status();
  EXPECT_THAT(std::string(records.status().message()), HasSubstr("events offset=6"));
}

TEST_F(FileSourceTest, IsCaughtUpOnceAllFilesAreReadToWhereTheyEnded) {
  folder_.Write("a.log", "1\n2\n");
  folder_.Write("b.log", "");
  const FileSource source(
      {.path = folder_.path(), .follow = true, .poll_interval = absl::Milliseconds(1)});
  SourceHarness<std::string> harness(source, 2, &pool_);
  ASSERT_TRUE(harness.Start().ok());
  EXPECT_FALSE(harness.AllCaughtUp());
  const absl::Status status = harness.RunUntil([&] { return harness.AllCaughtUp(); });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(harness.records(), ElementsAre("1", "2"));
  EXPECT_FALSE(harness.AllEnded());
}

class FollowedFileTest : public FileSourceTest {
 protected:
  FileSource Followed(std::string path) {
    return FileSource({.path = std::move(path),
                       .follow = true,
                       .poll_interval = absl::Milliseconds(1),
                       .chunk_bytes = 16});
  }
  static absl::Status RunUntilCount(SourceHarness<std::string>& harness, size_t count) {
    return harness.RunUntil([&] { return harness.records().size() >= count; });
  }
};

TEST_F(FollowedFileTest, EmitsAppendedLinesWhenTheyAreWhole) {
  folder_.Write("a.log", "1\n2");
  const FileSource source = Followed(folder_.path());
  SourceHarness<std::string> harness(source, 1, &pool_);
  ASSERT_TRUE(harness.Start().ok());
  ASSERT_TRUE(harness.RunUntil([&] { return harness.AllCaughtUp(); }).ok());
  EXPECT_THAT(harness.records(), ElementsAre("1"));
  folder_.Append("a.log", "2\n33");
  folder_.Write("b.log", "new\n");
  const absl::Status status = RunUntilCount(harness, 3);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(harness.records(), UnorderedElementsAre("1", "22", "new"));
  folder_.Append("a.log", "\n");
  ASSERT_TRUE(RunUntilCount(harness, 4).ok());
  EXPECT_EQ(harness.records().back(), "33");
}

TEST_F(FollowedFileTest, ReadsARotatedFileToItsEndAndThenTheNewOne) {
  folder_.Write("a.log", "1\n");
  const FileSource source = Followed(folder_.path());
  SourceHarness<std::string> harness(source, 1, &pool_);
  ASSERT_TRUE(harness.Start().ok());
  ASSERT_TRUE(RunUntilCount(harness, 1).ok());
  // Written between two looks, as a rotation does.
  folder_.Append("a.log", "2\n");
  std::filesystem::rename(folder_.PathOf("a.log"), folder_.PathOf("a.log.1"));
  folder_.Write("a.log", "3\n4\n");
  const absl::Status status = RunUntilCount(harness, 4);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(harness.records(), ElementsAre("1", "2", "3", "4"));
}

TEST_F(FollowedFileTest, ReadsATruncatedFileFromItsBeginning) {
  folder_.Write("a.log", "1\n2\n3\n");
  const FileSource source = Followed(folder_.PathOf("a.log"));
  SourceHarness<std::string> harness(source, 1, &pool_);
  ASSERT_TRUE(harness.Start().ok());
  ASSERT_TRUE(RunUntilCount(harness, 3).ok());
  folder_.Write("a.log", "4\n");
  const absl::Status status = RunUntilCount(harness, 4);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(harness.records().back(), "4");
}

TEST_F(FollowedFileTest, GoesOnWhereTheCheckpointWasAndFindsFilesThatCameMeanwhile) {
  folder_.Write("a.log", "1\n2\n");
  folder_.Write("b.log", "3\n");
  const FileSource source = Followed(folder_.path());
  SourceCheckpoint checkpoint;
  {
    SourceHarness<std::string> harness(source, 2, &pool_);
    ASSERT_TRUE(harness.Start().ok());
    ASSERT_TRUE(RunUntilCount(harness, 3).ok());
    checkpoint = harness.Checkpoint();
  }
  folder_.Append("a.log", "4\n");
  folder_.Write("c.log", "5\n");
  SourceHarness<std::string> harness(source, 3, &pool_);
  ASSERT_TRUE(harness.Start(&checkpoint).ok());
  const absl::Status status = RunUntilCount(harness, 2);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(harness.records(), UnorderedElementsAre("4", "5"));
}

TEST_F(FollowedFileTest, ReadsAFileThatWasReplacedWhileTheJobWasDownFromItsBeginning) {
  folder_.Write("a.log", "1\n2\n3\n");
  const FileSource source = Followed(folder_.path());
  SourceCheckpoint checkpoint;
  {
    SourceHarness<std::string> harness(source, 1, &pool_);
    ASSERT_TRUE(harness.Start().ok());
    ASSERT_TRUE(RunUntilCount(harness, 3).ok());
    checkpoint = harness.Checkpoint();
  }
  std::filesystem::rename(folder_.PathOf("a.log"), folder_.PathOf("old"));
  folder_.Write("a.log", "4\n");
  SourceHarness<std::string> harness(source, 1, &pool_);
  ASSERT_TRUE(harness.Start(&checkpoint).ok());
  const absl::Status status = RunUntilCount(harness, 1);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(harness.records(), ElementsAre("4"));
}

TEST_F(FollowedFileTest, WaitsForAFileThatIsRemovedForAWhile) {
  folder_.Write("a.log", "1\n");
  const FileSource source = Followed(folder_.path());
  SourceHarness<std::string> harness(source, 1, &pool_);
  ASSERT_TRUE(harness.Start().ok());
  ASSERT_TRUE(RunUntilCount(harness, 1).ok());
  std::filesystem::remove(folder_.PathOf("a.log"));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(harness.Step().ok());
  folder_.Write("a.log", "2\n");
  const absl::Status status = RunUntilCount(harness, 2);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(harness.records().back(), "2");
}

}  // namespace
}  // namespace weir
