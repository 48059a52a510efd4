#include "jobmanager/checkpoint/snapshot_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "jobmanager/durable_file.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/file_state_store.h"
#include "runtime/checkpoint/s3/s3_file_system.h"
#include "runtime/record/serde.h"
#include "tests/jobmanager/test_graphs.h"
#include "tests/support/fake_s3_server.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

using ::testing::HasSubstr;
using ::testing::SizeIs;

// Jobs with real files, as TaskManagers leave them: <folder>/<job>/shared/<prefix>-<id>-<name>.
class SnapshotFilesTest : public ::testing::Test {
 protected:
  SnapshotFilesTest()
      : folder_(StrCat(::testing::TempDir(), "snapshot-", ToString(RandomId<JobId>()))),
        job_(StrCat(folder_, "/", ToString(kJob))) {}
  ~SnapshotFilesTest() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  static void Write(const std::string& path, const std::string& content) {
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << content;
  }
  static std::string Read(const std::string& path) {
    return ReadWholeFile(path).value_or("(missing)");
  }

  // Makes a state file of the job; `id` tells it from others.
  StateFile MakeFile(const std::string& id) const {
    StateFile file;
    file.path = StrCat(job_, "/shared/prefix-", id, "-000012.sst");
    const std::string content = StrCat("content of ", id);
    Write(file.path, content);
    file.size_bytes = content.size();
    file.checksum = XXH3_64bits(content.data(), content.size());
    file.local_name = "000012.sst";
    return file;
  }
  static CheckpointMetadata MakeMetadata(uint64_t id, std::vector<StateFile> files) {
    CheckpointMetadata metadata;
    metadata.id = CheckpointId(id);
    metadata.job_id = kJob;
    CheckpointedOperator& op = metadata.operators.emplace_back();
    op.id = TestOperator(2);
    op.uid = "count";
    op.max_parallelism = 128;
    OperatorSubtaskState state;
    state.keyed.emplace().files = std::move(files);
    // Subtasks may name the same files, after a rescaling.
    op.subtasks = {ToBytes(state), "", ToBytes(state)};
    return metadata;
  }
  std::string MakeCheckpoint(const CheckpointMetadata& metadata) const {
    const std::string path = StrCat(job_, "/chk-", metadata.id.value());
    Write(StrCat(path, "/_metadata"), SerializeCheckpointMetadata(metadata));
    return path;
  }
  static std::vector<std::string> FilesIn(const std::string& folder) {
    std::vector<std::string> files;
    std::error_code error;
    for (fs::recursive_directory_iterator it(folder, error), end; it != end; ++it) {
      if (it->is_regular_file()) files.push_back(it->path());
    }
    return files;
  }

  static constexpr JobId kJob{0xabcdef1234567890, 1};
  const std::shared_ptr<const FileSystems> files_ = FileSystems::Local();
  const std::string folder_;
  const std::string job_;
};

TEST_F(SnapshotFilesTest, ASavepointOutlivesItsCheckpointsAndMayBeMoved) {
  for (const SavepointFormat format : {SavepointFormat::kCanonical, SavepointFormat::kNative}) {
    const CheckpointMetadata metadata = MakeMetadata(7, {MakeFile("aa"), MakeFile("bb")});
    const auto path = WriteSavepoint(files_, metadata, format, StrCat(folder_, "/savepoints"));
    ASSERT_TRUE(path.ok()) << path.status();
    EXPECT_THAT(*path, HasSubstr("/savepoints/savepoint-abcdef-"));
    EXPECT_THAT(FilesIn(*path), SizeIs(3)) << "each file once, and the metadata";
    fs::remove_all(job_);
    const std::string moved = StrCat(folder_, "/moved-", SavepointFormatName(format));
    fs::rename(*path, moved);

    const auto read = ReadCheckpoint(*files_, moved);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(read->is_savepoint);
    EXPECT_EQ(read->savepoint_format, SavepointFormatName(format));
    EXPECT_TRUE(CheckFiles(*files_, *read).ok());
    const std::set<std::string> files = FilesOfSnapshot(*read);
    ASSERT_THAT(files, SizeIs(2));
    for (const std::string& file : files) {
      EXPECT_TRUE(file.starts_with(moved)) << file;
      EXPECT_THAT(Read(file), HasSubstr("content of "));
    }
    EXPECT_EQ(read->operators[0].subtasks[1], "");
  }
}

TEST_F(SnapshotFilesTest, OnlyACanonicalSavepointSharesNoBytesWithACheckpoint) {
  const StateFile file = MakeFile("aa");
  const CheckpointMetadata metadata = MakeMetadata(7, {file});
  ASSERT_TRUE(WriteSavepoint(files_, metadata, SavepointFormat::kCanonical, folder_).ok());
  EXPECT_EQ(fs::hard_link_count(file.path), 1u);
  ASSERT_TRUE(WriteSavepoint(files_, metadata, SavepointFormat::kNative, folder_).ok());
  EXPECT_EQ(fs::hard_link_count(file.path), 2u);
}

