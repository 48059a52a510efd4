#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "jobmanager/ha/ha_store.h"
#include "runtime/base/clock.h"

namespace weir {

struct FilesystemHaStoreOptions {
  std::string folder;
  /// Another JobManager waits for so long without a sign of the leader.
  absl::Duration lease_duration = absl::Seconds(5);
  /// For one JobManager alone: a lock of this process keeps others out, and no lease is waited for.
  bool exclusive = false;
};

/// A HaStore in a folder that all JobManagers reach.
///
/// ```
/// base-epoch       above which epochs count
/// format           made with the first data
/// claims/<epoch>   made with link(2), so by one JobManager only; the greatest counts
/// data-<epoch>/    of the leader: `leader`, `lease`, `k-<key>` …
/// lock             flock(2) of the process, if exclusive
/// ```
///
/// The data have one folder, named by the epoch of its owner. A new leader claims the next epoch
/// and renames the folder to it: from that moment on no path of the old leader's leads anywhere,
/// and all of its writes fail. A write ends with a look whether its folder is still there, so one
/// that succeeded was done before any later leader read. No step needs a lock, so a JobManager may
/// stop anywhere (SIGSTOP, kill -9) without harm to others. Nobody's wall clock matters: a standby
/// waits until the lease file has not changed for the lease's duration by its own monotonic clock.
///
/// The file system must show a rename to all hosts at once: local disks, CephFS, NFS without
/// attribute caching (`noac,lookupcache=none`).
class FilesystemHaStore final : public HaStore {
 public:
  /// Creates the folder. `clock` is borrowed. Errors: kUnavailable; kFailedPrecondition if it is
  /// exclusive and another process has it.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<FilesystemHaStore>> Open(
      FilesystemHaStoreOptions options, const Clock* clock);
  ~FilesystemHaStore() override;

  [[nodiscard]] absl::StatusOr<std::optional<LeaderEpoch>> TryAcquire(
      const LeaderInformation& self) override;
  [[nodiscard]] absl::Status Renew(LeaderEpoch epoch) override;
  [[nodiscard]] absl::Status Release(LeaderEpoch epoch) override;
  [[nodiscard]] absl::StatusOr<std::optional<LeaderInformation>> FindLeader() override;
  [[nodiscard]] absl::Status Put(LeaderEpoch epoch, std::string_view key,
                                 std::string_view value) override;
  [[nodiscard]] absl::Status Remove(LeaderEpoch epoch, std::string_view key) override;
  [[nodiscard]] absl::StatusOr<std::map<std::string, std::string>> List(
      LeaderEpoch epoch, std::string_view prefix) override;

 private:
  /// What a standby sees of the leader; a change is a sign of life.
  struct Sighting {
    uint64_t claim = 0;
    uint64_t data = 0;
    std::string lease;

    friend bool operator==(const Sighting&, const Sighting&) = default;
  };

  FilesystemHaStore(FilesystemHaStoreOptions options, const Clock* clock)
      : options_(std::move(options)), clock_(clock) {}

  [[nodiscard]] absl::Status Lock();
  [[nodiscard]] bool LeaseLasts(const Sighting& now);
  /// Epochs are above it: the time when the folder was first used, so that TaskManagers that
  /// outlived an earlier one take its leaders for younger.
  [[nodiscard]] absl::StatusOr<uint64_t> BaseEpoch();
  /// Makes a file with its whole content; returns false if it is there already.
  [[nodiscard]] static absl::StatusOr<bool> WriteOnce(const std::string& path,
                                                      std::string_view content);
  [[nodiscard]] absl::Status TakeData(uint64_t epoch);
  void RemoveOlder(uint64_t epoch);
  [[nodiscard]] std::string DataFolder(uint64_t epoch) const;
  [[nodiscard]] absl::Status WriteFenced(LeaderEpoch epoch, std::string_view name,
                                         std::string_view content, bool durable);
  /// The greatest number of the entries "<prefix><number>" in `folder`; 0 if there is none.
  [[nodiscard]] static absl::StatusOr<uint64_t> Greatest(const std::string& folder,
                                                         std::string_view prefix);

  const FilesystemHaStoreOptions options_;
  const Clock* const clock_;
  int lock_ = -1;
  // The electing thread's own.
  std::optional<Sighting> seen_;
  int64_t seen_nanos_ = 0;
  uint64_t num_renewals_ = 0;
};

}  // namespace weir
