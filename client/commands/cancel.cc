#include <cstdio>

#include "client/commands/commands.h"
#include "client/commands/exit_code.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"

namespace weir {

absl::StatusOr<int> Cancel(const CommandContext& context, const ClusterClient& client,
                           const CancelCommand& command) {
  ASSIGN_OR_RETURN(const std::string job_id, client.ResolveJob(command.job));
  RETURN_IF_ERROR(client.Cancel(job_id));
  if (context.line->json) {
    std::string text;
    JsonWriter(&text).BeginObject().Key("jobid").String(job_id).EndObject();
    std::puts(text.c_str());
  } else {
    std::printf("%s is being cancelled\n", job_id.c_str());
  }
  return kExitDone;
}

}  // namespace weir
