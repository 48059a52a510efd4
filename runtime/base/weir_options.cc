#include "runtime/base/weir_options.h"

#include "runtime/base/rocksdb_settings.h"
#include "runtime/base/s3_settings.h"

namespace weir {

void AddWeirOptions(OptionRegistry* registry) {
  registry->Add(kRestAddress);
  registry->Add(kRestPort);
  registry->Add(kRestBindAddress);
  registry->Add(kWebUploadDir);
  registry->Add(kJobManagerRpcAddress);
  registry->Add(kJobManagerRpcPort);
  registry->Add(kJobManagerWorkingDir);
  registry->Add(kHighAvailabilityType);
  registry->Add(kHighAvailabilityStorageDir);
  registry->Add(kHighAvailabilityClusterId);
  registry->Add(kHighAvailabilityEtcdEndpoints);
  registry->Add(kHighAvailabilityJobManagers);
  registry->Add(kHighAvailabilityLeaseDuration);
  registry->Add(kHighAvailabilityRetryPeriod);
  registry->Add(kJobBuilderTimeout);
  registry->Add(kTaskManagerNumberOfTaskSlots);
  registry->Add(kTaskManagerHost);
  registry->Add(kTaskManagerDataPort);
  registry->Add(kTaskManagerMemorySize);
  registry->Add(kTaskManagerWorkerThreads);
  registry->Add(kTaskManagerIsolation);
  registry->Add(kTaskManagerIsolationMemoryLimit);
  registry->Add(kRocksDbBlockCacheSize);
  registry->Add(kRocksDbBlockSize);
  registry->Add(kRocksDbWriteBufferSize);
  registry->Add(kRocksDbWriteBufferCount);
  registry->Add(kRocksDbCompactionStyle);
  registry->Add(kRocksDbThreadNum);
  registry->Add(kRocksDbTransferThreadNum);
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
  registry->Add(kCheckpointingMode);
  registry->Add(kCheckpointingUnaligned);
  registry->Add(kAlignedCheckpointTimeout);
  registry->Add(kCheckpointingMaxConcurrent);
  registry->Add(kCheckpointingTolerableFailures);
  registry->Add(kCheckpointingRetention);
  registry->Add(kSavepointDir);
  registry->Add(kCheckpointingDir);
  registry->Add(kS3Endpoint);
  registry->Add(kS3Region);
  registry->Add(kS3AccessKey);
  registry->Add(kS3SecretKey);
  registry->Add(kS3SessionToken);
  registry->Add(kS3PathStyleAccess);
  registry->Add(kS3CaFile);
  registry->Add(kS3ConnectionTimeout);
  registry->Add(kS3AttemptsMaximum);
  registry->Add(kS3UploadPartSize);
  registry->AddOldKey("s3.region", kS3Region.key);
  registry->AddOldKey("s3.path-style-access", kS3PathStyleAccess.key);
  registry->Add(kStateRecoveryFromLocal);
  registry->Add(kStateBackendLocalRecovery);
  registry->AddOldKey("state.checkpoints.num-retained", kCheckpointingNumRetained.key);
  registry->AddOldKey("state.checkpoints.dir", kCheckpointingDir.key);
  registry->AddOldKey("state.savepoints.dir", kSavepointDir.key);
  registry->Add(kBufferTimeout);
  registry->Add(kExceptionHistorySize);
  registry->Add(kFailoverStrategy);
  registry->Add(kRestartStrategyType);
  registry->Add(kFixedDelayAttempts);
  registry->Add(kFixedDelayDelay);
  registry->Add(kExponentialDelayInitialBackoff);
  registry->Add(kExponentialDelayMaxBackoff);
  registry->Add(kExponentialDelayBackoffMultiplier);
  registry->Add(kExponentialDelayJitterFactor);
  registry->Add(kExponentialDelayResetBackoffThreshold);
  registry->Add(kExponentialDelayAttempts);
  registry->Add(kFailureRateMaxFailures);
  registry->Add(kFailureRateInterval);
  registry->Add(kFailureRateDelay);
  registry->Add(kHeartbeatInterval);
  registry->Add(kHeartbeatTimeout);
  registry->Add(kTaskManagerJobManagerLossTimeout);
  registry->Add(kJobManagerReconciliationTimeout);
  registry->Add(kSlotRequestTimeout);
  registry->Add(kJobManagerScheduler);
  registry->Add(kSchedulerMode);
  registry->Add(kSubmissionResourceWaitTimeout);
  registry->Add(kSubmissionStabilizationTimeout);
  registry->Add(kExecutingStabilizationTimeout);
  registry->Add(kExecutingCooldown);
  registry->Add(kRescaleTriggerMaxDelay);
  registry->Add(kRescaleTriggerMaxCheckpointFailures);
  registry->Add(kRescaleHistorySize);
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
