#include <cstdio>

#include "client/commands/commands.h"
#include "client/commands/exit_code.h"
#include "client/text_table.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {

absl::StatusOr<int> Checkpoints(const CommandContext& context, const ClusterClient& client,
                                const CheckpointsCommand& command) {
  ASSIGN_OR_RETURN(const std::string job_id, client.ResolveJob(command.job));
  if (context.line->json) {
    ASSIGN_OR_RETURN(const std::string json,
                     client.rest().Get(StrCat("/jobs/", job_id, "/checkpoints")));
    std::puts(json.c_str());
    return kExitDone;
  }
  ASSIGN_OR_RETURN(const CheckpointOverview overview, client.Checkpoints(job_id));
  std::printf("%lld completed, %lld failed, %lld in progress, restored %lld times\n",
              static_cast<long long>(overview.completed), static_cast<long long>(overview.failed),
              static_cast<long long>(overview.in_progress),
              static_cast<long long>(overview.restored));
  if (overview.history.empty()) return kExitDone;
  std::vector<std::vector<std::string>> rows = {
      {"CHECKPOINT", "STATUS", "TRIGGERED", "DURATION", "STATE", "PATH"}};
  for (const CheckpointLine& one : overview.history) {
    rows.push_back({StrCat(one.id), one.status,
                    absl::FormatTime("%H:%M:%E3S", one.trigger_time, absl::LocalTimeZone()),
                    absl::FormatDuration(one.duration), StrCat(one.state_size_bytes, " B"),
                    one.failure.empty() ? one.path : one.failure});
  }
  std::fputs(FormatTable(rows).c_str(), stdout);
  return kExitDone;
}

}  // namespace weir
