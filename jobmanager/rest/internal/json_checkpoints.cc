#include <cmath>

#include "jobmanager/rest/internal/json_fields.h"
#include "jobmanager/rest/internal/json_rendering.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

/// Flink writes the text "NaN" where a number cannot say it.
Json PercentileJson(double value) { return std::isnan(value) ? Json("NaN") : Json(value); }

Json SummaryJson(const StatsSummary& summary) {
  return {{"min", summary.min},
          {"max", summary.max},
          {"avg", summary.avg},
          {"p50", PercentileJson(summary.p50)},
          {"p90", PercentileJson(summary.p90)},
          {"p95", PercentileJson(summary.p95)},
          {"p99", PercentileJson(summary.p99)},
          {"p999", PercentileJson(summary.p999)}};
}

std::string StatusName(CheckpointStatus status) {
  switch (status) {
    case CheckpointStatus::kInProgress:
      return "IN_PROGRESS";
    case CheckpointStatus::kCompleted:
      return "COMPLETED";
    case CheckpointStatus::kFailed:
      return "FAILED";
  }
  return "FAILED";
}

std::string ClassName(CheckpointStatus status) {
  switch (status) {
    case CheckpointStatus::kInProgress:
      return "in_progress";
    case CheckpointStatus::kCompleted:
      return "completed";
    case CheckpointStatus::kFailed:
      return "failed";
  }
  return "failed";
}

std::string KindName(CheckpointKind kind) {
  switch (kind) {
    case CheckpointKind::kCheckpoint:
      return "CHECKPOINT";
    case CheckpointKind::kUnalignedCheckpoint:
      return "UNALIGNED_CHECKPOINT";
    case CheckpointKind::kSavepoint:
      return "SAVEPOINT";
    case CheckpointKind::kSyncSavepoint:
      return "SYNC_SAVEPOINT";
  }
  return "CHECKPOINT";
}

bool IsSavepoint(CheckpointKind kind) {
  return kind == CheckpointKind::kSavepoint || kind == CheckpointKind::kSyncSavepoint;
}

void AddTotals(const CheckpointTotals& totals, Json* json) {
  (*json)["latest_ack_timestamp"] =
      totals.latest_ack_time.has_value() ? absl::ToUnixMillis(*totals.latest_ack_time) : -1;
  (*json)["checkpointed_size"] = totals.checkpointed_size_bytes;
  (*json)["state_size"] = totals.state_size_bytes;
  (*json)["end_to_end_duration"] = Millis(totals.end_to_end_duration);
  (*json)["alignment_buffered"] = 0;
  (*json)["processed_data"] = totals.processed_data_bytes;
  (*json)["persisted_data"] = totals.persisted_data_bytes;
  (*json)["num_subtasks"] = totals.num_subtasks;
  (*json)["num_acknowledged_subtasks"] = totals.num_acknowledged_subtasks;
}

Json TaskJson(const CheckpointDetails& checkpoint, const TaskCheckpointStatistics& task) {
  Json json = {{"id", checkpoint.id.value()}, {"status", StatusName(checkpoint.status)}};
  AddTotals(TotalsOf(task), &json);
  return json;
}

/// Lists leave out the tasks, as Flink's do.
Json CheckpointJson(const CheckpointDetails& checkpoint, absl::Time now, bool with_tasks) {
  const bool is_savepoint = IsSavepoint(checkpoint.kind);
  Json json = {{"className", ClassName(checkpoint.status)},
               {"id", checkpoint.id.value()},
               {"status", StatusName(checkpoint.status)},
               {"is_savepoint", is_savepoint},
               {"savepointFormat", nullptr},
               {"trigger_timestamp", Millis(checkpoint.trigger_time, 0)}};
  if (is_savepoint) json["savepointFormat"] = checkpoint.savepoint_format;
  CheckpointTotals totals = TotalsOf(checkpoint);
  if (checkpoint.status == CheckpointStatus::kInProgress) {
    totals.end_to_end_duration = now - checkpoint.trigger_time;
  }
  AddTotals(totals, &json);
  json["checkpoint_type"] = KindName(checkpoint.kind);
  json["tasks"] = Json::object();
  if (with_tasks) {
    for (const TaskCheckpointStatistics& task : checkpoint.tasks) {
      json["tasks"][ToString(task.vertex_id)] = TaskJson(checkpoint, task);
    }
  }
  if (checkpoint.status == CheckpointStatus::kCompleted) {
    json["external_path"] = checkpoint.external_path;
    json["discarded"] = checkpoint.discarded;
  } else if (checkpoint.status == CheckpointStatus::kFailed) {
    json["failure_timestamp"] = Millis(checkpoint.failure_time, 0);
    json["failure_message"] = checkpoint.failure_message;
  }
  return json;
}

