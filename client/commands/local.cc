#include <cstdio>
#include <filesystem>
#include <system_error>

#include "client/commands/commands.h"
#include "client/commands/exit_code.h"
#include "client/local_cluster.h"
#include "client/work_folder.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

std::string OwnFolder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

void Announce(const LocalCluster& cluster, const WorkFolder& folder) {
  std::printf("weir local ready rest=%s\n%s", cluster.rest_address().c_str(),
              cluster.Describe().c_str());
  std::printf("folder %s%s\n", folder.path().c_str(), folder.temporary() ? " (temporary)" : "");
  std::printf("http://%s answers; Ctrl-C stops the cluster\n", cluster.rest_address().c_str());
  std::fflush(stdout);
}

}  // namespace

absl::StatusOr<int> Local(const CommandContext& context, const LocalCommand& command,
                          SignalWaiter* signals) {
  ASSIGN_OR_RETURN(WorkFolder folder,
                   WorkFolder::Open(command.folder, context.configuration->Get(kIoTmpDirs)));
  LocalCluster cluster({.program_folder = OwnFolder(),
                        .task_managers = command.task_managers,
                        .slots = command.slots,
                        .rest_port = command.rest_port,
                        .restart_task_managers = command.restart_task_managers,
                        .sources = context.line->sources,
                        .configuration = *context.configuration},
                       &folder, signals);
  absl::Status status = cluster.Start();
  if (status.ok()) {
    Announce(cluster, folder);
    status = cluster.Supervise();
  }
  const bool asked_to_end = status.ok() || absl::IsCancelled(status);
  const absl::Status stopped = cluster.Stop();
  if (!asked_to_end || !stopped.ok()) folder.Keep();
  if (!asked_to_end) return status;
  if (!stopped.ok()) return stopped;
  std::fprintf(stderr, "weir: the cluster has stopped\n");
  return kExitDone;
}

}  // namespace weir
