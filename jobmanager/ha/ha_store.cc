#include "jobmanager/ha/ha_store.h"

#include "proto/job_store.pb.h"
#include "runtime/base/strings.h"

namespace weir {

absl::Status NotLeader(LeaderEpoch epoch) {
  return absl::AbortedError(
      StrCat("this JobManager is not the leader any more: leader_epoch=", epoch.value()));
}

std::string SerializeLeader(const LeaderInformation& leader) {
  proto::StoredLeader stored;
  stored.set_epoch(leader.epoch.value());
  stored.set_rest_address(leader.rest_address);
  stored.set_rpc_address(leader.rpc_address);
  return stored.SerializeAsString();
}

absl::StatusOr<LeaderInformation> ParseLeader(std::string_view bytes) {
  proto::StoredLeader stored;
  if (!stored.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError("what the high-availability store says of the leader is damaged");
  }
  return LeaderInformation{.epoch = LeaderEpoch(stored.epoch()),
                           .rest_address = stored.rest_address(),
                           .rpc_address = stored.rpc_address()};
}

}  // namespace weir
