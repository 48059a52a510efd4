// weir: the command line. Starts clusters of one machine, runs jobs, and asks clusters how they
// are.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/child_process.h"
#include "client/command_line.h"
#include "client/commands/commands.h"
#include "client/commands/exit_code.h"
#include "client/commands/sigma.h"
#include "client/in_process_cluster.h"
#include "client/settings.h"
#include "client/signal_waiter.h"
#include "client/state/inspect_state.h"
#include "runtime/base/failpoint.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

/// More than any parallelism that this machine makes sense of: slots of one process cost nothing.
constexpr uint32_t kSlotsInProcess = 1024;

absl::Status SetUpLogging(Configuration* configuration) {
  SetDefault(kLogLevel, "WARN", configuration);
  LogOptions log;
  ASSIGN_OR_RETURN(log.level, ParseLogLevel(configuration->Get(kLogLevel)));
  ASSIGN_OR_RETURN(log.format, ParseLogFormat(configuration->Get(kLogFormat)));
  return InitLogging(log);
}

/// Connects to a cluster, or is one.
absl::StatusOr<int> RunJob(const CommandContext& context, const RunCommand& command) {
  SignalWaiter signals;
  const std::string named = NamedRestAddress(*context.line);
  if (!named.empty()) {
    ASSIGN_OR_RETURN(RestClient rest, RestClient::Create(named));
    return Run(context, ClusterClient(std::move(rest)), command, OnInterrupt::kDetach, &signals);
  }
  if (command.detached) {
    return absl::InvalidArgumentError(
        "--detached needs a cluster, for the job would end with this process; give --rest");
  }
  Configuration configuration = *context.configuration;
  SetDefault(kRestartStrategyType, "none", &configuration);
  const auto parallelism =
      command.parallelism.value_or(static_cast<uint32_t>(configuration.Get(kParallelismDefault)));
  ASSIGN_OR_RETURN(
      const std::unique_ptr<InProcessCluster> cluster,
      InProcessCluster::Start(std::move(configuration), std::max(kSlotsInProcess, parallelism)));
  ASSIGN_OR_RETURN(RestClient rest, RestClient::Create(cluster->rest_address()));
  absl::StatusOr<int> exit_code =
      Run(context, ClusterClient(std::move(rest)), command, OnInterrupt::kCancel, &signals);
  if (exit_code.ok() && *exit_code == kExitInterrupted) cluster->EndProcess(kExitInterrupted);
  if (const absl::Status stopped = cluster->Stop(); !stopped.ok()) {
    LogError("weir", stopped.ToString());
    cluster->EndProcess(exit_code.ok() ? *exit_code : kExitFailed);
  }
  return exit_code;
}

absl::StatusOr<int> Dispatch(const CommandContext& context) {
  const CommandLine& line = *context.line;
  if (const auto* const print = std::get_if<PrintCommand>(&line.command)) {
    std::fputs(print->text.c_str(), stdout);
    return kExitDone;
  }
  if (const auto* const local = std::get_if<LocalCommand>(&line.command)) {
    SignalWaiter signals;
    return Local(context, *local, &signals);
  }
  if (const auto* const run = std::get_if<RunCommand>(&line.command)) return RunJob(context, *run);
  if (const auto* const state = std::get_if<StateCommand>(&line.command)) {
    return InspectState(*state, line.json, *context.configuration, [](std::string_view text) {
      std::fwrite(text.data(), 1, text.size(), stdout);
    });
  }
  ASSIGN_OR_RETURN(RestClient rest, RestClient::Create(RestAddress(line, *context.configuration)));
  const ClusterClient client(std::move(rest));
  if (const auto* const cancel = std::get_if<CancelCommand>(&line.command)) {
    return Cancel(context, client, *cancel);
  }
  if (const auto* const scale = std::get_if<ScaleCommand>(&line.command)) {
    return Scale(context, client, *scale);
  }
  if (const auto* const checkpoints = std::get_if<CheckpointsCommand>(&line.command)) {
    return Checkpoints(context, client, *checkpoints);
  }
  if (const auto* const upload = std::get_if<UploadCommand>(&line.command)) {
    return Upload(context, client, *upload);
  }
  if (const auto* const savepoint = std::get_if<SavepointCommand>(&line.command)) {
    return Savepoint(context, client, *savepoint);
  }
  if (const auto* const stop = std::get_if<StopCommand>(&line.command)) {
    return Stop(context, client, *stop);
  }
  if (const auto* const checkpoint = std::get_if<CheckpointCommand>(&line.command)) {
    return Checkpoint(context, client, *checkpoint);
  }
  if (std::holds_alternative<InfoCommand>(line.command)) return Info(context, client);
  return List(context, client);
}

int PrintError(const absl::Status& status, int exit_code) {
  std::fprintf(stderr, "weir: %s\n", StrCat(status.message()).c_str());
  return exit_code;
}

int Main(int argc, char** argv) {
  const absl::StatusOr<CommandLine> line =
      ParseCommandLine(std::vector<std::string>(argv + 1, argv + argc));
  if (!line.ok()) return PrintError(line.status(), kExitUsage);
  absl::StatusOr<Configuration> configuration = Configuration::Load(WeirOptions(), line->sources);
  if (!configuration.ok()) return PrintError(configuration.status(), kExitUsage);
  absl::Status status = SetUpLogging(&*configuration);
  if (status.ok()) status = ArmFailpointsFromEnvironment();
  if (!status.ok()) return PrintError(status, kExitUsage);
  const absl::StatusOr<int> exit_code =
      Dispatch({.line = &*line, .configuration = &*configuration});
  return exit_code.ok() ? *exit_code : PrintError(exit_code.status(), kExitFailed);
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == weir::kSupervisedArgument) {
    return weir::RunSupervised(argc, argv);
  }
  if (argc > 1 && std::string_view(argv[1]) == "sigma") return weir::RunSigma(argv);
  return weir::Main(argc, argv);
}
