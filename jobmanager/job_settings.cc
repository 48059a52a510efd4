#include "jobmanager/job_settings.h"

#include <limits>

#include "runtime/base/status_macros.h"
#include "runtime/base/weir_options.h"

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
  return settings;
}

CheckpointSettings CheckpointSettingsOf(const Configuration& settings) {
  CheckpointSettings result;
  result.interval = settings.Get(kCheckpointingInterval);
  if (result.interval == absl::ZeroDuration()) result.interval = absl::InfiniteDuration();
  result.timeout = settings.Get(kCheckpointingTimeout);
  result.min_pause = settings.Get(kCheckpointingMinPause);
  result.num_retained = static_cast<size_t>(settings.Get(kCheckpointingNumRetained));
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
  // Checkpoints outlive jobs that are cancelled or fail.
  config.externalized = checkpoints.enabled();
  config.delete_on_cancellation = false;
  config.state_backend = "ObjectTable";
  config.checkpoint_storage = checkpoint_dir;
  // No number of failed checkpoints fails the job.
  config.tolerable_failed_checkpoints = std::numeric_limits<int32_t>::max();
  return config;
}

}  // namespace weir
