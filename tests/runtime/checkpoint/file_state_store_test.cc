#include "runtime/checkpoint/file_state_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/runtime/state/state_test_support.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

class FileStateStoreTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& content) {
    const std::string path = directory_.path() + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  TestDirectory directory_;
  FileStateStore store_{directory_.path() + "/checkpoints/shared", "job-uid-1"};
};

TEST_F(FileStateStoreTest, FetchesWhatWasStoredAfterTheLocalFileIsGone) {
  const std::string content(3 << 20, 'x');
  const std::string local = Write("000012.sst", content);
  const auto stored = store_.Store(local, "000012.sst");
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->size_bytes, content.size());
  const std::string name = std::filesystem::path(stored->path).filename().string();
  EXPECT_TRUE(name.starts_with("job-uid-1-")) << name;
  EXPECT_TRUE(name.ends_with("-000012.sst")) << name;
  std::filesystem::remove(local);

  const std::string fetched = directory_.path() + "/fetched";
  ASSERT_TRUE(store_.Fetch(*stored, fetched).ok());
  EXPECT_EQ(Read(fetched), content);
}

TEST_F(FileStateStoreTest, NamesAreUnique) {
  const std::string local = Write("a", "a");
  EXPECT_NE(store_.Store(local, "a")->path, store_.Store(local, "a")->path);
}

TEST_F(FileStateStoreTest, FindsDamageByTheChecksumAndNamesTheFile) {
  const StoredFile stored = *store_.Store(Write("a", "content"), "a");
  const std::string fetched = directory_.path() + "/fetched";
  for (const char* damaged : {"contend", "conten", "content and more", ""}) {
    std::filesystem::remove(stored.path);
    std::ofstream(stored.path) << damaged;
    const absl::Status status = store_.Fetch(stored, fetched);
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(status.ToString(), HasSubstr(stored.path));
    EXPECT_FALSE(std::filesystem::exists(fetched));
  }
  std::filesystem::remove(stored.path);
  const absl::Status status = store_.Fetch(stored, fetched);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(status.ToString(), HasSubstr(stored.path));
}

TEST_F(FileStateStoreTest, DeletesAndDoesNotMindAMissingFile) {
  const StoredFile stored = *store_.Store(Write("a", "content"), "a");
  EXPECT_TRUE(store_.Delete(stored.path).ok());
  EXPECT_FALSE(std::filesystem::exists(stored.path));
  EXPECT_TRUE(store_.Delete(stored.path).ok());
}

TEST_F(FileStateStoreTest, AFailedStoreLeavesNothingBehind) {
  EXPECT_FALSE(store_.Store(directory_.path() + "/missing", "missing").ok());
  EXPECT_TRUE(directory_.Files().empty());
}

// A folder on another file system, where the machine has one, takes copies.
TEST_F(FileStateStoreTest, CopiesAcrossFileSystems) {
  if (!std::filesystem::is_directory("/dev/shm")) GTEST_SKIP() << "needs two file systems";
  const std::string other =
      std::filesystem::temp_directory_path().string() + "/weir-test-" + ToString(RandomId<JobId>());
  FileStateStore store(other, "job");
  const std::string local = Write("a", "content");
  const auto stored = store.Store(local, "a");
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(Read(stored->path), "content");
  const std::string fetched = directory_.path() + "/fetched";
  EXPECT_TRUE(store.Fetch(*stored, fetched).ok());
  EXPECT_EQ(Read(fetched), "content");
  std::filesystem::remove_all(other);
}

}  // namespace
}  // namespace weir