Json LatestJson(const std::optional<CheckpointDetails>& checkpoint, absl::Time now) {
  if (!checkpoint.has_value()) return nullptr;
  return CheckpointJson(*checkpoint, now, /*with_tasks=*/false);
}

Json RestoredJson(const std::optional<RestoredCheckpoint>& restored) {
  if (!restored.has_value()) return nullptr;
  return {{"id", restored->id.value()},
          {"restore_timestamp", Millis(restored->restore_time, 0)},
          {"is_savepoint", restored->is_savepoint},
          {"external_path", restored->external_path}};
}

Json SubtaskJson(const SubtaskCheckpointStatistics& subtask) {
  if (!subtask.ack_time.has_value()) {
    return {{"className", "pending"}, {"index", subtask.index}, {"status", "pending_or_failed"}};
  }
  return {{"className", "completed"},
          {"index", subtask.index},
          {"ack_timestamp", absl::ToUnixMillis(*subtask.ack_time)},
          {"end_to_end_duration", Millis(subtask.end_to_end_duration)},
          {"checkpointed_size", subtask.checkpointed_size_bytes},
          {"state_size", subtask.state_size_bytes},
          {"checkpoint",
           {{"sync", Millis(subtask.sync_duration)}, {"async", Millis(subtask.async_duration)}}},
          {"alignment",
           {{"buffered", 0},
            {"processed", subtask.processed_data_bytes},
            {"persisted", subtask.persisted_data_bytes},
            {"duration", Millis(subtask.alignment_duration)}}},
          {"start_delay", Millis(subtask.start_delay)},
          {"unaligned_checkpoint", subtask.unaligned},
          {"aborted", subtask.aborted},
          {"status", "completed"}};
}

template <class Extract>
Json Distribution(const TaskCheckpointStatistics& task, const Extract& extract) {
  std::vector<int64_t> samples;
  for (const SubtaskCheckpointStatistics& subtask : task.subtasks) {
    if (subtask.ack_time.has_value()) samples.push_back(extract(subtask));
  }
  return SummaryJson(Summarize(std::move(samples)));
}

Json SubtaskSummaryJson(const TaskCheckpointStatistics& task) {
  const auto duration = [&](absl::Duration SubtaskCheckpointStatistics::* member) {
    return Distribution(task, [member](const SubtaskCheckpointStatistics& subtask) {
      return Millis(subtask.*member);
    });
  };
  const auto size = [&](int64_t SubtaskCheckpointStatistics::* member) {
    return Distribution(
        task, [member](const SubtaskCheckpointStatistics& subtask) { return subtask.*member; });
  };
  using Subtask = SubtaskCheckpointStatistics;
  return {{"checkpointed_size", size(&Subtask::checkpointed_size_bytes)},
          {"state_size", size(&Subtask::state_size_bytes)},
          {"end_to_end_duration", duration(&Subtask::end_to_end_duration)},
          {"checkpoint_duration",
           {{"sync", duration(&Subtask::sync_duration)},
            {"async", duration(&Subtask::async_duration)}}},
          {"alignment",
           {{"buffered", SummaryJson(StatsSummary())},
            {"processed", size(&Subtask::processed_data_bytes)},
            {"persisted", size(&Subtask::persisted_data_bytes)},
            {"duration", duration(&Subtask::alignment_duration)}}},
          {"start_delay", duration(&Subtask::start_delay)}};
}

}  // namespace

