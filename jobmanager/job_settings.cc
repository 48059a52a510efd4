#include "jobmanager/job_settings.h"

#include <algorithm>
#include <limits>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "runtime/checkpoint/file_system.h"

namespace weir {

absl::StatusOr<Configuration> MakeJobSettings(
    const Configuration& cluster, const std::map<std::string, std::string>& of_graph,
    const std::map<std::string, std::string>& of_request) {
  Configuration settings = cluster;
  for (const auto& [key, value] : of_graph) {
    RETURN_IF_ERROR(settings.SetText(key, value, "the job's own settings"));
  }
  for (const auto& [key, value] : of_request) {
    RETURN_IF_ERROR(settings.SetText(key, value, "the request to run the job"));
  }
  if (const int64_t concurrent = settings.Get(kCheckpointingMaxConcurrent); concurrent > 1) {
    return absl::InvalidArgumentError(
        StrCat("checkpoints cannot be taken at the same time, for a subtask writes one snapshot at "
               "a time; leave ",
               kCheckpointingMaxConcurrent.key, " at 1: value=", concurrent,
               " source=", settings.SourceOf(kCheckpointingMaxConcurrent.key)));
  }
  return settings;
}

absl::Status CheckCheckpointDir(const Configuration& job, const Configuration& cluster) {
  const std::string wanted = NormalizedPath(job.Get(kCheckpointingDir));
  if (wanted == NormalizedPath(cluster.Get(kCheckpointingDir))) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("the folder of checkpoints is the cluster's, a job has none of its own; leave ",
             kCheckpointingDir.key, " out, or set it where the JobManager starts: value=", wanted,
             " cluster=", cluster.Get(kCheckpointingDir),
             " source=", job.SourceOf(kCheckpointingDir.key)));
}

CheckpointSettings CheckpointSettingsOf(const Configuration& settings) {
  CheckpointSettings result;
  result.interval = settings.Get(kCheckpointingInterval);
  if (result.interval == absl::ZeroDuration()) result.interval = absl::InfiniteDuration();
  result.timeout = settings.Get(kCheckpointingTimeout);
  result.min_pause = settings.Get(kCheckpointingMinPause);
  result.num_retained = static_cast<size_t>(settings.Get(kCheckpointingNumRetained));
  result.tolerable_failures = settings.Get(kCheckpointingTolerableFailures);
  return result;
}

CheckpointConfig CheckpointConfigOf(const Configuration& settings,
                                    const std::string& checkpoint_dir) {
  const CheckpointSettings checkpoints = CheckpointSettingsOf(settings);
  CheckpointConfig config;
  config.interval = checkpoints.interval;
  config.timeout = checkpoints.timeout;
  config.min_pause = checkpoints.min_pause;
  config.exactly_once = settings.Get(kCheckpointingMode) == "EXACTLY_ONCE";
  config.unaligned = config.exactly_once && settings.Get(kCheckpointingUnaligned);
  config.aligned_checkpoint_timeout = settings.Get(kAlignedCheckpointTimeout);
  const std::string retention = settings.Get(kCheckpointingRetention);
  config.externalized = checkpoints.enabled() && retention != "NO_EXTERNALIZED_CHECKPOINTS";
  config.delete_on_cancellation = retention != "RETAIN_ON_CANCELLATION";
  config.state_backend = "ObjectTable";
  config.checkpoint_storage = checkpoint_dir;
  config.tolerable_failed_checkpoints = static_cast<uint32_t>(
      std::min<int64_t>(checkpoints.tolerable_failures, std::numeric_limits<int32_t>::max()));
  return config;
}

}  // namespace weir
