#include "taskmanager/metrics_collector.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <functional>
#include <string_view>
#include <tuple>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/strings.h"
#include "runtime/metrics/prometheus_text.h"
#include "taskmanager/task_activity.h"

namespace weir {
namespace {

// Flink cuts operators' names in metrics here.
constexpr size_t kMaxOperatorName = 80;

// How long after a task has last done something its rates still change, and how often it is
// measured after that.
constexpr int64_t kActiveNanos = 15'000'000'000;
constexpr int64_t kIdleIntervalNanos = 10'000'000'000;

double Millis(absl::Duration duration) { return absl::ToDoubleMilliseconds(duration); }
double Nanos(absl::Duration duration) {
  return static_cast<double>(absl::ToInt64Nanoseconds(duration));
}
double Count(uint64_t count) { return static_cast<double>(count); }
double Millis(EventTime time) { return static_cast<double>(time.millis()); }

// A total and its growth per second.
void AddMeter(std::string_view name, std::string_view rate_name, double total, RateMeter& meter,
              int64_t now_nanos, MetricReportBuilder* report) {
  report->Add(name, total);
  report->Add(rate_name, meter.Update(total, now_nanos));
}

std::string OperatorLabels(const OperatorMetrics& op) {
  return StrCat(PrometheusLabel("operator_id", ToString(op.id)), ",",
                PrometheusLabel("operator_name", op.name.substr(0, kMaxOperatorName)));
}

}  // namespace

struct MetricsCollector::TaskEntry {
  struct OperatorRates {
    RateMeter records_in;
    RateMeter records_out;
    RateMeter bytes_in;
    RateMeter bytes_out;
  };
  TaskIdentity identity;
  std::shared_ptr<const Task> task;
  MetricReport last;
  uint64_t round = 0;          // In which `last` was measured.
  uint64_t names_version = 0;  // That `last`'s names are of.
  TaskActivity activity;
  int64_t active_nanos = 0;
  int64_t measured_nanos = 0;
  RateMeter busy, running, idle, back_pressured, records_in, records_out, bytes_in, bytes_in_local,
      bytes_in_remote, bytes_out, batches_in_local, batches_in_remote, batches_out, mails;
  std::vector<OperatorRates> operators;

  // Whether it may have changed since it was measured.
  bool IsDue(int64_t now_nanos);
  void AddTo(const std::vector<OperatorMetrics>& all_operators, int64_t now_nanos, absl::Time now,
             MetricReportBuilder* report);