TEST_F(SnapshotFilesTest, NamesAFileThatIsMissingOrDamagedAndLeavesNothingBehind) {
  const StateFile file = MakeFile("aa");
  const CheckpointMetadata metadata = MakeMetadata(7, {MakeFile("bb"), file});
  const std::string target = StrCat(folder_, "/savepoints");
  const auto refuse = [&](SavepointFormat format, const std::string& why) {
    const auto path = WriteSavepoint(files_, metadata, format, target);
    EXPECT_TRUE(absl::IsDataLoss(path.status())) << path.status();
    EXPECT_THAT(path.status().ToString(), HasSubstr(why));
    EXPECT_THAT(path.status().ToString(), HasSubstr(file.path));
    EXPECT_TRUE(fs::is_empty(target));
    std::string ignored;
    const auto imported = ImportSnapshot(files_, metadata, StrCat(folder_, "/other"), &ignored);
    EXPECT_THAT(imported.status().ToString(), HasSubstr(file.path));
    const std::string shared = StrCat(folder_, "/other/shared");
    EXPECT_TRUE(!fs::exists(shared) || fs::is_empty(shared));
  };
  fs::create_directories(target);
  Write(file.path, "c0ntent of aa");
  refuse(SavepointFormat::kCanonical, "damaged");
  refuse(SavepointFormat::kNative, "damaged");
  EXPECT_TRUE(CheckFiles(*files_, metadata).ok()) << "of the same size: found when it is read";
  Write(file.path, "short");
  EXPECT_THAT(CheckFiles(*files_, metadata).ToString(), HasSubstr("damaged"));
  fs::remove(file.path);
  refuse(SavepointFormat::kCanonical, "missing");
  refuse(SavepointFormat::kNative, "missing");
  EXPECT_THAT(CheckFiles(*files_, metadata).ToString(), HasSubstr(file.path));
}

TEST_F(SnapshotFilesTest, AnImportedSnapshotNeedsTheUsersFilesNoMore) {
  const auto savepoint = WriteSavepoint(files_, MakeMetadata(7, {MakeFile("aa")}),
                                        SavepointFormat::kCanonical, folder_);
  ASSERT_TRUE(savepoint.ok());
  const std::string other = StrCat(folder_, "/other");
  std::string path;
  const auto imported = ImportSnapshot(files_, *ReadCheckpoint(*files_, *savepoint), other, &path);
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ(path, StrCat(other, "/chk-7"));
  ASSERT_TRUE(DisposeSnapshot(*files_, *savepoint).ok());
  EXPECT_FALSE(fs::exists(*savepoint));
  const auto read = ReadCheckpoint(*files_, path);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_FALSE(read->is_savepoint);
  EXPECT_TRUE(CheckFiles(*files_, *read).ok());
  EXPECT_EQ(*read, *imported);
}

TEST_F(SnapshotFilesTest, DisposalDeletesWhatIsTheSnapshotsOwnAlone) {
  const StateFile shared = MakeFile("aa");
  const std::string older = MakeCheckpoint(MakeMetadata(1, {shared, MakeFile("bb")}));
  const std::string newer = MakeCheckpoint(MakeMetadata(2, {shared, MakeFile("cc")}));
  ASSERT_TRUE(DisposeSnapshot(*files_, StrCat(older, "/_metadata")).ok());
  EXPECT_FALSE(fs::exists(older));
  EXPECT_THAT(FilesIn(StrCat(job_, "/shared")), SizeIs(2)) << "what the newer one needs";
  EXPECT_TRUE(CheckFiles(*files_, *ReadCheckpoint(*files_, newer)).ok());
  ASSERT_TRUE(DisposeSnapshot(*files_, newer).ok());
  EXPECT_FALSE(fs::exists(job_)) << "nothing is left in it";

  const auto savepoint = WriteSavepoint(files_, MakeMetadata(7, {MakeFile("dd")}),
                                        SavepointFormat::kNative, StrCat(folder_, "/savepoints"));
  ASSERT_TRUE(savepoint.ok());
  Write(StrCat(*savepoint, "/notes.txt"), "the user's");
  ASSERT_TRUE(DisposeSnapshot(*files_, *savepoint).ok());
  EXPECT_THAT(FilesIn(*savepoint), SizeIs(1));
  EXPECT_THAT(FilesIn(job_), SizeIs(1)) << "the checkpoint's own link";
}

