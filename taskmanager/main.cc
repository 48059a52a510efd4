// weir-taskmanager: runs tasks for a JobManager until SIGTERM or SIGINT.

#include <sys/prctl.h>
#include <unistd.h>
#include <csignal>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/allocator.h"
#include "runtime/base/config.h"
#include "runtime/base/failpoint.h"
#include "runtime/base/ids.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "taskmanager/job_process_flags.h"
#include "taskmanager/spare_arguments.h"
#include "taskmanager/task_manager.h"

namespace weir {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kOomScoreOfJobProcess = 500;

struct CommandLine {
  ConfigurationSources sources;
  std::string jobmanager;
  std::optional<uint32_t> slots;
  std::string id;
  JobProcessFlags job_process;
};

// What JobProcesses says to a process; nothing for people.
void AddJobProcessFlags(JobProcessFlags* flags, CLI::App* app) {
  const auto add = [&](std::string_view name, auto& value) {
    app->add_option(std::string(name), value)->group("");
  };
  add(kJobProcessOwnerFlag, flags->owner_id);
  add(kJobProcessOwnerPidFlag, flags->owner_pid);
  add(kJobProcessJobFlag, flags->job_id);
  add(kJobProcessMemoryFlag, flags->memory_bytes);
  add(kJobProcessLinkFlag, flags->link);
  add(kJobProcessWorkFolderFlag, flags->work_folder);
  add(kJobProcessBlobFolderFlag, flags->blob_folder);
  add(kJobProcessCrashFolderFlag, flags->crash_folder);
  add(kJobProcessSpareFlag, flags->spare_link);
}

// How to start this program again, with the same settings.
std::vector<std::string> OwnCommand(const ConfigurationSources& sources) {
  std::vector<std::string> command = {"/proc/self/exe"};
  if (!sources.file.empty()) command.insert(command.end(), {"--config", sources.file});
  for (const std::string& definition : sources.definitions) command.push_back("-D" + definition);
  return command;
}

// Fills in what the arguments say. Returns the process's exit code if it is to end.
std::optional<int> Parse(std::vector<std::string> arguments, CommandLine* command_line) {
  CLI::App app("Runs tasks for a JobManager.", "weir-taskmanager");
  app.add_option("--jobmanager", command_line->jobmanager,
                 "HOST:PORT of the JobManager, or of all of them, separated by commas");
  app.add_option("--slots", command_line->slots, "Slots to offer")->check(CLI::Range(1, 65536));
  app.add_option("--id", command_line->id, "Name of this TaskManager; made up if there is none");
  AddJobProcessFlags(&command_line->job_process, &app);
  app.footer("Also --config FILE and -Dkey=value. Settings:\n" + WeirOptions()->DescribeAsText());
  try {
    std::reverse(arguments.begin(), arguments.end());
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return std::nullopt;
}

// As much as can be done before the job is known, so that the job does not wait for it.
absl::StatusOr<std::vector<std::string>> AwaitJob(const CommandLine& command_line, int argc,
                                                  char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // A TaskManager that is gone already has closed the link.
  static_cast<void>(Configuration::Load(WeirOptions(), command_line.sources));
  TaskManager::WarmUp();
  ASSIGN_OR_RETURN(std::vector<std::string> told,
                   ReceiveArguments(command_line.job_process.spare_link));
  const auto job = std::find(told.begin(), told.end(), kJobProcessJobFlag);
  for (int i = 1; i + 1 < argc && job != told.end() && job + 1 != told.end(); ++i) {
    if (argv[i] != kJobProcessJobFlag) continue;
    const size_t room = std::strlen(argv[i + 1]);
    (job + 1)->copy(argv[i + 1], room);  // What `ps` shows.
  }
  return told;
}

// The process of a job is no longer than its owner, and the first to go when memory is short.
absl::Status BecomeJobProcess(const JobProcessFlags& flags, TaskManagerOptions* options) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != flags.owner_pid) {
    return absl::FailedPreconditionError("the TaskManager that started this process is gone");
  }
  std::ofstream("/proc/self/oom_score_adj") << kOomScoreOfJobProcess;
  ASSIGN_OR_RETURN(const JobId job, ParseId<JobId>(flags.job_id));
  options->job_process =
      JobProcessOptions{flags.owner_id, job, flags.link, flags.blob_folder, flags.crash_folder};
  options->job_process_command.clear();
  options->memory_bytes = flags.memory_bytes;
  options->temp_dir = flags.work_folder;
  options->data_port = 0;
  options->metrics_ports.clear();  // Its TaskManager asks for them.
  return absl::OkStatus();
}

