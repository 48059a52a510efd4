#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <map>
#include <type_traits>
#include <utility>

#include "jobmanager/rest/internal/json_fields.h"
#include "jobmanager/rest/internal/json_rendering.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

/// The states that Flink reports the time spent in.
constexpr std::array<ExecutionState, 5> kTimedStates = {
    ExecutionState::kCreated, ExecutionState::kScheduled, ExecutionState::kDeploying,
    ExecutionState::kInitializing, ExecutionState::kRunning};

std::string Name(ExecutionState state) { return std::string(ExecutionStateName(state)); }
std::string Name(JobStatus status) { return std::string(JobStatusName(status)); }

ExecutionState StateAt(size_t index) { return static_cast<ExecutionState>(index); }

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// Start, end and duration of an attempt or of several, as epoch milliseconds; -1 for what has not
/// been.
struct Interval {
  int64_t start = -1;
  int64_t end = -1;
  int64_t duration = -1;
};

void AddInterval(const Interval& interval, Json* json) {
  (*json)["start-time"] = interval.start;
  (*json)["end-time"] = interval.end;
  (*json)["duration"] = interval.duration;
}

Interval IntervalOf(absl::Time start, absl::Time end, absl::Time now) {
  if (start == absl::InfinitePast()) return {};
  const absl::Time until = end == absl::InfiniteFuture() ? now : end;
  return {.start = absl::ToUnixMillis(start),
          .end = Millis(end, -1),
          .duration = absl::ToUnixMillis(until) - absl::ToUnixMillis(start)};
}

absl::Time StartOf(const SubtaskDetails& subtask) {
  return subtask.timestamps[ExecutionState::kDeploying];
}

absl::Time EndOf(const SubtaskDetails& subtask) {
  if (!IsTerminal(subtask.state)) return absl::InfiniteFuture();
  return subtask.timestamps[subtask.state];
}

using Subtasks = std::vector<const SubtaskDetails*>;

Subtasks AllOf(const VertexDetails& vertex) {
  Subtasks subtasks;
  for (const SubtaskDetails& subtask : vertex.subtasks) subtasks.push_back(&subtask);
  return subtasks;
}

/// From the first start to the last end, which is open while any subtask has not ended.
Interval IntervalOf(const Subtasks& subtasks, absl::Time now) {
  absl::Time start = absl::InfiniteFuture();
  absl::Time end = absl::InfinitePast();
  for (const SubtaskDetails* subtask : subtasks) {
    if (StartOf(*subtask) != absl::InfinitePast()) start = std::min(start, StartOf(*subtask));
    end = std::max(end, EndOf(*subtask));
  }
  if (start == absl::InfiniteFuture()) return {};
  return IntervalOf(start, end, now);
}

ExecutionStateCounts CountStates(const Subtasks& subtasks) {
  ExecutionStateCounts counts;
  for (const SubtaskDetails* subtask : subtasks) ++counts[subtask->state];
  return counts;
}

ExecutionState AggregateState(const Subtasks& subtasks) {
  return AggregateState(CountStates(subtasks), static_cast<uint32_t>(subtasks.size()));
}

Json CountsJson(const ExecutionStateCounts& counts) {
  Json json = Json::object();
  for (size_t i = 0; i < kNumExecutionStates; ++i) json[Name(StateAt(i))] = counts[StateAt(i)];
  return json;
}

Json IoMetricsJson(const IoMetrics& metrics) {
  return {{"read-bytes", metrics.read_bytes},
          {"read-bytes-complete", metrics.complete},
          {"write-bytes", metrics.write_bytes},
          {"write-bytes-complete", metrics.complete},
          {"read-records", metrics.read_records},
          {"read-records-complete", metrics.complete},
          {"write-records", metrics.write_records},
          {"write-records-complete", metrics.complete},
          {"accumulated-backpressured-time", Millis(metrics.backpressured_time)},
          {"accumulated-idle-time", Millis(metrics.idle_time)},
          {"accumulated-busy-time", static_cast<double>(Millis(metrics.busy_time))}};
}

IoMetrics Sum(const Subtasks& subtasks) {
  IoMetrics sum;
  for (const SubtaskDetails* subtask : subtasks) {
    const IoMetrics& metrics = subtask->metrics;
    sum.read_bytes += metrics.read_bytes;
    sum.write_bytes += metrics.write_bytes;
    sum.read_records += metrics.read_records;
    sum.write_records += metrics.write_records;
    sum.backpressured_time += metrics.backpressured_time;
    sum.idle_time += metrics.idle_time;
    sum.busy_time += metrics.busy_time;
    sum.complete = sum.complete && metrics.complete;
  }
  return sum;
}

