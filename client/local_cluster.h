#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/child_process.h"
#include "client/signal_waiter.h"
#include "client/work_folder.h"
#include "runtime/base/clock.h"
#include "runtime/base/config.h"

namespace weir {

struct LocalClusterOptions {
  /// Where weir-jobmanager and weir-taskmanager are.
  std::string program_folder = {};
  int task_managers = 2;
  std::optional<uint32_t> slots = {};
  std::optional<uint16_t> rest_port = {};
  bool restart_task_managers = true;
  /// What the children get too; they read the environment themselves.
  ConfigurationSources sources = {};
  /// The effective settings of `sources`.
  Configuration configuration = {};
};

/// A JobManager and its TaskManagers as child processes.
///
/// Lifecycle: Start → Supervise → Stop; destroyed, it kills what still runs. Threads: one.
/// Ownership: borrows the folder and the signals.
class LocalCluster {
 public:
  LocalCluster(LocalClusterOptions options, const WorkFolder* folder, SignalWaiter* signals);
  ~LocalCluster();
  LocalCluster(const LocalCluster&) = delete;
  LocalCluster& operator=(const LocalCluster&) = delete;

  /// Starts the JobManager, then the TaskManagers, and waits until REST answers with all of them
  /// registered. Errors: kUnavailable if a process does not start or ends, with the end of its log;
  /// kDeadlineExceeded; kCancelled if a signal asks for the end meanwhile.
  [[nodiscard]] absl::Status Start();

  /// Watches over the processes until a signal asks for the end (OK). Says on stderr when a
  /// TaskManager dies, and starts a new one if so wanted. Errors: kUnavailable if the JobManager
  /// dies, with the end of its log.
  [[nodiscard]] absl::Status Supervise();

  /// Ends the JobManager first, so that it does not take the TaskManagers' end for a failure of
  /// their jobs, then the TaskManagers; kills what does not end in time, or at once when a signal
  /// asks again. Errors: kDeadlineExceeded if something had to be killed.
  [[nodiscard]] absl::Status Stop();

  [[nodiscard]] const std::string& rest_address() const { return rest_address_; }
  /// One line for each process: its name, process id and log.
  [[nodiscard]] std::string Describe() const;

 private:
  struct Member {
    std::string name;
    std::string log;
    std::optional<ChildProcess> process;
    Stopwatch lifetime;
    int quick_deaths = 0;  // In a row.
  };

  absl::Status StartJobManager();
  absl::Status AwaitJobManager(int pipe);
  absl::Status StartTaskManager(Member* member);
  absl::Status AwaitTaskManagers();
  /// Waits for a signal or a moment. Errors: kCancelled if it asks for the end.
  absl::Status Pause();
  absl::Status CheckAlive(Member* member);
  void ReviveTaskManagers();
  bool End(const std::vector<Member*>& members, absl::Duration grace);
  [[nodiscard]] std::vector<std::string> CommonArguments() const;

  const LocalClusterOptions options_;
  const WorkFolder* const folder_;
  SignalWaiter* const signals_;
  Member job_manager_;
  std::vector<Member> task_managers_;
  int ready_pipe_ = -1;  // Open for as long as the JobManager may write to it.
  std::string rest_address_;
  std::string rpc_address_;
};

}  // namespace weir
