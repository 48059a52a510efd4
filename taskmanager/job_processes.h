#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "runtime/base/ids.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/mutex.h"
#include "taskmanager/crash_handler.h"
#include "taskmanager/timer_thread.h"

namespace weir {

struct JobProcessesOptions {
  /// A program that is a TaskManager, and its settings; what JobProcesses adds is in
  /// job_process_flags.h.
  std::vector<std::string> command;
  std::string task_manager_id;
  /// Where each has a folder to work in, which goes with it.
  std::string work_folder;
  /// Where they share what is fetched from the JobManager.
  std::string blob_folder;
  /// Where they leave crash files.
  std::string crash_folder;
  /// The TaskManager's memory and slots: a process gets the share of its slots.
  int64_t memory_bytes = 0;
  uint32_t num_slots = 1;
  /// The TaskManager's own, which is left what the processes have not. Borrowed.
  MemoryBudget* budget = nullptr;
  /// Tells the JobManager of a process that has ended unasked, now or once there is one, and then
  /// marks what the process has written of it: `crash_file`, unless that is empty. Blocks.
  std::function<void(const CrashReport&, const std::string& crash_file)> report;
  /// How long after the start, and after each use of it, a spare process is made.
  absl::Duration spare_delay = absl::Seconds(1);
  /// How long one may take to end.
  absl::Duration end_timeout = absl::Seconds(10);
  /// How long one may take to say its metrics.
  absl::Duration metrics_timeout = absl::Seconds(1);
};

/// Runs, for each job whose code is to be kept apart, one process on this TaskManager that is a
/// TaskManager itself.
///
/// One is kept in reserve, started and waiting to be told its job, so that no job waits for a
/// program to be loaded. Each registers with the JobManager and works with it directly; from here
/// it is told its memory, and asked for its metrics, through a socket (see OwnerLink). It ends when
/// it is asked to, and in no case outlives this process: the kernel kills it when the thread that
/// started it is gone. Threads: any; a thread for each process, which starts it and waits for its
/// end. Lifecycle: Stop, then the timers' Shutdown, before it is destroyed.
class JobProcesses {
 public:
  /// `timers` is borrowed.
  JobProcesses(JobProcessesOptions options, TimerThread* timers);
  /// Stops.
  ~JobProcesses();
  JobProcesses(const JobProcesses&) = delete;
  JobProcesses& operator=(const JobProcesses&) = delete;

  /// Starts the process, or, if it is there, gives it the memory of so many slots. `jobmanager` is
  /// the address where it registers. Does not wait.
  void Run(const std::string& id, JobId job, uint32_t num_slots, const std::string& jobmanager);
  /// Asks the process to end, and kills it if it has not after a while, or else `at_once`. Does not
  /// wait.
  void End(const std::string& id, bool at_once);
  /// Kills all. Does not wait.
  void KillAll();
  /// Returns what those that answer in time have to say to Prometheus. Blocks; one thread at a
  /// time.
  [[nodiscard]] std::vector<std::string> RenderMetrics();
  [[nodiscard]] size_t num_processes() const;
  /// Whether a process is in reserve.
  [[nodiscard]] bool has_spare() const;
  /// Returns the ids of those that were not asked to end.
  [[nodiscard]] std::vector<std::string> ids() const;

  /// Asks all to end and waits for it; kills those that take too long. None starts any more. May be
  /// called twice.
  void Stop();

 private:
  struct Process;

  void PrepareSpare();
  // Makes the spare one, if there is one that takes it, the process of the job.
  std::shared_ptr<Process> TakeSpare(const std::string& id, JobId job, uint32_t num_slots,
                                     const std::string& jobmanager)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Supervise(Process& process, const std::string& jobmanager);
  // What ended is in no list any more.
  void StrikeOff(const Process& process) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Returns an error's number, or 0.
  int Start(Process& process, const std::string& jobmanager) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What the process is told of itself.
  [[nodiscard]] std::vector<std::string> ArgumentsOf(const Process& process,
                                                     const std::string& jobmanager) const;
  void ReportEnd(const Process& process, pid_t pid, int wait_status, bool was_asked) const;
  void Report(const Process& process, const std::string& how, const std::string& text) const;
  void Kill(Process& process) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Ask(Process& process) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DivideMemory() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] std::string FolderOf(const Process& process) const;
  [[nodiscard]] int64_t ShareOf(uint32_t num_slots) const;

  const JobProcessesOptions options_;
  TimerThread* const timers_;
  mutable Mutex mutex_;
  CondVar ended_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, std::shared_ptr<Process>> processes_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Process> spare_ ABSL_GUARDED_BY(mutex_);
  // That have ended. Their threads are over, or about to be.
  std::vector<std::shared_ptr<Process>> finished_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