/// How long the attempt was in `state`, until it entered the next one; -1 if never.
int64_t DurationIn(ExecutionState state, const SubtaskDetails& subtask, absl::Time now) {
  const absl::Time entered = subtask.timestamps[state];
  if (entered == absl::InfinitePast()) return -1;
  absl::Time left = absl::InfiniteFuture();
  for (size_t i = 0; i < kNumExecutionStates; ++i) {
    const absl::Time other = subtask.timestamps[StateAt(i)];
    const bool later = other > entered || (other == entered && i > static_cast<size_t>(state));
    if (later && other != absl::InfinitePast()) left = std::min(left, other);
  }
  return IntervalOf(entered, left, now).duration;
}

Json StatusDurationJson(const SubtaskDetails& subtask, absl::Time now) {
  Json json = Json::object();
  for (const ExecutionState state : kTimedStates) {
    json[Name(state)] = DurationIn(state, subtask, now);
  }
  return json;
}

std::string EndpointOf(const SubtaskDetails& subtask) {
  return subtask.endpoint.empty() ? "(unassigned)" : subtask.endpoint;
}

Json SubtaskJson(const SubtaskDetails& subtask, absl::Time now) {
  const Interval interval = IntervalOf(StartOf(subtask), EndOf(subtask), now);
  Json json = {{"subtask", subtask.index},
               {"status", Name(subtask.state)},
               {"attempt", subtask.attempt_number},
               {"endpoint", EndpointOf(subtask)}};
  AddInterval(interval, &json);
  json["metrics"] = IoMetricsJson(subtask.metrics);
  json["taskmanager-id"] = subtask.taskmanager_id.empty() ? "(unassigned)" : subtask.taskmanager_id;
  json["status-duration"] = StatusDurationJson(subtask, now);
  json["start_time"] = interval.start;
  return json;
}

/// Summarises one number of each subtask.
template <class Extract>
Json Distribution(const Subtasks& subtasks, const Extract& extract) {
  std::vector<int64_t> samples;
  for (const SubtaskDetails* subtask : subtasks) samples.push_back(extract(*subtask));
  const StatsSummary summary = Summarize(std::move(samples));
  const auto whole = [](double value) { return value == value ? static_cast<int64_t>(value) : 0; };
  return {{"min", summary.min},        {"max", summary.max},           {"avg", summary.avg},
          {"sum", summary.sum},        {"median", whole(summary.p50)}, {"p25", whole(summary.p25)},
          {"p75", whole(summary.p75)}, {"p95", whole(summary.p95)}};
}

Json AggregatedJson(const Subtasks& subtasks, absl::Time now) {
  const auto of = [&](auto member) {
    return Distribution(subtasks, [member](const SubtaskDetails& subtask) -> int64_t {
      const auto value = subtask.metrics.*member;
      if constexpr (std::is_same_v<decltype(value), const absl::Duration>) {
        return Millis(value);
      } else {
        return value;
      }
    });
  };
  Json durations = Json::object();
  for (const ExecutionState state : kTimedStates) {
    durations[Name(state)] = Distribution(subtasks, [&](const SubtaskDetails& subtask) {
      return std::max<int64_t>(0, DurationIn(state, subtask, now));
    });
  }
  return {{"metrics",
           {{"read-bytes", of(&IoMetrics::read_bytes)},
            {"write-bytes", of(&IoMetrics::write_bytes)},
            {"read-records", of(&IoMetrics::read_records)},
            {"write-records", of(&IoMetrics::write_records)},
            {"accumulated-backpressured-time", of(&IoMetrics::backpressured_time)},
            {"accumulated-idle-time", of(&IoMetrics::idle_time)},
            {"accumulated-busy-time", of(&IoMetrics::busy_time)}}},
          {"status-duration", std::move(durations)}};
}

Json VertexSummaryJson(const VertexDetails& vertex, absl::Time now) {
  const Subtasks subtasks = AllOf(vertex);
  Json json = {{"id", ToString(vertex.id)},
               {"slotSharingGroupId", ToString(vertex.slot_sharing_group)},
               {"name", vertex.name},
               {"maxParallelism", vertex.max_parallelism},
               {"parallelism", vertex.parallelism},
               {"status", Name(AggregateState(subtasks))}};
  AddInterval(IntervalOf(subtasks, now), &json);
  json["tasks"] = CountsJson(CountStates(subtasks));
  json["metrics"] = IoMetricsJson(Sum(subtasks));
  return json;
}