TEST_F(SnapshotFilesTest, DisposalRefusesWhatIsNoSnapshot) {
  Write(StrCat(folder_, "/home/file"), "precious");
  EXPECT_TRUE(absl::IsNotFound(DisposeSnapshot(*files_, StrCat(folder_, "/home"))));
  Write(StrCat(folder_, "/home/_metadata"), "WEIRCKPT but no more");
  EXPECT_TRUE(absl::IsDataLoss(DisposeSnapshot(*files_, StrCat(folder_, "/home"))));
  EXPECT_THAT(FilesIn(folder_), SizeIs(2));
}

// A savepoint whose metadata names files elsewhere is not to delete them.
TEST_F(SnapshotFilesTest, DisposalOfASavepointStaysInItsFolder) {
  const StateFile file = MakeFile("aa");
  CheckpointMetadata metadata = MakeMetadata(7, {file});
  metadata.is_savepoint = true;
  const std::string path = StrCat(folder_, "/savepoint-abcdef-000000000000");
  Write(StrCat(path, "/_metadata"), SerializeCheckpointMetadata(metadata));
  ASSERT_TRUE(DisposeSnapshot(*files_, path).ok());
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(fs::exists(file.path));
}

TEST_F(SnapshotFilesTest, ASweepDeletesWhatNoCheckpointOfTheJobNeeds) {
  const StateFile needed = MakeFile("aa");
  MakeCheckpoint(MakeMetadata(4, {needed}));
  const StateFile orphan = MakeFile("bb");
  Write(StrCat(orphan.path, ".tmp"), "half a copy");
  Write(StrCat(job_, "/chk-5/_metadata.0123.part"), "half a checkpoint");
  const std::string epoch = StrCat(job_, "/shared/prefix-cc-sink.0.0123.7.epoch");
  Write(epoch, "what a sink prepared for no checkpoint");
  const std::string strange = StrCat(job_, "/shared/strange");
  Write(strange, "not of the job");
  const std::string others = StrCat(folder_, "/other/shared/prefix-cc-000001.sst");
  Write(others, "another job's");

  const JobFolderContent content = *SweepJobFolder(*files_, job_);
  EXPECT_EQ(content.newest_checkpoint, 5u);
  EXPECT_EQ(content.num_deleted_files, 3u);
  EXPECT_TRUE(fs::exists(needed.path));
  EXPECT_FALSE(fs::exists(epoch));
  EXPECT_FALSE(fs::exists(orphan.path));
  EXPECT_FALSE(fs::exists(StrCat(job_, "/chk-5")));
  EXPECT_TRUE(fs::exists(strange));
  EXPECT_TRUE(fs::exists(others));
  EXPECT_EQ(SweepJobFolder(*files_, StrCat(folder_, "/none"))->newest_checkpoint, 0u);
}

TEST_F(SnapshotFilesTest, ASweepDeletesNothingThatADamagedCheckpointMayNeed) {
  const StateFile file = MakeFile("aa");
  const std::string path = MakeCheckpoint(MakeMetadata(4, {file}));
  fs::resize_file(StrCat(path, "/_metadata"), 30);
  EXPECT_EQ(SweepJobFolder(*files_, job_)->num_deleted_files, 0u);
  EXPECT_TRUE(fs::exists(file.path));
}

TEST_F(SnapshotFilesTest, KnowsPathsAsUsersWriteThem) {
  EXPECT_EQ(NormalizedPath("file:///a/b/"), "/a/b");
  EXPECT_EQ(NormalizedPath("file:/a/./b/../c"), "/a/c");
  EXPECT_EQ(NormalizedPath("relative"), fs::current_path() / "relative");
  EXPECT_EQ(SnapshotFolder("file:///a/chk-3/_metadata"), "/a/chk-3");
  EXPECT_EQ(SnapshotFolder("/a/chk-3/"), "/a/chk-3");
}

// The same where the job's files are in an object store.
class SnapshotObjectsTest : public ::testing::Test {
 protected:
  SnapshotObjectsTest()
      : files_(
            std::make_shared<const FileSystems>(std::make_unique<S3FileSystem>(server_.Options()))),
        store_("s3://bucket/job/shared", "prefix", FileSharing::kLinkWherePossible, files_) {}

