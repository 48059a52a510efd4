// weir-jobmanager: the daemon that takes in jobs and runs them on TaskManagers.

#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobmanager/job_manager.h"
#include "runtime/base/config.h"
#include "runtime/base/failpoint.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

struct Flags {
  std::optional<uint16_t> rest_port;
  std::optional<uint16_t> rpc_port;
  std::string bind;
  std::string checkpoint_dir;
};

void SetUpLogging(const Configuration& configuration) {
  LogOptions log;
  log.process = "weir-jobmanager";
  log.level = ParseLogLevel(configuration.Get(kLogLevel)).value_or(LogLevel::kInfo);
  log.format = ParseLogFormat(configuration.Get(kLogFormat)).value_or(LogFormat::kConsole);
  static_cast<void>(InitLogging(log));  // Without a file it cannot fail.
}

void ApplyFlags(const Flags& flags, Configuration* configuration) {
  if (flags.rest_port.has_value()) configuration->Set(kRestPort, *flags.rest_port);
  if (flags.rpc_port.has_value()) configuration->Set(kJobManagerRpcPort, *flags.rpc_port);
  if (!flags.checkpoint_dir.empty()) configuration->Set(kCheckpointingDir, flags.checkpoint_dir);
  if (flags.bind.empty()) return;
  configuration->Set(kRestBindAddress, flags.bind);
  configuration->Set(kJobManagerRpcAddress, flags.bind);
}

// Serves until SIGTERM or SIGINT. Both were blocked before any thread began, so they come here.
absl::Status Serve(Configuration configuration, const sigset_t& signals) {
  SetUpLogging(configuration);
  JobManagerOptions options = JobManagerOptions::FromConfiguration(std::move(configuration));
  const std::string rest_address = options.rest_bind_address;
  const std::string rpc_address = options.bind_address;
  ASSIGN_OR_RETURN(const auto job_manager, JobManager::Start(std::move(options)));
  std::printf("weir-jobmanager ready rest=%s:%d rpc=%s:%d\n", rest_address.c_str(),
              job_manager->rest_port(), rpc_address.c_str(), job_manager->rpc_port());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  LogInfo("jobmanager", StrCat("stopping on signal ", signal));
  job_manager->Stop();
  return absl::OkStatus();
}

int Run(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const absl::StatusOr<ConfigurationSources> sources = TakeConfigurationSources(&arguments);
  if (!sources.ok()) {
    std::fprintf(stderr, "weir-jobmanager: %s\n", sources.status().ToString().c_str());
    return kExitUsage;
  }
  Flags flags;
  CLI::App app("The JobManager of a weir cluster: REST API, scheduler, checkpoints.",
               "weir-jobmanager");
  app.add_option("--rest-port", flags.rest_port, "Port of the REST API; 0 takes a free one");
  app.add_option("--rpc-port", flags.rpc_port, "Port for TaskManagers; 0 takes a free one");
  app.add_option("--bind", flags.bind, "Address to listen on (127.0.0.1)");
  app.add_option("--checkpoint-dir", flags.checkpoint_dir,
                 "Folder of checkpoints, which all TaskManagers reach");
  app.footer("--config FILE and -Dkey=value set any option:\n\n" + WeirOptions()->DescribeAsText());
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  absl::StatusOr<Configuration> configuration = Configuration::Load(WeirOptions(), *sources);
  absl::Status status = ArmFailpointsFromEnvironment();
  if (status.ok()) status = configuration.status();
  if (!status.ok()) {
    std::fprintf(stderr, "weir-jobmanager: %s\n", status.ToString().c_str());
    return kExitUsage;
  }
  ApplyFlags(flags, &*configuration);
  status = Serve(*std::move(configuration), signals);
  if (status.ok()) return 0;
  std::fprintf(stderr, "weir-jobmanager: %s\n", status.ToString().c_str());
  return kExitFailed;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) { return weir::Run(argc, argv); }