// The id names the TaskManager as well, which need not be said in each line.
std::string NameInLogs(const CommandLine& command_line) {
  if (command_line.job_process.owner_id.empty()) return "taskmanager";
  const size_t end = command_line.job_process.owner_id.size() + 1;
  return command_line.id.size() > end ? command_line.id.substr(end) : command_line.id;
}

absl::StatusOr<TaskManagerOptions> MakeOptions(const CommandLine& command_line) {
  ASSIGN_OR_RETURN(const Configuration configuration,
                   Configuration::Load(WeirOptions(), command_line.sources));
  LogOptions log;
  ASSIGN_OR_RETURN(log.level, ParseLogLevel(configuration.Get(kLogLevel)));
  ASSIGN_OR_RETURN(log.format, ParseLogFormat(configuration.Get(kLogFormat)));
  log.process = NameInLogs(command_line);
  RETURN_IF_ERROR(InitLogging(log));
  RETURN_IF_ERROR(ArmFailpointsFromEnvironment());
  TaskManagerOptions options = TaskManagerOptions::FromConfiguration(configuration);
  if (!command_line.jobmanager.empty()) options.jobmanager_address = command_line.jobmanager;
  if (command_line.slots.has_value()) options.num_slots = *command_line.slots;
  options.id = command_line.id;
  options.handle_crashes = true;
  options.owns_process = true;
  if (configuration.Get(kTaskManagerIsolation) == "process") {
    options.job_process_command = OwnCommand(command_line.sources);
  }
  if (!command_line.job_process.owner_id.empty()) {
    RETURN_IF_ERROR(BecomeJobProcess(command_line.job_process, &options));
  }
  return options;
}

// Runs until a signal comes or the TaskManager gives itself up. Ends without destructors where
// tasks do not stop.
int Run(TaskManagerOptions options, const sigset_t& signals) {
  absl::StatusOr<std::unique_ptr<TaskManager>> manager = TaskManager::Start(std::move(options));
  if (!manager.ok()) {
    LogError("taskmanager", ToStd(manager.status().message()));
    return kExitFailed;
  }
  // The signals are blocked in every thread; this one waits for them, or for the word that there is
  // no use.
  std::jthread waiter([&] {
    static_cast<void>((*manager)->WaitForTermination());
    kill(getpid(), SIGTERM);
  });
  int signal = 0;
  sigwait(&signals, &signal);
  LogInfo("taskmanager", "stopping");
  const absl::Status stopped = (*manager)->Stop();
  const absl::Status reason = (*manager)->WaitForTermination();
  if (!stopped.ok()) {
    LogError("taskmanager", ToStd(stopped.message()));
    _exit(kExitFailed);
  }
  return reason.ok() ? 0 : kExitFailed;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  // Before any thread is made, so that all inherit it.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  weir::GiveFreedMemoryBackSoon();

  std::vector<std::string> arguments(argv + 1, argv + argc);
  weir::CommandLine command_line;
  absl::StatusOr<weir::ConfigurationSources> sources = weir::TakeConfigurationSources(&arguments);
  if (!sources.ok()) {
    std::fprintf(stderr, "weir-taskmanager: %s\n", sources.status().ToString().c_str());
    return weir::kExitUsage;
  }
  command_line.sources = *std::move(sources);
  if (const std::optional<int> code = weir::Parse(std::move(arguments), &command_line)) {
    return *code;
  }
  if (command_line.job_process.spare_link >= 0) {
    absl::StatusOr<std::vector<std::string>> told = weir::AwaitJob(command_line, argc, argv);
    if (absl::IsCancelled(told.status())) return 0;
    if (told.ok()) {
      static_cast<void>(weir::Parse(*std::move(told), &command_line));
    } else {
      std::fprintf(stderr, "weir-taskmanager: %s\n", told.status().ToString().c_str());
      return weir::kExitFailed;
    }
  }
  absl::StatusOr<weir::TaskManagerOptions> options = weir::MakeOptions(command_line);
  if (!options.ok()) {
    std::fprintf(stderr, "weir-taskmanager: %s\n", options.status().ToString().c_str());
    return weir::kExitUsage;
  }
  return weir::Run(*std::move(options), signals);
}
