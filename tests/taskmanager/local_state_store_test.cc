#include "taskmanager/local_state_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "runtime/base/strings.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

class LocalStateStoreTest : public testing::Test {
 protected:
  LocalStateStoreTest() : store_(Open(local_)) {}

  std::unique_ptr<LocalStateStore> Open(const std::string& directory) {
    return std::make_unique<LocalStateStore>(std::make_shared<FileStateStore>(remote_, "job"),
                                             directory);
  }
  // Stores a file as a task does, which then lets go of it.
  StoredFile Store(const std::string& content) {
    const std::string path = StrCat(folder_.path(), "/live");
    std::ofstream(path) << content;
    absl::StatusOr<StoredFile> stored = store_->Store(path, "state.sst");
    fs::remove(path);
    EXPECT_TRUE(stored.ok()) << stored.status();
    return *std::move(stored);
  }
  std::string Fetch(const StoredFile& file) {
    const std::string path = StrCat(folder_.path(), "/fetched");
    const absl::Status status = store_->Fetch(file, path);
    if (!status.ok()) return status.ToString();
    std::stringstream content;
    content << std::ifstream(path).rdbuf();
    fs::remove(path);
    return content.str();
  }
  size_t NumKept() const {
    return fs::exists(local_)
               ? static_cast<size_t>(std::distance(fs::directory_iterator(local_), {}))
               : 0;
  }

  const TemporaryFolder folder_;
  const std::string remote_ = StrCat(folder_.path(), "/remote");
  const std::string local_ = StrCat(folder_.path(), "/local");
  std::unique_ptr<LocalStateStore> store_;
};

TEST_F(LocalStateStoreTest, FetchesWhatItStoredWithoutTheCheckpointFolder) {
  const StoredFile file = Store("state");
  fs::remove_all(remote_);
  EXPECT_EQ(Fetch(file), "state");
  EXPECT_EQ(store_->fetched().local, 5u);
  EXPECT_EQ(store_->fetched().remote, 0u);
}

TEST_F(LocalStateStoreTest, FetchesFromTheCheckpointWhatIsDamagedOrMissingHere) {
  const StoredFile damaged = Store("first");
  const StoredFile missing = Store("second");
  for (const auto& entry : fs::directory_iterator(local_)) {
    const bool is_first = entry.file_size() == 5;
    fs::remove(entry.path());  // Hard links: the stored file must stay as it is.
    if (is_first) std::ofstream(entry.path()) << "FIRST";
  }
  EXPECT_EQ(Fetch(damaged), "first");
  EXPECT_EQ(Fetch(missing), "second");
  EXPECT_EQ(store_->fetched().remote, 11u);
  EXPECT_EQ(Fetch(damaged), "first");
  EXPECT_EQ(store_->fetched().local, 5u) << "what was fetched is kept";
}

TEST_F(LocalStateStoreTest, KeepsTheFilesOfTheNewestCompletedCheckpointAndOfLaterOnes) {
  const StoredFile shared = Store("shared");
  const StoredFile old = Store("old");
  store_->OnAcknowledged(CheckpointId(1), {shared.path, old.path});
  store_->OnComplete(CheckpointId(1));
  const StoredFile fresh = Store("fresh");
  store_->OnAcknowledged(CheckpointId(2), {shared.path, fresh.path});
  const StoredFile under_way = Store("under way");
  EXPECT_EQ(NumKept(), 4u);
  store_->OnComplete(CheckpointId(2));
  EXPECT_EQ(NumKept(), 3u);
  store_->OnAcknowledged(CheckpointId(3), {fresh.path, under_way.path});
  store_->OnComplete(CheckpointId(3));
  EXPECT_EQ(NumKept(), 2u);
  fs::remove_all(remote_);
  EXPECT_EQ(Fetch(under_way), "under way");
  EXPECT_EQ(Fetch(fresh), "fresh");
}

TEST_F(LocalStateStoreTest, ForgetsTheFilesOfAnAbortedCheckpoint) {
  const StoredFile aborted = Store("aborted");
  store_->OnComplete(CheckpointId(1));  // Of other tasks.
  store_->OnComplete(CheckpointId(3));
  EXPECT_EQ(NumKept(), 0u);
  EXPECT_EQ(Fetch(aborted), "aborted") << "the checkpoint folder is not its business";
}

TEST_F(LocalStateStoreTest, KeepsNothingWithoutAFolder) {
  store_ = Open("");
  const StoredFile file = Store("state");
  EXPECT_EQ(Fetch(file), "state");
  EXPECT_EQ(store_->fetched().remote, 5u);
  EXPECT_EQ(NumKept(), 0u);
}

TEST_F(LocalStateStoreTest, DeletesBothCopies) {
  const StoredFile file = Store("state");
  ASSERT_TRUE(store_->Delete(file.path).ok());
  EXPECT_EQ(NumKept(), 0u);
  EXPECT_THAT(Fetch(file), testing::HasSubstr("missing"));
}

}  // namespace
}  // namespace weir
