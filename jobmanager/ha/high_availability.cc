#include "jobmanager/ha/high_availability.h"

#include <algorithm>
#include <utility>

#include "jobmanager/ha/etcd_ha_store.h"
#include "jobmanager/ha/filesystem_ha_store.h"
#include "jobmanager/ha/object_ha_store.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "runtime/checkpoint/file_system.h"
#include "runtime/checkpoint/s3/s3_file_system.h"
#include "runtime/checkpoint/s3/s3_options.h"

namespace weir {
namespace {

bool IsPlainName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

}  // namespace

absl::StatusOr<HighAvailability> OpenHighAvailability(const Configuration& configuration,
                                                      const Clock* clock) {
  HighAvailability result;
  const std::string type = configuration.Get(kHighAvailabilityType);
  if (type == "none") return result;
  const std::string storage = configuration.Get(kHighAvailabilityStorageDir);
  if (storage.empty()) {
    return absl::InvalidArgumentError(StrCat("high-availability.type: ", type,
                                             " needs high-availability.storageDir, a folder ",
                                             "that all JobManagers and TaskManagers reach"));
  }
  const std::string cluster = configuration.Get(kHighAvailabilityClusterId);
  if (!IsPlainName(cluster)) {
    return absl::InvalidArgumentError(
        StrCat("high-availability.cluster-id names a folder, so it is of letters, digits, '-', '_' "
               "and '.': ",
               cluster));
  }
  result.election.lease_duration = configuration.Get(kHighAvailabilityLeaseDuration);
  result.election.retry_period = configuration.Get(kHighAvailabilityRetryPeriod);
  if (result.election.retry_period * 2 > result.election.lease_duration ||
      result.election.retry_period <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        StrCat("high-availability.leader-election.retry-period must be above 0 and at most half of "
               "high-availability.leader-election.lease-duration, or the lease lapses between two "
               "renewals: retry-period=",
               absl::FormatDuration(result.election.retry_period),
               " lease-duration=", absl::FormatDuration(result.election.lease_duration)));
  }
  result.folder = StrCat(NormalizedPath(storage), "/", cluster);
  if (type == "etcd") {
    EtcdHaStoreOptions options;
    for (const std::string_view endpoint :
         StrSplit(configuration.Get(kHighAvailabilityEtcdEndpoints), ',')) {
      const std::string_view stripped = StripWhitespace(endpoint);
      if (!stripped.empty()) options.endpoints.emplace_back(stripped);
    }
    if (options.endpoints.empty()) {
      return absl::InvalidArgumentError(
          "high-availability.type: etcd needs high-availability.etcd.endpoints, such as "
          "10.0.0.1:2379,10.0.0.2:2379");
    }
    options.cluster_id = cluster;
    options.lease_duration = result.election.lease_duration;
    options.rpc_timeout = result.election.lease_duration / 3;
    result.store = std::make_unique<EtcdHaStore>(std::move(options));
    return result;
  }
  if (IsObjectPath(result.folder)) {
    ASSIGN_OR_RETURN(S3Options store, S3Options::FromConfiguration(configuration));
    // No longer than until the lease lapses: then the question is another one.
    store.timeout = result.election.lease_duration / 3;
    store.max_attempts = 2;
    result.store = std::make_unique<ObjectHaStore>(
        ObjectHaStoreOptions{StrCat(result.folder, "/ha"), result.election.lease_duration},
        std::make_unique<S3FileSystem>(std::move(store)), clock);
    return result;
  }
  FilesystemHaStoreOptions options;
  options.folder = StrCat(result.folder, "/ha");
  options.lease_duration = result.election.lease_duration;
  ASSIGN_OR_RETURN(result.store, FilesystemHaStore::Open(std::move(options), clock));
  return result;
}

}  // namespace weir
