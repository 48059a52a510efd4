#include <cstdio>

#include "client/commands/commands.h"
#include "client/commands/exit_code.h"
#include "client/text_table.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {

absl::StatusOr<int> Scale(const CommandContext& context, const ClusterClient& client,
                          const ScaleCommand& command) {
  ASSIGN_OR_RETURN(const std::string job_id, client.ResolveJob(command.job));
  ASSIGN_OR_RETURN(const JobScaling before, client.Scaling(job_id));
  ASSIGN_OR_RETURN(const std::vector<JobScaling::Vertex> vertices,
                   PlanScaling(before, command.parallelism, command.of_vertices));
  RETURN_IF_ERROR(client.Scale(job_id, vertices));
  if (context.line->json) {
    ASSIGN_OR_RETURN(const std::string json,
                     client.rest().Get(StrCat("/jobs/", job_id, "/scaling")));
    std::puts(json.c_str());
    return kExitDone;
  }
  std::vector<std::vector<std::string>> rows = {{"VERTEX", "BEFORE", "WANTED"}};
  for (const JobScaling::Vertex& vertex : vertices) {
    rows.push_back({vertex.name, StrCat(vertex.parallelism), StrCat(vertex.upper_bound)});
  }
  std::fputs(FormatTable(rows).c_str(), stdout);
  ASSIGN_OR_RETURN(const JobScaling after, client.Scaling(job_id));
  if (!after.reason.empty()) std::fprintf(stderr, "%s\n", after.reason.c_str());
  return kExitDone;
}

}  // namespace weir
