#include "client/in_process_cluster.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/time/clock.h"
#include "client/cluster_client.h"
#include "client/settings.h"
#include "jobmanager/job_manager.h"
#include "runtime/base/clock.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "taskmanager/task_manager.h"

namespace weir {
namespace {

constexpr absl::Duration kRegistrationTimeout = absl::Seconds(30);
constexpr absl::Duration kPollInterval = absl::Milliseconds(5);

absl::Status AwaitTaskManager(const std::string& rest_address) {
  ASSIGN_OR_RETURN(RestClient rest, RestClient::Create(rest_address));
  const ClusterClient client(std::move(rest));
  const Stopwatch waited;
  while (true) {
    ASSIGN_OR_RETURN(const ClusterStatus status, client.Overview());
    if (status.task_managers > 0) return absl::OkStatus();
    if (waited.Elapsed() > kRegistrationTimeout) {
      return absl::DeadlineExceededError("the TaskManager did not register with its JobManager");
    }
    absl::SleepFor(kPollInterval);
  }
}

}  // namespace

struct InProcessCluster::Parts {
  explicit Parts(WorkFolder work_folder) : folder(std::move(work_folder)) {}

  WorkFolder folder;
  std::unique_ptr<JobManager> job_manager;
  std::unique_ptr<TaskManager> task_manager;
};

absl::StatusOr<std::unique_ptr<InProcessCluster>> InProcessCluster::Start(
    Configuration configuration, uint32_t slots) {
  ASSIGN_OR_RETURN(WorkFolder folder, WorkFolder::Open("", configuration.Get(kIoTmpDirs)));
  auto parts = std::make_unique<Parts>(std::move(folder));
  SetDefault(kCheckpointingDir, parts->folder.Below("checkpoints"), &configuration);

  JobManagerOptions job_manager = JobManagerOptions::FromConfiguration(configuration);
  job_manager.bind_address = "127.0.0.1";
  job_manager.rest_bind_address = "127.0.0.1";
  job_manager.rest_port = 0;
  job_manager.rpc_port = 0;
  job_manager.working_dir = parts->folder.Below("tmp/jobmanager");
  job_manager.keep_jobs = false;  // They belong to this process.
  ASSIGN_OR_RETURN(parts->job_manager, JobManager::Start(std::move(job_manager)));

  TaskManagerOptions task_manager = TaskManagerOptions::FromConfiguration(configuration);
  task_manager.jobmanager_address = StrCat("127.0.0.1:", parts->job_manager->rpc_port());
  task_manager.host = "127.0.0.1";
  task_manager.data_port = 0;
  task_manager.num_slots = slots;
  task_manager.temp_dir = parts->folder.Below("tmp");
  ASSIGN_OR_RETURN(parts->task_manager, TaskManager::Start(std::move(task_manager)));

  std::unique_ptr<InProcessCluster> cluster(new InProcessCluster(std::move(parts)));
  RETURN_IF_ERROR(AwaitTaskManager(cluster->rest_address()));
  return cluster;
}

InProcessCluster::InProcessCluster(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

InProcessCluster::~InProcessCluster() { static_cast<void>(Stop()); }

absl::Status InProcessCluster::Stop() {
  // That each half loses the other is no news here.
  static_cast<void>(InitLogging({.level = LogLevel::kError}));
  // The TaskManager first: its tasks write to the folder.
  absl::Status stopped;
  if (parts_->task_manager != nullptr) stopped = parts_->task_manager->Stop();
  if (parts_->job_manager != nullptr) parts_->job_manager->Stop();
  return stopped;
}

void InProcessCluster::EndProcess(int exit_code) {
  std::fflush(nullptr);
  std::error_code ignored;
  std::filesystem::remove_all(parts_->folder.path(), ignored);
  _exit(exit_code);
}

std::string InProcessCluster::rest_address() const {
  return StrCat("127.0.0.1:", parts_->job_manager->rest_port());
}

}  // namespace weir