std::string RenderCheckpoints(const CheckpointStatistics& statistics, absl::Time now) {
  Json history = Json::array();
  for (const CheckpointDetails& checkpoint : statistics.history) {
    history.push_back(CheckpointJson(checkpoint, now, /*with_tasks=*/false));
  }
  const CheckpointSummary& summary = statistics.summary;
  return Dump({{"counts",
                {{"restored", statistics.counts.restored},
                 {"total", statistics.counts.total},
                 {"in_progress", statistics.counts.in_progress},
                 {"completed", statistics.counts.completed},
                 {"failed", statistics.counts.failed}}},
               {"summary",
                {{"checkpointed_size", SummaryJson(summary.checkpointed_size)},
                 {"state_size", SummaryJson(summary.state_size)},
                 {"end_to_end_duration", SummaryJson(summary.end_to_end_duration_ms)},
                 {"alignment_buffered", SummaryJson(StatsSummary())},
                 {"processed_data", SummaryJson(summary.processed_data)},
                 {"persisted_data", SummaryJson(summary.persisted_data)}}},
               {"latest",
                {{"completed", LatestJson(statistics.latest_completed, now)},
                 {"savepoint", LatestJson(statistics.latest_savepoint, now)},
                 {"failed", LatestJson(statistics.latest_failed, now)},
                 {"restored", RestoredJson(statistics.latest_restored)}}},
               {"history", std::move(history)}});
}

std::string RenderCheckpointConfig(const CheckpointConfig& config) {
  // A job without periodic checkpoints has Flink's largest interval.
  const int64_t interval = Millis(config.interval);
  return Dump({{"mode", config.exactly_once ? "exactly_once" : "at_least_once"},
               {"interval", interval},
               {"timeout", Millis(config.timeout)},
               {"min_pause", Millis(config.min_pause)},
               {"max_concurrent", config.max_concurrent},
               {"externalization",
                {{"enabled", config.externalized},
                 {"delete_on_cancellation", config.delete_on_cancellation}}},
               {"state_backend", config.state_backend},
               {"checkpoint_storage", config.checkpoint_storage},
               {"unaligned_checkpoints", config.unaligned},
               {"tolerable_failed_checkpoints", config.tolerable_failed_checkpoints},
               {"aligned_checkpoint_timeout", Millis(config.aligned_checkpoint_timeout)},
               {"checkpoints_after_tasks_finish", config.checkpoints_after_tasks_finish},
               {"state_changelog_enabled", false},
               {"changelog_periodic_materialization_interval", 0},
               {"changelog_storage", ""}});
}

std::string RenderCheckpointDetails(const CheckpointDetails& checkpoint, absl::Time now) {
  return Dump(CheckpointJson(checkpoint, now, /*with_tasks=*/true));
}

std::string RenderCheckpointSubtasks(const CheckpointDetails& checkpoint,
                                     const TaskCheckpointStatistics& task) {
  Json json = TaskJson(checkpoint, task);
  json["summary"] = SubtaskSummaryJson(task);
  json["subtasks"] = Json::array();
  for (const SubtaskCheckpointStatistics& subtask : task.subtasks) {
    json["subtasks"].push_back(SubtaskJson(subtask));
  }
  return Dump(json);
}

std::string RenderTriggerResponse(TriggerId trigger_id) {
  return Dump({{"request-id", ToString(trigger_id)}});
}

namespace {

Json FailureJson(const absl::Status& status) {
  return {{"failure-cause",
           {{"class", absl::StatusCodeToString(status.code())},
            {"stack-trace", std::string(ToStd(status.message()))},
            {"serialized-throwable", ""}}}};
}

std::string InProgress() {
  return Dump({{"status", {{"id", "IN_PROGRESS"}}}, {"operation", nullptr}});
}

}  // namespace

std::string RenderOperation(const AsynchronousOperations::Result& result) {
  if (!result.has_value()) return InProgress();
  Json operation;
  if (!result->ok()) {
    operation = FailureJson(result->status());
  } else if (const auto* const id = std::get_if<CheckpointId>(&**result)) {
    operation = {{"checkpointId", id->value()}};
  } else if (const auto* const location = std::get_if<std::string>(&**result)) {
    operation = {{"location", *location}};
  }
  return Dump({{"status", {{"id", "COMPLETED"}}}, {"operation", std::move(operation)}});
}

std::string RenderDisposal(const AsynchronousOperations::Result& result) {
  if (!result.has_value()) return InProgress();
  Json operation = {{"failure-cause", nullptr}};
  if (!result->ok()) operation = FailureJson(result->status());
  return Dump({{"status", {{"id", "COMPLETED"}}}, {"operation", std::move(operation)}});
}

}  // namespace weir::internal
