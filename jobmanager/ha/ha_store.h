#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/ids.h"

namespace weir {

/// Who leads, and where it is reached. Plain data.
struct LeaderInformation {
  /// The leader's fencing token; grows with each change of leader.
  LeaderEpoch epoch = {};
  /// "host:port" of its REST API, and of its control plane.
  std::string rest_address = {};
  std::string rpc_address = {};
};

/// What the JobManagers of one cluster share: which of them leads, and a few small values that only
/// the leader may read and write. FilesystemHaStore and EtcdHaStore keep to one contract
/// (tests/jobmanager/ha/ha_store_contract_test.cc).
///
/// A leader holds a lease, which it renews. Once it has lapsed another one may acquire the lead,
/// with a greater epoch. From then on nothing of the old epoch has any effect: a write that
/// returned OK is seen by every later leader, and one that returned kAborted counts as refused,
/// although a write that was under way at that very moment may have been done.
///
/// Threads: TryAcquire, Renew, Release and FindLeader by one thread, the others by any. All block.
/// Errors of all: kUnavailable if the store cannot be reached, or did not answer in time.
class HaStore {
 public:
  virtual ~HaStore() = default;

  /// Tries once to become the leader, known to others as `self`; returns the epoch, or nothing
  /// while another one leads, or has just been quicker.
  [[nodiscard]] virtual absl::StatusOr<std::optional<LeaderEpoch>> TryAcquire(
      const LeaderInformation& self) = 0;
  /// Extends the lease, counted from no later than this call's end. Errors: kAborted if `epoch` is
  /// not the leader's any more.
  [[nodiscard]] virtual absl::Status Renew(LeaderEpoch epoch) = 0;
  /// Gives the lead up, so that another one need not wait. No error if it was lost before.
  [[nodiscard]] virtual absl::Status Release(LeaderEpoch epoch) = 0;
  /// Returns the leader as far as is known, if there is one.
  [[nodiscard]] virtual absl::StatusOr<std::optional<LeaderInformation>> FindLeader() = 0;

  /// Sets a value, durably. Keys are of [a-z0-9-]. Errors: kAborted if `epoch` does not lead.
  [[nodiscard]] virtual absl::Status Put(LeaderEpoch epoch, std::string_view key,
                                         std::string_view value) = 0;
  /// Removes a value, durably; one that is not there is no error. Errors: as Put.
  [[nodiscard]] virtual absl::Status Remove(LeaderEpoch epoch, std::string_view key) = 0;
  /// Returns the values whose keys begin with `prefix`. Errors: as Put.
  [[nodiscard]] virtual absl::StatusOr<std::map<std::string, std::string>> List(
      LeaderEpoch epoch, std::string_view prefix) = 0;
};

/// Returns the error of one who does not lead.
[[nodiscard]] absl::Status NotLeader(LeaderEpoch epoch);

/// LeaderInformation as stores keep it.
[[nodiscard]] std::string SerializeLeader(const LeaderInformation& leader);
/// Errors: kDataLoss.
[[nodiscard]] absl::StatusOr<LeaderInformation> ParseLeader(std::string_view bytes);

}  // namespace weir
