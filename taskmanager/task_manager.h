#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/base/config.h"
#include "runtime/base/ids.h"
#include "runtime/state/rocksdb_options.h"
#include "runtime/task/buffer_debloater.h"

namespace weir {

/// What a TaskManager knows that is the process of one job, in slots of another TaskManager.
struct JobProcessOptions {
  /// The id of that TaskManager.
  std::string owner_id;
  JobId job;
  /// The socket to it (see OwnerLink); becomes the TaskManager's.
  int link = -1;
  /// Where the owner and its processes share what they fetch, and where they leave crash files.
  std::string blob_folder;
  std::string crash_folder;
};

/// What a TaskManager needs to know.
struct TaskManagerOptions {
  /// "host:port"; with high availability those of all JobManagers, separated by commas.
  std::string jobmanager_address = "127.0.0.1:6123";
  /// Names it for as long as it lives. Empty: host, data port and a random part.
  std::string id;
  /// Numeric address that its data server listens on and that peers find it by.
  std::string host = "127.0.0.1";
  uint16_t data_port = 0;  // 0: any free one.
  uint32_t num_slots = 2;
  int num_workers = 0;  // 0: one per core.
  int64_t memory_bytes = int64_t{1} << 30;
  RocksDbOptions rocksdb = {};
  size_t channel_bytes = size_t{256} << 10;
  BufferDebloatOptions buffer_debloat = {};
  /// Whether batches go to other TaskManagers LZ4-compressed.
  bool compress_batches = false;
  /// Says where s3:// paths lead.
  Configuration file_system_settings = {};
  /// Its working folder is made in it. Empty: the system's place for temporary files.
  std::string temp_dir;
  /// Whether the process is to tell of its crashes (see CrashHandler); of one TaskManager only.
  bool handle_crashes = false;
  /// Whether nothing else is in the process: then all that it takes has to fit `memory_bytes`.
  bool owns_process = false;
  /// How to start the processes of jobs whose libraries were uploaded: a program that is a
  /// TaskManager, and its settings. Empty: such jobs run here.
  std::vector<std::string> job_process_command = {};
  /// Resident memory that ends the process of a job, as a multiple of its memory; 0: none.
  double job_process_memory_limit = 1.5;
  /// Set in the process of a job.
  std::optional<JobProcessOptions> job_process = {};
  /// Where metrics are served to Prometheus: "9249", "9249-9299", "0" for any free port, or empty
  /// for nowhere.
  std::string metrics_ports;
  absl::Duration metrics_interval = absl::Seconds(2);
  /// How long fetching a job's library and running its Build may take.
  absl::Duration job_build_timeout = absl::Minutes(2);
  /// How long tasks may take to stop before it gives itself up.
  absl::Duration cancellation_timeout = absl::Minutes(3);
  /// How long tasks go on running once the JobManager's process has died.
  absl::Duration jobmanager_loss_timeout = absl::Minutes(1);

  [[nodiscard]] static TaskManagerOptions FromConfiguration(const Configuration& configuration);
};

/// Runs tasks for a JobManager: slots, workers, state, the data plane and the control connection.
/// Jobs of uploaded libraries it runs in processes that are TaskManagers themselves (JobProcesses).
///
/// Place: the whole of a `weir-taskmanager` process; in tests and local runs several live in one
/// process. Threads: any. Lifecycle: Start → (registers as soon as the JobManager is there, again
/// whenever it was lost) → Stop.
class TaskManager {
 public:
  /// Starts everything. Does not wait for the JobManager, which may come later. Errors:
  /// kInvalidArgument for an address that is none, kUnavailable for a port that is taken or a
  /// folder that cannot be made.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<TaskManager>> Start(
      TaskManagerOptions options);
  /// Does what takes time and does not depend on the options, so that Start is quick later.
  static void WarmUp();
  /// Stops.
  ~TaskManager();
  TaskManager(const TaskManager&) = delete;
  TaskManager& operator=(const TaskManager&) = delete;

  /// Cancels all tasks, tells the JobManager and ends all threads. Blocks. May be called twice.
  /// Errors: kDeadlineExceeded if tasks did not stop in time; then threads still run, and only the
  /// process's end helps.
  absl::Status Stop();
  /// Blocks until Stop was called (OK), or until it cannot go on: the JobManager refused it, or its
  /// tasks do not stop.
  [[nodiscard]] absl::Status WaitForTermination();

  [[nodiscard]] const std::string& id() const;
  [[nodiscard]] uint16_t data_port() const;
  /// Of the metrics; 0 if they are not served.
  [[nodiscard]] uint16_t metrics_port() const;
  /// Messages of older leaders that were dropped.
  [[nodiscard]] uint64_t num_stale_messages() const;

 private:
  class Impl;
  explicit TaskManager(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace weir
