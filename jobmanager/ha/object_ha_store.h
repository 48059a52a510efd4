#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "jobmanager/ha/ha_store.h"
#include "runtime/base/clock.h"
#include "runtime/base/mutex.h"
#include "runtime/checkpoint/s3/s3_file_system.h"

namespace weir {

struct ObjectHaStoreOptions {
  /// An s3:// path.
  std::string folder;
  /// Another JobManager waits for so long without a sign of the leader.
  absl::Duration lease_duration = absl::Seconds(5);
};

/// A HaStore in an object store that writes on conditions (If-Match, If-None-Match).
///
/// ```
/// state                who leads, and the values: small ones, and the names of large ones
/// lease-<epoch>        the leader's sign of life
/// values/<epoch>-<id>  a large value, made in that epoch; never changes
/// ```
///
/// Every write of the leader, and every take-over, replaces `state` on the condition that it is
/// what the writer has last read. So writes are in one order, and one that was made by a deposed
/// leader finds another state and is refused, wherever it was held up. Nobody's wall clock matters:
/// a standby waits until the lease has not changed for the lease's duration by its own monotonic
/// clock.
class ObjectHaStore final : public HaStore {
 public:
  /// `clock` is borrowed.
  ObjectHaStore(ObjectHaStoreOptions options, std::unique_ptr<S3FileSystem> objects,
                const Clock* clock);
  ~ObjectHaStore() override;

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
  struct StoredValue;
  struct State;
  /// The state as it was last read or written, and its etag; empty if there is none.
  struct Cached;
  /// What a standby sees of the leader; a change is a sign of life.
  struct Sighting {
    uint64_t epoch = 0;
    std::string lease;

    friend bool operator==(const Sighting&, const Sighting&) = default;
  };

  [[nodiscard]] std::string PathOf(std::string_view name) const;
  [[nodiscard]] std::string LeasePath(uint64_t epoch) const;
  [[nodiscard]] std::string ValuePath(std::string_view object) const;
  [[nodiscard]] absl::Status Refresh() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Refreshes, and checks that `epoch` leads.
  [[nodiscard]] absl::Status RefreshAsLeader(LeaderEpoch epoch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Replaces the state. Errors: kAborted if it is not what was last read.
  [[nodiscard]] absl::Status Replace(State state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::StatusOr<bool> LeaseLasts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Sets the value, or removes it if it is null.
  [[nodiscard]] absl::Status Change(LeaderEpoch epoch, std::string_view key,
                                    const StoredValue* value);
  /// The same, and says which object is needed no more if it succeeds.
  [[nodiscard]] absl::Status ChangeState(LeaderEpoch epoch, const std::string& key,
                                         const StoredValue* value, std::string* replaced_object)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Whether the state, as last read, has this object as the key's value.
  [[nodiscard]] bool IsInState(const std::string& key, const StoredValue& value) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveLeftovers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ObjectHaStoreOptions options_;
  const std::unique_ptr<S3FileSystem> objects_;
  const Clock* const clock_;
  Mutex mutex_;
  std::unique_ptr<Cached> cached_ ABSL_GUARDED_BY(mutex_);
  std::optional<Sighting> seen_ ABSL_GUARDED_BY(mutex_);
  int64_t seen_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t num_renewals_ = 0;  // The electing thread's own.
};

}  // namespace weir