 private:
  void AddTimes(const TaskMetricsSnapshot& metrics, int64_t now_nanos, MetricReportBuilder* report);
  void AddTraffic(const TaskMetricsSnapshot& metrics, int64_t now_nanos,
                  MetricReportBuilder* report);
  void AddQueues(MetricReportBuilder* report) const;
  void AddOperator(const std::vector<OperatorMetrics>& all_operators, size_t index,
                   const TaskMetricsSnapshot& metrics, int64_t now_nanos, absl::Time now,
                   MetricReportBuilder* report);
  void AddSource(const OperatorMetrics& op, int64_t now_nanos, absl::Time now,
                 MetricReportBuilder* report) const;
};

struct MetricsCollector::CoordinatorEntry {
  JobId job;
  std::string operator_name;
  std::shared_ptr<const MetricGroup> group;
  MetricReport last;
  uint64_t round = 0;  // In which `last` became what it is.
  uint64_t names_version = 0;
};

MetricsCollector::MetricsCollector(ProcessSources sources)
    : sources_(std::move(sources)),
      labels_(StrCat(PrometheusLabel("host", sources_.host), ",",
                     PrometheusLabel("tm_id", sources_.task_manager_id))),
      process_metrics_(0),
      latest_(std::make_shared<const CollectedMetrics>()) {
  Collect(MonotonicNanos(), SystemClock()->Now());
}

MetricsCollector::~MetricsCollector() = default;

void MetricsCollector::AddTask(TaskIdentity identity, std::shared_ptr<const Task> task) {
  auto entry = std::make_unique<TaskEntry>();
  const ExecutionAttemptId attempt = identity.attempt;
  entry->identity = std::move(identity);
  entry->task = std::move(task);
  tasks_[attempt] = std::move(entry);
}

void MetricsCollector::RemoveTask(ExecutionAttemptId attempt) { tasks_.erase(attempt); }

void MetricsCollector::AddCoordinator(JobId job, ExecutionAttemptId attempt,
                                      const std::string& operator_name,
                                      std::shared_ptr<const MetricGroup> group) {
  auto entry = std::make_unique<CoordinatorEntry>();
  entry->job = job;
  entry->operator_name = operator_name;
  entry->group = std::move(group);
  coordinators_[attempt] = std::move(entry);
}

void MetricsCollector::RemoveCoordinator(ExecutionAttemptId attempt) {
  coordinators_.erase(attempt);
}

void MetricsCollector::Collect(int64_t now_nanos, absl::Time now) {
  auto collected = std::make_shared<CollectedMetrics>();
  collected->round = ++round_;
  collected->process = ReportProcess(now_nanos);
  collected->subtasks.reserve(tasks_.size());
  for (const auto& [attempt, entry] : tasks_) {
    if (entry->IsDue(now_nanos)) ReportTask(*entry, now_nanos, now);
    collected->subtasks.push_back({entry->identity.job, attempt, entry->last, entry->round});
  }
  for (const auto& [attempt, entry] : coordinators_) {
    ReportCoordinator(*entry);
    collected->coordinators.push_back({entry->job, attempt, entry->last, entry->round});
  }
  // Those of one vertex side by side, so that what is made of them finds their names at hand.
  std::sort(collected->subtasks.begin(), collected->subtasks.end(),
            [](const CollectedMetrics::Scope& a, const CollectedMetrics::Scope& b) {
              return std::tie(a.job, a.report.layout, a.attempt) <
                     std::tie(b.job, b.report.layout, b.attempt);
            });
  {
    const MutexLock lock(&mutex_);
    latest_ = std::move(collected);
  }
  ForgetUnusedLayouts();
}

std::shared_ptr<const CollectedMetrics> MetricsCollector::Latest() const {
  const MutexLock lock(&mutex_);
  return latest_;
}

std::string MetricsCollector::RenderPrometheus() const {
  const std::shared_ptr<const CollectedMetrics> latest = Latest();
  std::vector<const MetricReport*> reports;
  reports.reserve(latest->subtasks.size() + 1);
  reports.push_back(&latest->process);
  for (const CollectedMetrics::Scope& subtask : latest->subtasks) {
    reports.push_back(&subtask.report);
  }
  return weir::RenderPrometheus(reports);
}

MetricReport MetricsCollector::ReportProcess(int64_t now_nanos) {
  MetricReportBuilder report =
      last_process_.layout == nullptr
          ? MetricReportBuilder("flink_taskmanager", labels_)
          : MetricReportBuilder(last_process_.layout, last_process_.label_sets);
  const ProcessStatistics statistics = ReadProcessStatistics();
  process_metrics_.AddTo(statistics, now_nanos, &report);
  const auto used = static_cast<double>(sources_.memory_budget->used_bytes());
  const auto limit = static_cast<double>(sources_.memory_budget->limit_bytes());
  report.Add("Status.Flink.Memory.Managed.Used", used);
  report.Add("Status.Flink.Memory.Managed.Total", limit);
  // One budget serves state and batches alike: what the data plane may take is what is free of it.
  QueueUsage queued;
  for (const auto& [attempt, entry] : tasks_) queued += entry->task->input_usage();
  constexpr double kSegmentBytes = 32 << 10;  // Flink counts its network memory in these.
  const double total = queued.num_bytes + std::max(0.0, limit - used);
  report.BeginScope("Status.Shuffle.Netty", "Status_Shuffle_Netty", "");
  report.Add("UsedMemory", queued.num_bytes);
  report.Add("AvailableMemory", total - queued.num_bytes);
  report.Add("TotalMemory", total);
  report.Add("UsedMemorySegments", std::ceil(queued.num_bytes / kSegmentBytes));
  report.Add("AvailableMemorySegments", std::floor((total - queued.num_bytes) / kSegmentBytes));
  report.Add("TotalMemorySegments", std::floor(total / kSegmentBytes));
  report.Add("RequestedMemoryUsage", total == 0 ? 0 : 100 * queued.num_bytes / total);
  report.EndScope();
  const auto counted = [](const std::atomic<uint64_t>& counter) {
    return Count(counter.load(std::memory_order_relaxed));
  };
  report.BeginScope("Status.Network", "Status_Network", "");
  report.Add("numBytesSent", counted(sources_.sent->bytes_sent));
  report.Add("numBytesReceived", counted(sources_.received->bytes_received));
  report.Add(
      "numConnections",
      static_cast<double>(sources_.sent->num_connections.load(std::memory_order_relaxed) +
                          sources_.received->num_connections.load(std::memory_order_relaxed)));
  report.EndScope();
  last_process_ = report.Finish();
  return last_process_;
}

bool MetricsCollector::TaskEntry::IsDue(int64_t now_nanos) {
  if (activity.Update(task->metrics())) active_nanos = now_nanos;
  return round == 0 || now_nanos - active_nanos <= kActiveNanos ||
         now_nanos - measured_nanos >= kIdleIntervalNanos;
}

void MetricsCollector::ReportTask(TaskEntry& entry, int64_t now_nanos, absl::Time now) {
  entry.round = round_;
  entry.measured_nanos = now_nanos;
  const std::vector<OperatorMetrics> operators = entry.task->operator_metrics();
  entry.operators.resize(operators.size());
  const auto version = [&operators] {
    uint64_t sum = 1;
    for (const OperatorMetrics& op : operators) sum += op.group->version();
    return sum;
  };
  if (entry.names_version == version()) {
    MetricReportBuilder report(entry.last.layout, entry.last.label_sets);
    entry.AddTo(operators, now_nanos, now, &report);
    // Unless an operator made a metric at this very moment, the names are still the right ones.
    if (entry.names_version == version()) {
      entry.last = report.Finish();
      return;
    }
  }
  entry.names_version = version();
  const TaskIdentity& identity = entry.identity;
  MetricReportBuilder report(
      "flink_taskmanager_job_task",
      StrCat(labels_, ",", PrometheusLabel("job_id", ToString(identity.job)), ",",
             PrometheusLabel("job_name", identity.job_name), ",",
             PrometheusLabel("task_id", ToString(identity.vertex)), ",",
             PrometheusLabel("task_name", identity.vertex_name), ",",
             PrometheusLabel("task_attempt_id", ToString(identity.attempt)), ",",
             PrometheusLabel("task_attempt_num", StrCat(identity.attempt_number)), ",",
             PrometheusLabel("subtask_index", StrCat(identity.subtask))));
  entry.AddTo(operators, now_nanos, now, &report);
  entry.last = report.Finish();
  entry.last.layout = Intern(entry.last.layout);
}

void MetricsCollector::TaskEntry::AddTo(const std::vector<OperatorMetrics>& all_operators,
                                        int64_t now_nanos, absl::Time now,
                                        MetricReportBuilder* report) {
  const TaskMetricsSnapshot metrics = task->metrics();
  AddTimes(metrics, now_nanos, report);
  AddTraffic(metrics, now_nanos, report);
  AddQueues(report);
  report->Add("currentInputWatermark", Millis(metrics.watermark));
  report->Add("checkpointAlignmentTime", Nanos(metrics.checkpoint_alignment));
  report->Add("checkpointStartDelayNanos", Nanos(metrics.checkpoint_start_delay));
  if (metrics.debloated_bytes.has_value()) {
    report->Add("debloatedBufferSize", Count(*metrics.debloated_bytes));
    report->Add("estimatedTimeToConsumeBuffersMs", Millis(metrics.time_to_consume));
  }
  report->Add("initializationTime", Millis(metrics.initialization));
  const HistogramSnapshot mail_latency = task->mail_latency_ms();
  report->AddHistogram("mailboxLatencyMs", mail_latency);
  report->Add("mailboxMailsPerSecond", mails.Update(Count(mail_latency.count), now_nanos));
  report->Add("mailboxQueueSize", Count(task->num_queued_mails()));
  for (size_t i = 0; i < all_operators.size(); ++i) {
    AddOperator(all_operators, i, metrics, now_nanos, now, report);
  }
}

// A task that is back-pressured does nothing at all until there is room: what Flink calls hard.
void MetricsCollector::TaskEntry::AddTimes(const TaskMetricsSnapshot& metrics, int64_t now_nanos,
                                           MetricReportBuilder* report) {
  const double back_pressured_ms = Millis(metrics.backpressured);
  const double back_pressured_rate = back_pressured.Update(back_pressured_ms, now_nanos);
  report->Add("accumulateBusyTimeMs", std::floor(Millis(metrics.busy)));
  report->Add("accumulateIdleTimeMs", std::floor(Millis(metrics.idle)));
  report->Add("accumulateBackPressuredTimeMs", std::floor(back_pressured_ms));
  report->Add("busyTimeMsPerSecond", busy.Update(Millis(metrics.busy), now_nanos));
  report->Add("runningTimeMsPerSecond", running.Update(Millis(metrics.running), now_nanos));
  report->Add("idleTimeMsPerSecond", idle.Update(Millis(metrics.idle), now_nanos));
  report->Add("backPressuredTimeMsPerSecond", back_pressured_rate);
  report->Add("hardBackPressuredTimeMsPerSecond", back_pressured_rate);
  report->Add("softBackPressuredTimeMsPerSecond", 0);
  report->Add("changelogBusyTimeMsPerSecond", 0);  // There is no changelog.
  report->Add("isBackPressured", metrics.is_backpressured ? 1 : 0);
  report->Add("maxHardBackPressureTimeMs", std::floor(Millis(metrics.longest_backpressure)));
  report->Add("maxSoftBackPressureTimeMs", 0);
}

void MetricsCollector::TaskEntry::AddTraffic(const TaskMetricsSnapshot& metrics, int64_t now_nanos,
                                             MetricReportBuilder* report) {
  const auto meter = [&](std::string_view name, std::string_view rate_name, uint64_t total,
                         RateMeter& rate) {
    report->Add(name, Count(total));
    const double per_second = rate.Update(Count(total), now_nanos);
    report->Add(rate_name, per_second);
    return per_second;
  };
  meter("numRecordsIn", "numRecordsInPerSecond", metrics.records_in, records_in);
  meter("numRecordsOut", "numRecordsOutPerSecond", metrics.records_out, records_out);
  meter("numBytesIn", "numBytesInPerSecond", metrics.bytes_in, bytes_in);
  meter("numBytesOut", "numBytesOutPerSecond", metrics.bytes_out, bytes_out);
  // A buffer is what travels at once: here a batch.
  meter("numBuffersOut", "numBuffersOutPerSecond", metrics.batches_out, batches_out);
  const double local_bytes =
      meter("numBytesInLocal", "numBytesInLocalPerSecond", metrics.bytes_in_local, bytes_in_local);
  const double remote_bytes = meter("numBytesInRemote", "numBytesInRemotePerSecond",
                                    metrics.bytes_in_remote, bytes_in_remote);
  const double local = meter("numBuffersInLocal", "numBuffersInLocalPerSecond",
                             metrics.batches_in_local, batches_in_local);
  const double remote = meter("numBuffersInRemote", "numBuffersInRemotePerSecond",
                              metrics.batches_in_remote, batches_in_remote);
  // The same again where Flink has them too.
  report->BeginScope("Shuffle.Netty.Input", "Shuffle_Netty_Input", "");
  report->Add("numBytesInLocal", Count(metrics.bytes_in_local));
  report->Add("numBytesInLocalPerSecond", local_bytes);
  report->Add("numBytesInRemote", Count(metrics.bytes_in_remote));
  report->Add("numBytesInRemotePerSecond", remote_bytes);
  report->Add("numBuffersInLocal", Count(metrics.batches_in_local));
  report->Add("numBuffersInLocalPerSecond", local);
  report->Add("numBuffersInRemote", Count(metrics.batches_in_remote));
  report->Add("numBuffersInRemotePerSecond", remote);
  report->EndScope();
}

void MetricsCollector::TaskEntry::AddQueues(MetricReportBuilder* report) const {
  const QueueUsage input = task->input_usage();
  report->BeginScope("Shuffle.Netty.Input.Buffers", "Shuffle_Netty_Input_Buffers", "");
  report->Add("inputQueueLength", std::round(input.num_elements));
  report->Add("inputQueueSize", std::round(input.num_bytes));
  report->Add("inPoolUsage", input.Fraction());
  // A channel has its own bytes and shares none.
  report->Add("inputExclusiveBuffersUsage", input.Fraction());
  report->Add("inputFloatingBuffersUsage", 0);
  report->EndScope();
  const QueueUsage output = task->output_usage();
  report->BeginScope("Shuffle.Netty.Output.Buffers", "Shuffle_Netty_Output_Buffers", "");
  report->Add("outputQueueLength", std::round(output.num_elements));
  report->Add("outputQueueSize", std::round(output.num_bytes));
  report->Add("outPoolUsage", output.Fraction());
  report->EndScope();
}

void MetricsCollector::TaskEntry::AddOperator(const std::vector<OperatorMetrics>& all_operators,
                                              size_t index, const TaskMetricsSnapshot& metrics,
                                              int64_t now_nanos, absl::Time now,
                                              MetricReportBuilder* report) {
  const OperatorMetrics& op = all_operators[index];
  OperatorRates& rates = operators[index];
  if (report->with_names()) {
    // Two operators of one name would otherwise be one to REST.
    const auto same = std::count_if(
        all_operators.begin(), all_operators.begin() + static_cast<std::ptrdiff_t>(index),
        [&op](const OperatorMetrics& earlier) { return earlier.name == op.name; });
    std::string name = MetricScopeName(op.name.substr(0, kMaxOperatorName));
    if (same > 0) name += StrCat("_", same + 1);
    report->BeginScope(name, "operator", OperatorLabels(op));
  }
  AddMeter("numRecordsIn", "numRecordsInPerSecond", Count(op.num_records_in), rates.records_in,
           now_nanos, report);
  AddMeter("numRecordsOut", "numRecordsOutPerSecond", Count(op.num_records_out), rates.records_out,
           now_nanos, report);
  if (index == 0 && !op.is_source) {
    AddMeter("numBytesIn", "numBytesInPerSecond", Count(metrics.bytes_in), rates.bytes_in,
             now_nanos, report);
  }
  if (index + 1 == all_operators.size()) {
    AddMeter("numBytesOut", "numBytesOutPerSecond", Count(metrics.bytes_out), rates.bytes_out,
             now_nanos, report);
  }
  report->Add("currentOutputWatermark", Millis(op.output_watermark));
  if (op.is_source) {
    AddSource(op, now_nanos, now, report);
  } else {
    report->Add("currentInputWatermark", Millis(op.input_watermark));
  }
  report->AddGroup(*op.group);
  report->EndScope();
}

// -1 is what Flink gives while it does not know.
void MetricsCollector::TaskEntry::AddSource(const OperatorMetrics& op, int64_t now_nanos,
                                            absl::Time now, MetricReportBuilder* report) const {
  const EventTime watermark = op.output_watermark;
  const bool known = watermark != EventTime::Min() && watermark != EventTime::Max();
  report->Add("watermarkLag",
              known ? static_cast<double>(absl::ToUnixMillis(now) - watermark.millis()) : -1);
  report->Add("currentEmitEventTimeLag", op.emit_event_time_lag_ms == OperatorMetrics::kNoLag
                                             ? -1
                                             : static_cast<double>(op.emit_event_time_lag_ms));
  const int64_t idle_nanos =
      op.emit_nanos == 0 ? 0 : std::max<int64_t>(0, now_nanos - op.emit_nanos);
  report->Add("sourceIdleTime", static_cast<double>(idle_nanos / 1'000'000));
}

void MetricsCollector::ReportCoordinator(CoordinatorEntry& entry) {
  const uint64_t version = entry.group->version() + 1;
  // Few and small: their names are made anew each time but for the layout that they share.
  MetricReportBuilder report("", "");
  report.BeginScope(
      StrCat(MetricScopeName(entry.operator_name.substr(0, kMaxOperatorName)), ".coordinator"), "",
      "");
  report.AddGroup(*entry.group);
  report.EndScope();
  MetricReport made = report.Finish();
  made.layout = version == entry.names_version && *made.layout == *entry.last.layout
                    ? entry.last.layout
                    : Intern(made.layout);
  entry.names_version = version;
  if (entry.round != 0 && made.layout == entry.last.layout && made.values == entry.last.values) {
    return;
  }
  entry.round = round_;
  entry.last = std::move(made);
}

std::shared_ptr<const MetricLayout> MetricsCollector::Intern(
    std::shared_ptr<const MetricLayout> layout) {
  uint64_t hash = layout->names.size();
  for (const std::string& name : layout->names) {
    hash = hash * 1099511628211ULL + std::hash<std::string>()(name);
  }
  const auto [begin, end] = layouts_.equal_range(hash);
  for (auto known = begin; known != end; ++known) {
    if (*known->second == *layout) return known->second;
  }
  layouts_.emplace(hash, layout);
  return layout;
}

void MetricsCollector::ForgetUnusedLayouts() {
  std::erase_if(layouts_, [](const auto& entry) { return entry.second.use_count() == 1; });
}

}  // namespace weir
