// How many files of one backend are on their way to or from the store at once, and what is left
// when one does not come through.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "runtime/base/mutex.h"
#include "runtime/base/strings.h"
#include "runtime/state/keyed_state_backend.h"
#include "runtime/state/rocksdb_options.h"
#include "tests/runtime/state/state_test_support.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kNumFiles = 6;
const ValueStateDescriptor<int64_t> kCount{"count"};

// Has every transfer wait until `meeting` are under way or were; fails those that it is told to.
class MeetingStore final : public StateFileStore {
 public:
  explicit MeetingStore(std::string directory) : store_(std::move(directory), "job-uid-1") {}

  absl::StatusOr<StoredFile> Store(const std::string& local_path,
                                   const std::string& suggested_name) override {
    const int number = Arrive();
    absl::StatusOr<StoredFile> stored = absl::UnavailableError(StrCat("away: number=", number));
    if (!fails(number)) stored = store_.Store(local_path, suggested_name);
    Leave();
    return stored;
  }
  absl::Status Fetch(const StoredFile& file, const std::string& local_path) override {
    const int number = Arrive();
    absl::Status status = absl::UnavailableError(StrCat("away: path=", file.path));
    if (!fails(number)) status = store_.Fetch(file, local_path);
    Leave();
    return status;
  }
  absl::Status Delete(const std::string& path) override { return store_.Delete(path); }

  // From now on.
  void Expect(int meeting) {
    const MutexLock lock(&mutex_);
    meeting_ = meeting;
    arrived_ = 0;
    most_ = 0;
  }
  [[nodiscard]] int most() const {
    const MutexLock lock(&mutex_);
    return most_;
  }
  [[nodiscard]] int arrived() const {
    const MutexLock lock(&mutex_);
    return arrived_;
  }

  // Set while nothing is under way; asked from any thread.
  std::function<bool(int number)> fails = [](int) { return false; };

 private:
  int Arrive() {
    const MutexLock lock(&mutex_);
    const int number = arrived_++;
    most_ = std::max(most_, ++running_);
    changed_.SignalAll();
    while (arrived_ < meeting_) {
      if (!changed_.WaitFor(&mutex_, absl::Seconds(30)) && arrived_ < meeting_) {
        ADD_FAILURE() << "too few transfers at once: " << arrived_ << " of " << meeting_;
        meeting_ = 0;
      }
    }
    return number;
  }
  void Leave() {
    const MutexLock lock(&mutex_);
    --running_;
  }

  FileStateStore store_;
  mutable Mutex mutex_;
  CondVar changed_;
  int meeting_ ABSL_GUARDED_BY(mutex_) = 0;
  int arrived_ ABSL_GUARDED_BY(mutex_) = 0;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  int most_ ABSL_GUARDED_BY(mutex_) = 0;
};

class StateTransferTest : public ::testing::Test {
 protected:
  using Backend = KeyedStateBackend<std::string>;

  // At most `num_transfers` at once.
  std::unique_ptr<Backend> NewBackend(int num_transfers) {
    configured_ = ConfigureRocksDb(&budget_, {.num_transfer_threads = num_transfers});
    KeyedStateBackendOptions options;
    options.range = {0, options.max_parallelism - 1};
    options.local_dir = StrCat(directory_.path(), "/local-", next_directory_++);
    options.inline_limit_bytes = 0;
    options.memory_budget = &budget_;
    return std::make_unique<Backend>(std::move(options));
  }
  // One file each, none of them in a completed checkpoint.
  void WriteFiles(Backend& backend, int count) {
    auto state = *backend.GetState(kCount);
    for (int i = 0; i < count; ++i) {
      const std::string key = StrCat("key ", i);
      backend.SetCurrentKey(key, KeyHash(key));
      state.Set(i);
      if (i + 1 == count) return;  // The last one comes with the next snapshot.
      const auto handle = Snapshot(backend);
      ASSERT_TRUE(handle.ok()) << handle.status();
      for (const StateFile& file : handle->files) ASSERT_TRUE(store_.Delete(file.path).ok());
    }
  }
  absl::StatusOr<KeyedStateHandle> Snapshot(Backend& backend) {
    auto snapshot = backend.Snapshot(CheckpointId(next_checkpoint_++));
    auto handle = snapshot->Run(store_);
    backend.FinishSnapshot(std::move(snapshot));
    return handle;
  }
  [[nodiscard]] static int64_t Read(Backend& backend, int i) {
    const std::string key = StrCat("key ", i);
    backend.SetCurrentKey(key, KeyHash(key));
    const auto state = *backend.GetState(kCount);
    const int64_t* const value = state.Get();
    return value == nullptr ? -1 : *value;
  }
  [[nodiscard]] std::vector<std::string> StoredFiles() const {
    std::vector<std::string> files;
    for (std::string& file : directory_.Files()) {
      if (file.find("/checkpoints/") != std::string::npos) files.push_back(std::move(file));
    }
    return files;
  }

