#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/ids.h"
#include "runtime/checkpoint/file_state_store.h"
#include "runtime/state/keyed_state_backend.h"
#include "runtime/state/state_file_store.h"

namespace weir {

/// A fresh folder, removed at the end; in memory where the machine has a folder for that.
class TestDirectory {
 public:
  TestDirectory() : path_(Root() + "/weir-test-" + ToString(RandomId<JobId>())) {
    std::filesystem::create_directories(path_);
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  ~TestDirectory() { std::filesystem::remove_all(path_); }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
      if (entry.is_regular_file()) files.push_back(entry.path().string());
    }
    return files;
  }

 private:
  static std::string Root() {
    if (std::filesystem::is_directory("/dev/shm")) return "/dev/shm";
    return std::filesystem::temp_directory_path().string();
  }

  const std::string path_;
};

/// A FileStateStore some of whose calls fail when asked to. Counts what it stores.
class UnreliableStore final : public StateFileStore {
 public:
  explicit UnreliableStore(std::string directory)
      : directory_(std::move(directory)), store_(directory_, "job-uid-1") {}

  /// From now on, every third file fails to be stored, or none does.
  void FailSome(bool fail) { fail_ = fail; }
  [[nodiscard]] int num_stored() const { return num_stored_; }
  [[nodiscard]] uint64_t stored_bytes() const { return stored_bytes_; }

  absl::StatusOr<StoredFile> Store(const std::string& local_path,
                                   const std::string& suggested_name) override {
    if (++num_stored_ % 3 == 0 && fail_) return absl::UnavailableError("storage is away");
    absl::StatusOr<StoredFile> stored = store_.Store(local_path, suggested_name);
    if (stored.ok()) stored_bytes_ += stored->size_bytes;
    return stored;
  }
  absl::Status Fetch(const StoredFile& file, const std::string& local_path) override {
    return store_.Fetch(file, local_path);
  }
  absl::Status Delete(const std::string& path) override { return store_.Delete(path); }

  void DeleteAllBut(const std::set<std::string>& kept) {
    if (!std::filesystem::exists(directory_)) return;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      if (!kept.contains(entry.path().string())) std::filesystem::remove(entry.path());
    }
  }

 private:
  const std::string directory_;
  FileStateStore store_;
  std::atomic<bool> fail_{false};
  std::atomic<int> num_stored_{0};
  std::atomic<uint64_t> stored_bytes_{0};
};

/// Where the backends of a test keep their state: a base of its fixture.
class BackendStorage {
 protected:
  /// Returns the local folder of one more backend.
  std::string NextLocalDir() {
    return directory_.path() + "/local-" + std::to_string(next_directory_++);
  }
  /// Takes a snapshot and completes its checkpoint.
  template <class K>
  KeyedStateHandle Checkpoint(KeyedStateBackend<K>& backend) {
    const CheckpointId id(next_checkpoint_++);
    auto snapshot = backend.Snapshot(id);
    auto handle = snapshot->Run(store_);
    EXPECT_TRUE(handle.ok()) << handle.status();
    backend.FinishSnapshot(std::move(snapshot));
    backend.NotifyCheckpointComplete(id);
    return *std::move(handle);
  }

  TestDirectory directory_;
  UnreliableStore store_{directory_.path() + "/checkpoints"};
  uint64_t next_checkpoint_ = 1;

 private:
  int next_directory_ = 0;
};

}  // namespace weir