Json PlanJson(const JobDetails& job) {
  Json nodes = Json::array();
  for (const PlanNode& node : job.plan.nodes) {
    Json json = {{"id", ToString(node.id)},         {"operator", ""},
                 {"parallelism", node.parallelism}, {"operator_strategy", ""},
                 {"description", node.description}, {"optimizer_properties", Json::object()}};
    for (const PlanInput& input : node.inputs) {
      json["inputs"].push_back({{"id", ToString(input.source)},
                                {"num", input.num},
                                {"exchange", input.exchange},
                                {"ship_strategy", input.ship_strategy}});
    }
    nodes.push_back(std::move(json));
  }
  return {{"jid", ToString(job.id)},
          {"name", job.name},
          {"type", "STREAMING"},
          {"nodes", std::move(nodes)}};
}

Json ExceptionJson(const ExceptionEntry& entry) {
  Json json = {{"exceptionName", entry.exception_name},
               {"stacktrace", entry.stacktrace},
               {"timestamp", Millis(entry.time, 0)},
               {"failureLabels", Json::object()}};
  for (const auto& [key, value] : entry.failure_labels) json["failureLabels"][key] = value;
  if (!entry.task_name.empty()) json["taskName"] = entry.task_name;
  if (!entry.endpoint.empty()) json["endpoint"] = entry.endpoint;
  if (!entry.taskmanager_id.empty()) json["taskManagerId"] = entry.taskmanager_id;
  return json;
}

std::string BackpressureLevel(double ratio) {
  return ratio <= 0.1 ? "ok" : ratio <= 0.5 ? "low" : "high";
}

}  // namespace

std::string RenderJobIds(const std::vector<JobOverview>& jobs) {
  Json list = Json::array();
  for (const JobOverview& job : jobs) {
    list.push_back({{"id", ToString(job.id)}, {"status", Name(job.status)}});
  }
  return Dump({{"jobs", std::move(list)}});
}

std::string RenderJobsOverview(const std::vector<JobOverview>& jobs, absl::Time now) {
  Json list = Json::array();
  for (const JobOverview& job : jobs) {
    Json tasks = Json::object();
    uint32_t total = 0;
    for (size_t i = 0; i < kNumExecutionStates; ++i) {
      tasks[LowerCase(Name(StateAt(i)))] = job.task_counts[StateAt(i)];
      total += job.task_counts[StateAt(i)];
    }
    tasks["total"] = total;
    Json json = {{"jid", ToString(job.id)}, {"name", job.name}};
    AddInterval(IntervalOf(job.start_time, job.end_time, now), &json);
    json["state"] = Name(job.status);
    json["last-modification"] = Millis(job.last_modification, 0);
    json["tasks"] = std::move(tasks);
    json["pending-operators"] = job.num_pending_operators;
    list.push_back(std::move(json));
  }
  return Dump({{"jobs", std::move(list)}});
}

std::string RenderJob(const JobDetails& job, absl::Time now) {
  Json timestamps = Json::object();
  for (size_t i = 0; i < kNumJobStatuses; ++i) {
    const auto status = static_cast<JobStatus>(i);
    timestamps[Name(status)] = Millis(job.timestamps[status], 0);
  }
  Json vertices = Json::array();
  ExecutionStateCounts counts;
  for (const VertexDetails& vertex : job.vertices) {
    vertices.push_back(VertexSummaryJson(vertex, now));
    ++counts[AggregateState(AllOf(vertex))];
  }
  Json json = {{"jid", ToString(job.id)},
               {"name", job.name},
               {"isStoppable", job.is_stoppable},
               {"state", Name(job.status)},
               {"job-type", "STREAMING"}};
  AddInterval(IntervalOf(job.start_time, job.end_time, now), &json);
  json["maxParallelism"] =
      job.max_parallelism.has_value() ? static_cast<int64_t>(*job.max_parallelism) : -1;
  json["now"] = absl::ToUnixMillis(now);
  json["timestamps"] = std::move(timestamps);
  json["vertices"] = std::move(vertices);
  json["status-counts"] = CountsJson(counts);
  json["plan"] = PlanJson(job);
  json["pending-operators"] = job.num_pending_operators;
  return Dump(json);
}

