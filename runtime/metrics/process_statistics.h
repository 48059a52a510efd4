#pragma once

#include <cstdint>

namespace weir {

class MetricReportBuilder;

/// What the system says of this process.
struct ProcessStatistics {
  int64_t cpu_nanos = 0;  // Of all threads since the process began.
  int64_t num_threads = 0;
  int64_t num_open_files = 0;
  int64_t max_open_files = 0;
  int64_t resident_bytes = 0;
  int64_t mapped_file_bytes = 0;      // The resident part of files: code and libraries mostly.
  int64_t physical_memory_bytes = 0;  // Of the machine.
  int num_cores = 1;
};

/// Reads them from /proc; what cannot be read is 0.
[[nodiscard]] ProcessStatistics ReadProcessStatistics();
/// Returns only how much memory is resident; some microseconds.
[[nodiscard]] int64_t ReadResidentBytes();

/// Adds the Status.JVM metrics of a process by Flink's names, and knows its CPU load.
///
/// A process without a Java machine has no garbage collector, class loader or metaspace: those are
/// 0. Its heap is what is resident and not of files. Threads: one at a time.
class ProcessMetrics {
 public:
  /// `heap_max_bytes` is what the process may take; 0 takes the machine's memory.
  explicit ProcessMetrics(int64_t heap_max_bytes) : heap_max_bytes_(heap_max_bytes) {}

  void AddTo(const ProcessStatistics& statistics, int64_t now_nanos, MetricReportBuilder* report);

 private:
  const int64_t heap_max_bytes_;
  int64_t last_nanos_ = 0;
  int64_t last_cpu_nanos_ = 0;
  double load_ = 0;
};

}  // namespace weir
