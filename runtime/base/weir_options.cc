#include "runtime/base/weir_options.h"

namespace weir {

void AddWeirOptions(OptionRegistry* registry) {
  registry->Add(kRestAddress);
  registry->Add(kRestPort);
  registry->Add(kRestBindAddress);
  registry->Add(kWebUploadDir);
  registry->Add(kJobManagerRpcAddress);
  registry->Add(kJobManagerRpcPort);
  registry->Add(kJobBuilderTimeout);
  registry->Add(kTaskManagerNumberOfTaskSlots);
  registry->Add(kTaskManagerHost);
  registry->Add(kTaskManagerDataPort);
  registry->Add(kTaskManagerMemorySize);
  registry->Add(kTaskManagerWorkerThreads);
  registry->Add(kNetworkChannelBytes);
  registry->Add(kBufferDebloatEnabled);
  registry->Add(kBufferDebloatTarget);
  registry->Add(kBufferDebloatPeriod);
  registry->Add(kBufferDebloatThresholdPercentages);
  registry->Add(kNetworkCompressionCodec);
  registry->Add(kParallelismDefault);
  registry->Add(kPipelineName);
  registry->Add(kOperatorChaining);
  registry->Add(kAutoWatermarkInterval);
  registry->Add(kLatencyInterval);
  registry->Add(kPipelineMaxParallelism);
  registry->Add(kCheckpointingInterval);
  registry->Add(kCheckpointingTimeout);
  registry->Add(kCheckpointingMinPause);
  registry->Add(kCheckpointingNumRetained);
  registry->Add(kCheckpointingMaxConcurrent);
  registry->Add(kCheckpointingTolerableFailures);
  registry->Add(kCheckpointingRetention);
  registry->Add(kSavepointDir);
  registry->Add(kCheckpointingDir);
  registry->AddOldKey("state.checkpoints.num-retained", kCheckpointingNumRetained.key);
  registry->AddOldKey("state.checkpoints.dir", kCheckpointingDir.key);
  registry->AddOldKey("state.savepoints.dir", kSavepointDir.key);
  registry->Add(kBufferTimeout);
  registry->Add(kRestartStrategyType);
  registry->Add(kFixedDelayAttempts);
  registry->Add(kFixedDelayDelay);
  registry->Add(kExponentialDelayInitialBackoff);
  registry->Add(kExponentialDelayMaxBackoff);
  registry->Add(kExponentialDelayBackoffMultiplier);
  registry->Add(kExponentialDelayJitterFactor);
  registry->Add(kExponentialDelayResetBackoffThreshold);
  registry->Add(kHeartbeatInterval);
  registry->Add(kHeartbeatTimeout);
  registry->Add(kSlotRequestTimeout);
  registry->Add(kMetricsReporterPromPort);
  registry->Add(kMetricsInterval);
  registry->Add(kIoTmpDirs);
  registry->Add(kLogLevel);
  registry->Add(kLogFormat);
}

std::shared_ptr<const OptionRegistry> WeirOptions() {
  auto registry = std::make_shared<OptionRegistry>();
  AddWeirOptions(registry.get());
  return registry;
}

}  // namespace weir