std::string RenderJobStatus(JobStatus status) { return Dump({{"status", Name(status)}}); }

std::string RenderJobConfig(const JobDetails& job) {
  Json user_config = Json::object();
  for (const auto& [key, value] : job.execution_config.user_config) user_config[key] = value;
  return Dump({{"jid", ToString(job.id)},
               {"name", job.name},
               {"execution-config",
                {{"restart-strategy", job.execution_config.restart_strategy},
                 {"job-parallelism", job.execution_config.parallelism},
                 {"object-reuse-mode", true},
                 {"user-config", std::move(user_config)}}}});
}

std::string RenderJobPlan(const JobDetails& job) { return Dump({{"plan", PlanJson(job)}}); }

std::string RenderJobResult(const JobResult& result) {
  if (!IsGloballyTerminal(result.status)) {
    return Dump({{"status", {{"id", "IN_PROGRESS"}}}, {"job-execution-result", nullptr}});
  }
  const char* application_status = result.status == JobStatus::kFinished   ? "SUCCEEDED"
                                   : result.status == JobStatus::kCanceled ? "CANCELED"
                                                                           : "FAILED";
  Json json = {{"id", ToString(result.id)},
               {"application-status", application_status},
               {"accumulator-results", Json::object()},
               {"net-runtime", Millis(result.net_runtime)}};
  if (result.failure.has_value()) {
    json["failure-cause"] = {{"class", result.failure->exception_name},
                             {"stack-trace", result.failure->stacktrace},
                             {"serialized-throwable", ""}};
  }
  return Dump({{"status", {{"id", "COMPLETED"}}}, {"job-execution-result", std::move(json)}});
}

std::string RenderExceptions(const ExceptionHistory& history) {
  Json entries = Json::array();
  for (const ExceptionEntry& entry : history.entries) {
    Json json = ExceptionJson(entry);
    json["concurrentExceptions"] = Json::array();
    for (const ExceptionEntry& concurrent : entry.concurrent) {
      json["concurrentExceptions"].push_back(ExceptionJson(concurrent));
    }
    entries.push_back(std::move(json));
  }
  return Dump(
      {{"exceptionHistory", {{"entries", std::move(entries)}, {"truncated", history.truncated}}}});
}

std::string RenderVertex(const VertexDetails& vertex, absl::Time now) {
  Json subtasks = Json::array();
  for (const SubtaskDetails& subtask : vertex.subtasks) {
    subtasks.push_back(SubtaskJson(subtask, now));
  }
  return Dump({{"id", ToString(vertex.id)},
               {"name", vertex.name},
               {"parallelism", vertex.parallelism},
               {"maxParallelism", vertex.max_parallelism},
               {"now", absl::ToUnixMillis(now)},
               {"subtasks", std::move(subtasks)},
               {"aggregated", AggregatedJson(AllOf(vertex), now)}});
}

std::string RenderSubtask(const SubtaskDetails& subtask, absl::Time now) {
  return Dump(SubtaskJson(subtask, now));
}

std::string RenderVertexAccumulators(const VertexDetails& vertex) {
  return Dump({{"id", ToString(vertex.id)}, {"user-accumulators", Json::array()}});
}

std::string RenderSubtaskAccumulators(const VertexDetails& vertex) {
  Json subtasks = Json::array();
  for (const SubtaskDetails& subtask : vertex.subtasks) {
    subtasks.push_back({{"subtask", subtask.index},
                        {"attempt", subtask.attempt_number},
                        {"endpoint", EndpointOf(subtask)},
                        {"user-accumulators", Json::array()}});
  }
  return Dump({{"id", ToString(vertex.id)},
               {"parallelism", vertex.parallelism},
               {"subtasks", std::move(subtasks)}});
}

std::string RenderSubtaskTimes(const VertexDetails& vertex, absl::Time now) {
  Json subtasks = Json::array();
  for (const SubtaskDetails& subtask : vertex.subtasks) {
    Json timestamps = Json::object();
    for (size_t i = 0; i < kNumExecutionStates; ++i) {
      timestamps[Name(StateAt(i))] = Millis(subtask.timestamps[StateAt(i)], 0);
    }
    const absl::Time scheduled = subtask.timestamps[ExecutionState::kScheduled];
    subtasks.push_back({{"subtask", subtask.index},
                        {"endpoint", subtask.endpoint},
                        {"duration", IntervalOf(scheduled, EndOf(subtask), now).duration},
                        {"timestamps", std::move(timestamps)}});
  }
  return Dump({{"id", ToString(vertex.id)},
               {"name", vertex.name},
               {"now", absl::ToUnixMillis(now)},
               {"subtasks", std::move(subtasks)}});
}

