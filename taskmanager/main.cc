// weir-taskmanager: runs tasks for a JobManager until SIGTERM or SIGINT.

#include <unistd.h>
#include <csignal>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/allocator.h"
#include "runtime/base/config.h"
#include "runtime/base/failpoint.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "taskmanager/task_manager.h"

namespace weir {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

struct CommandLine {
  ConfigurationSources sources;
  std::string jobmanager;
  std::optional<uint32_t> slots;
  std::string id;
};

absl::StatusOr<TaskManagerOptions> MakeOptions(const CommandLine& command_line) {
  ASSIGN_OR_RETURN(const Configuration configuration,
                   Configuration::Load(WeirOptions(), command_line.sources));
  LogOptions log;
  ASSIGN_OR_RETURN(log.level, ParseLogLevel(configuration.Get(kLogLevel)));
  ASSIGN_OR_RETURN(log.format, ParseLogFormat(configuration.Get(kLogFormat)));
  log.process = "taskmanager";
  RETURN_IF_ERROR(InitLogging(log));
  RETURN_IF_ERROR(ArmFailpointsFromEnvironment());
  TaskManagerOptions options = TaskManagerOptions::FromConfiguration(configuration);
  if (!command_line.jobmanager.empty()) options.jobmanager_address = command_line.jobmanager;
  if (command_line.slots.has_value()) options.num_slots = *command_line.slots;
  options.id = command_line.id;
  options.handle_crashes = true;
  options.owns_process = true;
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

  CLI::App app("Runs tasks for a JobManager.", "weir-taskmanager");
  app.add_option("--jobmanager", command_line.jobmanager,
                 "HOST:PORT of the JobManager, or of all of them, separated by commas");
  app.add_option("--slots", command_line.slots, "Slots to offer")->check(CLI::Range(1, 65536));
  app.add_option("--id", command_line.id, "Name of this TaskManager; made up if there is none");
  app.footer("Also --config FILE and -Dkey=value. Settings:\n" +
             weir::WeirOptions()->DescribeAsText());
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : weir::kExitUsage;
  }
  absl::StatusOr<weir::TaskManagerOptions> options = weir::MakeOptions(command_line);
  if (!options.ok()) {
    std::fprintf(stderr, "weir-taskmanager: %s\n", options.status().ToString().c_str());
    return weir::kExitUsage;
  }
  return weir::Run(*std::move(options), signals);
}
