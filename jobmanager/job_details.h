#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobmanager/job_status.h"
#include "runtime/base/ids.h"

namespace weir {

/// A snapshot of one job for people and clients, taken by the JobManager's event loop. Plain data:
/// the receiver owns its copy.

/// What a subtask has moved since its attempt began, and where its time went.
struct IoMetrics {
  int64_t read_bytes = 0;
  int64_t write_bytes = 0;
  int64_t read_records = 0;
  int64_t write_records = 0;
  absl::Duration backpressured_time = {};
  absl::Duration idle_time = {};
  absl::Duration busy_time = {};
  /// False while the numbers of an ended attempt have not arrived yet.
  bool complete = true;
};

/// The share of the last reporting interval that a subtask spent so; each in [0, 1].
struct BusyRatios {
  double backpressured = 0;
  double idle = 0;
  double busy = 0;
};

/// How far event time has come in one split of a source, as its last report says.
struct SplitDetails {
  std::string id = {};
  /// Event time in milliseconds; absent before the first record.
  std::optional<int64_t> watermark_ms = {};
  /// When the watermark last moved.
  absl::Time since = {};
  bool idle = false;    ///< Does not hold event time back.
  bool paused = false;  ///< Ahead of others, by watermark alignment.
};

/// The newest attempt of one subtask.
struct SubtaskDetails {
  uint32_t index = 0;
  uint32_t attempt_number = 0;
  ExecutionState state = ExecutionState::kCreated;
  ExecutionStateTimestamps timestamps = {};
  /// "host:data-port" of the TaskManager; empty until a slot is assigned, as is `taskmanager_id`.
  std::string endpoint = {};
  std::string taskmanager_id = {};
  IoMetrics metrics = {};
  BusyRatios ratios = {};
  /// Event time in milliseconds; absent before the first watermark.
  std::optional<int64_t> current_input_watermark_ms = {};
  /// Of a source, those that hold event time back first.
  std::vector<SplitDetails> splits = {};
};

/// Names a slot sharing group, the same in every job that has one of that name.
using SlotSharingGroupId = HexId<struct SlotSharingGroupIdTag>;

struct VertexDetails {
  JobVertexId id = {};
  std::string name = {};
  uint32_t parallelism = 1;
  uint32_t max_parallelism = 128;
  SlotSharingGroupId slot_sharing_group = {};
  /// Ordered by index.
  std::vector<SubtaskDetails> subtasks = {};
};

/// An edge of the plan, seen from its consumer.
struct PlanInput {
  JobVertexId source = {};
  /// Position among the consumer's inputs, from 0.
  uint32_t num = 0;
  /// "FORWARD", "HASH", "REBALANCE" and so on, see ShipStrategy.
  std::string ship_strategy = {};
  /// "pipelined_bounded" unless the exchange is another.
  std::string exchange = "pipelined_bounded";
};

struct PlanNode {
  JobVertexId id = {};
  uint32_t parallelism = 1;
  /// The chain, one operator a line, as shown in the graph.
  std::string description = {};
  std::vector<PlanInput> inputs = {};
};

struct JobPlan {
  /// In topological order, sources first.
  std::vector<PlanNode> nodes = {};
};

/// How the job was configured, for its configuration page.
struct ExecutionConfig {
  std::string restart_strategy = {};
  int64_t parallelism = 1;
  std::map<std::string, std::string> user_config = {};
};

/// A job as lists show it.
struct JobOverview {
  JobId id = {};
  std::string name = {};
  JobStatus status = JobStatus::kInitializing;
  absl::Time start_time = {};
  /// absl::InfiniteFuture() while the job has not ended.
  absl::Time end_time = absl::InfiniteFuture();
  absl::Time last_modification = {};
  ExecutionStateCounts task_counts = {};
  uint32_t num_pending_operators = 0;
};

struct JobDetails {
  JobId id = {};
  std::string name = {};
  JobStatus status = JobStatus::kInitializing;
  bool is_stoppable = false;
  absl::Time start_time = {};
  /// absl::InfiniteFuture() while the job has not ended.
  absl::Time end_time = absl::InfiniteFuture();
  JobStatusTimestamps timestamps = {};
  /// Absent when the job leaves it to its vertices.
  std::optional<uint32_t> max_parallelism = {};
  std::vector<VertexDetails> vertices = {};
  JobPlan plan = {};
  ExecutionConfig execution_config = {};
  uint32_t num_pending_operators = 0;
};

/// Why something failed.
struct ExceptionEntry {
  /// The kind of failure, such as a status code's name or a C++ type.
  std::string exception_name = {};
  /// The whole message, and a stack trace where there is one.
  std::string stacktrace = {};
  absl::Time time = {};
  std::map<std::string, std::string> failure_labels = {};
  /// Empty unless one subtask failed: "Source: gen (1/2) - execution #0".
  std::string task_name = {};
  std::string endpoint = {};
  std::string taskmanager_id = {};
  /// The TaskManager, or the job's process there.
  std::string process_id = {};
  /// Failures that followed from this one before the restart.
  std::vector<ExceptionEntry> concurrent = {};
};

struct ExceptionHistory {
  /// Newest first.
  std::vector<ExceptionEntry> entries = {};
  /// True if older entries were left out, here or by the history's own bound.
  bool truncated = false;
};

/// How a job ended, or that it has not.
struct JobResult {
  JobId id = {};
  /// Only globally terminal states count as an end.
  JobStatus status = JobStatus::kInitializing;
  absl::Duration net_runtime = {};
  /// Set when the job failed.
  std::optional<ExceptionEntry> failure = {};
};

}  // namespace weir