  TestDirectory directory_;
  MemoryBudget budget_{int64_t{64} << 20};
  std::shared_ptr<const void> configured_;
  MeetingStore store_{directory_.path() + "/checkpoints"};
  int next_directory_ = 0;
  uint64_t next_checkpoint_ = 1;
};

TEST_F(StateTransferTest, StoresAndFetchesSoManyFilesAtOnce) {
  const auto backend = NewBackend(4);
  WriteFiles(*backend, kNumFiles);
  store_.Expect(4);
  const auto handle = Snapshot(*backend);
  ASSERT_TRUE(handle.ok()) << handle.status();
  EXPECT_THAT(handle->files, SizeIs(kNumFiles));
  EXPECT_EQ(store_.arrived(), kNumFiles);
  EXPECT_EQ(store_.most(), 4);

  const auto restored = NewBackend(3);
  store_.Expect(3);
  const absl::Status status = restored->Restore({*handle}, store_);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(store_.arrived(), kNumFiles);
  EXPECT_EQ(store_.most(), 3);
  for (int i = 0; i < kNumFiles; ++i) EXPECT_EQ(Read(*restored, i), i);
}

TEST_F(StateTransferTest, StoresAndFetchesOneFileAfterAnotherWhereAsked) {
  const auto backend = NewBackend(1);
  WriteFiles(*backend, kNumFiles);
  store_.Expect(0);
  const auto handle = Snapshot(*backend);
  ASSERT_TRUE(handle.ok()) << handle.status();
  ASSERT_TRUE(NewBackend(1)->Restore({*handle}, store_).ok());
  EXPECT_EQ(store_.arrived(), 2 * kNumFiles);
  EXPECT_EQ(store_.most(), 1);
}

TEST_F(StateTransferTest, ASnapshotOfWhichOneFileCannotBeStoredLeavesNone) {
  for (int broken = 0; broken < kNumFiles; ++broken) {
    SCOPED_TRACE(broken);
    const auto backend = NewBackend(4);
    WriteFiles(*backend, kNumFiles);
    store_.Expect(4);  // Others are under way, and succeed, while it fails.
    store_.fails = [broken](int number) { return number == broken; };
    const auto failed = Snapshot(*backend);
    EXPECT_EQ(failed.status().code(), absl::StatusCode::kUnavailable) << failed.status();
    EXPECT_THAT(std::string(failed.status().message()), HasSubstr(StrCat("number=", broken)));
    EXPECT_THAT(StoredFiles(), IsEmpty());

    store_.Expect(0);
    store_.fails = [](int) { return false; };
    const auto handle = Snapshot(*backend);
    ASSERT_TRUE(handle.ok()) << handle.status();
    const auto restored = NewBackend(4);
    ASSERT_TRUE(restored->Restore({*handle}, store_).ok());
    for (int i = 0; i < kNumFiles; ++i) EXPECT_EQ(Read(*restored, i), i);
    for (const StateFile& file : handle->files) ASSERT_TRUE(store_.Delete(file.path).ok());
  }
}

TEST_F(StateTransferTest, ARestoreOfWhichOneFileCannotBeFetchedFailsAndLeavesNoFile) {
  const auto backend = NewBackend(4);
  WriteFiles(*backend, kNumFiles);
  const auto handle = Snapshot(*backend);
  ASSERT_TRUE(handle.ok()) << handle.status();
  for (int broken = 0; broken < kNumFiles; ++broken) {
    SCOPED_TRACE(broken);
    store_.Expect(4);
    store_.fails = [broken](int number) { return number == broken; };
    const auto restored = NewBackend(4);
    const absl::Status status = restored->Restore({*handle}, store_);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    for (const std::string& file : directory_.Files()) {
      EXPECT_EQ(file.find("/fetched/"), std::string::npos) << file;
    }
  }
}

TEST_F(StateTransferTest, LeavesNoLinksBehind) {
  const auto backend = NewBackend(4);
  WriteFiles(*backend, kNumFiles);
  ASSERT_TRUE(Snapshot(*backend).ok());
  for (const std::string& file : directory_.Files()) {
    EXPECT_EQ(file.find("/storing-"), std::string::npos) << file;
  }
}

}  // namespace
}  // namespace weir