std::string RenderVertexTaskManagers(const VertexDetails& vertex, absl::Time now) {
  std::map<std::string, Subtasks> by_taskmanager;
  for (const SubtaskDetails& subtask : vertex.subtasks) {
    by_taskmanager[subtask.taskmanager_id].push_back(&subtask);
  }
  Json list = Json::array();
  for (const auto& [taskmanager_id, subtasks] : by_taskmanager) {
    const bool assigned = !taskmanager_id.empty();
    Json json = {{"endpoint", assigned ? subtasks.front()->endpoint : "(unassigned)"},
                 {"status", Name(AggregateState(subtasks))}};
    AddInterval(IntervalOf(subtasks, now), &json);
    json["metrics"] = IoMetricsJson(Sum(subtasks));
    json["status-counts"] = CountsJson(CountStates(subtasks));
    json["taskmanager-id"] = assigned ? taskmanager_id : "(unassigned)";
    json["aggregated"] = AggregatedJson(subtasks, now);
    list.push_back(std::move(json));
  }
  return Dump({{"id", ToString(vertex.id)},
               {"name", vertex.name},
               {"now", absl::ToUnixMillis(now)},
               {"taskmanagers", std::move(list)}});
}

std::string RenderBackpressure(const VertexDetails& vertex, absl::Time now) {
  double worst = 0;
  Json subtasks = Json::array();
  for (const SubtaskDetails& subtask : vertex.subtasks) {
    const std::string level = BackpressureLevel(subtask.ratios.backpressured);
    worst = std::max(worst, subtask.ratios.backpressured);
    subtasks.push_back({{"subtask", subtask.index},
                        {"backpressureLevel", level},
                        {"ratio", subtask.ratios.backpressured},
                        {"idleRatio", subtask.ratios.idle},
                        {"busyRatio", subtask.ratios.busy},
                        {"backpressure-level", level}});
  }
  const std::string level = BackpressureLevel(worst);
  return Dump({{"status", "ok"},
               {"backpressureLevel", level},
               {"end-timestamp", absl::ToUnixMillis(now)},
               {"subtasks", std::move(subtasks)},
               {"backpressure-level", level}});
}

std::string RenderWatermarks(const VertexDetails& vertex) {
  Json list = Json::array();
  for (const SubtaskDetails& subtask : vertex.subtasks) {
    // Before the first watermark Flink shows the smallest number.
    const int64_t watermark =
        subtask.current_input_watermark_ms.value_or(std::numeric_limits<int64_t>::min());
    list.push_back({{"id", StrCat(subtask.index, ".currentInputWatermark")},
                    {"value", std::to_string(watermark)}});
  }
  return Dump(list);
}

std::string RenderSplits(const VertexDetails& vertex, absl::Time now) {
  const auto split_json = [now](const SplitDetails& split) {
    Json json = {{"id", split.id},
                 {"watermark", nullptr},
                 {"since", absl::ToUnixMillis(split.since)},
                 {"age", Millis(std::max(absl::ZeroDuration(), now - split.since))},
                 {"idle", split.idle},
                 {"paused", split.paused}};
    if (split.watermark_ms.has_value()) json["watermark"] = *split.watermark_ms;
    return json;
  };
  Json subtasks = Json::array();
  const SplitDetails* slowest = nullptr;
  uint32_t of_subtask = 0;
  for (const SubtaskDetails& subtask : vertex.subtasks) {
    Json splits = Json::array();
    for (const SplitDetails& split : subtask.splits) {
      splits.push_back(split_json(split));
      // Nothing is less than any watermark.
      if (split.idle || (slowest != nullptr && slowest->watermark_ms <= split.watermark_ms)) {
        continue;
      }
      slowest = &split;
      of_subtask = subtask.index;
    }
    subtasks.push_back({{"subtask", subtask.index}, {"splits", std::move(splits)}});
  }
  Json json = {{"id", ToString(vertex.id)},
               {"name", vertex.name},
               {"now", absl::ToUnixMillis(now)},
               {"holder", nullptr},
               {"subtasks", std::move(subtasks)}};
  if (slowest != nullptr) {
    json["holder"] = split_json(*slowest);
    json["holder"]["subtask"] = of_subtask;
  }
  return Dump(json);
}

}  // namespace weir::internal