  StateFile MakeFile(const std::string& content) {
    local_.Write("000012.sst", content);
    const StoredFile stored = *store_.Store(local_.PathOf("000012.sst"), "000012.sst");
    StateFile file;
    file.path = stored.path;
    file.size_bytes = stored.size_bytes;
    file.checksum = stored.checksum;
    file.local_name = "000012.sst";
    return file;
  }
  CheckpointMetadata MakeCheckpoint(uint64_t id, const std::vector<StateFile>& state) {
    CheckpointMetadata metadata;
    metadata.id = CheckpointId(id);
    metadata.job_id = JobId(0xabcdef1234567890, 1);
    CheckpointedOperator& op = metadata.operators.emplace_back();
    op.id = TestOperator(2);
    op.uid = "count";
    OperatorSubtaskState subtask;
    subtask.keyed.emplace().files = state;
    op.subtasks = {ToBytes(subtask)};
    EXPECT_TRUE(files_
                    ->Write(StrCat("s3://bucket/job/chk-", id, "/_metadata"),
                            SerializeCheckpointMetadata(metadata))
                    .ok());
    return metadata;
  }
  std::vector<std::string> Keys(std::string_view prefix) {
    std::vector<std::string> keys;
    for (const auto& [key, content] : server_.objects()) {
      if (key.starts_with(prefix)) keys.push_back(key);
    }
    return keys;
  }

  const TemporaryFolder local_;
  FakeS3Server server_;
  const std::shared_ptr<const FileSystems> files_;
  FileStateStore store_;
};

TEST_F(SnapshotObjectsTest, SavepointsGoToTheStoreAndToFoldersAndBack) {
  const CheckpointMetadata metadata = MakeCheckpoint(7, {MakeFile("one"), MakeFile("two")});
  for (const std::string& target : {std::string("s3://bucket/savepoints"), local_.PathOf("s")}) {
    for (const SavepointFormat format : {SavepointFormat::kCanonical, SavepointFormat::kNative}) {
      const auto savepoint = WriteSavepoint(files_, metadata, format, target);
      ASSERT_TRUE(savepoint.ok()) << savepoint.status();
      const auto read = ReadCheckpoint(*files_, *savepoint);
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_TRUE(CheckFiles(*files_, *read).ok());
      for (const std::string& file : FilesOfSnapshot(*read)) {
        EXPECT_TRUE(file.starts_with(*savepoint)) << file;
      }
      std::string path;
      const auto imported = ImportSnapshot(files_, *read, "s3://bucket/other", &path);
      ASSERT_TRUE(imported.ok()) << imported.status();
      EXPECT_EQ(path, "s3://bucket/other/chk-7");
      EXPECT_TRUE(CheckFiles(*files_, *imported).ok());
      EXPECT_TRUE(DisposeSnapshot(*files_, *savepoint).ok());
      EXPECT_TRUE(absl::IsNotFound(DisposeSnapshot(*files_, *savepoint)));
    }
  }
  EXPECT_THAT(Keys("savepoints/"), SizeIs(0));
  EXPECT_THAT(Keys("job/"), SizeIs(3)) << "the checkpoint's own";
}

TEST_F(SnapshotObjectsTest, ASweepDeletesWhatNoCheckpointNeeds) {
  const StateFile shared = MakeFile("shared");
  MakeCheckpoint(7, {shared, MakeFile("old")});
  MakeCheckpoint(8, {shared, MakeFile("new")});
  MakeFile("of a checkpoint that did not complete");
  server_.Put("job/chk-9/what-is-this", "no metadata");
  server_.Put("job/shared/notes.txt", "somebody else's");
  const auto swept = SweepJobFolder(*files_, "s3://bucket/job");
  ASSERT_TRUE(swept.ok()) << swept.status();
  EXPECT_EQ(swept->newest_checkpoint, 9u);
  EXPECT_EQ(swept->num_deleted_files, 1u);
  EXPECT_THAT(Keys("job/shared/"), SizeIs(4));
  EXPECT_THAT(Keys("job/chk-9"), SizeIs(0));

  EXPECT_TRUE(DisposeSnapshot(*files_, "s3://bucket/job/chk-7").ok());
  EXPECT_THAT(Keys("job/shared/"), SizeIs(3)) << "the other one needs what they share";
  EXPECT_TRUE(CheckFiles(*files_, *ReadCheckpoint(*files_, "s3://bucket/job/chk-8")).ok());
}

TEST_F(SnapshotObjectsTest, AStoreThatIsAwayMakesNoCheckpointOld) {
  MakeCheckpoint(7, {MakeFile("one")});
  server_.FailNext("list-type", FakeS3Server::Fault::kInternalError, 4);
  EXPECT_TRUE(absl::IsUnavailable(SweepJobFolder(*files_, "s3://bucket/job").status()));
  server_.FailNext("HEAD", FakeS3Server::Fault::kInternalError, 4);
  EXPECT_EQ(SweepJobFolder(*files_, "s3://bucket/job")->num_deleted_files, 0u);
  server_.FailNext("GET /bucket/job/chk-7", FakeS3Server::Fault::kInternalError, 4);
  EXPECT_TRUE(absl::IsUnavailable(ReadCheckpoint(*files_, "s3://bucket/job/chk-7").status()));
  EXPECT_THAT(Keys("job/"), SizeIs(2));
}

}  // namespace
}  // namespace weir
