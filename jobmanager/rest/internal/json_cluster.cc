#include <algorithm>
#include <array>
#include <cctype>

#include "jobmanager/rest/internal/json_fields.h"
#include "jobmanager/rest/internal/json_rendering.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

constexpr int64_t kMebibyte = int64_t{1} << 20;

Json ResourceJson(const ResourceProfile& resource) {
  return {{"cpuCores", resource.cpu_cores},
          {"taskHeapMemory", resource.task_heap_bytes / kMebibyte},
          {"taskOffHeapMemory", resource.task_off_heap_bytes / kMebibyte},
          {"managedMemory", resource.managed_memory_bytes / kMebibyte},
          {"networkMemory", resource.network_memory_bytes / kMebibyte},
          {"extendedResources", Json::object()}};
}

/// Parts that only a JVM has are 0.
Json MemoryConfigurationJson(const ResourceProfile& total) {
  const int64_t sum = total.task_heap_bytes + total.task_off_heap_bytes +
                      total.managed_memory_bytes + total.network_memory_bytes;
  return {{"frameworkHeap", 0},
          {"taskHeap", total.task_heap_bytes},
          {"frameworkOffHeap", 0},
          {"taskOffHeap", total.task_off_heap_bytes},
          {"networkMemory", total.network_memory_bytes},
          {"managedMemory", total.managed_memory_bytes},
          {"jvmMetaspace", 0},
          {"jvmOverhead", 0},
          {"totalFlinkMemory", sum},
          {"totalProcessMemory", sum}};
}

Json TaskManagerJson(const TaskManagerInfo& info) {
  return {{"id", info.id},
          {"path", info.path},
          {"dataPort", info.data_port},
          {"jmxPort", -1},
          {"timeSinceLastHeartbeat", Millis(info.last_heartbeat, 0)},  // Flink's name; an instant.
          {"slotsNumber", info.num_slots},
          {"freeSlots", info.num_free_slots},
          {"totalResource", ResourceJson(info.total_resource)},
          {"freeResource", ResourceJson(info.free_resource)},
          {"hardware",
           {{"cpuCores", info.num_cpu_cores},
            {"physicalMemory", info.physical_memory_bytes},
            {"freeMemory", info.free_memory_bytes},
            {"managedMemory", info.total_resource.managed_memory_bytes}}},
          {"memoryConfiguration", MemoryConfigurationJson(info.total_resource)}};
}

Json TaskManagerMetricsJson(const TaskManagerMetrics& metrics) {
  constexpr int64_t kSegment = 32 * 1024;  // Flink counts network memory in segments of this size.
  const int64_t total = metrics.network_memory_total_bytes;
  const int64_t used = metrics.network_memory_used_bytes;
  return {{"heapUsed", metrics.memory_used_bytes},
          {"heapCommitted", metrics.memory_committed_bytes},
          {"heapMax", metrics.memory_budget_bytes},
          {"nonHeapUsed", metrics.other_memory_bytes},
          {"nonHeapCommitted", metrics.other_memory_bytes},
          {"nonHeapMax", -1},
          {"directCount", 0},
          {"directUsed", 0},
          {"directMax", 0},
          {"mappedCount", 0},
          {"mappedUsed", 0},
          {"mappedMax", 0},
          {"nettyShuffleMemorySegmentsAvailable", (total - used) / kSegment},
          {"nettyShuffleMemorySegmentsUsed", used / kSegment},
          {"nettyShuffleMemorySegmentsTotal", total / kSegment},
          {"nettyShuffleMemoryAvailable", total - used},
          {"nettyShuffleMemoryUsed", used},
          {"nettyShuffleMemoryTotal", total},
          {"garbageCollectors", Json::array({{{"name", "All"}, {"count", 0}, {"time", 0}}})}};
}

bool IsSecret(std::string_view key) {
  constexpr std::array<std::string_view, 9> kMarks = {"password",   "secret",      "apikey",
                                                      "api-key",    "auth-params", "service-key",
                                                      "basic-auth", "token",       "jaas.config"};
  std::string lower(key);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(kMarks.begin(), kMarks.end(),
                     [&](std::string_view mark) { return lower.find(mark) != std::string::npos; });
}

}  // namespace

std::string RenderDashboardConfig(const RestApiOptions& options) {
  const absl::TimeZone zone = absl::LocalTimeZone();
  const int64_t offset_seconds = zone.At(options.clock()).offset;
  return Dump({{"refresh-interval", Millis(options.refresh_interval)},
               {"timezone-name", zone.name()},
               {"timezone-offset", offset_seconds * 1000},
               {"flink-version", options.flink_version},
               {"flink-revision", options.revision},
               {"features",
                {{"web-submit", options.web_submit},
                 {"web-cancel", options.web_cancel},
                 {"web-rescale", false},
                 {"web-history", false}}}});
}

std::string RenderClusterOverview(const ClusterOverview& overview, const RestApiOptions& options) {
  return Dump({{"taskmanagers", overview.num_taskmanagers},
               {"slots-total", overview.num_slots},
               {"slots-available", overview.num_free_slots},
               {"jobs-running", overview.num_jobs_running},
               {"jobs-finished", overview.num_jobs_finished},
               {"jobs-cancelled", overview.num_jobs_cancelled},
               {"jobs-failed", overview.num_jobs_failed},
               {"flink-version", options.flink_version},
               {"flink-commit", options.revision}});
}

std::string RenderTaskManagers(const std::vector<TaskManagerInfo>& taskmanagers) {
  Json list = Json::array();
  for (const TaskManagerInfo& info : taskmanagers) list.push_back(TaskManagerJson(info));
  return Dump({{"taskmanagers", std::move(list)}});
}

std::string RenderTaskManager(const TaskManagerInfo& taskmanager) {
  Json slots = Json::array();
  for (const AllocatedSlot& slot : taskmanager.allocated_slots) {
    slots.push_back({{"jobId", ToString(slot.job_id)}, {"resource", ResourceJson(slot.resource)}});
  }
  Json json = TaskManagerJson(taskmanager);
  json["allocatedSlots"] = std::move(slots);
  json["metrics"] = TaskManagerMetricsJson(taskmanager.metrics);
  return Dump(json);
}

std::string RenderConfig(const std::vector<ConfigurationEntry>& entries) {
  Json list = Json::array();
  for (const ConfigurationEntry& entry : entries) {
    list.push_back({{"key", entry.key}, {"value", IsSecret(entry.key) ? "******" : entry.value}});
  }
  return Dump(list);
}

std::string RenderJars(const std::vector<JarFile>& jars, std::string_view address) {
  Json files = Json::array();
  for (const JarFile& jar : jars) {
    Json entries = Json::array();
    for (const JarEntry& entry : jar.entries) {
      entries.push_back({{"name", entry.name}, {"description", entry.description}});
    }
    files.push_back({{"id", jar.id},
                     {"name", jar.name},
                     {"uploaded", Millis(jar.uploaded, 0)},
                     {"entry", std::move(entries)}});
  }
  return Dump({{"address", StrCat("http://", address)}, {"files", std::move(files)}});
}

std::string RenderUploadedJar(std::string_view jar_id) {
  // Clients take the last component of `filename` for the id.
  return Dump({{"filename", StrCat("/jars/", jar_id)}, {"status", "success"}});
}

std::string RenderJobId(JobId job_id) { return Dump({{"jobid", ToString(job_id)}}); }

}  // namespace weir::internal
