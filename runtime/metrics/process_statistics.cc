#include "runtime/metrics/process_statistics.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include "runtime/metrics/metric_report.h"

namespace weir {
namespace {

int64_t CountEntries(const char* folder) {
  std::error_code error;
  int64_t count = 0;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    ++count;
  }
  return count;
}

struct Memory {
  int64_t resident_bytes = 0;
  int64_t mapped_file_bytes = 0;
};

Memory ReadMemory() {
  const int64_t page_bytes = sysconf(_SC_PAGESIZE);
  int64_t total_pages = 0;
  int64_t resident_pages = 0;
  int64_t shared_pages = 0;
  std::ifstream statm("/proc/self/statm");
  if (!(statm >> total_pages >> resident_pages >> shared_pages)) return {};
  return {resident_pages * page_bytes, shared_pages * page_bytes};
}

}  // namespace

int64_t ReadResidentBytes() { return ReadMemory().resident_bytes; }

ProcessStatistics ReadProcessStatistics() {
  ProcessStatistics statistics;
  timespec cpu = {};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0) {
    statistics.cpu_nanos = int64_t{cpu.tv_sec} * 1'000'000'000 + cpu.tv_nsec;
  }
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    statistics.max_open_files = static_cast<int64_t>(files.rlim_cur);
  }
  statistics.num_open_files = CountEntries("/proc/self/fd");
  statistics.num_threads = CountEntries("/proc/self/task");
  const Memory memory = ReadMemory();
  statistics.resident_bytes = memory.resident_bytes;
  statistics.mapped_file_bytes = memory.mapped_file_bytes;
  statistics.physical_memory_bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  statistics.num_cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  return statistics;
}

void ProcessMetrics::AddTo(const ProcessStatistics& statistics, int64_t now_nanos,
                           MetricReportBuilder* report) {
  if (last_nanos_ != 0 && now_nanos > last_nanos_) {
    load_ = static_cast<double>(statistics.cpu_nanos - last_cpu_nanos_) /
            static_cast<double>(now_nanos - last_nanos_) / statistics.num_cores;
  }
  last_nanos_ = now_nanos;
  last_cpu_nanos_ = statistics.cpu_nanos;

  const auto heap = static_cast<double>(
      std::max<int64_t>(0, statistics.resident_bytes - statistics.mapped_file_bytes));
  const auto mapped = static_cast<double>(statistics.mapped_file_bytes);
  const auto heap_max =
      static_cast<double>(heap_max_bytes_ > 0 ? heap_max_bytes_ : statistics.physical_memory_bytes);
  report->BeginScope("Status.JVM", "Status_JVM", "");
  report->Add("CPU.Load", load_);
  report->Add("CPU.Time", static_cast<double>(statistics.cpu_nanos));
  report->Add("Threads.Count", static_cast<double>(statistics.num_threads));
  report->Add("FileDescriptor.Open", static_cast<double>(statistics.num_open_files));
  report->Add("FileDescriptor.Max", static_cast<double>(statistics.max_open_files));
  report->Add("Memory.Heap.Used", heap);
  report->Add("Memory.Heap.Committed", heap);
  report->Add("Memory.Heap.Max", heap_max);
  report->Add("Memory.NonHeap.Used", mapped);
  report->Add("Memory.NonHeap.Committed", mapped);
  report->Add("Memory.NonHeap.Max", mapped);
  // There is no such thing in this process; dashboards ask all the same.
  for (const std::string_view name :
       {"Memory.Metaspace.Used", "Memory.Metaspace.Committed", "Memory.Metaspace.Max",
        "Memory.Direct.Count", "Memory.Direct.MemoryUsed", "Memory.Direct.TotalCapacity",
        "Memory.Mapped.Count", "Memory.Mapped.MemoryUsed", "Memory.Mapped.TotalCapacity",
        "ClassLoader.ClassesLoaded", "ClassLoader.ClassesUnloaded"}) {
    report->Add(name, 0);
  }
  for (const std::string_view collector : {"All", "G1_Young_Generation", "G1_Old_Generation"}) {
    const std::string scope = "GarbageCollector." + std::string(collector);
    report->BeginScope(scope, scope, "");
    for (const std::string_view name : {"Count", "Time", "TimeMsPerSecond"}) report->Add(name, 0);
    report->EndScope();
  }
  report->EndScope();
}

}  // namespace weir
