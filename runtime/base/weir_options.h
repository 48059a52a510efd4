#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/base/config.h"

namespace weir {

/// The engine's options. Where a concept is Flink's, the key is Flink's too.

inline constexpr ConfigOption<std::string> kRestAddress{
    "rest.address", "127.0.0.1", "Address by which clients reach the REST API."};
inline constexpr ConfigOption<int64_t> kRestPort{
    "rest.port", 8081, "Port of the REST API and the UI; 0 takes a free one.", "0..65535"};
inline constexpr ConfigOption<std::string> kRestBindAddress{
    "rest.bind-address", "127.0.0.1", "Address that the REST API listens on."};
inline constexpr ConfigOption<std::string> kWebUploadDir{
    "web.upload.dir", "",
    "Folder of uploaded job libraries. Empty: a folder in the system's place for temporary files."};

inline constexpr ConfigOption<std::string> kJobManagerRpcAddress{
    "jobmanager.rpc.address", "127.0.0.1",
    "Address of the JobManager: it listens there, and TaskManagers register there."};
inline constexpr ConfigOption<int64_t> kJobManagerRpcPort{
    "jobmanager.rpc.port", 6123, "Port of the JobManager's control plane; 0 takes a free one.",
    "0..65535"};

inline constexpr ConfigOption<std::string> kJobManagerWorkingDir{
    "process.jobmanager.working-dir", "",
    "Folder where a JobManager keeps what it needs to find its jobs after a restart. Empty: a "
    "folder "
    "in io.tmp.dirs that is named by address and port of the control plane; without a fixed port, "
    "one that goes with the process."};

inline constexpr ConfigOption<std::string> kHighAvailabilityType{
    "high-availability.type", "none",
    "Where JobManagers elect a leader and keep their jobs, so that a standby takes over.",
    "none|filesystem|etcd"};
inline constexpr ConfigOption<std::string> kHighAvailabilityStorageDir{
    "high-availability.storageDir", "",
    "Folder that all JobManagers and TaskManagers reach, for what outlives a JobManager."};
inline constexpr ConfigOption<std::string> kHighAvailabilityClusterId{
    "high-availability.cluster-id", "default",
    "Name that JobManagers of one cluster share, and clusters do not."};
inline constexpr ConfigOption<std::string> kHighAvailabilityEtcdEndpoints{
    "high-availability.etcd.endpoints", "127.0.0.1:2379",
    "Addresses host:port of etcd's members, separated by commas."};
inline constexpr ConfigOption<std::string> kHighAvailabilityJobManagers{
    "high-availability.jobmanagers", "",
    "Addresses host:port of the control planes of all JobManagers, separated by commas; a "
    "TaskManager asks them in turn. Empty: jobmanager.rpc.address and jobmanager.rpc.port."};
inline constexpr ConfigOption<absl::Duration> kHighAvailabilityLeaseDuration{
    "high-availability.leader-election.lease-duration", absl::Seconds(5),
    "Time without a sign of the leader after which a standby takes over."};
inline constexpr ConfigOption<absl::Duration> kHighAvailabilityRetryPeriod{
    "high-availability.leader-election.retry-period", absl::Milliseconds(500),
    "Time between two signs of the leader, and between two looks of a standby."};

inline constexpr ConfigOption<absl::Duration> kJobBuilderTimeout{
    "jobmanager.job-builder.timeout", absl::Seconds(30),
    "Time that a job library may take to build its graph before it is stopped."};

inline constexpr ConfigOption<int64_t> kTaskManagerNumberOfTaskSlots{
    "taskmanager.numberOfTaskSlots", 2, "Slots that a TaskManager offers.", "1..65536"};
inline constexpr ConfigOption<std::string> kTaskManagerHost{
    "taskmanager.host", "127.0.0.1",
    "Address that a TaskManager listens on and names to its peers."};
inline constexpr ConfigOption<int64_t> kTaskManagerDataPort{
    "taskmanager.data.port", 0, "Port of a TaskManager's data plane; 0 takes a free one.",
    "0..65535"};
inline constexpr ConfigOption<MemorySize> kTaskManagerMemorySize{
    "taskmanager.memory.size", MemorySize::Gibibytes(1),
    "Memory of a TaskManager's process. Batches, state, timers and state databases take at most "
    "three quarters of it together; the rest is for the program and the allocator."};
inline constexpr ConfigOption<int64_t> kTaskManagerWorkerThreads{
    "taskmanager.worker-threads", 0, "Threads that run tasks; 0 takes one per core.", "0..4096"};
inline constexpr ConfigOption<std::string> kTaskManagerIsolation{
    "taskmanager.isolation", "process",
    "Where jobs of uploaded libraries run: each in a process of its own on every TaskManager, so "
    "that a crash restarts no other job, or all together in the TaskManager's.",
    "process|none"};
inline constexpr ConfigOption<double> kTaskManagerIsolationMemoryLimit{
    "taskmanager.isolation.process.memory-limit", 1.5,
    "Resident memory that ends a job's process: a multiple of its share of "
    "taskmanager.memory.size, which follows its slots, and 96 MiB for the program; 0: none.",
    "0.."};
inline constexpr ConfigOption<MemorySize> kNetworkChannelBytes{
    "taskmanager.network.channel-bytes", MemorySize::Kibibytes(256),
    "Bytes that one channel between two subtasks may hold before its sender waits."};

inline constexpr ConfigOption<bool> kBufferDebloatEnabled{
    "taskmanager.network.memory.buffer-debloat.enabled", true,
    "Whether channels hold only as much as is consumed within buffer-debloat.target, so that a "
    "checkpoint's barriers come through in little time under back-pressure."};
inline constexpr ConfigOption<absl::Duration> kBufferDebloatTarget{
    "taskmanager.network.memory.buffer-debloat.target", absl::Seconds(1),
    "How long a subtask should take to consume what its input channels hold together."};
inline constexpr ConfigOption<absl::Duration> kBufferDebloatPeriod{
    "taskmanager.network.memory.buffer-debloat.period", absl::Milliseconds(200),
    "Least time between two looks at a subtask's throughput."};
inline constexpr ConfigOption<int64_t> kBufferDebloatThresholdPercentages{
    "taskmanager.network.memory.buffer-debloat.threshold-percentages", 25,
    "Change of what a channel may hold, in percent, below which it is left as it is.", "0..100"};

inline constexpr ConfigOption<std::string> kNetworkCompressionCodec{
    "taskmanager.network.compression.codec", "NONE",
    "How batches are compressed between TaskManagers.", "NONE|LZ4"};

inline constexpr ConfigOption<int64_t> kParallelismDefault{
    "parallelism.default", 1, "Parallelism of operators that set none.", "1..32768"};
inline constexpr ConfigOption<std::string> kPipelineName{
    "pipeline.name", "", "Name of the job. Empty: the name that the job gives itself."};
inline constexpr ConfigOption<bool> kOperatorChaining{
    "pipeline.operator-chaining.enabled", true,
    "Whether operators share tasks; without, each is a task of its own."};
inline constexpr ConfigOption<absl::Duration> kAutoWatermarkInterval{
    "pipeline.auto-watermark-interval", absl::Milliseconds(200),
    "How often a custom watermark generator is asked for a watermark while no records come."};
inline constexpr ConfigOption<absl::Duration> kLatencyInterval{
    "metrics.latency.interval", absl::ZeroDuration(),
    "How often each source emits a latency marker; 0 turns them off."};
inline constexpr ConfigOption<int64_t> kPipelineMaxParallelism{
    "pipeline.max-parallelism", 128,
    "Number of key groups, which no operator's parallelism can pass. State keeps it for life.",
    "1..32768"};

inline constexpr ConfigOption<absl::Duration> kCheckpointingInterval{
    "execution.checkpointing.interval", absl::Seconds(1),
    "Time from one checkpoint's trigger to the next; 0 turns periodic checkpoints off."};
inline constexpr ConfigOption<absl::Duration> kCheckpointingTimeout{
    "execution.checkpointing.timeout", absl::Minutes(10),
    "Time after which a checkpoint that is not complete is given up."};
inline constexpr ConfigOption<absl::Duration> kCheckpointingMinPause{
    "execution.checkpointing.min-pause", absl::ZeroDuration(),
    "Least time between a checkpoint's end and the next one's trigger."};
inline constexpr ConfigOption<int64_t> kCheckpointingNumRetained{
    "execution.checkpointing.num-retained", 1, "Completed checkpoints that are kept.", "1..1000"};
inline constexpr ConfigOption<std::string> kCheckpointingMode{
    "execution.checkpointing.mode", "EXACTLY_ONCE",
    "Whether records between two checkpoints count once after a restart, or at least once: then a "
    "subtask reads on while it waits for the last barrier.",
    "EXACTLY_ONCE|AT_LEAST_ONCE"};
inline constexpr ConfigOption<bool> kCheckpointingUnaligned{
    "execution.checkpointing.unaligned.enabled", false,
    "Whether barriers may overtake the records queued between subtasks, which then are part of the "
    "checkpoint. Of no effect with AT_LEAST_ONCE; savepoints stay aligned."};
inline constexpr ConfigOption<absl::Duration> kAlignedCheckpointTimeout{
    "execution.checkpointing.aligned-checkpoint-timeout", absl::ZeroDuration(),
    "With unaligned checkpoints: how long after its trigger a checkpoint stays aligned. 0: they "
    "are "
    "unaligned at once."};
inline constexpr ConfigOption<int64_t> kCheckpointingMaxConcurrent{
    "execution.checkpointing.max-concurrent-checkpoints", 1,
    "Checkpoints under way at one time. weir takes one after the other: more than 1 is refused.",
    "1.."};
inline constexpr ConfigOption<int64_t> kCheckpointingTolerableFailures{
    "execution.checkpointing.tolerable-failed-checkpoints", 2147483647,
    "Checkpoints that may fail one after the other; one more fails the job, which its restart "
    "strategy then restarts. The default is no limit in practice.",
    "0.."};
inline constexpr ConfigOption<std::string> kCheckpointingRetention{
    "execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION",
    "Whether a job's checkpoints outlive it. A job that is cancelled keeps them only with "
    "RETAIN_ON_CANCELLATION, one that fails loses them only with NO_EXTERNALIZED_CHECKPOINTS, one "
    "that finishes needs none.",
    "DELETE_ON_CANCELLATION|RETAIN_ON_CANCELLATION|NO_EXTERNALIZED_CHECKPOINTS"};
inline constexpr ConfigOption<std::string> kSavepointDir{
    "execution.checkpointing.savepoint-dir", "",
    "Folder of savepoints whose trigger names none, which the JobManager and all TaskManagers "
    "reach. Empty: each trigger has to name one."};
inline constexpr ConfigOption<std::string> kCheckpointingDir{
    "execution.checkpointing.dir", "",
    "Folder of checkpoints, which all processes reach. Empty: a folder in the system's place for "
    "temporary files."};
inline constexpr ConfigOption<bool> kStateRecoveryFromLocal{
    "execution.state-recovery.from-local", false,
    "Whether TaskManagers keep the state files of the newest completed checkpoint on their local "
    "disk, so that a task which is restarted where it was reads nothing from the folder of "
    "checkpoints."};
inline constexpr ConfigOption<bool> kStateBackendLocalRecovery{
    "state.backend.local-recovery", false,
    "Older name of execution.state-recovery.from-local; either turns it on."};
inline constexpr ConfigOption<absl::Duration> kBufferTimeout{
    "execution.buffer-timeout", absl::Milliseconds(5),
    "Longest time that a batch which is not full waits before it is sent."};

inline constexpr ConfigOption<int64_t> kExceptionHistorySize{
    "web.exception-history-size", 16, "Failures that a job's history keeps, newest first.",
    "1..1000"};
inline constexpr ConfigOption<std::string> kFailoverStrategy{
    "jobmanager.execution.failover-strategy", "region",
    "What a failure of a task restarts: region, the tasks that channels or an operator coordinator "
    "join with it; full, the whole job.",
    "region|full"};
inline constexpr ConfigOption<std::string> kRestartStrategyType{
    "restart-strategy.type", "exponential-delay", "What follows a job's failure.",
    "exponential-delay|failure-rate|fixed-delay|none|exponentialdelay|failurerate|fixeddelay|off|"
    "disable"};
inline constexpr ConfigOption<int64_t> kFixedDelayAttempts{
    "restart-strategy.fixed-delay.attempts", 2147483647,
    "Restarts before the job is given up; the default is no limit in practice.", "0.."};
inline constexpr ConfigOption<absl::Duration> kFixedDelayDelay{
    "restart-strategy.fixed-delay.delay", absl::Seconds(1), "Time before each restart."};
inline constexpr ConfigOption<absl::Duration> kExponentialDelayInitialBackoff{
    "restart-strategy.exponential-delay.initial-backoff", absl::Milliseconds(100),
    "Time before the first restart."};
inline constexpr ConfigOption<absl::Duration> kExponentialDelayMaxBackoff{
    "restart-strategy.exponential-delay.max-backoff", absl::Minutes(1),
    "Longest time before a restart."};
inline constexpr ConfigOption<double> kExponentialDelayBackoffMultiplier{
    "restart-strategy.exponential-delay.backoff-multiplier", 1.5,
    "Factor by which the time before a restart grows with each failure.", "1.."};
inline constexpr ConfigOption<double> kExponentialDelayJitterFactor{
    "restart-strategy.exponential-delay.jitter-factor", 0.1,
    "Share of the time before a restart that is random, up or down.", "0..1"};
inline constexpr ConfigOption<absl::Duration> kExponentialDelayResetBackoffThreshold{
    "restart-strategy.exponential-delay.reset-backoff-threshold", absl::Minutes(1),
    "Time without a failure after which the first backoff counts again."};
inline constexpr ConfigOption<int64_t> kExponentialDelayAttempts{
    "restart-strategy.exponential-delay.attempts-before-reset-backoff", 2147483647,
    "Restarts, since the first backoff last counted, before the job is given up; the default is no "
    "limit in practice.",
    "1.."};
inline constexpr ConfigOption<int64_t> kFailureRateMaxFailures{
    "restart-strategy.failure-rate.max-failures-per-interval", 1,
    "Failures within the interval that are followed by a restart; one more, and the job is given "
    "up.",
    "1..10000"};
inline constexpr ConfigOption<absl::Duration> kFailureRateInterval{
    "restart-strategy.failure-rate.failure-rate-interval", absl::Minutes(1),
    "Time within which failures are counted."};
inline constexpr ConfigOption<absl::Duration> kFailureRateDelay{
    "restart-strategy.failure-rate.delay", absl::Seconds(1), "Time before each restart."};

inline constexpr ConfigOption<absl::Duration> kHeartbeatInterval{
    "heartbeat.interval", absl::Seconds(1),
    "Time between heartbeats of JobManager and TaskManager."};
inline constexpr ConfigOption<absl::Duration> kHeartbeatTimeout{
    "heartbeat.timeout", absl::Seconds(5),
    "Time without a heartbeat after which a peer counts as lost."};
inline constexpr ConfigOption<absl::Duration> kTaskManagerJobManagerLossTimeout{
    "taskmanager.jobmanager-loss.timeout", absl::Minutes(1),
    "Time that tasks go on running after the JobManager's process has died, until they are "
    "cancelled if no other has taken them over. 0: they are cancelled at once."};
inline constexpr ConfigOption<absl::Duration> kJobManagerReconciliationTimeout{
    "jobmanager.reconciliation.timeout", absl::Seconds(5),
    "Time that a JobManager waits for TaskManagers on which a job runs since before it led; then "
    "the rest is restarted. It counts as heartbeat.timeout if that is longer. 0: nothing is waited "
    "for nor taken over."};
inline constexpr ConfigOption<absl::Duration> kSlotRequestTimeout{
    "slot.request.timeout", absl::Minutes(5), "Time that a job waits for slots before it fails."};

inline constexpr ConfigOption<std::string> kJobManagerScheduler{
    "jobmanager.scheduler", "default",
    "How jobs get their parallelism: default, all slots that they want or none; adaptive, what "
    "fits "
    "within their bounds, more when TaskManagers come and less when they go.",
    "default|adaptive"};
inline constexpr ConfigOption<std::string> kSchedulerMode{
    "scheduler-mode", "none",
    "reactive: as jobmanager.scheduler adaptive, and a job takes all slots that it can get.",
    "none|reactive"};
inline constexpr ConfigOption<absl::Duration> kSubmissionResourceWaitTimeout{
    "jobmanager.adaptive-scheduler.submission.resource-wait-timeout", absl::Minutes(5),
    "Time that a job waits for the slots of its lower bounds before it fails. 0: for ever, as in "
    "reactive mode."};
inline constexpr ConfigOption<absl::Duration> kSubmissionStabilizationTimeout{
    "jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout", absl::Seconds(10),
    "Time that a job which could begin with less than it wants waits for more slots."};
inline constexpr ConfigOption<absl::Duration> kExecutingStabilizationTimeout{
    "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout", absl::Seconds(60),
    "Time that a running job which could go up, but not to all that it wants, waits for more "
    "slots."};
inline constexpr ConfigOption<absl::Duration> kExecutingCooldown{
    "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling", absl::Seconds(30),
    "Least time between a rescale and the next because of slots. One that is asked for does not "
    "wait."};
inline constexpr ConfigOption<absl::Duration> kRescaleTriggerMaxDelay{
    "jobmanager.adaptive-scheduler.rescale-trigger.max-delay", absl::Minutes(1),
    "Time that a rescale waits for the checkpoint taken for it; then it begins from the newest "
    "completed one."};
inline constexpr ConfigOption<int64_t> kRescaleTriggerMaxCheckpointFailures{
    "jobmanager.adaptive-scheduler.rescale-trigger.max-checkpoint-failures", 2,
    "Checkpoints taken for a rescale that may fail before it begins from the newest completed one.",
    "1..1000"};
inline constexpr ConfigOption<int64_t> kRescaleHistorySize{
    "web.adaptive-scheduler.rescale-history.size", 16,
    "Rescales of a job that are remembered with their reasons and durations.", "1..1000"};

inline constexpr ConfigOption<std::string> kMetricsReporterPromPort{
    "metrics.reporter.prom.port", "9249-9299",
    "Port on which each process serves its metrics to Prometheus: one, a range of which the first "
    "free one is taken, 0 for any free one, or empty for none."};
inline constexpr ConfigOption<absl::Duration> kMetricsInterval{
    "metrics.fetcher.update-interval", absl::Seconds(2),
    "Time between two measurements of a TaskManager's metrics, which REST and Prometheus show."};

inline constexpr ConfigOption<std::string> kIoTmpDirs{
    "io.tmp.dirs", "", "Folder of working files. Empty: the system's place for temporary files."};
inline constexpr ConfigOption<std::string> kLogLevel{
    "env.log.level", "INFO", "Least level of messages that are logged.", "DEBUG|INFO|WARN|ERROR"};
inline constexpr ConfigOption<std::string> kLogFormat{"env.log.format", "console",
                                                      "Form of log lines.", "console|json"};

/// Adds all of the above to `*registry`.
void AddWeirOptions(OptionRegistry* registry);

/// Returns a registry of the above alone.
[[nodiscard]] std::shared_ptr<const OptionRegistry> WeirOptions();

}  // namespace weir
