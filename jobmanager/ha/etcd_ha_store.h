#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "jobmanager/ha/ha_store.h"

namespace weir {

struct EtcdHaStoreOptions {
  /// "host:port" of etcd's members; asked in turn while one does not answer.
  std::vector<std::string> endpoints;
  /// All keys begin with "/weir/<cluster-id>/".
  std::string cluster_id = "default";
  /// etcd counts in whole seconds, and may take longer than is asked for.
  absl::Duration lease_duration = absl::Seconds(5);
  absl::Duration rpc_timeout = absl::Seconds(2);
};

/// A HaStore in etcd (API version 3, over gRPC).
///
/// The leader's key is bound to a lease of etcd's, which keep-alives extend; the revision that made
/// the key is the epoch. Every read and write is a transaction that holds only while the key has
/// that revision, so etcd itself refuses a deposed leader.
class EtcdHaStore final : public HaStore {
 public:
  /// Connects when it is first used.
  explicit EtcdHaStore(EtcdHaStoreOptions options);
  ~EtcdHaStore() override;

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
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace weir
